// CONV as a processor of the co-simulation runs it: strip by strip, every active output channel from packed pixels.
//
// Role     the chip's sums in an order that suits caches: up to kBlock output channels of half a tile at once, so that
//          sums stay in registers
// Rate     a core's vector multiplications of packs, two a cycle on most
// Storage  the strip and the weights of one convolution, in the cache
#pragma once
#include <cstdint>
#include <vector>

#include "finish_host.hpp"
#include "strip_host.hpp"
#include "weights_host.hpp"

namespace ddi {

#if defined(__AVX512VL__) || defined(__ARM_NEON)
constexpr int32_t kBlock = 4;  // output channels at once: 32 vector registers
#else
constexpr int32_t kBlock = 2;  // 16
#endif
constexpr int32_t kHalfRows = isa::kTile / 2;

typedef int32_t BlockSums[kBlock][kTilePixels];

struct ConvMemory {
  WeightMemory weights;
  std::vector<uint32_t> strip;
  int32_t pooled[isa::kMaxChannels];  // of each active output channel
};

// What a block of output channels needs.
struct Lanes {
  const uint32_t* row[kBlock];
  Finish finish[kBlock];
  NarrowScale scale[kBlock];
  int32_t channel[kBlock];
};

inline Lanes MakeLanes(const Layer& layer, const int32_t* tables, const Masks& masks, const WeightMemory& weights,
                       int32_t first, int32_t lanes) {
  Lanes block;
BlockLanes:
  for (int32_t lane = 0; lane < lanes; ++lane) {
    #pragma HLS loop_tripcount max = kBlock
    block.row[lane] = weights.row[first + lane];
    block.channel[lane] = ActiveChannel(masks, layer.out_mask, first + lane);
    block.finish[lane] = TableFinish(layer, tables, block.channel[lane]);
    block.scale[lane] = MakeNarrowScale(block.finish[lane]);
  }
  return block;
}

// Half a tile of kLanes output channels from all packs of input channels; `from` is its first window's first pixel.
template <int32_t kLanes>
inline void MultiplyHalf(const Layer& layer, const Strip& strip, const Lanes& block, const uint32_t* from, int32_t half,
                         BlockSums& sum) {
  const int32_t taps = layer.shape.kernel * layer.shape.kernel;
  const int32_t down = strip.down;
  const int32_t last = strip.packs * taps;
  int32_t weight = 0;
  Sums8 total[kLanes][kHalfRows];
StartHalf:
  for (int32_t i = 0; i < kLanes * kHalfRows; ++i) {
    total[i / kHalfRows][i % kHalfRows] = StartSums8(int32_t(block.row[i / kHalfRows][last]));
  }
HalfPacks:
  for (int32_t pack = 0; pack < strip.packs; ++pack) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
  HalfTaps:
    for (int32_t tap = 0; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = kMaxTaps
      const uint32_t* pixels = from + strip.at[tap];
      Weights weights[kLanes];
    HalfWeights:
      for (int32_t lane = 0; lane < kLanes; ++lane) weights[lane] = RepeatWeights(block.row[lane][weight]);
    HalfRows:
      for (int32_t y = 0; y < kHalfRows; ++y) {
        const Packs8 packs = LoadPacks8(pixels + y * down);
      HalfLanes:
        for (int32_t lane = 0; lane < kLanes; ++lane) MultiplyPacks8(total[lane][y], packs, weights[lane]);
      }
      ++weight;
    }
    from += strip.rows * strip.pitch;
  }
StoreHalf:
  for (int32_t i = 0; i < kLanes * kHalfRows; ++i) {
    StoreSums8(&sum[i / kHalfRows][(half * kHalfRows + i % kHalfRows) * isa::kTile],
               total[i / kHalfRows][i % kHalfRows]);
  }
}

// A row of tiles of kLanes output channels, of which `first` is the number of the first among the active ones.
template <int32_t kLanes>
inline void RunBlock(const Layer& layer, const Strip& strip, const Lanes& block, int32_t first, int32_t tile_row,
                     TileMemory& maps, ConvMemory& memory) {
  const int32_t halves = CeilDivide(Inside(tile_row, layer.output.height), kHalfRows);
  BlockSums sum = {};
BlockTiles:
  for (int32_t column = 0; column < layer.output.columns; ++column) {
    #pragma HLS loop_tripcount max = isa::kMaxMap / isa::kTile
  TileHalves:
    for (int32_t half = 0; half < halves; ++half) {
      #pragma HLS loop_tripcount max = 2
      const uint32_t* from = memory.strip.data() + column * isa::kTile + half * kHalfRows * strip.down;
      MultiplyHalf<kLanes>(layer, strip, block, from, half, sum);
    }
    const int32_t tile = tile_row * layer.output.columns + column;
  TileLanes:
    for (int32_t lane = 0; lane < kLanes; ++lane) {
      memory.pooled[first + lane] +=
          FinishTile(layer, block.finish[lane], block.scale[lane], block.channel[lane], tile, sum[lane], maps);
    }
  }
}

// The same for as many channels as are left.
inline void RunLanes(const Layer& layer, const Strip& strip, const Lanes& block, int32_t lanes, int32_t first,
                     int32_t tile_row, TileMemory& maps, ConvMemory& memory) {
  if (lanes == 1) {
    RunBlock<1>(layer, strip, block, first, tile_row, maps, memory);
  } else if (lanes == 2) {
    RunBlock<2>(layer, strip, block, first, tile_row, maps, memory);
  } else if (lanes == 3) {
    RunBlock<(kBlock < 3 ? kBlock : 3)>(layer, strip, block, first, tile_row, maps, memory);
  } else {
    RunBlock<kBlock>(layer, strip, block, first, tile_row, maps, memory);
  }
}

inline void RunConv(const Layer& layer, const int8_t* weights, const int32_t* tables, const Masks& masks,
                    TileMemory& maps, VectorMemory& vector, ConvMemory& memory) {
  const Strip strip = MakeStrip(layer);
  const int32_t count = layer.shape.active_out;
  const size_t packs = size_t(strip.packs) * size_t(strip.rows) * size_t(strip.pitch);
  if (memory.strip.size() < packs) memory.strip.resize(packs);
  TakeRows(layer, strip, weights, masks, memory.weights);
  std::memset(memory.pooled, 0, size_t(count) * sizeof(memory.pooled[0]));
HostStrips:
  for (int32_t tile_row = 0; tile_row < layer.output.tiles / layer.output.columns; ++tile_row) {
    #pragma HLS loop_tripcount max = isa::kMaxMap / isa::kTile
    GatherStrip(layer, strip, masks, maps, tile_row, memory.strip.data());
  HostBlocks:
    for (int32_t first = 0; first < count; first += kBlock) {
      #pragma HLS loop_tripcount max = isa::kMaxChannels / kBlock
      const int32_t lanes = Smaller(kBlock, count - first);
      const Lanes block = MakeLanes(layer, tables, masks, memory.weights, first, lanes);
      RunLanes(layer, strip, block, lanes, first, tile_row, maps, memory);
    }
  }
StorePools:
  for (int32_t index = 0; index < count; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    StorePool(layer, ActiveChannel(masks, layer.out_mask, index), memory.pooled[index], vector);
  }
}

}  // namespace ddi
