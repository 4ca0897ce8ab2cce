// Schedule: how CONV is cut into groups of output channels and steps, and how many cycles its main loop takes.
//
// Role     hls/schedule.py in closed form (docs/engine.md, Cost); the price and the loop itself both use it
// Rate     a few multiplications, in the FETCH cycles: all groups but the last are alike, so no loop adds them up
// Storage  registers
//
// A step covers a tile of outputs for kOutLanes channels, or a part of a tile for kFold times as many; a cycle takes
// kRowTaps taps of one input channel, or, of a 1 × 1 kernel, two input channels. AFFINE, POOL and GLOBAL_POOL use the
// same loop, a channel at a time.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "masks.hpp"
#include "widths.hpp"

namespace ddi {

constexpr int32_t kPartPixels = isa::kPart * isa::kPart;
constexpr int32_t kMaxResults = isa::kOutLanes * isa::kFold;  // channels of a group
static_assert(kPartPixels * isa::kFold == kTilePixels && isa::kPart == 4, "four parts are a tile");
static_assert(kMaxResults == 8 && isa::kOutLanes == 2, "groups of channels are counted by shifts");

// Two input channels of a 1 × 1 kernel stand side by side in a window, the second under the second tap.
constexpr bool kPairs = isa::kWindow >= 2 * isa::kTile;
constexpr int32_t kPairColumn = kPairs ? isa::kTile : 0;

// Cycles of the taps of a kernel's row, at most three, and of those of a channel.
inline Unsigned<2> TapsAcross(int32_t kernel) {
  return Unsigned<2>(kernel > 2 * isa::kRowTaps ? 3 : kernel > isa::kRowTaps ? 2 : 1);
}

static_assert(isa::kMaxKernel <= 3 * isa::kRowTaps, "three cycles take the taps of a kernel's row");
constexpr int32_t kBeatBits = BitsOf(3 * isa::kMaxKernel);
static_assert(3 * isa::kMaxKernel >= 4 / isa::kMapReads, "a beat is as long as the reads of a window");

struct ConvShape {
  Unsigned<kKernelBits> kernel;
  Unsigned<2> stride;
  Unsigned<kTileBits> tiles;      // of a channel of the output
  Unsigned<kTileBits + 2> steps;  // of a group
  bool by_parts;
  Unsigned<kResultBits> lanes;  // output channels at once
  Unsigned<kChannelBits> active_in, active_out;
  bool paired;                    // two input channels a cycle
  Unsigned<kChannelBits> inputs;  // channels, or pairs of them, that are multiplied one after the other
  Unsigned<6> filter_bytes;
  Unsigned<kLaneByteBits> row;  // bytes of weights fetched for an output channel
  bool reads_identity;
};

struct ConvPlan {
  Unsigned<kChannelBits> groups;
  Unsigned<kResultBits> channels;  // of a group
  Unsigned<kResultBits> last;      // of the last one
  Unsigned<kBeatBits> beat;        // cycles from one input channel to the next
  Unsigned<kBeatBits> taps;        // of these, with taps of the kernel
  int32_t cycles;                  // of the main loop
};

// Tiles, or parts of tiles, that cover a map.
inline int32_t Steps(int32_t height, int32_t width, bool by_parts) {
  if (!by_parts) return Tiles(height, width);
  const int32_t rows = (height + isa::kPart - 1) >> 2;
  return int32_t(Product(uint32_t(rows), uint16_t((width + isa::kPart - 1) >> 2)));
}

inline ConvShape MakeConvShape(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t in_mask = word[isa::kConvInMask];
  ConvShape shape;
  shape.kernel = word[isa::kConvKernel];
  shape.stride = word[isa::kConvStride];
  const int32_t height = ConvOut(MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner, shape.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], shape.stride);
  shape.by_parts = shape.stride == 2 || (height <= isa::kPart && width <= isa::kPart);
  shape.tiles = Tiles(height, width);
  shape.steps = Steps(height, width, shape.by_parts);
  shape.lanes = shape.by_parts ? kMaxResults : isa::kOutLanes;
  shape.active_in = ActiveCount(masks, in_mask, word[isa::kConvInChannels]);
  shape.active_out = ActiveCount(masks, word[isa::kConvOutMask], word[isa::kConvOutChannels]);
  shape.paired = kPairs && shape.kernel == 1 && !shape.by_parts && in_mask == 0;
  shape.inputs = shape.paired ? (shape.active_in + 1) >> 1 : shape.active_in;
  shape.filter_bytes = FilterBytes(int8_t(shape.kernel), in_mask);
  shape.row = in_mask != 0 ? int32_t(Product(uint32_t(shape.active_in), uint16_t(shape.filter_bytes)))
                           : ConvRow(word[isa::kConvInChannels], shape.kernel, in_mask);
  shape.reads_identity = (word[isa::kConvFlags] & isa::kFlagAdd) != 0;
  return shape;
}

// Of an AFFINE or a POOL: one channel in, one out, for each of `channels`.
inline ConvShape MakeMapShape(int32_t kernel, int32_t stride, bool by_parts, int32_t height, int32_t width,
                              int32_t channels) {
  ConvShape shape = ConvShape();
  shape.kernel = kernel;
  shape.stride = stride;
  shape.by_parts = by_parts;
  shape.tiles = Tiles(height, width);
  shape.steps = Steps(height, width, by_parts);
  shape.lanes = 1;
  shape.active_in = 1;
  shape.inputs = 1;
  shape.active_out = channels;
  return shape;
}

