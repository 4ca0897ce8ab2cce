// POOL as a processor of the co-simulation runs it: whole rows at once.
//
// Role     RunPool of pool.hpp, which includes this where the chip's own is not asked for: the rows under a tile's
//          windows, reduced downwards, then along
// Rate     a row of pixels for a few vector instructions
// Storage  the rows under one tile
#pragma once
#include <cstdint>

namespace ddi {

constexpr int32_t kPoolLine = isa::kWindow + isa::kTile;  // a window's row, from the tile that it starts in

typedef int16_t PoolLines[isa::kWindow][isa::kWindow];

// The rows under a tile's windows; outside the map what changes neither a sum nor a maximum.
inline void GatherLines(const TileMemory& maps, const Pool& pool, int32_t channel, int32_t row, int32_t column,
                        int32_t side, PoolLines& lines) {
  const int32_t base = pool.input.address + channel * pool.input.tiles;
  const int32_t first = column >> 3;
  const int16_t outside = pool.average ? 0 : -128;
GatherPoolRows:
  for (int32_t r = 0; r < side; ++r) {
    const int32_t y = row + r;
    const bool there = y >= 0 && y < pool.input.height;
    int16_t line[kPoolLine + isa::kTile];
  GatherPoolTiles:
    for (int32_t j = 0; j * isa::kTile < side + isa::kTile; ++j) {
      const int32_t inside = there ? Inside(first + j, pool.input.width) : 0;
      const int32_t tile = inside > 0 ? (y >> 3) * pool.input.columns + first + j : 0;
      const uint8_t* pixels = maps[base + tile] + (inside > 0 ? (y & 7) * isa::kTile : 0);
    GatherPoolPixels:
      for (int32_t x = 0; x < isa::kTile; ++x) {
        const int16_t value = pool.in_signed ? int16_t(int8_t(pixels[x])) : int16_t(pixels[x]);
        line[j * isa::kTile + x] = x < inside ? value : outside;
      }
    }
    std::memcpy(lines[r], line + (column & 7), sizeof(lines[r]));
  }
}

// Sums or maxima of a tile's windows.
inline void ReduceLines(const Pool& pool, const PoolLines& lines, int32_t (&value)[kTilePixels]) {
ReduceRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    int16_t down[isa::kWindow];
    std::memcpy(down, lines[y * pool.stride], sizeof(down));
  ReduceDown:
    for (int32_t i = 1; i < pool.kernel; ++i) {
    ReduceLine:
      for (int32_t x = 0; x < isa::kWindow; ++x) {
        const int16_t pixel = lines[y * pool.stride + i][x];
        const int16_t larger = pixel > down[x] ? pixel : down[x];
        down[x] = pool.average ? int16_t(down[x] + pixel) : larger;
      }
    }
  ReduceAlong:
    for (int32_t x = 0; x < isa::kTile; ++x) {
      int32_t reduced = down[x * pool.stride];
    ReduceTaps:
      for (int32_t i = 1; i < pool.kernel; ++i) {
        const int32_t pixel = down[x * pool.stride + i];
        reduced = pool.average ? reduced + pixel : Larger(reduced, pixel);
      }
      value[y * isa::kTile + x] = reduced;
    }
  }
}

inline void RunPool(const Instruction& instruction, TileMemory& maps, PoolMemory& memory) {
  const Pool pool = DecodePool(instruction);
  const int32_t side = (isa::kTile - 1) * pool.stride + pool.kernel;
  PoolLines lines = {};
PoolChannels:
  for (int32_t channel = 0; channel < instruction.word[isa::kPoolChannels]; ++channel) {
  PoolTiles:
    for (int32_t tile = 0; tile < pool.output.tiles; ++tile) {
      const int32_t row = tile / pool.output.columns * isa::kTile * pool.stride + pool.top - pool.padding;
      const int32_t column = tile % pool.output.columns * isa::kTile * pool.stride - pool.padding;
      GatherLines(maps, pool, channel, row, column, side, lines);
      ReduceLines(pool, lines, memory.value);
      FinishPool(pool, memory);
      WriteTile(maps, pool.output, channel, tile, memory.word);
    }
  }
}

}  // namespace ddi
