// The main loop of CONV as a processor of the co-simulation runs it: the chip's sums in an order that suits caches.
//
// Role     tile by tile: the windows of all active input channels once, then every active output channel from them.
//          Input channels go in pairs of 16-bit numbers, which one instruction multiplies and adds (shim.hpp)
// Rate     counted by schedule.hpp as on the chip; a core multiplies as fast as its 16-bit units
// Storage  windows and weights of one convolution, in the cache
//
// The chip's loop (conv_chip.hpp) gives the same results: tests/hls holds both against the golden model.
#pragma once
#include <cstdint>

#include "conv.hpp"
#include "ports.hpp"

namespace ddi {

#if defined(__AVX512VL__) || defined(__ARM_NEON)
constexpr int32_t kBlock = 4;  // output channels at once: 32 vector registers
#else
constexpr int32_t kBlock = 2;  // 16
#endif
constexpr int32_t kHalfRows = isa::kTile / 2;
constexpr int32_t kMaxTaps = isa::kMaxKernel * isa::kMaxKernel;
// One pair of windows is at most WINDOW × WINDOW pixels; a row of weights bounds how many pairs there are.
constexpr int32_t kWindowPairs = (isa::kMaxChannels / 2) * 2 * isa::kTile * 2 * isa::kTile;
constexpr int32_t kWeightPairs = isa::kMaxChannels * (isa::kLaneBytes / 2 + kMaxTaps);

struct ConvMemory {
  int32_t window[kWindowPairs];  // pair of channels → row → column
  int32_t weight[kWeightPairs];  // block of output channels → pair → tap → channel of the block
};

// How windows lie in memory: rows that are used, columns in whole tiles; at stride 2 the even columns come first.
struct WindowShape {
  int32_t rows, pitch, pairs;
  int32_t tiles;         // across
  int32_t at[kMaxTaps];  // of tap t's first pixel
};

inline WindowShape MakeWindowShape(const Conv& conv) {
  const int32_t kernel = conv.shape.kernel;
  const int32_t stride = conv.shape.stride;
  const int32_t origin = (isa::kTile - conv.padding) & (isa::kTile - 1);
  WindowShape shape;
  shape.rows = (isa::kTile - 1) * stride + kernel;
  shape.tiles = TileCount(origin + shape.rows);
  shape.pitch = shape.tiles * isa::kTile;
  shape.pairs = CeilDivide(conv.shape.active_in, 2);
WindowTaps:
  for (int32_t tap = 0; tap < kernel * kernel; ++tap) {
    #pragma HLS loop_tripcount max = kMaxTaps
    const int32_t column = origin + tap % kernel;
    const int32_t place = stride == 1 ? column : (column & 1) * (shape.pitch / 2) + column / 2;
    shape.at[tap] = tap / kernel * shape.pitch + place;
  }
  return shape;
}

// Bytes of a tile's row that lie inside the map, as a mask.
inline uint64_t InsideMask(int32_t tile, const Map& map) {
  const int32_t columns = Inside(tile, map.width);
  return columns == isa::kTile ? ~uint64_t(0) : (uint64_t(1) << (8 * columns)) - 1;
}

// Put the even columns of a row before the odd ones.
inline void SplitColumns(int32_t pitch, int32_t* row) {
  int32_t line[isa::kWindow];
CopyLine:
  for (int32_t x = 0; x < pitch; ++x) {
    #pragma HLS loop_tripcount max = isa::kWindow
    line[x] = row[x];
  }
SplitLine:
  for (int32_t x = 0; x < pitch / 2; ++x) {
    #pragma HLS loop_tripcount max = isa::kWindow / 2
    row[x] = line[2 * x];
    row[pitch / 2 + x] = line[2 * x + 1];
  }
}

// The windows of two input channels, as pairs.
inline void GatherPair(const Conv& conv, const WindowShape& shape, const TileMemory& maps, int32_t first,
                       int32_t second, int32_t tile, int32_t* window) {
  const int32_t top = WindowRow(conv, tile);
  const int32_t left = (WindowColumn(conv, tile) - isa::kTile + 1) / isa::kTile;  // rounds down, from -7
  const int32_t first_tile = WindowColumn(conv, tile) < 0 ? left : WindowColumn(conv, tile) / isa::kTile;
PairRows:
  for (int32_t y = 0; y < shape.rows; ++y) {
    #pragma HLS loop_tripcount max = isa::kWindow
    const int32_t row = top + y;
    const bool inside = row >= 0 && row < conv.input.height;
    int32_t* line = window + y * shape.pitch;
  PairTiles:
    for (int32_t i = 0; i < shape.tiles; ++i) {
      #pragma HLS loop_tripcount max = isa::kWindow / isa::kTile
      const int32_t column = first_tile + i;
      const uint64_t mask = inside ? InsideMask(column, conv.input) : 0;
      const int32_t offset = mask != 0 ? (row >> 3) * conv.input.columns + column : 0;
      const uint8_t* pixels = maps[conv.input.address + offset] + (mask != 0 ? (row & 7) * isa::kTile : 0);
      InterleaveBytes(pixels + int64_t(first) * conv.input.tiles * kTilePixels,
                      pixels + int64_t(second) * conv.input.tiles * kTilePixels, mask, conv.in_signed,
                      line + i * isa::kTile);
    }
    if (conv.shape.stride == 2) SplitColumns(shape.pitch, line);
  }
}

inline void GatherPairs(const Conv& conv, const WindowShape& shape, const Masks& masks, const TileMemory& maps,
                        int32_t tile, ConvMemory& memory) {
GatherChannels:
  for (int32_t pair = 0; pair < shape.pairs; ++pair) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    // An odd last channel is paired with itself, under weights of zero.
    const int32_t other = Smaller(2 * pair + 1, conv.shape.active_in - 1);
    GatherPair(conv, shape, maps, ActiveChannel(masks, conv.in_mask, 2 * pair),
               ActiveChannel(masks, conv.in_mask, other), tile, memory.window + pair * shape.rows * shape.pitch);
  }
}

