// CONV, AFFINE, POOL and GLOBAL_POOL as a processor of the co-simulation runs them: the chip's sums in an order that
// suits caches.
//
// Role     CONV tile by tile: the windows of all active input channels once, then every active output channel from
// them.
//          Input channels go in packs of two or four, which one instruction multiplies and adds up (shim.hpp)
// Rate     counted by schedule.hpp as on the chip; a core multiplies as fast as its 16-bit units
// Storage  windows and weights of one convolution, in the cache
//
// The chip's loop (layer_chip.hpp) gives the same results: tests/hls holds both against the golden model.
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "layer.hpp"
#include "packing.hpp"
#include "ports.hpp"

namespace ddi {

#if defined(__AVX512VL__) || defined(__ARM_NEON)
constexpr int32_t kBlock = 4;  // output channels at once: 32 vector registers
#else
constexpr int32_t kBlock = 2;  // 16
#endif
constexpr int32_t kHalfRows = isa::kTile / 2;
constexpr int32_t kLine = 4 * isa::kTile;  // 21 pixels of a row can touch four tiles
constexpr int32_t kMaxTaps = isa::kMaxKernel * isa::kMaxKernel;
// Windows of packs of two: the most are those of a 1 × 1 kernel at stride 2, 15 rows of 16 pixels.
constexpr int32_t kWindowPacks = (isa::kMaxChannels / 2) * 2 * isa::kTile * 2 * isa::kTile;
constexpr int32_t kWeightPacks = (isa::kMaxChannels + kBlock) * (isa::kLaneBytes / 2 + kMaxTaps);

struct LayerMemory {
  uint32_t window[kWindowPacks];  // pack of channels → row → column
  uint32_t weight[kWeightPacks];  // output channel → pack → tap
  const uint32_t* row[isa::kMaxChannels];
  int32_t pooled[isa::kMaxChannels];
};

// First row and column of the input that the window of an output tile covers.
inline int32_t WindowRow(const Layer& layer, int32_t tile) {
  return StepRow(layer, tile / layer.output.columns * isa::kTile);
}

inline int32_t WindowColumn(const Layer& layer, int32_t tile) {
  return StepColumn(layer, tile % layer.output.columns * isa::kTile);
}

// How windows lie in memory: rows that are used, columns in whole tiles; at stride 2 the even columns come first.
struct WindowShape {
  int32_t rows, pitch, packs;
  int32_t tiles;         // across
  int32_t at[kMaxTaps];  // of tap t's first pixel
};

inline WindowShape MakeWindowShape(const Layer& layer, int32_t packed) {
  const int32_t kernel = layer.shape.kernel;
  const int32_t stride = layer.shape.stride;
  const int32_t origin = (isa::kTile - layer.padding) & (isa::kTile - 1);
  WindowShape shape;
  shape.rows = (isa::kTile - 1) * stride + kernel;
  shape.tiles = TileCount(origin + shape.rows);
  shape.pitch = shape.tiles * isa::kTile;
  shape.packs = CeilDivide(layer.shape.active_in, packed);
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
  uint32_t line[kLine];
CopyLine:
  for (int32_t x = 0; x < pitch; ++x) {
    #pragma HLS loop_tripcount max = kLine
    line[x] = row[x];
  }
SplitLine:
  for (int32_t x = 0; x < pitch / 2; ++x) {
    #pragma HLS loop_tripcount max = kLine / 2
    row[x] = line[2 * x];
    row[pitch / 2 + x] = line[2 * x + 1];
  }
}

// The window of a pack of input channels, whose planes of tiles start at `plane`.
template <int32_t kPacked>
inline void GatherPack(const Layer& layer, const WindowShape& shape, const uint8_t* const (&plane)[kPacked],
                       int32_t tile, uint32_t* window) {
  const int32_t top = WindowRow(layer, tile);
  const int32_t left = WindowColumn(layer, tile);
  const int32_t first_tile = (left + isa::kTile) / isa::kTile - 1;  // left is at least -TILE
PackRows:
  for (int32_t y = 0; y < shape.rows; ++y) {
    #pragma HLS loop_tripcount max = kLine
    const int32_t row = top + y;
    const bool inside = row >= 0 && row < layer.input.height;
  PackTiles:
    for (int32_t i = 0; i < shape.tiles; ++i) {
      #pragma HLS loop_tripcount max = kLine / isa::kTile
      const int32_t column = first_tile + i;
      const uint64_t mask = inside ? InsideMask(column, layer.input) : 0;
      const int32_t at = ((row >> 3) * layer.input.columns + column) * kTilePixels + (row & 7) * isa::kTile;
      const uint8_t* pixels[kPacked];
    PackChannels:
      for (int32_t c = 0; c < kPacked; ++c) pixels[c] = plane[c] + (mask != 0 ? at : 0);
      Interleave<kPacked>(pixels, mask, layer.in_signed, window + i * isa::kTile);
    }
    if (layer.shape.stride == 2) SplitColumns(shape.pitch, window);
    window += shape.pitch;
  }
}

template <int32_t kPacked>
inline void GatherPacks(const Layer& layer, const WindowShape& shape, const Masks& masks, const TileMemory& maps,
                        int32_t tile, LayerMemory& memory) {
GatherChannels:
  for (int32_t pack = 0; pack < shape.packs; ++pack) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    const uint8_t* plane[kPacked];
  PackPlanes:
    for (int32_t c = 0; c < kPacked; ++c) {
      // What is missing in the last pack is its last channel, under weights of zero.
      const int32_t index = Smaller(kPacked * pack + c, layer.shape.active_in - 1);
      plane[c] = maps[layer.input.address + ActiveChannel(masks, layer.in_mask, index) * layer.input.tiles];
    }
    GatherPack<kPacked>(layer, shape, plane, tile, memory.window + pack * shape.rows * shape.pitch);
  }
}

