// Image loader: bytes of the image become signed activations through one table a channel.
//
// Role     IMAGE (docs/engine.md); normalisation and quantisation of the input are in the table
// Rate     8 bytes a cycle, a tile's row of pixels after the other: images of more than six channels are read once for
//          every six
// Latency  kDepthLoadTables, kDepthImageBeats
// Storage  six tables of 256 bytes, a word of tile memory for each
#pragma once
#include <cstdint>

#include "tile_memory.hpp"

namespace ddi {

struct ImageMemory {
  uint8_t table[isa::kOutLanes][256];
  uint8_t pixel[isa::kOutLanes][kTilePixels];
};

// An image in memory: where its first byte stands behind the port's first word.
struct ImageSource {
  int64_t start;
  int32_t channels;
};

// Where the loader stands: a tile, a row of it, a beat of that row's bytes.
struct ImagePlace {
  int32_t row, column;  // of the tile
  int32_t y;
  int32_t beat;
  int32_t pixel, channel;  // of the next byte
};

inline void LoadImageTables(const Instruction& instruction, const int64_t* weights0, int32_t first, int32_t lanes,
                            ImageMemory& memory) {
  constexpr int32_t kBeats = 256 / isa::kPortBytes;
  const int32_t base = (instruction.word[isa::kImageWeights] + 256 * first) / isa::kPortBytes;
LoadTables:
  for (int32_t beat = 0; beat < lanes * kBeats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kOutLanes * kBeats
    #pragma HLS pipeline II = 1
    const uint64_t bytes = uint64_t(weights0[base + beat]);
  TableBytes:
    for (int32_t i = 0; i < isa::kPortBytes; ++i) {
      #pragma HLS unroll
      memory.table[beat / kBeats][beat % kBeats * isa::kPortBytes + i] = uint8_t(bytes >> (8 * i));
    }
  }
}

// Take one beat of a row of pixels apart: those of its bytes that belong to the row, and to channels of this group.
inline void LoadBeat(const Map& map, const int64_t* images, const ImageSource& source, int32_t first, int32_t lanes,
                     ImagePlace& place, ImageMemory& memory) {
  #pragma HLS inline
  const int32_t pixels = Inside(place.column, map.width);
  const int64_t row = int64_t(place.row * isa::kTile + place.y) * map.width + place.column * isa::kTile;
  const int64_t start = source.start + row * source.channels;
  const int64_t end = start + int64_t(pixels) * source.channels;
  const int64_t word = (start >> 3) + place.beat;
  const uint64_t bytes = uint64_t(word * isa::kPortBytes < end ? images[word] : 0);
BeatBytes:
  for (int32_t i = 0; i < isa::kPortBytes; ++i) {
    #pragma HLS unroll
    const int64_t at = word * isa::kPortBytes + i;
    if (at >= start && at < end) {
      const int32_t lane = place.channel - first;
      if (lane >= 0 && lane < lanes) {
        memory.pixel[lane][place.y * isa::kTile + place.pixel] = memory.table[lane][(bytes >> (8 * i)) & 255];
      }
      if (++place.channel == source.channels) {
        place.channel = 0;
        ++place.pixel;
      }
    }
  }
}

// The beat after `place`; true when it was a tile's last, so that the tile can be written.
inline bool NextBeat(const Map& map, const ImageSource& source, ImagePlace& place) {
  #pragma HLS inline
  if (++place.beat <= source.channels) return false;
  place.beat = place.pixel = place.channel = 0;
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
inline void LoadPixels(const Map& map, const int64_t* images, const ImageSource& source, int32_t first, int32_t lanes,
                       TileMemory& maps, ImageMemory& memory) {
  const int32_t beats = map.height * map.columns * (source.channels + 1);
  ImagePlace place = ImagePlace();
ImageBeats:
  for (int32_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kTileWords * isa::kTile * 2
    #pragma HLS pipeline II = 1
    const int32_t tile = place.row * map.columns + place.column;
    LoadBeat(map, images, source, first, lanes, place, memory);
    if (NextBeat(map, source, place)) WriteLanes(map, first, lanes, tile, maps, memory);
  }
}

inline void RunImage(const Instruction& instruction, const int64_t* weights0, const int64_t* images, int64_t start,
                     TileMemory& maps, ImageMemory& memory) {
  const int32_t* word = instruction.word;
  const ImageSource source = {start, word[isa::kImageChannels]};
  const Map map = MakeMap(word[isa::kImageOutput], word[isa::kImageHeight], word[isa::kImageWidth]);
ImageGroups:
  for (int32_t first = 0; first < source.channels; first += isa::kOutLanes) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / isa::kOutLanes + 1
    const int32_t lanes = Smaller(source.channels - first, isa::kOutLanes);
    LoadImageTables(instruction, weights0, first, lanes, memory);
    LoadPixels(map, images, source, first, lanes, maps, memory);
  }
}

}  // namespace ddi
