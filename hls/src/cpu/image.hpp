// IMAGE as a processor of the co-simulation runs it: channel by channel, a table look-up for each pixel.
//
// Role     RunImage of chip/image.hpp, the same bytes
// Rate     a pixel of one channel for a few instructions
// Storage  none
#pragma once
#include <cstdint>

#include "layer.hpp"

namespace ddi {

// The chip's tables and rows of pixels.
struct ImageMemory {};

// One row of one channel; `pixel` is its first byte in the image, `word` its first tile's row of pixels.
inline void LoadImageRow(const Map& map, const uint8_t* table, const uint8_t* pixel, int32_t channels, uint8_t* word) {
  int32_t x = 0;
ImageTiles:
  for (int32_t tile = 0; tile < map.columns; ++tile) {
  ImagePixels:
    for (int32_t i = 0; i < isa::kTile; ++i, ++x)
      word[tile * kTilePixels + i] = x < map.width ? table[pixel[x * channels]] : 0;
  }
}

inline void RunImage(const Instruction& instruction, const int64_t* weights0, const int64_t* images, int64_t image_byte,
                     TileMemory& maps, LayerMemory&, ImageMemory&) {
  const int32_t* word = instruction.word;
  const int32_t channels = word[isa::kImageChannels];
  const Map map = MakeMap(word[isa::kImageOutput], word[isa::kImageHeight], word[isa::kImageWidth]);
  const uint8_t* tables = reinterpret_cast<const uint8_t*>(weights0) + word[isa::kImageWeights];
  const uint8_t* pixels = reinterpret_cast<const uint8_t*>(images) + image_byte;
ImageChannels:
  for (int32_t channel = 0; channel < channels; ++channel) {
    uint8_t* plane = maps[map.address + channel * map.tiles];
    std::memset(plane, 0, size_t(map.tiles) * kTilePixels);
  ImageRows:
    for (int32_t y = 0; y < map.height; ++y) {
      LoadImageRow(map, tables + 256 * channel, pixels + int64_t(y) * map.width * channels + channel, channels,
                   plane + (y >> 3) * map.columns * kTilePixels + (y & 7) * isa::kTile);
    }
  }
}

}  // namespace ddi
