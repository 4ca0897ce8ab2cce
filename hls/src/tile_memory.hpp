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
typedef uint8_t Block[isa::kTile][isa::kTile];
typedef uint8_t Window[isa::kWindow][isa::kWindow];

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

// The four tiles that a block of 8 × 8 pixels can touch: where their words stand, and which of them are in the map.
struct Corner {
  int32_t address[2][2];
};

inline Corner MakeCorner(const Map& map, int32_t channel, int32_t row, int32_t column) {
  #pragma HLS inline
  const int32_t base = map.address + channel * map.tiles;
  const int32_t tile_row = row >> 3;
  const int32_t tile_column = column >> 3;
  const int32_t first = base + tile_row * map.columns + tile_column;
  const int32_t rows = TileCount(map.height);
  Corner corner;
CornerRows:
  for (int32_t i = 0; i < 2; ++i) {
    #pragma HLS unroll
  CornerColumns:
    for (int32_t j = 0; j < 2; ++j) {
      #pragma HLS unroll
      const bool there =
          tile_row + i >= 0 && tile_row + i < rows && tile_column + j >= 0 && tile_column + j < map.columns;
      corner.address[i][j] = there ? first + (i == 1 ? map.columns : 0) + j : base;
    }
  }
  return corner;
}

// The 8 × 8 pixels of a channel whose first is (row, column), which may lie outside the map. Every bank is read once,
// at the address of the tile that its pixel lies in; the pixels are rotated into place, rows first.
inline void ReadBlock(const TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                      Block& block) {
  #pragma HLS inline
  const Corner corner = MakeCorner(map, channel, row, column);
  const int32_t down = row & 7;
  const int32_t across = column & 7;
  uint8_t bank[kTilePixels];
  uint8_t turned[isa::kTile][isa::kTile];
Banks:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    bank[i] = memory[corner.address[(i >> 3) < down ? 1 : 0][(i & 7) < across ? 1 : 0]][i];
  }
RotateRows:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    turned[i >> 3][i & 7] = bank[((((i >> 3) + down) & 7) << 3) + (i & 7)];
  }
RotateColumns:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t y = row + (i >> 3);
    const int32_t x = column + (i & 7);
    const bool inside = y >= 0 && y < map.height && x >= 0 && x < map.width;
    block[i >> 3][i & 7] = inside ? turned[i >> 3][((i & 7) + across) & 7] : uint8_t(0);
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
