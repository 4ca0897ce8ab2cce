// Image loader: bytes of the image become signed activations through one table a channel.
//
// Role     IMAGE (docs/engine.md); normalisation and quantisation of the input are in the table
// Rate     one pixel of up to six channels a cycle, tile by tile: images of more channels are read once for every six
// Latency  kDepthLoadTables, kDepthImagePixels
// Storage  six tables of 256 bytes, a word of tile memory for each
#pragma once
#include <cstdint>

#include "ports.hpp"
#include "tile_memory.hpp"

namespace ddi {

struct ImageMemory {
  uint8_t table[isa::kOutLanes][256];
  uint8_t pixel[isa::kOutLanes][kTilePixels];
};

// Where the loader stands: a tile, and a pixel of it.
struct ImagePlace {
  int32_t row, column;  // of the tile
  int32_t y, x;
};

inline void LoadImageTables(const Instruction& instruction, const WeightPorts& weights, int32_t first, int32_t lanes,
                            ImageMemory& memory) {
  constexpr int32_t kBeats = 256 / isa::kPortBytes;
  const int32_t base = (instruction.word[isa::kImageWeights] + 256 * first) / isa::kPortBytes;
LoadTables:
  for (int32_t beat = 0; beat < lanes * kBeats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kOutLanes * kBeats
    #pragma HLS pipeline II = 1
    const uint64_t bytes = uint64_t(weights.port[0][base + beat]);
  TableBytes:
    for (int32_t i = 0; i < isa::kPortBytes; ++i) {
      #pragma HLS unroll
      memory.table[beat / kBeats][beat % kBeats * isa::kPortBytes + i] = uint8_t(bytes >> (8 * i));
    }
  }
}

// The pixel after `place`; true when it was a tile's last, so that the tile can be written.
inline bool NextPixel(const Map& map, ImagePlace& place) {
  #pragma HLS inline
  if (++place.x < Inside(place.column, map.width)) return false;
  place.x = 0;
  if (++place.y < Inside(place.row, map.height)) return false;
  place.y = 0;
  if (++place.column == map.columns) {
    place.column = 0;
    ++place.row;
  }
  return true;
}

inline void WriteLanes(const Map& map, int32_t first, int32_t lanes, int32_t tile, TileMemory& maps,
                       const ImageMemory& memory) {
  #pragma HLS inline
WriteImage:
  for (int32_t lane = 0; lane < isa::kOutLanes; ++lane) {
    #pragma HLS unroll
    if (lane < lanes) WriteTile(maps, map, first + lane, tile, memory.pixel[lane]);
  }
}

// One group of up to six channels.
inline void LoadPixels(const Map& map, const uint8_t* image, int32_t channels, int32_t first, int32_t lanes,
                       TileMemory& maps, ImageMemory& memory) {
  ImagePlace place = ImagePlace();
ImagePixels:
  for (int32_t count = 0; count < map.height * map.width; ++count) {
    #pragma HLS loop_tripcount max = isa::kMaxMap * isa::kMaxMap
    #pragma HLS pipeline II = 1
    const int32_t tile = place.row * map.columns + place.column;
    const int64_t pixel = int64_t(place.row * isa::kTile + place.y) * map.width + place.column * isa::kTile + place.x;
    const int32_t at = place.y * isa::kTile + place.x;
  ImageLanes:
    for (int32_t lane = 0; lane < isa::kOutLanes; ++lane) {
      #pragma HLS unroll
      if (lane < lanes) memory.pixel[lane][at] = memory.table[lane][image[pixel * channels + first + lane]];
    }
    if (NextPixel(map, place)) WriteLanes(map, first, lanes, tile, maps, memory);
  }
}

inline void RunImage(const Instruction& instruction, const WeightPorts& weights, const uint8_t* image, TileMemory& maps,
                     ImageMemory& memory) {
  const int32_t* word = instruction.word;
  const int32_t channels = word[isa::kImageChannels];
  const Map map = MakeMap(word[isa::kImageOutput], word[isa::kImageHeight], word[isa::kImageWidth]);
ImageGroups:
  for (int32_t first = 0; first < channels; first += isa::kOutLanes) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / isa::kOutLanes + 1
    const int32_t lanes = Smaller(channels - first, isa::kOutLanes);
    LoadImageTables(instruction, weights, first, lanes, memory);
    LoadPixels(map, image, channels, first, lanes, maps, memory);
  }
}

}  // namespace ddi