// The weights of output channel `lane` of a block, as pairs: every kBlock-th place from `to`.
inline void PairWeights(const Conv& conv, const Masks& masks, const int8_t* row, int32_t* to) {
  const int32_t taps = conv.shape.kernel * conv.shape.kernel;
WeightPairs:
  for (int32_t i = 0; i < conv.shape.active_in; i += 2) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    const bool both = i + 1 < conv.shape.active_in;
    const int8_t* low = row + ActiveChannel(masks, conv.in_mask, i) * conv.shape.filter_bytes;
    const int8_t* high = both ? row + ActiveChannel(masks, conv.in_mask, i + 1) * conv.shape.filter_bytes : low;
    const int32_t keep = both ? -1 : 0;
  WeightTaps:
    for (int32_t tap = 0; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = kMaxTaps
      to[tap * kBlock] = MakePair(low[tap], high[tap] & keep);
    }
    to += taps * kBlock;
  }
}

// Half a tile of a block of output channels from all pairs of input channels.
inline void MultiplyBlock(const Conv& conv, const WindowShape& shape, int32_t half, const int32_t* weight,
                          const int32_t* window, int32_t (&sum)[kBlock][kTilePixels]) {
  const int32_t taps = conv.shape.kernel * conv.shape.kernel;
  const int32_t down = conv.shape.stride * shape.pitch;
  Sums8 total[kBlock][kHalfRows];
ZeroBlock:
  for (int32_t i = 0; i < kBlock * kHalfRows; ++i) total[i / kHalfRows][i % kHalfRows] = ZeroSums();
BlockPairs:
  for (int32_t pair = 0; pair < shape.pairs; ++pair) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
  BlockTaps:
    for (int32_t tap = 0; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = kMaxTaps
      const int32_t* from = window + shape.at[tap] + half * kHalfRows * down;
    BlockRows:
      for (int32_t y = 0; y < kHalfRows; ++y) {
        const Pixels8 pixels = LoadPixels8(from + y * down);
      BlockLanes:
        for (int32_t lane = 0; lane < kBlock; ++lane) MultiplyPairs(total[lane][y], pixels, weight[lane]);
      }
      weight += kBlock;
    }
    window += shape.rows * shape.pitch;
  }
