// Cost: FLOPs, cycles of the modelled schedule and weight bytes of an instruction (docs/engine.md, Cost).
//
// Role     prices an instruction with the channels that are active now, before it is compared with the budget;
//          hls/cost.py says the same in Python, and they agree to the unit
// Rate     a few multiplications an instruction; every sum has a closed form
//
// FETCH cycles, then for each of the instruction's loops its trips at II = 1 and its depth for each entry.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "masks.hpp"
#include "schedule.hpp"

namespace ddi {

struct Cost {
  uint64_t flops;
  uint64_t cycles;
  uint64_t weight_bytes;
};

static_assert(isa::kWeightAlign % isa::kPortBytes == 0, "rows are whole fetches");
static_assert(256 % isa::kPortBytes == 0, "an image table is whole fetches");

inline uint64_t Loop(int64_t trips, int32_t depth) { return uint64_t(trips + depth); }

inline void AddConv(const Instruction& instruction, const Masks& masks, Cost& cost) {
  const ConvShape shape = MakeConvShape(instruction, masks);
  if (shape.active_out == 0) return;
  const int32_t* word = instruction.word;
  const int32_t height = ConvOut(MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner, shape.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], shape.stride);
  cost.flops = 2 * uint64_t(height * width) * uint64_t(shape.kernel * shape.kernel) * uint64_t(shape.active_in) *
               uint64_t(shape.active_out);
  cost.weight_bytes = uint64_t(shape.active_out) * uint64_t(shape.row);
  cost.cycles += Loop(MakeConvPlan(shape).cycles, isa::kDepthMapCycles);
}

inline ConvShape MakeAffineShape(const int32_t* word) {
  const int32_t stride = word[isa::kAffineStride];
  return MakeMapShape(1, stride, ConvOut(word[isa::kAffineHeight], stride), ConvOut(word[isa::kAffineWidth], stride),
                      word[isa::kAffineOutChannels]);
}

inline ConvShape MakePoolShape(const int32_t* word) {
  return MakeMapShape(word[isa::kPoolKernel], word[isa::kPoolStride], PoolHeight(word), PoolWidth(word),
                      word[isa::kPoolChannels]);
}

// Rows of weights that three ports fetch, each a row of its own.
inline void AddRows(int32_t rows, int32_t count, int32_t depth, Cost& cost) {
  cost.flops = 2 * uint64_t(rows) * uint64_t(count);
  cost.weight_bytes = uint64_t(rows) * uint64_t(RowBytes(count));
  cost.cycles += Loop(int64_t(CeilDivide(rows, isa::kWeightPorts)) * (RowBytes(count) / isa::kPortBytes), depth);
}

inline void AddImage(const int32_t* word, Cost& cost) {
  const int32_t channels = word[isa::kImageChannels];
  const int32_t groups = CeilDivide(channels, isa::kOutLanes);
  const int64_t beats = int64_t(word[isa::kImageHeight]) * TileCount(word[isa::kImageWidth]) * (channels + 1);
  cost.weight_bytes = 256 * uint64_t(channels);
  cost.cycles += uint64_t(256 / isa::kPortBytes * channels) + uint64_t(groups) * isa::kDepthLoadTables;
  cost.cycles += uint64_t(groups) * Loop(beats, isa::kDepthImageBeats);
}

// The cost of an instruction at `pc` that passed its checks.
inline Cost Price(const Instruction& instruction, int32_t pc, const Masks& masks) {
  const int32_t* word = instruction.word;
  Cost cost = {0, uint64_t(pc < isa::kCodeStore ? isa::kFetch : isa::kFetchFar), 0};
  switch (word[0]) {
    case isa::kOpImage:
      AddImage(word, cost);
      break;
    case isa::kOpConv:
      AddConv(instruction, masks, cost);
      break;
    case isa::kOpAffine:
      cost.cycles += Loop(MakeMapPlan(kPass, MakeAffineShape(word)).cycles, isa::kDepthMapCycles);
      break;
    case isa::kOpPool:
      cost.cycles += Loop(MakeMapPlan(kReduce, MakePoolShape(word)).cycles, isa::kDepthMapCycles);
      break;
    case isa::kOpGlobalPool:
      cost.cycles += Loop(
          int64_t(word[isa::kGlobalPoolChannels]) * Tiles(word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]),
          isa::kDepthGlobalTiles);
      break;
    case isa::kOpFc:
      AddRows(word[isa::kFcOutputs], word[isa::kFcInputs], isa::kDepthFcCycles, cost);
      break;
    case isa::kOpLstm:
      AddRows(4 * word[isa::kLstmHidden], word[isa::kLstmInputs] + word[isa::kLstmHidden], isa::kDepthLstmCycles, cost);
      cost.cycles += Loop(word[isa::kLstmHidden], isa::kDepthLstmUnits);
      break;
    case isa::kOpGateChannel:
      cost.cycles += Loop(word[isa::kGateChannelChannels], isa::kDepthGateChannels);
      break;
    case isa::kOpExit:
      cost.cycles += Loop(word[isa::kExitClasses], isa::kDepthLargestLogit);
      cost.cycles += Loop(word[isa::kExitClasses], isa::kDepthExitSums);
      break;
    case isa::kOpMove: {
      const int64_t channels = ActiveCount(masks, word[isa::kMoveMask], word[isa::kMoveChannels]);
      cost.cycles += Loop(channels * word[isa::kMoveWords] * (kTilePixels / isa::kPortBytes), isa::kDepthMoveBeats);
      break;
    }
    default:  // GATE_LAYER, TAP, END
      break;
  }
  return cost;
}

}  // namespace ddi