// The weights of one output channel as packs, eight taps at a time.
template <int32_t kPacked>
inline void PackWeights(const Layer& layer, const Masks& masks, const int8_t* row, uint32_t* to) {
  uint8_t readable[kPacked][kMaxTaps + isa::kTile] = {};
  const int32_t taps = layer.shape.kernel * layer.shape.kernel;
WeightPacks:
  for (int32_t i = 0; i < layer.shape.active_in; i += kPacked) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
  PackFilters:
    for (int32_t c = 0; c < kPacked; ++c) {
      const bool there = i + c < layer.shape.active_in;
      const int32_t channel = ActiveChannel(masks, layer.in_mask, there ? i + c : i);
      const int8_t* filter = row + channel * layer.shape.filter_bytes;
    FilterTaps:
      for (int32_t tap = 0; tap < taps; ++tap) {
        #pragma HLS loop_tripcount max = kMaxTaps
        readable[c][tap] = there ? uint8_t(ReadableWeight(filter[tap])) : uint8_t(0);
      }
    }
    int32_t tap = 0;
  WeightOctets:
    for (; tap + 8 <= taps; tap += 8) {
      #pragma HLS loop_tripcount max = kMaxTaps / 8
      const uint8_t* octet[kPacked];
    OctetChannels:
      for (int32_t c = 0; c < kPacked; ++c) octet[c] = readable[c] + tap;
      Interleave<kPacked>(octet, ~uint64_t(0), true, to + tap);
    }
  WeightTaps:
    for (; tap < taps; ++tap) {
      #pragma HLS loop_tripcount max = 7
      to[tap] = 0;
    TapChannels:
      for (int32_t c = 0; c < kPacked; ++c) to[tap] |= Pack<kPacked>(int8_t(readable[c][tap]), c);
    }
    to += taps;
  }
}