StoreBlock:
  for (int32_t i = 0; i < kBlock * kHalfRows; ++i) {
    StoreSums8(&sum[i / kHalfRows][(half * kHalfRows + i % kHalfRows) * isa::kTile],
               total[i / kHalfRows][i % kHalfRows]);
  }
}

// Requantise a tile of one output channel, write it, and give the sum of its pixels.
inline int32_t FinishTile(const Conv& conv, const int32_t* tables, int32_t channel, int32_t tile,
                          const int32_t (&sum)[kTilePixels], TileMemory& maps) {
  const Finish finish = MakeFinish(conv, tables, channel);
  const int32_t at = channel * conv.output.tiles + tile;
  const uint8_t* identity = maps[(conv.add ? conv.identity.address : conv.output.address) + at];
  uint8_t word[kTilePixels];
HostPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) word[i] = FinishPixel(conv, finish, sum[i], identity[i]);
  WriteTile(maps, conv.output, channel, tile, word);
  if (conv.pool < 0) return 0;
  int32_t pooled = 0;
  const uint8_t* written = maps[conv.output.address + at];  // zero outside the map
HostPool:
  for (int32_t i = 0; i < kTilePixels; ++i) pooled += PooledValue(conv, written[i]);
  return pooled;
}

inline void RunConv(const Instruction& instruction, const WeightPorts& weights, const int32_t* tables,
                    const Masks& masks, TileMemory& maps, VectorMemory& vector, ConvMemory& memory) {
  const Conv conv = DecodeConv(instruction, tables, masks);
  const WindowShape shape = MakeWindowShape(conv);
  const int8_t* bytes = reinterpret_cast<const int8_t*>(weights.port[0]) + conv.weights;
  const int32_t block_pairs = shape.pairs * conv.shape.kernel * conv.shape.kernel * kBlock;
  DDI_STATE int32_t pooled[isa::kMaxChannels];
LoadBlocks:
  for (int32_t index = 0; index < conv.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t channel = ActiveChannel(masks, conv.out_mask, index);
    pooled[index] = 0;
    PairWeights(conv, masks, bytes + int64_t(channel) * conv.row_pitch,
                memory.weight + index / kBlock * block_pairs + index % kBlock);
  }
HostTiles:
  for (int32_t tile = 0; tile < conv.output.tiles && conv.shape.active_out > 0; ++tile) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    GatherPairs(conv, shape, masks, maps, tile, memory);
  HostBlocks:
    for (int32_t first = 0; first < conv.shape.active_out; first += kBlock) {
      #pragma HLS loop_tripcount max = isa::kMaxChannels / kBlock
      int32_t sum[kBlock][kTilePixels];
      MultiplyBlock(conv, shape, 0, memory.weight + first / kBlock * block_pairs, memory.window, sum);
      MultiplyBlock(conv, shape, 1, memory.weight + first / kBlock * block_pairs, memory.window, sum);
    HostLanes:
      for (int32_t lane = 0; lane < kBlock && first + lane < conv.shape.active_out; ++lane) {
        const int32_t channel = ActiveChannel(masks, conv.out_mask, first + lane);
        pooled[first + lane] += FinishTile(conv, tables, channel, tile, sum[lane], maps);
      }
    }
  }
StorePools:
  for (int32_t index = 0; index < conv.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    StorePool(conv, ActiveChannel(masks, conv.out_mask, index), pooled[index], vector);
  }
}

}  // namespace ddi
