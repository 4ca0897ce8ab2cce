// The main loop of CONV as a processor of the co-simulation runs it: the chip's sums in an order that suits caches.
//
// Role     tile by tile: the windows of all active input channels once, then every active output channel from them.
//          Input channels go in packs of two or four, which one instruction multiplies and adds up (shim.hpp)
// Rate     counted by schedule.hpp as on the chip; a core multiplies as fast as its 16-bit units
// Storage  windows and weights of one convolution, in the cache
//
// The chip's loop (conv_chip.hpp) gives the same results: tests/hls holds both against the golden model.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

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
// Windows of packs of two: the most are those of a 1 × 1 kernel at stride 2, 15 rows of 16 pixels.
constexpr int32_t kWindowPacks = (isa::kMaxChannels / 2) * 2 * isa::kTile * 2 * isa::kTile;
constexpr int32_t kWeightPacks = (isa::kMaxChannels + kBlock) * (isa::kLaneBytes / 2 + kMaxTaps);

struct ConvMemory {
  uint32_t window[kWindowPacks];  // pack of channels → row → column
  uint32_t weight[kWeightPacks];  // output channel → pack → tap
  const uint32_t* row[isa::kMaxChannels];
  int32_t pooled[isa::kMaxChannels];
};

// How windows lie in memory: rows that are used, columns in whole tiles; at stride 2 the even columns come first.
struct WindowShape {
  int32_t rows, pitch, packs;
  int32_t tiles;         // across
  int32_t at[kMaxTaps];  // of tap t's first pixel
};

inline WindowShape MakeWindowShape(const Conv& conv, int32_t packed) {
  const int32_t kernel = conv.shape.kernel;
  const int32_t stride = conv.shape.stride;
  const int32_t origin = (isa::kTile - conv.padding) & (isa::kTile - 1);
  WindowShape shape;
  shape.rows = (isa::kTile - 1) * stride + kernel;
  shape.tiles = TileCount(origin + shape.rows);
  shape.pitch = shape.tiles * isa::kTile;
  shape.packs = CeilDivide(conv.shape.active_in, packed);
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
inline void SplitColumns(int32_t pitch, uint32_t* row) {
  uint32_t line[isa::kWindow];
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

// The window of a pack of input channels, whose planes of tiles start at `plane`.
template <int32_t kPacked>
inline void GatherPack(const Conv& conv, const WindowShape& shape, const uint8_t* const (&plane)[kPacked], int32_t tile,
                       uint32_t* window) {
  const int32_t top = WindowRow(conv, tile);
  const int32_t left = WindowColumn(conv, tile);
  const int32_t first_tile = (left + isa::kTile) / isa::kTile - 1;  // left is at least -TILE
PackRows:
  for (int32_t y = 0; y < shape.rows; ++y) {
    #pragma HLS loop_tripcount max = isa::kWindow
    const int32_t row = top + y;
    const bool inside = row >= 0 && row < conv.input.height;
  PackTiles:
    for (int32_t i = 0; i < shape.tiles; ++i) {
      #pragma HLS loop_tripcount max = isa::kWindow / isa::kTile
      const int32_t column = first_tile + i;
      const uint64_t mask = inside ? InsideMask(column, conv.input) : 0;
      const int32_t at = ((row >> 3) * conv.input.columns + column) * kTilePixels + (row & 7) * isa::kTile;
      const uint8_t* pixels[kPacked];
    PackChannels:
      for (int32_t c = 0; c < kPacked; ++c) pixels[c] = plane[c] + (mask != 0 ? at : 0);
      Interleave<kPacked>(pixels, mask, conv.in_signed, window + i * isa::kTile);
    }
    if (conv.shape.stride == 2) SplitColumns(shape.pitch, window);
    window += shape.pitch;
  }
}

template <int32_t kPacked>
inline void GatherPacks(const Conv& conv, const WindowShape& shape, const Masks& masks, const TileMemory& maps,
                        int32_t tile, ConvMemory& memory) {
GatherChannels:
  for (int32_t pack = 0; pack < shape.packs; ++pack) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    const uint8_t* plane[kPacked];
  PackPlanes:
    for (int32_t c = 0; c < kPacked; ++c) {
      // What is missing in the last pack is its last channel, under weights of zero.
      const int32_t index = Smaller(kPacked * pack + c, conv.shape.active_in - 1);
      plane[c] = maps[conv.input.address + ActiveChannel(masks, conv.in_mask, index) * conv.input.tiles];
    }
    GatherPack<kPacked>(conv, shape, plane, tile, memory.window + pack * shape.rows * shape.pitch);
  }
}

// The weights of one output channel as packs, eight taps at a time.
template <int32_t kPacked>
inline void PackWeights(const Conv& conv, const Masks& masks, const int8_t* row, uint32_t* to) {
  static const uint8_t kZeros[kMaxTaps] = {0};
  const int32_t taps = conv.shape.kernel * conv.shape.kernel;
WeightPacks:
  for (int32_t i = 0; i < conv.shape.active_in; i += kPacked) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    const uint8_t* filter[kPacked];
  PackFilters:
    for (int32_t c = 0; c < kPacked; ++c) {
      const bool there = i + c < conv.shape.active_in;
      const int32_t channel = ActiveChannel(masks, conv.in_mask, there ? i + c : i);
      filter[c] = there ? reinterpret_cast<const uint8_t*>(row) + channel * conv.shape.filter_bytes : kZeros;
    }
    int32_t tap = 0;
  WeightOctets:
    for (; tap + 8 <= taps; tap += 8) {
      #pragma HLS loop_tripcount max = kMaxTaps / 8
      const uint8_t* octet[kPacked];
    OctetChannels:
      for (int32_t c = 0; c < kPacked; ++c) octet[c] = filter[c] + tap;
      Interleave<kPacked>(octet, ~uint64_t(0), true, to + tap);
    }
  WeightTaps:
    for (; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = 7
      to[tap] = 0;
    TapChannels:
      for (int32_t c = 0; c < kPacked; ++c) to[tap] |= Pack<kPacked>(int8_t(filter[c][tap]), c);
    }
    to += taps;
  }
}

