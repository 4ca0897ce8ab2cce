// Strip: the pixels under a row of output tiles, packed for the co-simulation's multiplications.
//
// Role     rows of packs, one for each kPacked active input channels; zero outside the map, so that no tap has a border
//          case. At stride 2 a row's even columns come before the odd ones, so that eight neighbours of the output read
//          eight neighbours of the strip
// Rate     a tile's row of kPacked channels for about ten vector instructions
// Storage  that of its caller
#pragma once
#include <cstdint>

#include "layer.hpp"
#include "vectors_host.hpp"

namespace ddi {

constexpr int32_t kMaxTaps = isa::kMaxKernel * isa::kMaxKernel;
// A row of the widest map between the tiles that its padding and its last window touch.
constexpr int32_t kLine = isa::kMaxMap + 4 * isa::kTile;

struct Strip {
  int32_t rows, skip;    // rows of a pack, and rows of the map from one to the next
  int32_t pitch;         // packs of pixels in a row
  int32_t first;         // tile column of the map that a row starts with
  int32_t down;          // from a row of the output to the next
  int32_t packs;         // of channels
  int32_t at[kMaxTaps];  // where the first window's taps are
};

inline Strip MakeStrip(const Layer& layer) {
  const int32_t kernel = layer.shape.kernel;
  const int32_t stride = layer.shape.stride;
  const int32_t origin = (isa::kTile - layer.padding) & (isa::kTile - 1);
  Strip strip;
  strip.skip = kernel == 1 ? stride : 1;  // rows between windows of one pixel are not used
  strip.rows = (isa::kTile - 1) * stride / strip.skip + kernel;
  strip.pitch = TileCount(origin + (layer.output.columns * isa::kTile - 1) * stride + kernel) * isa::kTile;
  strip.first = layer.padding > 0 ? -1 : 0;
  strip.down = stride / strip.skip * strip.pitch;
  strip.packs = CeilDivide(layer.shape.active_in, kPacked);
StripTaps:
  for (int32_t tap = 0; tap < kernel * kernel; ++tap) {
    #pragma HLS loop_tripcount max = kMaxTaps
    const int32_t column = origin + tap % kernel;
    const int32_t place = stride == 1 ? column : (column & 1) * (strip.pitch / 2) + column / 2;
    strip.at[tap] = tap / kernel * strip.pitch + place;
  }
  return strip;
}

// Bytes of a tile's row that lie inside the map, as a mask.
inline uint64_t InsideMask(int32_t tile, const Map& map) {
  const int32_t columns = Inside(tile, map.width);
  return columns == isa::kTile ? ~uint64_t(0) : (uint64_t(1) << (8 * columns)) - 1;
}

inline void FillLine(uint32_t value, int32_t count, uint32_t* line) {
FillPacks:
  for (int32_t x = 0; x < count; ++x) {
    #pragma HLS loop_tripcount max = kLine
    line[x] = value;
  }
}

// A row of one pack; `row` is the map's.
inline void GatherLine(const Layer& layer, const Strip& strip, const uint8_t* const (&plane)[kPacked], int32_t row,
                       uint32_t* line) {
  const uint32_t raise = layer.in_signed ? kRaise : 0;
  if (row < 0 || row >= layer.input.height) {
    FillLine(raise, strip.pitch, line);
    return;
  }
  const int32_t before = -strip.first * isa::kTile;
  const int32_t tiles = Smaller(layer.input.columns, (strip.pitch - before) / isa::kTile);
  const uint8_t* pixels[kPacked];
LineChannels:
  for (int32_t c = 0; c < kPacked; ++c) {
    pixels[c] = plane[c] + (row >> 3) * layer.input.columns * kTilePixels + (row & 7) * isa::kTile;
  }
  FillLine(raise, before, line);
LineTiles:
  for (int32_t tile = 0; tile < tiles; ++tile) {
    #pragma HLS loop_tripcount max = kLine / isa::kTile
    PackPixels8(pixels, InsideMask(tile, layer.input), raise, line + before + tile * isa::kTile);
  NextPixels:
    for (int32_t c = 0; c < kPacked; ++c) pixels[c] += kTilePixels;
  }
  const int32_t written = before + tiles * isa::kTile;
  FillLine(raise, strip.pitch - written, line + written);
}

// The even columns of a row, then the odd ones.
inline void SplitColumns(const uint32_t* line, int32_t pitch, uint32_t* to) {
SplitLine:
  for (int32_t x = 0; x < pitch / 2; ++x) {
    #pragma HLS loop_tripcount max = kLine
    to[x] = line[2 * x];
    to[pitch / 2 + x] = line[2 * x + 1];
  }
}

// All packs of the strip under row `tile_row` of the output's tiles.
inline void GatherStrip(const Layer& layer, const Strip& strip, const Masks& masks, const TileMemory& maps,
                        int32_t tile_row, uint32_t* to) {
  const int32_t top = tile_row * isa::kTile * layer.shape.stride + layer.top - layer.padding;
  uint32_t line[2 * kLine];
StripPacks:
  for (int32_t pack = 0; pack < strip.packs; ++pack) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / 2
    const uint8_t* plane[kPacked];
  PackPlanes:
    for (int32_t c = 0; c < kPacked; ++c) {
      // What is missing in the last pack is its last channel, under weights of zero.
      const int32_t index = Smaller(kPacked * pack + c, layer.shape.active_in - 1);
      plane[c] = maps[layer.input.address + ActiveChannel(masks, layer.in_mask, index) * layer.input.tiles];
    }
  StripRows:
    for (int32_t y = 0; y < strip.rows; ++y) {
      #pragma HLS loop_tripcount max = isa::kWindow
      GatherLine(layer, strip, plane, top + y * strip.skip, layer.shape.stride == 2 ? line : to);
      if (layer.shape.stride == 2) SplitColumns(line, strip.pitch, to);
      to += strip.pitch;
    }
  }
}

}  // namespace ddi
