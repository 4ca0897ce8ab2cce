// AFFINE, POOL and GLOBAL_POOL as a processor of the co-simulation runs them: whole rows of a map at once.
//
// Role     the rows under a row of output tiles, reduced downwards, then along; AFFINE is a window of one pixel
// Rate     a row of pixels for a few vector instructions
// Storage  the rows under one row of tiles
#pragma once
#include <cstdint>

#include "finish_host.hpp"
#include "strip_host.hpp"

namespace ddi {

constexpr int32_t kMostColumns = isa::kMaxMap / isa::kTile;

struct PoolMemory {
  int16_t line[isa::kWindow][kLine];       // pixels under a row of tiles
  int16_t down[kLine];                     // reduced over the rows of a window
  int32_t sum[kMostColumns][kTilePixels];  // of each tile
};

// A row of pixels of one channel; outside the map stands what changes neither a sum nor a maximum.
inline void GatherPixels(const Layer& layer, const Strip& strip, const uint8_t* plane, int32_t row, int16_t* line) {
  const int16_t outside = layer.mode == kReduce && !layer.average ? -128 : 0;
  const int32_t sign = layer.in_signed ? 128 : 0;
  const bool there = row >= 0 && row < layer.input.height;
PixelTiles:
  for (int32_t i = 0; i * isa::kTile < strip.pitch; ++i) {
    #pragma HLS loop_tripcount max = kLine / isa::kTile
    const int32_t tile = strip.first + i;
    const int32_t inside = there ? Inside(tile, layer.input.width) : 0;
    const int32_t at = ((row >> 3) * layer.input.columns + tile) * kTilePixels + (row & 7) * isa::kTile;
    const uint8_t* pixels = plane + (inside > 0 ? at : 0);
  TilePixels:
    for (int32_t x = 0; x < isa::kTile; ++x) {
      line[i * isa::kTile + x] = int16_t(x < inside ? (pixels[x] ^ sign) - sign : outside);
    }
  }
}

template <bool kSum>
inline int16_t Reduce(int16_t a, int16_t b) {
  return kSum ? int16_t(a + b) : a > b ? a : b;
}

// Row y of the output's tiles: windows reduced over their rows, then along them.
template <bool kSum, int32_t kStride>
inline void ReduceRow(const Layer& layer, const Strip& strip, int32_t y, PoolMemory& memory) {
  const int32_t kernel = layer.shape.kernel;
  const int16_t (*line)[kLine] = memory.line + y * strip.down / strip.pitch;
  std::memcpy(memory.down, line[0], size_t(strip.pitch) * sizeof(int16_t));
ReduceDown:
  for (int32_t i = 1; i < kernel; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxKernel
  ReduceLine:
    for (int32_t x = 0; x < strip.pitch; ++x) {
      #pragma HLS loop_tripcount max = kLine
      memory.down[x] = Reduce<kSum>(memory.down[x], line[i][x]);
    }
  }
  const int16_t* window = memory.down + strip.origin;
ReduceTiles:
  for (int32_t column = 0; column < layer.output.columns; ++column) {
    #pragma HLS loop_tripcount max = kMostColumns
    int16_t along[isa::kTile];
  FirstPixels:
    for (int32_t x = 0; x < isa::kTile; ++x) along[x] = window[x * kStride];
  ReduceAlong:
    for (int32_t i = 1; i < kernel; ++i) {
      #pragma HLS loop_tripcount max = isa::kMaxKernel
    AlongPixels:
      for (int32_t x = 0; x < isa::kTile; ++x) along[x] = Reduce<kSum>(along[x], window[x * kStride + i]);
    }
  StoreAlong:
    for (int32_t x = 0; x < isa::kTile; ++x) memory.sum[column][y * isa::kTile + x] = along[x];
    window += isa::kTile * kStride;
  }
}

inline void ReduceLines(const Layer& layer, const Strip& strip, PoolMemory& memory) {
  const bool is_maximum = layer.mode == kReduce && !layer.average;
OutputRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    if (layer.shape.stride == 1) {
      is_maximum ? ReduceRow<false, 1>(layer, strip, y, memory) : ReduceRow<true, 1>(layer, strip, y, memory);
    } else {
      is_maximum ? ReduceRow<false, 2>(layer, strip, y, memory) : ReduceRow<true, 2>(layer, strip, y, memory);
    }
  }
}

// One output channel of AFFINE or POOL.
inline void RunOneMap(const Layer& layer, const Strip& strip, const int32_t* tables, int32_t channel, TileMemory& maps,
                      PoolMemory& memory) {
  const bool has_source = HasSource(layer, channel);
  const int32_t source = layer.mode == kReduce ? channel : has_source ? channel - layer.channel_offset : 0;
  const Finish finish = TableFinish(layer, tables, channel);
  const NarrowScale scale = MakeNarrowScale(finish);
  const int32_t fraction = layer.mode == kReduce ? 1 : has_source ? 1 << isa::kFractionBits : 0;
MapTileRows:
  for (int32_t tile = 0; tile < layer.output.tiles; tile += layer.output.columns) {
    #pragma HLS loop_tripcount max = kMostColumns
    const int32_t top = WindowRow(layer, tile);
  MapLines:
    for (int32_t y = 0; y < strip.rows; ++y) {
      #pragma HLS loop_tripcount max = isa::kWindow
      GatherPixels(layer, strip, maps[layer.input.address + source * layer.input.tiles], top + y * strip.skip,
                   memory.line[y]);
    }
    ReduceLines(layer, strip, memory);
  MapTiles:
    for (int32_t column = 0; column < layer.output.columns; ++column) {
      #pragma HLS loop_tripcount max = kMostColumns
    MapPixels:
      for (int32_t i = 0; i < kTilePixels; ++i) memory.sum[column][i] *= fraction;
      FinishTile(layer, finish, scale, channel, tile + column, memory.sum[column], maps);
    }
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

inline void RunMaps(const Layer& layer, const int32_t* tables, TileMemory& maps, VectorMemory& vector,
                    PoolMemory& memory) {
  const Strip strip = MakeStrip(layer);
HostMaps:
  for (int32_t channel = 0; channel < layer.shape.active_out; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    if (layer.writes) {
      RunOneMap(layer, strip, tables, channel, maps, memory);
    } else {
      PoolChannel(layer, channel, maps, vector);
    }
  }
}

}  // namespace ddi