// Half a tile of a block of output channels from all packs of input channels.
template <int32_t kPacked>
inline void MultiplyBlock(const Conv& conv, const WindowShape& shape, int32_t half,
                          const uint32_t* const (&row)[kBlock], const uint32_t* window,
                          int32_t (&sum)[kBlock][kTilePixels]) {
  const int32_t taps = conv.shape.kernel * conv.shape.kernel;
  const int32_t down = conv.shape.stride * shape.pitch;
  int32_t weight = 0;
  Sums8 total[kBlock][kHalfRows];
ZeroBlock:
  for (int32_t i = 0; i < kBlock * kHalfRows; ++i) total[i / kHalfRows][i % kHalfRows] = ZeroSums();
BlockPacks:
  for (int32_t pack = 0; pack < shape.packs; ++pack) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
  BlockTaps:
    for (int32_t tap = 0; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = kMaxTaps
      const uint32_t* from = window + shape.at[tap] + half * kHalfRows * down;
    BlockRows:
      for (int32_t y = 0; y < kHalfRows; ++y) {
        const Pixels8 pixels = LoadPixels8(from + y * down);
      BlockLanes:
        for (int32_t lane = 0; lane < kBlock; ++lane) {
          MultiplyPacked8<kPacked>(total[lane][y], pixels, row[lane][weight]);
        }
      }
      ++weight;
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
  if (conv.add) {
  HostAdded:
    for (int32_t i = 0; i < kTilePixels; ++i) word[i] = FinishPixel(conv, finish, sum[i], identity[i]);
  } else {
  HostPixels:
    for (int32_t i = 0; i < kTilePixels; ++i) {
      word[i] = uint8_t(Clamp8(Requantize(sum[i] + finish.bias, finish.scale), conv.relu));
    }
  }
  uint8_t* written = maps[conv.output.address + at];
  if (Inside(tile / conv.output.columns, conv.output.height) == isa::kTile &&
      Inside(tile % conv.output.columns, conv.output.width) == isa::kTile) {
    std::memcpy(written, word, sizeof(word));
  } else {
    WriteTile(maps, conv.output, channel, tile, word);
  }
  if (conv.pool < 0) return 0;
  int32_t pooled = 0;
HostPool:
  for (int32_t i = 0; i < kTilePixels; ++i) pooled += PooledValue(conv, written[i]);  // zero outside the map
  return pooled;
}

// A convolution's packed rows, and which of them are there; kept from image to image where no input mask changes them.
struct PackedRows {
  std::vector<uint32_t> weight;
  std::vector<uint8_t> there;
};

DDI_STATE std::unordered_map<uint64_t, PackedRows> packed_rows;

// At each start, for the weights may be others.
inline void ForgetWeights() { packed_rows.clear(); }

// Rows are the same for the same place, number of input channels, kernel and packing.
inline PackedRows& KeptRows(const Conv& conv, int32_t packed) {
  const uint64_t key = uint64_t(uint32_t(conv.weights)) | uint64_t(conv.shape.active_in) << 32 |
                       uint64_t(conv.shape.kernel) << 48 | uint64_t(packed) << 56;
  return packed_rows[key];
}

// Where the packed weights of every active output channel stand; what is not there yet is packed.
template <int32_t kPacked>
inline void TakeRows(const Conv& conv, const WindowShape& shape, const int8_t* weights, const Masks& masks,
                     ConvMemory& memory) {
  const int32_t packs = shape.packs * conv.shape.kernel * conv.shape.kernel;
  const bool keep = conv.in_mask == 0;
  PackedRows* kept = keep ? &KeptRows(conv, kPacked) : nullptr;
TakeChannels:
  for (int32_t index = 0; index < conv.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t channel = ActiveChannel(masks, conv.out_mask, index);
    const int8_t* row = weights + conv.weights + int64_t(channel) * conv.row_pitch;
    if (!keep) {
      PackWeights<kPacked>(conv, masks, row, memory.weight + index * packs);
    } else if (size_t(channel) >= kept->there.size() || kept->there[channel] == 0) {
      if (size_t(channel) >= kept->there.size()) {
        kept->there.resize(channel + 1, 0);
        kept->weight.resize(size_t(channel + 1) * packs);
      }
      PackWeights<kPacked>(conv, masks, row, kept->weight.data() + size_t(channel) * packs);
      kept->there[channel] = 1;
    }
  }
TakePlaces:
  for (int32_t index = 0; index < conv.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t channel = ActiveChannel(masks, conv.out_mask, index);
    memory.row[index] = keep ? kept->weight.data() + size_t(channel) * packs : memory.weight + index * packs;
  }
}

template <int32_t kPacked>
inline void RunPacked(const Conv& conv, const int8_t* weights, const int32_t* tables, const Masks& masks,
                      TileMemory& maps, VectorMemory& vector, ConvMemory& memory) {
  const WindowShape shape = MakeWindowShape(conv, kPacked);
  const int32_t count = conv.shape.active_out;
  TakeRows<kPacked>(conv, shape, weights, masks, memory);
ClearPools:
  for (int32_t index = 0; index < count; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    memory.pooled[index] = 0;
  }
HostTiles:
  for (int32_t tile = 0; tile < conv.output.tiles; ++tile) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    GatherPacks<kPacked>(conv, shape, masks, maps, tile, memory);
  HostBlocks:
    for (int32_t first = 0; first < count; first += kBlock) {
      #pragma HLS loop_tripcount max = isa::kMaxChannels / kBlock
      const uint32_t* row[kBlock];  // lanes without a channel repeat the last
    BlockPlaces:
      for (int32_t lane = 0; lane < kBlock; ++lane) row[lane] = memory.row[Smaller(first + lane, count - 1)];
      int32_t sum[kBlock][kTilePixels];
      MultiplyBlock<kPacked>(conv, shape, 0, row, memory.window, sum);
      MultiplyBlock<kPacked>(conv, shape, 1, row, memory.window, sum);
    HostLanes:
      for (int32_t lane = 0; lane < kBlock && first + lane < count; ++lane) {
        const int32_t channel = ActiveChannel(masks, conv.out_mask, first + lane);
        memory.pooled[first + lane] += FinishTile(conv, tables, channel, tile, sum[lane], maps);
      }
    }
  }
StorePools:
  for (int32_t index = 0; index < conv.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    StorePool(conv, ActiveChannel(masks, conv.out_mask, index), memory.pooled[index], vector);
  }
}

inline void RunConv(const Instruction& instruction, const int64_t* weights0, const int64_t*, const int64_t*,
                    const int32_t* tables, const Masks& masks, TileMemory& maps, VectorMemory& vector,
                    ConvMemory& memory) {
  const Conv conv = DecodeConv(instruction, tables, masks);
  if (conv.shape.active_out == 0) return;
  const int8_t* bytes = reinterpret_cast<const int8_t*>(weights0);
  if (conv.in_signed) {
    RunPacked<2>(conv, bytes, tables, masks, maps, vector, memory);
  } else {
    RunPacked<kMostPacked>(conv, bytes, tables, masks, maps, vector, memory);
  }
}

}  // namespace ddi
