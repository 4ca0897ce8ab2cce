// Tile memory: the maps of the network, 8 × 8 pixels of one channel a word, one bank a pixel.
//
// Role     word `address + channel · tiles + tile`, byte `(y % 8) · 8 + x % 8` (docs/engine.md, State)
// Rate     two reads of 8 × 8 pixels at any position a cycle, or one and a write (both ports of every bank)
// Latency  2 cycles
// Storage  kTileWords × 64 bytes: 384 KB in 192 BRAM18
//
// A block of 8 × 8 pixels that straddles tiles meets every bank once: each bank reads from the tile that its pixel lies
// in, and the pixels are rotated into place. Pixels outside the map come back as zero, so that no tap has a border
// case.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "shim.hpp"

namespace ddi {

static_assert(isa::kMaxKernel / 2 <= isa::kTile, "padding reaches no further than the next tile");

typedef uint8_t TileMemory[isa::kTileWords][kTilePixels];
typedef int16_t Block[isa::kTile][isa::kTile];
typedef int16_t Window[isa::kWindow][isa::kWindow];

// A map in tile memory: where it starts and how it is cut into tiles.
struct Map {
  int32_t address;
  int32_t height;
  int32_t width;
  int32_t columns;  // tiles in a row of tiles
  int32_t tiles;    // tiles of a channel
};

inline Map MakeMap(int32_t address, int32_t height, int32_t width) {
  Map map;
  map.address = address;
  map.height = height;
  map.width = width;
  map.columns = TileCount(width);
  map.tiles = Tiles(height, width);
  return map;
}

// Pixels of a tile that lie inside the map, along one side; 0 for a tile outside it.
inline int32_t Inside(int32_t tile, int32_t size) {
  return tile < 0 ? 0 : Clamp(size - tile * isa::kTile, 0, isa::kTile);
}

#ifdef DDI_CHIP

// The 8 × 8 pixels of a channel whose first is (row, column), which may lie outside the map.
inline void ReadBlock(const TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                      bool is_signed, Block& block) {
  #pragma HLS inline
  const int32_t base = map.address + channel * map.tiles;
  const int32_t sign = is_signed ? 0x80 : 0;
Banks:
  for (int32_t bank = 0; bank < kTilePixels; ++bank) {
    #pragma HLS unroll
    const int32_t i = ((bank >> 3) - row) & 7;  // where the bank's pixel stands in the block
    const int32_t j = ((bank & 7) - column) & 7;
    const int32_t y = row + i;
    const int32_t x = column + j;
    const bool inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
    const int32_t byte = memory[inside ? base + (y >> 3) * map.columns + (x >> 3) : base][bank];
    block[i][j] = int16_t(inside ? byte - ((byte & sign) << 1) : 0);
  }
}

#else
}  // namespace ddi
#include "tile_memory_host.hpp"
namespace ddi {
#endif

// One read of a window: its 8 × 8 pixels at (8 · down, 8 · across).
inline void ReadWindow(const TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                       int32_t down, int32_t across, bool is_signed, Window& window) {
  #pragma HLS inline
  Block block;
  ReadBlock(memory, map, channel, row + down * isa::kTile, column + across * isa::kTile, is_signed, block);
PlaceRows:
  for (int32_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
  PlaceColumns:
    for (int32_t j = 0; j < isa::kTile; ++j) {
      #pragma HLS unroll
      window[down * isa::kTile + i][across * isa::kTile + j] = block[i][j];
    }
  }
}

// Write a whole word of a map; bytes outside the map become 0.
inline void WriteTile(TileMemory& memory, const Map& map, int32_t channel, int32_t tile,
                      const uint8_t (&pixel)[kTilePixels]) {
  #pragma HLS inline
  const int32_t address = map.address + channel * map.tiles + tile;
  const int32_t rows = Inside(tile / map.columns, map.height);
  const int32_t columns = Inside(tile % map.columns, map.width);
WritePixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    memory[address][i] = (i >> 3) < rows && (i & 7) < columns ? pixel[i] : uint8_t(0);
  }
}

}  // namespace ddi
