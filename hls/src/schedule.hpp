// Schedule: how CONV is cut into groups of output channels and steps, and how many cycles its main loop takes.
//
// Role     hls/schedule.py in closed form (docs/engine.md, Cost); the price and the loop itself both use it
// Rate     at most three kinds of groups a convolution; a few multiplications and divisions, in the FETCH cycles
// Storage  registers
//
// outputs  six channels at once, a lane each; a tap of one input channel a cycle
// rows     two channels, or one: each of the three columns of lanes takes a third of the kernel's rows
// pair     one channel of two neighbouring tiles, in the two lanes of a column; rows as above
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "masks.hpp"

namespace ddi {

constexpr int32_t kOutputs = 0;
constexpr int32_t kRows = 1;
constexpr int32_t kPair = 2;
constexpr int32_t kPass = 3;    // AFFINE: a pixel of the window goes to the drain
constexpr int32_t kReduce = 4;  // POOL: a tap of the window a cycle into a sum or a maximum
constexpr int32_t kGroupKinds = 3;
static_assert(isa::kOutLanes == 2 * isa::kColumns, "a column is a pair of lanes");
static_assert(isa::kSmallMap * isa::kSmallMap * isa::kFold == kTilePixels, "a small map fills a quarter of a tile");

// `count` groups alike.
struct GroupKind {
  int32_t mode;
  int32_t count;
  int32_t channels;  // of one group
  int32_t tiles;     // that a step computes side by side: 2 for a pair, else 1
  int32_t steps;
  int32_t step;   // cycles of a step
  int32_t load;   // cycles in which one group's weights are fetched
  int32_t drain;  // cycles in which a step's results are requantised
  int32_t taps;   // cycles in which an input channel is multiplied
  int32_t beat;   // cycles from one input channel to the next
};

struct ConvShape {
  int32_t kernel, stride;
  int32_t tiles, columns;  // of the output
  int32_t active_in, active_out;
  int32_t filter_bytes;
  int32_t row;   // bytes of weights fetched for an output channel
  int32_t fold;  // as many times more output channels at once, on a small map
};

struct ConvPlan {
  GroupKind kind[kGroupKinds];
  int32_t kinds;
  int64_t cycles;  // of the main loop
};

inline ConvShape MakeConvShape(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t in_mask = word[isa::kConvInMask];
  ConvShape shape;
  shape.kernel = word[isa::kConvKernel];
  shape.stride = word[isa::kConvStride];
  const int32_t height = ConvOut(MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner, shape.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], shape.stride);
  shape.tiles = Tiles(height, width);
  shape.columns = TileCount(width);
  shape.active_in = ActiveCount(masks, in_mask, word[isa::kConvInChannels]);
  shape.active_out = ActiveCount(masks, word[isa::kConvOutMask], word[isa::kConvOutChannels]);
  shape.filter_bytes = FilterBytes(shape.kernel, in_mask);
  const int32_t whole = ConvRow(word[isa::kConvInChannels], shape.kernel, in_mask);
  shape.row = in_mask != 0 ? shape.active_in * shape.filter_bytes : whole;
  const bool small = height <= isa::kSmallMap && width <= isa::kSmallMap;
  const bool fits = shape.kernel == isa::kColumns && isa::kFold * whole <= isa::kLaneBytes;
  shape.fold = small && fits ? isa::kFold : 1;
  return shape;
}

// Of an AFFINE or a POOL: one channel in, one out, for each of `channels`.
inline ConvShape MakeMapShape(int32_t kernel, int32_t stride, int32_t height, int32_t width, int32_t channels) {
  ConvShape shape = ConvShape();
  shape.kernel = kernel;
  shape.stride = stride;
  shape.tiles = Tiles(height, width);
  shape.columns = TileCount(width);
  shape.active_in = 1;
  shape.active_out = channels;
  shape.fold = 1;
  return shape;
}

// Reads of 8 × 8 pixels that fill the window of `across` tiles side by side.
inline int32_t WindowReads(int32_t kernel, int32_t stride, int32_t across) {
  const int32_t high = (isa::kTile - 1) * stride + kernel;
  const int32_t wide = (across * isa::kTile - 1) * stride + kernel;
  return TileCount(high) * TileCount(wide);
}

