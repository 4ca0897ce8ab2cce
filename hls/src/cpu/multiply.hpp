// CONV as a processor of the co-simulation runs it: strip by strip, every active output channel from packed pixels.
//
// Role     the chip's sums in an order that suits caches: up to kBlock output channels of half a tile at once, so that
//          sums stay in registers
// Rate     a core's vector multiplications of packs, two a cycle on most
// Storage  the strip and the weights of one convolution, in the cache
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "finish.hpp"
#include "strip.hpp"
#include "weights.hpp"

namespace ddi {

// Output channels at once, by the number of vector registers and what a vector holds.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
constexpr int32_t kBlock = 6;
#elif defined(__AVX512VL__) || defined(__ARM_NEON)
constexpr int32_t kBlock = 4;
#else
constexpr int32_t kBlock = 2;
#endif
constexpr int32_t kBlockRows = 4 * kVectorRows;  // of a tile at once

typedef int32_t LaneSums[kBlock][kTilePixels];

struct ConvMemory {
  WeightMemory weights;
  std::vector<uint32_t> strip;
  int32_t at[kMaxPacks];              // of each weight's pixels in the strip
  int32_t pooled[isa::kMaxChannels];  // of each active output channel
};

// A block of output channels.
struct Lanes {
  const uint32_t* row[kBlock];
  Finish finish[kBlock];
  NarrowRequantizer narrow[kBlock];
  int32_t channel[kBlock];
};

inline Lanes MakeLanes(const Layer& layer, const int64_t* tables, const Masks& masks, const WeightMemory& weights,
                       int32_t first, int32_t count) {
  Lanes lanes;
BlockLanes:
  for (int32_t lane = 0; lane < count; ++lane) {
    lanes.row[lane] = weights.row[first + lane];
    lanes.channel[lane] = ActiveChannel(masks, layer.out_mask, first + lane);
    lanes.finish[lane] = TableFinish(layer, tables, lanes.channel[lane]);
    lanes.narrow[lane] = MakeNarrowRequantizer(lanes.finish[lane]);
  }
  return lanes;
}

// Rows of kLanes output channels from all packs of input channels, from row `first` of a tile on; `from` is the first
// window's first pixel.
template <int32_t kLanes, int32_t kRows>
inline void MultiplyRows(const Strip& strip, const int32_t* at, const Lanes& lanes, const uint32_t* from, int32_t first,
                         LaneSums& sum) {
  const int32_t weights = strip.packs * strip.taps;
  const std::ptrdiff_t down = strip.down;
  constexpr int32_t kVectors = kRows / kVectorRows;
  Sums total[kLanes][kVectors];
StartLanes:
  for (int32_t lane = 0; lane < kLanes; ++lane) {
  StartVectors:
    for (int32_t i = 0; i < kVectors; ++i) total[lane][i] = StartSums(int32_t(lanes.row[lane][weights]));
  }
MultiplyWeights:
  for (int32_t weight = 0; weight < weights; ++weight) {
    const uint32_t* pixels = from + at[weight];
    Weights repeated[kLanes];
  LaneWeights:
    for (int32_t lane = 0; lane < kLanes; ++lane) repeated[lane] = RepeatWeights(lanes.row[lane][weight]);
  WeightVectors:
    for (int32_t i = 0; i < kVectors; ++i) {
      const Pixels rows = LoadPixels(pixels, down);
      pixels += kVectorRows * down;
    VectorLanes:
      for (int32_t lane = 0; lane < kLanes; ++lane) Multiply(total[lane][i], rows, repeated[lane]);
    }
  }
StoreLanes:
  for (int32_t lane = 0; lane < kLanes; ++lane) {
  StoreVectors:
    for (int32_t i = 0; i < kVectors; ++i) {
      StoreSums(&sum[lane][(first + i * kVectorRows) * isa::kTile], total[lane][i]);
    }
  }
}

// A row of tiles of kLanes output channels, of which `first` is the number of the first among the active ones.
template <int32_t kLanes, int32_t kRows>
inline void RunLanes(const Layer& layer, const Strip& strip, const Lanes& lanes, int32_t first, int32_t tile_row,
                     TileMemory& maps, ConvMemory& memory) {
  const int32_t rows = Inside(tile_row, layer.output.height);
  LaneSums sum = {};
LaneTiles:
  for (int32_t column = 0; column < layer.output.columns; ++column) {
    const uint32_t* from = memory.strip.data() + column * isa::kTile;
  TileRows:
    for (int32_t row = 0; row < rows; row += kRows) {
      MultiplyRows<kLanes, kRows>(strip, memory.at, lanes, from + row * strip.down, row, sum);
    }
  TileLanes:
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      memory.pooled[first + lane] += FinishTile(layer, lanes.finish[lane], lanes.narrow[lane], lanes.channel[lane],
                                                tile_row, column, sum[lane], maps);
    }
  }
}

// The same for as many channels as are left.
inline void RunCount(const Layer& layer, const Strip& strip, const Lanes& lanes, int32_t count, int32_t first,
                     int32_t tile_row, TileMemory& maps, ConvMemory& memory) {
  switch (count) {
    case 1:  // sums of one channel are of more rows
      return RunLanes<1, isa::kTile>(layer, strip, lanes, first, tile_row, maps, memory);
    case 2:
      return RunLanes<2, kBlockRows>(layer, strip, lanes, first, tile_row, maps, memory);
    case 3:
      return RunLanes<(kBlock < 3 ? kBlock : 3), kBlockRows>(layer, strip, lanes, first, tile_row, maps, memory);
    case 4:
      return RunLanes<(kBlock < 4 ? kBlock : 4), kBlockRows>(layer, strip, lanes, first, tile_row, maps, memory);
    case 5:
      return RunLanes<(kBlock < 5 ? kBlock : 5), kBlockRows>(layer, strip, lanes, first, tile_row, maps, memory);
    default:
      return RunLanes<kBlock, kBlockRows>(layer, strip, lanes, first, tile_row, maps, memory);
  }
}

inline void RunConv(const Layer& layer, const int8_t* weights, const int64_t* tables, const Masks& masks,
                    TileMemory& maps, VectorMemory& vector, ConvMemory& memory) {
  const Strip strip = MakeStrip(layer);
  const int32_t count = layer.shape.active_out;
  const size_t packs = size_t(strip.packs) * size_t(strip.rows) * size_t(strip.pitch);
  if (memory.strip.size() < packs) memory.strip.resize(packs);
  PlaceTaps(layer, strip, memory.at);
  TakeRows(layer, strip, weights, masks, memory.weights);
  std::memset(memory.pooled, 0, size_t(count) * sizeof(memory.pooled[0]));
CpuStrips:
  for (int32_t tile_row = 0; tile_row < layer.output.tiles / layer.output.columns; ++tile_row) {
    GatherStrip(layer, strip, masks, maps, tile_row, memory.strip.data());
  CpuBlocks:
    for (int32_t first = 0; first < count; first += kBlock) {
      const int32_t left = Smaller(kBlock, count - first);
      const Lanes lanes = MakeLanes(layer, tables, masks, memory.weights, first, left);
      RunCount(layer, strip, lanes, left, first, tile_row, maps, memory);
    }
  }
StorePools:
  for (int32_t index = 0; index < count; ++index) {
    StorePool(layer, ActiveChannel(masks, layer.out_mask, index), memory.pooled[index], vector);
  }
}

}  // namespace ddi