// Half a tile of a block of output channels from all packs of input channels.
template <int32_t kPacked>
inline void MultiplyBlock(const Layer& layer, const WindowShape& shape, int32_t half,
                          const uint32_t* const (&row)[kBlock], const uint32_t* window,
                          int32_t (&sum)[kBlock][kTilePixels]) {
  const int32_t taps = layer.shape.kernel * layer.shape.kernel;
  const int32_t down = layer.shape.stride * shape.pitch;
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
inline int32_t FinishTile(const Layer& layer, const Finish& finish, int32_t channel, int32_t tile,
                          const int32_t (&sum)[kTilePixels], TileMemory& maps) {
  const int32_t at = channel * layer.output.tiles + tile;
  uint8_t word[kTilePixels];
  if (layer.add) {
    const uint8_t* identity = maps[layer.identity.address + at];
  HostAdded:
    for (int32_t i = 0; i < kTilePixels; ++i) word[i] = FinishPixel(layer, finish, sum[i], identity[i]);
  } else {
  HostPixels:
    for (int32_t i = 0; i < kTilePixels; ++i) {
      word[i] = uint8_t(Clamp8(RequantizeSum(int64_t(sum[i]) + finish.bias, finish.scale), layer.relu));
    }
  }
  uint8_t* written = maps[layer.output.address + at];
  if (Inside(tile / layer.output.columns, layer.output.height) == isa::kTile &&
      Inside(tile % layer.output.columns, layer.output.width) == isa::kTile) {
    std::memcpy(written, word, sizeof(word));
  } else {
    WriteTile(maps, layer.output, channel, tile, word);
  }
  if (layer.pool < 0) return 0;
  int32_t pooled = 0;
HostPool:
  for (int32_t i = 0; i < kTilePixels; ++i) pooled += PixelValue(written[i], !layer.relu);  // zero outside the map
  return pooled;
}

inline Finish TableFinish(const Layer& layer, const int64_t* tables, int32_t channel) {
  if (!layer.has_table) return MakeFinish(layer, 0, 0);
  const TableRow row = ReadTable(tables, layer.table + channel);
  return MakeFinish(layer, row.bias, row.scale);
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
inline PackedRows& KeptRows(const Layer& layer, int32_t packed) {
  const uint64_t key = uint64_t(uint32_t(layer.weights)) | uint64_t(layer.shape.active_in) << 32 |
                       uint64_t(layer.shape.kernel) << 48 | uint64_t(packed) << 56;
  return packed_rows[key];
}

// Where the packed weights of every active output channel stand; what is not there yet is packed.
template <int32_t kPacked>
inline void TakeRows(const Layer& layer, const WindowShape& shape, const int8_t* weights, const Masks& masks,
                     LayerMemory& memory) {
  const int32_t packs = shape.packs * layer.shape.kernel * layer.shape.kernel;
  const bool keep = layer.in_mask == 0;
  PackedRows* kept = keep ? &KeptRows(layer, kPacked) : nullptr;
TakeChannels:
  for (int32_t index = 0; index < layer.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t channel = ActiveChannel(masks, layer.out_mask, index);
    const int8_t* row = weights + layer.weights + int64_t(channel) * layer.row_pitch;
    if (!keep) {
      PackWeights<kPacked>(layer, masks, row, memory.weight + index * packs);
    } else if (size_t(channel) >= kept->there.size() || kept->there[channel] == 0) {
      if (size_t(channel) >= kept->there.size()) {
        kept->there.resize(channel + 1, 0);
        kept->weight.resize(size_t(channel + 1) * packs);
      }
      PackWeights<kPacked>(layer, masks, row, kept->weight.data() + size_t(channel) * packs);
      kept->there[channel] = 1;
    }
  }
TakePlaces:
  for (int32_t index = 0; index < layer.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t channel = ActiveChannel(masks, layer.out_mask, index);
    memory.row[index] = keep ? kept->weight.data() + size_t(channel) * packs : memory.weight + index * packs;
  }
}

template <int32_t kPacked>
inline void RunPacked(const Layer& layer, const int8_t* weights, const int64_t* tables, const Masks& masks,
                      TileMemory& maps, VectorMemory& vector, LayerMemory& memory) {
  const WindowShape shape = MakeWindowShape(layer, kPacked);
  const int32_t count = layer.shape.active_out;
  TakeRows<kPacked>(layer, shape, weights, masks, memory);
ClearPools:
  for (int32_t index = 0; index < count; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    memory.pooled[index] = 0;
  }
HostTiles:
  for (int32_t tile = 0; tile < layer.output.tiles; ++tile) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    GatherPacks<kPacked>(layer, shape, masks, maps, tile, memory);
  HostBlocks:
    for (int32_t first = 0; first < count; first += kBlock) {
      #pragma HLS loop_tripcount max = isa::kMaxChannels / kBlock
      const uint32_t* row[kBlock];  // lanes without a channel repeat the last
    BlockPlaces:
      for (int32_t lane = 0; lane < kBlock; ++lane) row[lane] = memory.row[Smaller(first + lane, count - 1)];
      int32_t sum[kBlock][kTilePixels];
      MultiplyBlock<kPacked>(layer, shape, 0, row, memory.window, sum);
      MultiplyBlock<kPacked>(layer, shape, 1, row, memory.window, sum);
    HostLanes:
      for (int32_t lane = 0; lane < kBlock && first + lane < count; ++lane) {
        const int32_t channel = ActiveChannel(masks, layer.out_mask, first + lane);
        const Finish finish = TableFinish(layer, tables, channel);
        memory.pooled[first + lane] += FinishTile(layer, finish, channel, tile, sum[lane], maps);
      }
    }
  }
StorePools:
  for (int32_t index = 0; index < layer.shape.active_out; ++index) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    StorePool(layer, ActiveChannel(masks, layer.out_mask, index), memory.pooled[index], vector);
  }
}

