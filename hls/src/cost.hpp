// Cost: FLOPs, cycles of the modelled schedule and weight bytes of an instruction (docs/engine.md, Cost).
//
// Role     prices an instruction with the channels that are active now, before it is compared with the budget;
//          hls/cost.py says the same in Python, and they agree to the unit
// Rate     a few multiplications an instruction; the sum over CONV's groups has a closed form, so no loop
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "masks.hpp"

namespace ddi {

struct Cost {
  uint64_t flops;
  uint64_t cycles;
  uint64_t weight_bytes;
};

static_assert(isa::kWeightAlign % isa::kWeightBytes == 0, "rows are whole fetches");
static_assert(256 % isa::kWeightBytes == 0, "an image table is whole fetches");
static_assert(isa::kOutLanes % 2 == 0, "lanes split into two halves");

inline uint64_t Larger(uint64_t a, uint64_t b) { return a > b ? a : b; }

inline Cost ConvCost(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t stride = word[isa::kConvStride];
  const int32_t taps = word[isa::kConvKernel] * word[isa::kConvKernel];
  const int32_t height = ConvOut(word[isa::kConvHeight], stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], stride);
  const uint64_t active_in = uint64_t(ActiveCount(masks, word[isa::kConvInMask], word[isa::kConvInChannels]));
  const uint64_t active_out = uint64_t(ActiveCount(masks, word[isa::kConvOutMask], word[isa::kConvOutChannels]));
  const uint64_t row = uint64_t(RowBytes(word[isa::kConvInChannels] * taps));
  Cost cost = {0, isa::kIssue, 0};
  if (active_out == 0) return cost;

  cost.flops = 2 * uint64_t(height * width) * uint64_t(taps) * active_in * active_out;
  cost.weight_bytes = active_out * row;

  const int32_t window = word[isa::kConvKernel] == 1 ? isa::kStridedReads : isa::kWindowReads;
  const uint64_t reads = stride == 2 && window > taps ? uint64_t(window) : uint64_t(taps);
  const uint64_t step = Larger(active_in * reads, isa::kDrain);
  const uint64_t tiles = uint64_t(Tiles(height, width));
  const uint64_t load = row / isa::kWeightBytes + 1;  // of one channel
  const uint64_t full = active_out / isa::kOutLanes;
  const uint64_t rest = active_out % isa::kOutLanes;
  const uint64_t rest_steps = rest <= isa::kOutLanes / 2 ? (tiles + 1) / 2 : tiles;
  // Each full group computes while the next one's weights load; the last group has nothing to load behind it.
  cost.cycles += isa::kPipeline + (full > 0 ? isa::kOutLanes : rest) * load;
  if (full > 0)
    cost.cycles += (full - 1) * Larger(tiles * step, isa::kOutLanes * load) + Larger(tiles * step, rest * load);
  if (rest > 0) cost.cycles += rest_steps * step;
  return cost;
}

// The cost of an instruction that passed its checks.
inline Cost Price(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  Cost cost = {0, isa::kIssue, 0};
  uint64_t work = 0;
  switch (word[0]) {
    case isa::kOpConv:
      return ConvCost(instruction, masks);
    case isa::kOpImage:
      work = uint64_t(word[isa::kImageHeight] * word[isa::kImageWidth]);
      cost.weight_bytes = 256 * uint64_t(word[isa::kImageChannels]);
      break;
    case isa::kOpAffine: {
      const int32_t stride = word[isa::kAffineStride];
      const int32_t height = ConvOut(word[isa::kAffineHeight], stride);
      const int32_t width = ConvOut(word[isa::kAffineWidth], stride);
      work = uint64_t(word[isa::kAffineOutChannels]) * uint64_t(Tiles(height, width) * stride * stride);
      break;
    }
    case isa::kOpPool: {
      const int32_t kernel = word[isa::kPoolKernel];
      const int32_t height = PoolOut(word[isa::kPoolHeight], kernel, word[isa::kPoolStride], word[isa::kPoolPadding]);
      const int32_t width = PoolOut(word[isa::kPoolWidth], kernel, word[isa::kPoolStride], word[isa::kPoolPadding]);
      work = uint64_t(word[isa::kPoolChannels]) * uint64_t(Tiles(height, width) * kernel * kernel);
      break;
    }
    case isa::kOpGlobalPool:
      work = uint64_t(word[isa::kGlobalPoolChannels]) *
             uint64_t(Tiles(word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]));
      break;
    case isa::kOpFc:
      cost.flops = 2 * uint64_t(word[isa::kFcInputs]) * uint64_t(word[isa::kFcOutputs]);
      cost.weight_bytes = uint64_t(word[isa::kFcOutputs]) * uint64_t(RowBytes(word[isa::kFcInputs]));
      break;
    case isa::kOpLstm: {
      const uint64_t rows = 4 * uint64_t(word[isa::kLstmHidden]);
      const int32_t operands = word[isa::kLstmInputs] + word[isa::kLstmHidden];
      cost.flops = 2 * uint64_t(operands) * rows;
      cost.weight_bytes = rows * uint64_t(RowBytes(operands));
      work = rows;
      break;
    }
    case isa::kOpGateChannel:
      cost.cycles += uint64_t(word[isa::kGateChannelChannels]);
      return cost;
    case isa::kOpExit:
      work = 4 * uint64_t(word[isa::kExitClasses]);
      break;
    default:  // GATE_LAYER, TAP, END
      return cost;
  }
  cost.cycles += isa::kPipeline + work + cost.weight_bytes / isa::kWeightBytes;
  return cost;
}

}  // namespace ddi
