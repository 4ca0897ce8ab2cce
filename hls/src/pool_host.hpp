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

// A window's rows, of `pitch` pixels each, reduced to one.
template <bool kSum>
inline void ReduceDown(const int16_t (*line)[kLine], int32_t rows, int32_t pitch, int16_t* down) {
FirstLines:
  for (int32_t x = 0; x < pitch; ++x) {
    #pragma HLS loop_tripcount max = kLine
    down[x] = Reduce<kSum>(line[0][x], line[1][x]);
  }
OtherLines:
  for (int32_t i = 2; i < rows; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxKernel
  OtherPixels:
    for (int32_t x = 0; x < pitch; ++x) {
      #pragma HLS loop_tripcount max = kLine
      down[x] = Reduce<kSum>(down[x], line[i][x]);
    }
  }
}

// Eight windows of a row, `window` being the first's first pixel.
template <bool kSum, int32_t kStride>
inline void ReduceAlong(const int16_t* window, int32_t kernel, int32_t* to) {
  int16_t along[isa::kTile];
FirstPixels:
  for (int32_t x = 0; x < isa::kTile; ++x) along[x] = window[x * kStride];
OtherTaps:
  for (int32_t i = 1; i < kernel; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxKernel
  AlongPixels:
    for (int32_t x = 0; x < isa::kTile; ++x) along[x] = Reduce<kSum>(along[x], window[x * kStride + i]);
  }
StoreAlong:
  for (int32_t x = 0; x < isa::kTile; ++x) to[x] = along[x];
}

// The windows of a row of tiles.
template <bool kSum, int32_t kStride>
inline void ReduceLines(const Layer& layer, const Strip& strip, PoolMemory& memory) {
  const int32_t kernel = layer.shape.kernel;
  int16_t down[kLine];
OutputRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    const int16_t (*line)[kLine] = memory.line + y * strip.down / strip.pitch;
    if (kernel > 1) ReduceDown<kSum>(line, kernel, strip.pitch, down);
    const int16_t* window = (kernel > 1 ? down : *line) + strip.origin;
  OutputTiles:
    for (int32_t column = 0; column < layer.output.columns; ++column) {
      #pragma HLS loop_tripcount max = kMostColumns
      ReduceAlong<kSum, kStride>(window, kernel, memory.sum[column] + y * isa::kTile);
      window += isa::kTile * kStride;
    }
  }
}

// The sums or maxima of one channel's windows for a row of tiles.
inline void ReduceTiles(const Layer& layer, const Strip& strip, const uint8_t* plane, int32_t tile_row,
                        PoolMemory& memory) {
GatherRows:
  for (int32_t y = 0; y < strip.rows; ++y) {
    #pragma HLS loop_tripcount max = isa::kWindow
    GatherPixels(layer, strip, plane, StripTop(layer, tile_row) + y * strip.skip, memory.line[y]);
  }
  const bool is_sum = layer.mode != kReduce || layer.average;
  if (layer.shape.stride == 1) {
    is_sum ? ReduceLines<true, 1>(layer, strip, memory) : ReduceLines<false, 1>(layer, strip, memory);
  } else {
    is_sum ? ReduceLines<true, 2>(layer, strip, memory) : ReduceLines<false, 2>(layer, strip, memory);
  }
}

// One output channel of AFFINE or POOL.
inline void RunOneMap(const Layer& layer, const Strip& strip, const int32_t* tables, int32_t channel, TileMemory& maps,
                      VectorMemory& vector, PoolMemory& memory) {
  const bool has_source = HasSource(layer, channel);
  const int32_t source = layer.mode == kReduce ? channel : channel - layer.channel_offset;
  const Finish finish = TableFinish(layer, tables, channel);
  const NarrowScale scale = MakeNarrowScale(finish);
  int32_t pooled = 0;
  if (!has_source) std::memset(memory.sum, 0, size_t(layer.output.columns) * sizeof(memory.sum[0]));
MapTileRows:
  for (int32_t tile_row = 0; tile_row * isa::kTile < layer.output.height; ++tile_row) {
    #pragma HLS loop_tripcount max = kMostColumns
    if (has_source) {
      ReduceTiles(layer, strip, maps[layer.input.address + source * layer.input.tiles], tile_row, memory);
    }
  MapTiles:
    for (int32_t column = 0; column < layer.output.columns; ++column) {
      #pragma HLS loop_tripcount max = kMostColumns
      int32_t (&sum)[kTilePixels] = memory.sum[column];
      if (layer.mode == kPass && has_source) {
      MapPixels:
        for (int32_t i = 0; i < kTilePixels; ++i) sum[i] *= 1 << isa::kFractionBits;
      }
      pooled += FinishTile(layer, finish, scale, channel, tile_row, column, sum, maps);
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
    #pragma HLS loop_tripcount max = kMostColumns
  PoolTiles:
    for (int32_t column = 0; column < layer.input.columns; ++column) {
      #pragma HLS loop_tripcount max = kMostColumns
      uint8_t word[kTilePixels];
      WriteWord(layer.input, tile_row, column, *from++, word);
      sum += SumWord(word, layer.in_signed);
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
      RunOneMap(layer, strip, tables, channel, maps, vector, memory);
    } else {
      PoolChannel(layer, channel, maps, vector);
    }
  }
}

}  // namespace ddi