// The pixels of an AFFINE's or a POOL's window for one output tile, one tap: 64 values, and which of them are inside.
inline void GatherTap(const Layer& layer, const TileMemory& maps, int32_t channel, int32_t row, int32_t column,
                      int32_t (&value)[kTilePixels], bool (&inside)[kTilePixels]) {
  const int32_t base = layer.input.address + channel * layer.input.tiles;
TapPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    const int32_t y = row + (i >> 3) * layer.shape.stride;
    const int32_t x = column + (i & 7) * layer.shape.stride;
    inside[i] = y >= 0 && y < layer.input.height && x >= 0 && x < layer.input.width;
    const int32_t tile = (y >> 3) * layer.input.columns + (x >> 3);
    const uint8_t byte = inside[i] ? maps[base + tile][((y & 7) << 3) + (x & 7)] : uint8_t(0);
    value[i] = PixelValue(byte, layer.in_signed);
  }
}

// GLOBAL_POOL's sum of one channel.
inline void PoolChannel(const Layer& layer, int32_t channel, const TileMemory& maps, VectorMemory& vector) {
  int32_t sum = 0;
PoolTiles:
  for (int32_t tile = 0; tile < layer.input.tiles; ++tile) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    const int32_t rows = Inside(tile / layer.input.columns, layer.input.height);
    const int32_t columns = Inside(tile % layer.input.columns, layer.input.width);
    const uint8_t* word = maps[layer.input.address + channel * layer.input.tiles + tile];
  PoolPixels:
    for (int32_t i = 0; i < kTilePixels; ++i) {
      sum += (i >> 3) < rows && (i & 7) < columns ? PixelValue(word[i], layer.in_signed) : 0;
    }
  }
  StorePool(layer, channel, sum, vector);
}

inline void RunOneMap(const Layer& layer, const int64_t* tables, int32_t channel, TileMemory& maps,
                      VectorMemory& vector) {
  const bool has_source = HasSource(layer, channel);
  const int32_t source = layer.mode == kReduce ? channel : has_source ? channel - layer.channel_offset : 0;
  const Finish finish = TableFinish(layer, tables, channel);
  int32_t pooled = 0;
MapTiles:
  for (int32_t tile = 0; tile < layer.output.tiles; ++tile) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    int32_t sum[kTilePixels];
  MapTaps:
    for (int32_t tap = 0; tap < layer.shape.kernel * layer.shape.kernel; ++tap) {
      #pragma HLS loop_tripcount max = kMaxTaps
      int32_t value[kTilePixels];
      bool inside[kTilePixels];
      GatherTap(layer, maps, source, WindowRow(layer, tile) + tap / layer.shape.kernel,
                WindowColumn(layer, tile) + tap % layer.shape.kernel, value, inside);
    MapPixels:
      for (int32_t i = 0; i < kTilePixels; ++i) {
        const int32_t passed = has_source ? value[i] * (1 << isa::kFractionBits) : 0;
        sum[i] =
            layer.mode == kPass ? passed : ReducePixel(layer, tap == 0, inside[i], int16_t(value[i]), int16_t(sum[i]));
      }
    }
    pooled += FinishTile(layer, finish, channel, tile, sum, maps);
  }
  StorePool(layer, channel, pooled, vector);
}

inline void RunLayer(const Instruction& instruction, const LayerPlan& planned, const int64_t* weights0, const int64_t*,
                     const int64_t*, const int64_t* tables, const Masks& masks, TileMemory& maps, VectorMemory& vector,
                     LayerMemory& memory) {
  const Layer layer = DecodeLayer(instruction, planned.shape, tables);
  const int8_t* bytes = reinterpret_cast<const int8_t*>(weights0);
  if (layer.mode != kOutputs) {
  HostMaps:
    for (int32_t channel = 0; channel < layer.shape.active_out; ++channel) {
      #pragma HLS loop_tripcount max = isa::kMaxChannels
      if (layer.writes) {
        RunOneMap(layer, tables, channel, maps, vector);
      } else {
        PoolChannel(layer, channel, maps, vector);
      }
    }
  } else if (layer.shape.active_out > 0 && layer.in_signed) {
    RunPacked<2>(layer, bytes, tables, masks, maps, vector, memory);
  } else if (layer.shape.active_out > 0) {
    RunPacked<kMostPacked>(layer, bytes, tables, masks, maps, vector, memory);
  }
}

}  // namespace ddi