inline GroupKind MakeGroupKind(int32_t mode, const ConvShape& shape, int32_t count, int32_t channels) {
  GroupKind kind;
  kind.mode = mode;
  kind.count = count;
  kind.channels = channels;
  kind.tiles = mode == kPair ? 2 : 1;
  kind.taps = mode == kRows || mode == kPair ? shape.kernel : shape.kernel * shape.kernel;
  const int32_t reads = WindowReads(shape.kernel, shape.stride, kind.tiles);
  const int32_t results = channels * kind.tiles;
  kind.drain = CeilDivide(results * kTilePixels / shape.fold, isa::kDrain);
  kind.beat = Larger(kind.taps, CeilDivide(reads, isa::kMapReads));
  // The drain reads the identity and writes its word through the same ports as the windows.
  const int32_t ports = CeilDivide(shape.active_in * reads, isa::kMapReads) + results;
  kind.step = Larger(Larger(shape.active_in * kind.beat, ports), kind.drain);
  kind.steps = shape.tiles / kind.tiles;
  kind.load = CeilDivide(channels, isa::kWeightPorts) * shape.row / isa::kPortBytes;
  return kind;
}

// Cycles of the main loop of a plan whose groups are set.
inline int64_t PlanCycles(const ConvPlan& plan, const ConvShape& shape) {
  int64_t compute = 0;
  int64_t fetch = 0;
  int64_t longer = 0;
  int64_t wait = 0;
PlanKinds:
  for (int32_t i = 0; i < plan.kinds; ++i) {
    #pragma HLS loop_tripcount max = kGroupKinds
    const GroupKind& kind = plan.kind[i];
    const int64_t computing = int64_t(kind.count) * kind.steps * kind.step;
    const int64_t fetching = int64_t(kind.count) * kind.load;
    compute += computing;
    fetch += fetching;
    longer += computing > fetching ? computing : fetching;
    if (i > 0) wait += Larger(0, plan.kind[i - 1].drain - kind.step);
  }
  const GroupKind& first = plan.kind[0];
  compute += Larger(0, first.load - first.step);
  const int64_t busy = shape.fold > 1 ? longer + shape.fold - 1 : compute > fetch ? compute : fetch;
  const int32_t burst = Smaller(isa::kBurst, shape.row);
  const int32_t start = Larger(CeilDivide(first.channels, isa::kWeightPorts) * burst / isa::kPortBytes,
                               CeilDivide(WindowReads(shape.kernel, shape.stride, first.tiles), isa::kMapReads));
  // Folded, the lanes hold a filter of each of their rows before it is used.
  const int32_t held = shape.fold > 1 ? 2 * shape.kernel * shape.kernel : 0;
  return start + held + 1 + busy + wait + plan.kind[plan.kinds - 1].drain;
}

inline void AddKind(int32_t mode, const ConvShape& shape, int32_t count, int32_t channels, ConvPlan& plan) {
  if (count == 0) return;
  plan.kind[plan.kinds] = MakeGroupKind(mode, shape, count, channels);
  ++plan.kinds;
}

// The plan of a convolution with at least one active output channel: full groups, then what is left of the channels as
// one more of them, or in parts where all takes fewer cycles then.
inline ConvPlan MakeConvPlan(const ConvShape& shape) {
  const int32_t lanes = isa::kOutLanes * shape.fold;
  const int32_t full = shape.active_out / lanes;
  const int32_t rest = shape.active_out % lanes;
  ConvPlan whole = ConvPlan();
  AddKind(kOutputs, shape, full, lanes, whole);
  ConvPlan parts = whole;
  AddKind(kOutputs, shape, rest > 0 ? 1 : 0, rest, whole);
  whole.cycles = PlanCycles(whole, shape);
  if (shape.fold > 1 || rest == 0 || shape.kernel != isa::kColumns || shape.stride > 1) return whole;
  const bool paired = shape.columns % 2 == 0;
  AddKind(kRows, shape, rest / 2, 2, parts);
  AddKind(paired ? kPair : kRows, shape, rest % 2, 1, parts);
  parts.cycles = PlanCycles(parts, shape);
  if (parts.cycles < whole.cycles) return parts;
  return whole;
}

// The plan of an AFFINE or a POOL.
inline ConvPlan MakeMapPlan(int32_t mode, const ConvShape& shape) {
  ConvPlan plan = ConvPlan();
  AddKind(mode, shape, shape.active_out, 1, plan);
  plan.cycles = PlanCycles(plan, shape);
  return plan;
}

}  // namespace ddi
