// Tile memory as a processor of the co-simulation reads it: rows of eight pixels at once.
//
// Role     ReadBlock of tile_memory.hpp, which includes this where the chip's own is not asked for
// Rate     a row for two copies of eight bytes
// Storage  none
#pragma once
#include <cstdint>

namespace ddi {

// The 8 × 8 pixels of a channel whose first is (row, column), which may lie outside the map.
inline void ReadBlock(const TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                      bool is_signed, Block& block) {
  const int32_t base = map.address + channel * map.tiles;
  const int32_t tile = column >> 3;
  const int32_t sign = is_signed ? 0x80 : 0;
BlockRows:
  for (int32_t i = 0; i < isa::kTile; ++i) {
    uint8_t pixels[2 * isa::kTile] = {0};
    const int32_t y = row + i;
    if (y >= 0 && y < map.height) {
      const int32_t first = base + (y >> 3) * map.columns;
    RowTiles:
      for (int32_t j = 0; j < 2; ++j) {
        const int32_t inside = Inside(tile + j, map.width);
        if (inside == isa::kTile) {
          std::memcpy(pixels + j * isa::kTile, memory[first + tile + j] + (y & 7) * isa::kTile, isa::kTile);
        } else {
        RowEdge:
          for (int32_t x = 0; x < inside; ++x) {
            pixels[j * isa::kTile + x] = memory[first + tile + j][(y & 7) * isa::kTile + x];
          }
        }
      }
    }
  RowPixels:
    for (int32_t j = 0; j < isa::kTile; ++j) {
      const int32_t byte = pixels[(column & 7) + j];
      block[i][j] = int16_t(byte - ((byte & sign) << 1));
    }
  }
}

}  // namespace ddi
