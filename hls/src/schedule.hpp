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
  int8_t mode;
  int8_t channels;  // of one group
  int8_t tiles;     // that a step computes side by side: 2 for a pair, else 1
  int8_t drain;     // cycles in which a step's results are requantised
  int8_t taps;      // cycles in which an input channel is multiplied
  int8_t beat;      // cycles from one input channel to the next
  int16_t count;
  int16_t steps;
  int16_t step;  // cycles of a step
  int16_t load;  // cycles in which one group's weights are fetched
};
static_assert(isa::kOutLanes * (kTilePixels / isa::kDrain) <= INT8_MAX, "8 bits hold the cycles of a drain");
static_assert(isa::kOutLanes * isa::kFold <= INT8_MAX, "8 bits hold the channels of a group");
static_assert(3 * isa::kLaneBytes + isa::kOutLanes * isa::kFold <= INT16_MAX, "16 bits hold the cycles of a step");

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
  int32_t cycles;  // of the main loop
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
  shape.filter_bytes = FilterBytes(int8_t(shape.kernel), in_mask);
  const int32_t whole = ConvRow(word[isa::kConvInChannels], shape.kernel, in_mask);
  shape.row = in_mask != 0 ? int32_t(Product(uint32_t(shape.active_in), uint16_t(shape.filter_bytes))) : whole;
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
  const int32_t wide = high + (across == 2 ? isa::kTile * stride : 0);
  return TileCount(high) * TileCount(wide);
}

static_assert(isa::kMapReads == 2, "reads go in pairs");

inline int32_t HalfUp(int32_t value) { return (value + 1) >> 1; }

// Cycles in which `bytes` of each of a group's rows of weights arrive, three rows at once.
inline int32_t FetchCycles(int32_t channels, int32_t bytes) {
  return int32_t(Product(uint32_t(bytes), DivideBy3(uint16_t(channels + isa::kWeightPorts - 1))) >> 3);
}

inline GroupKind MakeGroupKind(int32_t mode, const ConvShape& shape, int32_t count, int32_t channels) {
  GroupKind kind;
  kind.mode = int8_t(mode);
  kind.count = int16_t(count);
  kind.channels = int8_t(channels);
  kind.tiles = mode == kPair ? 2 : 1;
  const int8_t kernel = int8_t(shape.kernel);
  kind.taps = mode == kRows || mode == kPair ? kernel : int8_t(kernel * kernel);
  const int32_t reads = WindowReads(shape.kernel, shape.stride, kind.tiles);
  const int16_t results = int16_t(mode == kPair ? 2 * channels : channels);
  kind.drain = int8_t(results * (kTilePixels / (shape.fold > 1 ? isa::kFold : 1) / isa::kDrain));
  kind.beat = int8_t(Larger(kind.taps, HalfUp(reads)));
  // The drain reads the identity and writes its word through the same ports as the windows.
  const int32_t ports = HalfUp(int32_t(Product(uint32_t(shape.active_in), uint16_t(reads)))) + results;
  const int32_t multiply = int32_t(Product(uint32_t(shape.active_in), uint16_t(kind.beat)));
  kind.step = int16_t(Larger(Larger(multiply, ports), kind.drain));
  kind.steps = int16_t(mode == kPair ? shape.tiles >> 1 : shape.tiles);
  kind.load = int16_t(FetchCycles(kind.channels, shape.row));
  return kind;
}

// Cycles of the main loop of a plan whose groups are set.
inline int32_t PlanCycles(const ConvPlan& plan, const ConvShape& shape) {
  int32_t compute = 0;
  int32_t fetch = 0;
  int32_t longer = 0;
  int32_t wait = 0;
PlanKinds:
  for (int32_t i = 0; i < plan.kinds; ++i) {
    #pragma HLS loop_tripcount max = kGroupKinds
    const GroupKind& kind = plan.kind[i];
    const uint16_t steps = uint16_t(Product(uint16_t(kind.count), uint16_t(kind.steps)));  // at most kTileWords
    const int32_t computing = int32_t(Product(uint16_t(kind.step), steps));
    const int32_t fetching = int32_t(Product(uint16_t(kind.load), uint16_t(kind.count)));
    compute += computing;
    fetch += fetching;
    longer += Larger(computing, fetching);
    if (i > 0) wait += Larger(0, plan.kind[i - 1].drain - kind.step);
  }
  const GroupKind& first = plan.kind[0];
  compute += Larger(0, first.load - first.step);
  const int32_t busy = shape.fold > 1 ? longer + isa::kFold - 1 : Larger(compute, fetch);
  const int32_t burst = Smaller(isa::kBurst, shape.row);
  const int32_t start =
      Larger(FetchCycles(first.channels, burst), HalfUp(WindowReads(shape.kernel, shape.stride, first.tiles)));
  // Folded, the lanes hold a filter of each of their rows before it is used.
  const int32_t held = shape.fold > 1 ? 2 * isa::kColumns * isa::kColumns : 0;
  return start + held + 1 + busy + wait + plan.kind[plan.kinds - 1].drain;
}

inline void AddKind(int32_t mode, const ConvShape& shape, int32_t count, int32_t channels, ConvPlan& plan) {
  if (count == 0) return;
  plan.kind[plan.kinds] = MakeGroupKind(mode, shape, count, channels);
  ++plan.kinds;
}

static_assert(isa::kOutLanes == 2 * 3 && isa::kFold == 4, "groups are 2 · 3 or 8 · 3 channels");

// The plan of a convolution with at least one active output channel: full groups, then what is left of the channels as
// one more of them, or in parts where all takes fewer cycles then.
inline ConvPlan MakeConvPlan(const ConvShape& shape) {
  const bool folded = shape.fold > 1;
  const int32_t lanes = folded ? isa::kOutLanes * isa::kFold : isa::kOutLanes;
  const int16_t full = int16_t(DivideBy3(uint16_t(shape.active_out >> (folded ? 3 : 1))));
  const int32_t rest = shape.active_out - (folded ? full * (isa::kOutLanes * isa::kFold) : full * isa::kOutLanes);
  ConvPlan whole = ConvPlan();
  AddKind(kOutputs, shape, full, lanes, whole);
  ConvPlan parts = whole;
  AddKind(kOutputs, shape, rest > 0 ? 1 : 0, rest, whole);
  whole.cycles = PlanCycles(whole, shape);
  if (shape.fold > 1 || rest == 0 || shape.kernel != isa::kColumns || shape.stride > 1) return whole;
  const bool paired = (shape.columns & 1) == 0;
  AddKind(kRows, shape, rest >> 1, 2, parts);
  AddKind(paired ? kPair : kRows, shape, rest & 1, 1, parts);
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
