// AFFINE, POOL and GLOBAL_POOL as a processor of the co-simulation runs them: whole rows of a map at once.
//
// Role     the rows under a row of output tiles, reduced downwards, then along; AFFINE is a window of one pixel
// Rate     a row of pixels for a few vector instructions
// Storage  the rows under one row of tiles
#pragma once
#include <cstdint>

#include "finish.hpp"
#include "strip.hpp"

namespace ddi {

constexpr int32_t kMostColumns = isa::kMaxMap / isa::kTile;
constexpr int32_t kMostRows = 2 * (isa::kTile - 1) + isa::kMaxKernel;  // under a row of tiles, at stride 2

struct PoolMemory {
  int16_t line[kMostRows][kLine];          // pixels under a row of tiles
  int32_t sum[kMostColumns][kTilePixels];  // of each tile
};

// A row of pixels of one channel; outside the map stands what changes neither a sum nor a maximum.
inline void GatherPixels(const Layer& layer, const Strip& strip, const uint8_t* plane, int32_t row, int16_t* line) {
  const int16_t outside = layer.mode == kReduce && !layer.average ? -128 : 0;
  const int32_t columns = row >= 0 && row < layer.input.height ? layer.input.columns : 0;
  const int32_t before = -strip.first * isa::kTile;
  const int32_t tiles = Smaller(columns, (strip.pitch - before) / isa::kTile);
  const int16_t sign = layer.in_signed ? 128 : 0;
  const uint8_t* pixels = plane + (tiles > 0 ? (row >> 3) * columns * kTilePixels + (row & 7) * isa::kTile : 0);
PixelsBefore:
  for (int32_t x = 0; x < before; ++x) {
    line[x] = outside;
  }
PixelTiles:
  for (int32_t i = 0; i < tiles; ++i) {
    int16_t* to = line + before + i * isa::kTile;
  TilePixels:
    for (int32_t x = 0; x < isa::kTile; ++x) to[x] = int16_t((pixels[i * kTilePixels + x] ^ sign) - sign);
  }
PixelsBehind:
  for (int32_t x = before + Smaller(tiles * isa::kTile, layer.input.width); x < strip.pitch; ++x) {
    line[x] = outside;
  }
}

// The sum or the maximum of `count` rows of pixels, place by place.
template <bool kSum>
inline void Reduce(const int16_t* const (&from)[isa::kMaxKernel], int32_t count, int32_t pixels,
                   int16_t* __restrict to) {
  std::memcpy(to, from[0], size_t(pixels) * sizeof(int16_t));
ReduceRows:
  for (int32_t i = 1; i < count; ++i) {
    const int16_t* row = from[i];
  ReducePixels:
    for (int32_t x = 0; x < pixels; ++x) {
      to[x] = kSum ? int16_t(to[x] + row[x]) : to[x] > row[x] ? to[x] : row[x];
    }
  }
}

// Row y of a row of tiles: its windows reduced over their rows, then along them.
template <bool kSum>
inline void ReduceWindows(const Layer& layer, const Strip& strip, int32_t y, PoolMemory& memory) {
  const int32_t kernel = layer.shape.kernel;
  int16_t down[kLine];
  int16_t split[kLine];
  int16_t along[isa::kMaxMap];
  const int16_t* from[isa::kMaxKernel] = {memory.line[y * strip.step]};
WindowRows:
  for (int32_t i = 0; i < kernel; ++i) {
    from[i] = memory.line[y * strip.step + i];
  }
  Reduce<kSum>(from, kernel, strip.pitch, down);
  if (layer.shape.stride == 2) SplitColumns(down, strip.pitch, split);
WindowColumns:
  for (int32_t i = 0; i < kernel; ++i) {
    from[i] = (layer.shape.stride == 2 ? split : down) + TapColumn(layer, strip, i);
  }
  Reduce<kSum>(from, kernel, layer.output.columns * isa::kTile, along);
  const int32_t fraction = layer.mode == kPass ? 1 << isa::kFractionBits : 1;
StoreTiles:
  for (int32_t column = 0; column < layer.output.columns; ++column) {
    int32_t* to = memory.sum[column] + y * isa::kTile;
  StorePixels:
    for (int32_t x = 0; x < isa::kTile; ++x) to[x] = along[column * isa::kTile + x] * fraction;
  }
}

// The sums or maxima of one channel's windows for a row of tiles.
inline void ReduceTiles(const Layer& layer, const Strip& strip, const uint8_t* plane, int32_t tile_row,
                        PoolMemory& memory) {
  const int32_t rows = Inside(tile_row, layer.output.height);
GatherRows:
  for (int32_t y = 0; y < (rows - 1) * strip.step + layer.shape.kernel; ++y) {
    GatherPixels(layer, strip, plane, StripTop(layer, tile_row) + y * strip.skip, memory.line[y]);
  }
OutputRows:
  for (int32_t y = 0; y < rows; ++y) {
    if (layer.mode == kReduce && !layer.average) {
      ReduceWindows<false>(layer, strip, y, memory);
    } else {
      ReduceWindows<true>(layer, strip, y, memory);
    }
  }
}

// One output channel of AFFINE or POOL.
inline void RunOneMap(const Layer& layer, const Strip& strip, const int64_t* tables, int32_t channel, TileMemory& maps,
                      VectorMemory& vector, PoolMemory& memory) {
  const bool has_source = HasSource(layer, channel);
  const int32_t source = layer.mode == kReduce ? channel : channel - layer.channel_offset;
  const Finish finish = TableFinish(layer, tables, channel);
  const NarrowRequantizer narrow = MakeNarrowRequantizer(finish);
  int32_t pooled = 0;
  if (!has_source) std::memset(memory.sum, 0, size_t(layer.output.columns) * sizeof(memory.sum[0]));
MapTileRows:
  for (int32_t tile_row = 0; tile_row * isa::kTile < layer.output.height; ++tile_row) {
    if (has_source) {
      ReduceTiles(layer, strip, maps[layer.input.address + source * layer.input.tiles], tile_row, memory);
    }
  MapTiles:
    for (int32_t column = 0; column < layer.output.columns; ++column) {
      pooled += FinishTile(layer, finish, narrow, channel, tile_row, column, memory.sum[column], maps);
    }
  }
  StorePool(layer, channel, pooled, vector);
}

// GLOBAL_POOL's sum of one channel.
inline void PoolChannel(const Layer& layer, int32_t channel, const TileMemory& maps, VectorMemory& vector) {
  int32_t sum = 0;
  const uint8_t (*from)[kTilePixels] = maps + layer.input.address + channel * layer.input.tiles;
PoolRows:
  for (int32_t tile_row = 0; tile_row * isa::kTile < layer.input.height; ++tile_row) {
  PoolTiles:
    for (int32_t column = 0; column < layer.input.columns; ++column) {
      uint8_t word[kTilePixels];
      WriteWord(layer.input, tile_row, column, *from++, word);
      sum += SumWord(word, layer.in_signed);
    }
  }
  StorePool(layer, channel, sum, vector);
}

inline void RunMaps(const Layer& layer, const int64_t* tables, TileMemory& maps, VectorMemory& vector,
                    PoolMemory& memory) {
  const Strip strip = MakeStrip(layer);
CpuMaps:
  for (int32_t channel = 0; channel < layer.shape.active_out; ++channel) {
    if (layer.writes) {
      RunOneMap(layer, strip, tables, channel, maps, vector, memory);
    } else {
      PoolChannel(layer, channel, maps, vector);
    }
  }
}

}  // namespace ddi
