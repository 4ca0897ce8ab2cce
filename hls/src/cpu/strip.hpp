// Strip: the pixels under a row of output tiles, packed for the co-simulation's multiplications.
//
// Role     rows of packs, one for each kPacked active input channels; zero outside the map, so that no tap has a border
//          case. At stride 2 a row's even columns come before the odd ones, so that eight neighbours of the output read
//          eight neighbours of the strip
// Rate     a tile's row of kPacked channels for about ten vector instructions
// Storage  that of its caller
#pragma once
#include <cstdint>

#include "finish.hpp"
#include "vectors.hpp"

namespace ddi {

constexpr int32_t kMaxTaps = isa::kMaxKernel * isa::kMaxKernel;
constexpr int32_t kMaxPacks = isa::kLaneBytes / kPacked + kMaxTaps;  // of a row of weights
// A row of the widest map between the tiles that its padding and its last window touch.
constexpr int32_t kLine = isa::kMaxMap + 4 * isa::kTile;

struct Strip {
  int32_t rows, skip;  // rows of a pack, and rows of the map from one to the next
  int32_t pitch;       // packs of pixels in a row
  int32_t first;       // tile column of the map that a row starts with
  int32_t origin;      // of the first window in a row
  int32_t step;        // rows of a pack from a row of the output to the next
  int32_t down;        // the same in packs of pixels
  int32_t packs;       // of channels
  int32_t taps;        // of a pack
  uint32_t raise;      // what is added to the pixels of a pack
  uint64_t last;       // bytes of a row of the map's last tile column that lie inside, as a mask
};

inline Strip MakeStrip(const Layer& layer) {
  const int32_t kernel = layer.shape.kernel;
  const int32_t stride = layer.shape.stride;
  Strip strip;
  strip.skip = kernel == 1 ? stride : 1;  // rows between windows of one pixel are not used
  strip.rows = (isa::kTile - 1) * stride / strip.skip + kernel;
  strip.origin = (isa::kTile - layer.padding) & (isa::kTile - 1);
  strip.pitch = TileCount(strip.origin + (layer.output.columns * isa::kTile - 1) * stride + kernel) * isa::kTile;
  strip.first = layer.padding > 0 ? -1 : 0;
  strip.step = stride / strip.skip;
  strip.down = strip.step * strip.pitch;
  strip.packs = CeilDivide(layer.shape.active_in, kPacked);
  strip.taps = kernel * kernel;
  strip.raise = layer.in_signed ? kRaise : 0;
  strip.last = InsideMask(layer.input.columns - 1, layer.input);
  return strip;
}

// The row of the map that the strip under row `tile_row` of the output's tiles starts with.
inline int32_t StripTop(const Layer& layer, int32_t tile_row) {
  return tile_row * isa::kTile * layer.shape.stride + layer.top - layer.padding;
}

// Where column `i` of a row's first window is.
inline int32_t TapColumn(const Layer& layer, const Strip& strip, int32_t i) {
  const int32_t column = strip.origin + i;
  return layer.shape.stride == 1 ? column : (column & 1) * (strip.pitch / 2) + column / 2;
}

// Where the first window's taps of every pack are.
inline void PlaceTaps(const Layer& layer, const Strip& strip, int32_t* at) {
  const int32_t kernel = layer.shape.kernel;
PlacePacks:
  for (int32_t pack = 0; pack < strip.packs; ++pack) {
  PlaceRows:
    for (int32_t row = 0; row < kernel; ++row) {
      const int32_t start = (pack * strip.rows + row) * strip.pitch;
    PlaceColumns:
      for (int32_t i = 0; i < kernel; ++i) {
        *at++ = start + TapColumn(layer, strip, i);
      }
    }
  }
}

// A row of one pack; `row` is the map's.
inline void GatherLine(const Layer& layer, const Strip& strip, const uint8_t* const (&plane)[kPacked], int32_t row,
                       uint32_t* line) {
  const Packs8 outside = RepeatPack8(strip.raise);
  const int32_t columns = layer.input.columns;
  const int32_t before = -strip.first;
  const int32_t tiles = strip.pitch / isa::kTile;
  const bool there = row >= 0 && row < layer.input.height;
  const int32_t inside = there ? Smaller(columns, tiles - before) : 0;
  const uint32_t raise = strip.raise;
  const uint64_t last = strip.last;
  const int32_t start = there ? (row >> 3) * columns * kTilePixels + (row & 7) * isa::kTile : 0;
  const uint8_t* pixels[kPacked];
LineChannels:
  for (int32_t c = 0; c < kPacked; ++c) pixels[c] = plane[c] + start;
TilesBefore:
  for (int32_t tile = 0; tile < before; ++tile) {
    StorePacks8(line, outside);
    line += isa::kTile;
  }
TilesInside:
  for (int32_t tile = 0; tile < inside; ++tile) {
    PackPixels8(pixels, tile + 1 == columns ? last : ~uint64_t(0), raise, line);
  NextPixels:
    for (int32_t c = 0; c < kPacked; ++c) pixels[c] += kTilePixels;
    line += isa::kTile;
  }
TilesBehind:
  for (int32_t tile = before + inside; tile < tiles; ++tile) {
    StorePacks8(line, outside);
    line += isa::kTile;
  }
}

// The even columns of a row, then the odd ones.
template <typename Number>
inline void SplitColumns(const Number* line, int32_t pitch, Number* to) {
SplitLine:
  for (int32_t x = 0; x < pitch / 2; ++x) {
    to[x] = line[2 * x];
    to[pitch / 2 + x] = line[2 * x + 1];
  }
}

// All packs of the strip under row `tile_row` of the output's tiles.
inline void GatherStrip(const Layer& layer, const Strip& strip, const Masks& masks, const TileMemory& maps,
                        int32_t tile_row, uint32_t* to) {
  const int32_t top = StripTop(layer, tile_row);
  uint32_t line[2 * kLine];
StripPacks:
  for (int32_t pack = 0; pack < strip.packs; ++pack) {
    const uint8_t* plane[kPacked];
  PackPlanes:
    for (int32_t c = 0; c < kPacked; ++c) {
      // What is missing in the last pack is its last channel, under weights of zero.
      const int32_t index = Smaller(kPacked * pack + c, layer.shape.active_in - 1);
      plane[c] = maps[layer.input.address + ActiveChannel(masks, layer.in_mask, index) * layer.input.tiles];
    }
  StripRows:
    for (int32_t y = 0; y < strip.rows; ++y) {
      GatherLine(layer, strip, plane, top + y * strip.skip, layer.shape.stride == 2 ? line : to);
      if (layer.shape.stride == 2) SplitColumns(line, strip.pitch, to);
      to += strip.pitch;
    }
  }
}

}  // namespace ddi
