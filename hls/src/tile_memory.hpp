// Tile memory: the maps of the network, 8 × 8 pixels of one channel a word, one bank a pixel.
//
// Role     word `address + channel · tiles + tile`, byte `(y % 8) · 8 + x % 8` (docs/engine.md, State)
// Rate     two words read and one written a cycle (both ports of every bank)
// Latency  2 cycles to a word, 9 to a 3 × 3 neighbourhood of tiles
// Storage  kTileWords × 64 bytes: 384 KB in 192 BRAM18; a window is 32 × 32 pixels of registers
//
// A window holds a tile's pixels and its neighbours': it is filled once for an input channel, one tile a cycle, and
// every tap of the kernel reads its 64 shifted pixels from it, at stride 1 and 2 alike. Bytes outside the map never
// enter it: they are replaced by zero on the way in, so that the taps need no border case.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "shim.hpp"

namespace ddi {

constexpr int32_t kWindowTiles = 4;  // 8 pixels at stride 2 under a kernel of 7 touch 4 tiles
constexpr int32_t kWindow = kWindowTiles * isa::kTile;
static_assert(2 * (isa::kTile - 1) + isa::kMaxKernel + isa::kTile <= kWindow, "a kernel's window fits");
static_assert(isa::kMaxKernel / 2 <= isa::kTile, "padding reaches no further than the next tile");

typedef uint8_t TileMemory[isa::kTileWords][kTilePixels];
typedef int16_t Window[kWindow][kWindow];

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

// Which tiles a window needs, in tiles relative to the output tile's place, and where tap (0, 0) stands in it.
struct WindowShape {
  int32_t before;  // tiles above and left of the output tile's first input tile: 1 with padding, else 0
  int32_t side;    // tiles along a side
  int32_t origin;  // row and column of tap (0, 0)
};

inline WindowShape MakeWindowShape(int32_t kernel, int32_t stride) {
  const int32_t padding = kernel / 2;
  WindowShape shape;
  shape.before = padding > 0 ? 1 : 0;
  shape.origin = shape.before * isa::kTile - padding;
  shape.side = ((shape.origin + stride * (isa::kTile - 1) + kernel - 1) >> 3) + 1;
  return shape;
}

// Pixels of a tile that lie inside the map, along one side; 0 for a tile outside it.
inline int32_t Inside(int32_t tile, int32_t size) {
  return tile < 0 ? 0 : Clamp(size - tile * isa::kTile, 0, isa::kTile);
}

// At stride 2, put the even columns of a window before the odd ones: a tap's pixels are neighbours then, too.
inline void SplitColumns(const WindowShape& shape, Window& window) {
SplitRows:
  for (int32_t y = 0; y < shape.side * isa::kTile; ++y) {
    #pragma HLS loop_tripcount max = kWindow
    #pragma HLS pipeline II = 1
    int16_t line[kWindow];
    CopyPixels<kWindow>(line, window[y]);
  SplitPixels:
    for (int32_t x = 0; x < kWindow / 2; ++x) {
      #pragma HLS unroll
      window[y][x] = line[2 * x];
      window[y][kWindow / 2 + x] = line[2 * x + 1];
    }
  }
}

// Fill the window for one channel from the tiles around input tile (row, column).
inline void GatherWindow(const TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                         const WindowShape& shape, int32_t stride, bool is_signed, Window& window) {
  const int32_t base = map.address + channel * map.tiles;
  const int16_t sign = is_signed ? 0x80 : 0;
WindowRows:
  for (int32_t i = 0; i < shape.side; ++i) {
    #pragma HLS loop_tripcount max = kWindowTiles
    const int32_t rows = Inside(row - shape.before + i, map.height);
  WindowColumns:
    for (int32_t j = 0; j < shape.side; ++j) {
      #pragma HLS loop_tripcount max = kWindowTiles
      #pragma HLS pipeline II = 1
      const int32_t columns = Inside(column - shape.before + j, map.width);
      // A tile outside the map is read from its first word, and every byte of it is replaced.
      const bool outside = rows == 0 || columns == 0;
      const int32_t tile = (row - shape.before + i) * map.columns + column - shape.before + j;
      const int32_t address = outside ? base : base + tile;
      int16_t pixel[kTilePixels];
    MaskPixels:
      for (int32_t p = 0; p < kTilePixels; ++p) {
        #pragma HLS unroll
        // Masks, not branches: a compiler for x86 then takes 16 or 32 pixels at once.
        const int16_t byte = memory[address][p];
        const int16_t inside = int16_t(-int16_t(((p & 7) < columns) & ((p >> 3) < rows)));
        pixel[p] = int16_t(byte - 2 * (byte & sign)) & inside;
      }
    PlaceRows:
      for (int32_t y = 0; y < isa::kTile; ++y) {
        #pragma HLS unroll
        CopyPixels<isa::kTile>(&window[i * isa::kTile + y][j * isa::kTile], &pixel[y * isa::kTile]);
      }
    }
  }
  if (stride == 2) SplitColumns(shape, window);
}

// The 64 pixels that one tap sees: window pixel (row + y · stride, column + x · stride) for output pixel (y, x).
inline void ReadTap(const Window& window, int32_t row, int32_t column, int32_t stride, TapPixel (&tap)[kTilePixels]) {
  #pragma HLS inline
  const int32_t first = stride == 2 ? (column & 1) * (kWindow / 2) + (column >> 1) : column;
TapRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    #pragma HLS unroll
  TapColumns:
    for (int32_t x = 0; x < isa::kTile; ++x) {
      #pragma HLS unroll
      tap[y * isa::kTile + x] = window[row + y * stride][first + x];
    }
  }
}

// Write a whole word of a map; bytes outside the map become 0.
inline void WriteTile(TileMemory& memory, const Map& map, int32_t channel, int32_t row, int32_t column,
                      const uint8_t (&pixel)[kTilePixels]) {
  const int32_t address = map.address + channel * map.tiles + row * map.columns + column;
  const int32_t rows = Inside(row, map.height);
  const int32_t columns = Inside(column, map.width);
WriteRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    #pragma HLS unroll
    const int32_t limit = y < rows ? columns : 0;
  WriteColumns:
    for (int32_t x = 0; x < isa::kTile; ++x) {
      #pragma HLS unroll
      memory[address][y * isa::kTile + x] = x < limit ? pixel[y * isa::kTile + x] : 0;
    }
  }
}

}  // namespace ddi
