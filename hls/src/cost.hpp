// Cost: FLOPs, cycles of the modelled schedule and weight bytes of an instruction (docs/engine.md, Cost).
//
// Role     prices an instruction with the channels that are active now, before it is compared with the budget;
//          hls/cost.py says the same in Python, and they agree to the unit
// Rate     a few multiplications an instruction; every sum has a closed form
//
// Cycles: FETCH, then for each loop of the instruction its trips (II is 1), and its depth each time it is entered.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "masks.hpp"
#include "schedule.hpp"

namespace ddi {

struct Cost {
  uint64_t flops;
  uint32_t cycles;
  uint32_t weight_bytes;
};

static_assert(isa::kWeightAlign % isa::kPortBytes == 0, "rows are whole fetches");
constexpr int32_t kRowLooks = isa::kTile / isa::kImageBytes;  // of a tile's row of pixels and a channel, cycles
static_assert(isa::kTile % isa::kImageBytes == 0, "a row of pixels is whole cycles");
static_assert(256 % isa::kPortBytes == 0, "an image table is whole fetches");

inline uint32_t Loop(uint32_t trips, int32_t depth) { return trips + uint32_t(depth); }

static_assert(int64_t(isa::kMaxMap) * isa::kMaxMap * isa::kLaneBytes <= UINT32_MAX, "32 bits hold a map's products");

// The shape of a CONV, an AFFINE, a POOL or a GLOBAL_POOL, and its plan if it has outputs; made once an instruction.
struct LayerPlan {
  ConvShape shape;
  ConvPlan plan;
};

inline ConvShape MakeLayerShape(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t stride = word[isa::kAffineStride];
  switch (word[0]) {
    case isa::kOpConv:
      return MakeConvShape(instruction, masks);
    case isa::kOpAffine:
      return MakeMapShape(1, stride, stride == 2, ConvOut(word[isa::kAffineHeight], stride),
                          ConvOut(word[isa::kAffineWidth], stride), word[isa::kAffineOutChannels]);
    case isa::kOpPool:
      return MakeMapShape(word[isa::kPoolKernel], word[isa::kPoolStride], true, PoolHeight(word), PoolWidth(word),
                          word[isa::kPoolChannels]);
    case isa::kOpGlobalPool:
      return MakeMapShape(1, 1, false, word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth],
                          word[isa::kGlobalPoolChannels]);
    default:
      return ConvShape();
  }
}

inline LayerPlan PlanLayer(const Instruction& instruction, const Masks& masks) {
  LayerPlan layer = LayerPlan();
  layer.shape = MakeLayerShape(instruction, masks);
  if (layer.shape.active_out > 0) layer.plan = MakePlan(layer.shape);
  return layer;
}

inline void AddConv(const int32_t* word, const ConvShape& shape, Cost& cost) {
  const int32_t height = ConvOut(MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner, shape.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], shape.stride);
  const int8_t kernel = int8_t(shape.kernel);
  const uint32_t pixels = uint32_t(Product(uint32_t(height), uint16_t(width)));
  const uint16_t products = uint16_t(Product(uint32_t(shape.active_in), uint16_t(kernel * kernel)));  // of a pixel
  cost.flops = 2 * Product(uint32_t(Product(pixels, products)), uint16_t(shape.active_out));
  cost.weight_bytes = uint32_t(Product(uint32_t(shape.row), uint16_t(shape.active_out)));
}

// Rows of weights that three ports fetch, each a row of its own, while the three before are finished one by one.
inline void AddRows(int32_t rows, int32_t count, int32_t depth, Cost& cost) {
  const int32_t bytes = RowBytes(count);
  cost.flops = 2 * Product(uint32_t(rows), uint16_t(count));
  cost.weight_bytes = uint32_t(Product(uint32_t(rows), uint16_t(bytes)));
  const int32_t cycles = Larger(bytes >> 3, isa::kWeightPorts);
  cost.cycles += Loop(uint32_t(Product(uint32_t(cycles), uint16_t(Turns(rows)))) + isa::kWeightPorts, depth);
}

inline void AddImage(const int32_t* word, Cost& cost) {
  const int32_t channels = word[isa::kImageChannels];
  const uint16_t groups = DivideBy3(uint16_t(channels + isa::kImageLanes - 1));
  const uint32_t rows =
      uint32_t(Product(uint32_t(word[isa::kImageHeight]), uint16_t(TileCount(word[isa::kImageWidth]))));
  const uint32_t beats = uint32_t(Product(rows, uint16_t(kRowLooks * channels + 1)));
  cost.weight_bytes = 256 * uint32_t(channels);
  cost.cycles += 256 / isa::kPortBytes * uint32_t(channels);
  cost.cycles += uint32_t(Product(Loop(beats, isa::kDepthLoadTables + isa::kDepthImageBeats), groups));
}

// The cost of an instruction at `pc` that passed its checks; `layer` is its plan.
inline Cost Price(const Instruction& instruction, int32_t pc, const LayerPlan& layer, const Masks& masks) {
  const int32_t* word = instruction.word;
  Cost cost = {0, uint32_t(pc < isa::kCodeStore ? isa::kFetch : isa::kFetchFar), 0};
  if (layer.shape.active_out > 0) cost.cycles += Loop(uint32_t(layer.plan.cycles), isa::kDepthMapCycles);
  switch (word[0]) {
    case isa::kOpImage:
      AddImage(word, cost);
      break;
    case isa::kOpConv:
      AddConv(word, layer.shape, cost);
      break;
    case isa::kOpFc:
      AddRows(word[isa::kFcOutputs], word[isa::kFcInputs], isa::kDepthRowCycles, cost);
      break;
    case isa::kOpLstm:
      AddRows(4 * word[isa::kLstmHidden], word[isa::kLstmInputs] + word[isa::kLstmHidden], isa::kDepthRowCycles, cost);
      cost.cycles += Loop(uint32_t(word[isa::kLstmHidden]), isa::kDepthLstmUnits);
      break;
    case isa::kOpGateChannel:
      cost.cycles += Loop(uint32_t(word[isa::kGateChannelChannels]), isa::kDepthGateChannels);
      break;
    case isa::kOpExit:
      cost.cycles += Loop(uint32_t(word[isa::kExitClasses]), isa::kDepthLargestLogit);
      cost.cycles += Loop(uint32_t(word[isa::kExitClasses]), isa::kDepthExitSums);
      break;
    case isa::kOpMove: {
      const int32_t channels = ActiveCount(masks, word[isa::kMoveMask], word[isa::kMoveChannels]);
      const uint32_t words = uint32_t(Product(uint32_t(channels), uint16_t(word[isa::kMoveWords])));
      cost.cycles += Loop(words * (kTilePixels / isa::kPortBytes), isa::kDepthMoveIn);
      break;
    }
    default:  // AFFINE, POOL, GLOBAL_POOL, GATE_LAYER, TAP, END
      break;
  }
  return cost;
}

}  // namespace ddi