// Height and width of the window of a step, in blocks of 8 × 8 pixels: of a tile at stride 1, of a part at stride 2.
inline int32_t WindowBlocks(int32_t kernel, int32_t stride) {
  const int32_t last = stride == 2 ? 2 * (isa::kPart - 1) : isa::kTile - 1;
  return last + kernel > isa::kTile ? 2 : 1;
}

static_assert((isa::kMapReads == 1 || isa::kMapReads == 2) && isa::kWindow <= 2 * isa::kTile, "four reads or fewer");
static_assert(isa::kTile - 1 + isa::kMaxKernel <= isa::kWindow, "the window of a tile");
static_assert(2 * (isa::kPart - 1) + isa::kMaxKernel <= isa::kWindow, "the window of a part");

// Rows of weights that each port fetches, for the rows of a group.
inline int32_t Turns(int32_t rows) {
  return isa::kWeightPorts == 1 ? rows : int32_t(DivideBy3(uint16_t(rows + isa::kWeightPorts - 1)));
}

// Cycles in which `bytes` of each of some rows of weights arrive, a row a port at once.
inline int32_t FetchCycles(int32_t rows, int32_t bytes) {
  return int32_t(Product(uint32_t(bytes), uint16_t(Turns(rows))) >> 3);
}

// Cycles in which a step's results are requantised.
inline int32_t DrainCycles(const ConvShape& shape, int32_t channels) {
  return channels * ((shape.by_parts ? kPartPixels : kTilePixels) / isa::kDrain);
}

// Reads of a window: 4, 2 of a pair, or 1, as a power of two.
inline Unsigned<2> WindowShift(const ConvShape& shape) {
  return Unsigned<2>(WindowBlocks(shape.kernel, shape.stride) == 2 ? 2 : shape.paired ? 1 : 0);
}

// Cycles in which the ports that read windows make that many accesses.
inline int32_t PortCycles(int32_t accesses) { return isa::kMapReads == 2 ? (accesses + 1) >> 1 : accesses; }

// Cycles of a step of that many channels, the larger of two: `multiply` cycles and the reads that windows miss while
// the drain uses their ports; the drain. All accesses of the ports together never take longer.
inline int32_t StepCycles(const ConvShape& shape, int32_t beat, int32_t multiply, int32_t channels) {
  const int32_t uses = (isa::kMapReads == 2 ? channels : 0) + (shape.reads_identity ? channels : 0);
  const int32_t drain = DrainCycles(shape, channels);
  const int32_t free = int32_t(Product(uint32_t(beat), uint16_t(isa::kMapReads * drain - uses)));
  const int32_t shift = WindowShift(shape);
  const int32_t lacks = (drain << shift) - free;
  const int32_t few = lacks <= 0 ? 0 : shift == 2 ? (lacks + 3) >> 2 : lacks;
  const int32_t late = shape.paired ? uses : few;  // a pair's reads take a cycle, and another one without a port
  return Larger(multiply + late, drain);
}

// The plan of an instruction with at least one output channel: full groups, then one of the channels that are left.
inline ConvPlan MakePlan(const ConvShape& shape) {
  const int32_t all = shape.active_out;
  const int32_t full = shape.lanes == kMaxResults ? all >> 3 : shape.lanes == isa::kOutLanes ? all >> 1 : all;
  const int32_t rest = all & (shape.lanes - 1);
  const int32_t window = Unsigned<3>(PortCycles(1 << WindowShift(shape)));
  ConvPlan plan;
  plan.groups = rest > 0 ? full + 1 : full;
  plan.channels = shape.lanes;
  plan.last = rest > 0 ? rest : shape.lanes;
  plan.taps = shape.kernel * TapsAcross(shape.kernel);
  plan.beat = Larger(plan.taps, window);
  const int32_t first = full > 0 ? plan.channels : plan.last;
  const int32_t multiply = int32_t(Product(uint32_t(shape.inputs), uint16_t(plan.beat)));
  const int32_t step = StepCycles(shape, plan.beat, multiply, first);
  const int32_t last_step = StepCycles(shape, plan.beat, multiply, plan.last);
  const int32_t load = FetchCycles(first, shape.row);
  const uint32_t group = uint32_t(Product(uint32_t(step), uint16_t(shape.steps)));
  const uint32_t last_group = uint32_t(Product(uint32_t(last_step), uint16_t(shape.steps)));
  const int32_t before = plan.groups - 1;
  // The first step waits for its weights, but not for a drain.
  const int32_t compute =
      int32_t(Product(group, uint16_t(before)) + last_group) + Larger(Larger(load, multiply), 1) - step;
  const int32_t fetch = int32_t(Product(uint32_t(load), uint16_t(before))) +
                        Larger(int32_t(last_group), FetchCycles(plan.last, shape.row));
  const int32_t beats = int8_t(Smaller(isa::kBurst, shape.row) >> 3);
  const Unsigned<kResultBits> turns(Turns(first));
  const int32_t bursts = (turns - 1) * beats + Smaller(first, isa::kWeightPorts);
  // One cycle in the queue. Without weights the biases and scales are waited for, one a cycle.
  const int32_t weights = shape.row > 0 ? Larger(first, bursts) + 1 : first;
  const int32_t wait = before > 0 ? Larger(0, DrainCycles(shape, first) - last_step) : 0;
  plan.cycles = Larger(weights, window) + 1 + (before > 0 ? Larger(compute, fetch) : compute) + wait +
                DrainCycles(shape, plan.last) + isa::kWriteDelay;
  return plan;
}

}  // namespace ddi
