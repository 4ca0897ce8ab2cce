// Image loader: bytes of the image become signed activations through one table a channel.
//
// Role     IMAGE (docs/engine.md); normalisation and quantisation of the input are in the table
// Rate     one pixel of up to six channels a cycle: images of more channels are read once for every six of them
// Latency  kPipeline cycles
// Storage  six tables of 256 bytes, six words of tile memory in registers
#pragma once
#include <cstdint>

#include "tile_memory.hpp"

namespace ddi {

struct ImageMemory {
  uint8_t table[isa::kOutLanes][256];
  uint8_t pixel[isa::kOutLanes][kTilePixels];
};

inline void RunImageTile(const Map& map, const uint8_t* image, int32_t channels, int32_t first, int32_t lanes,
                         int32_t row, int32_t column, ImageMemory& scratch) {
  const int32_t rows = Inside(row, map.height);
  const int32_t columns = Inside(column, map.width);
ImageRows:
  for (int32_t y = 0; y < rows; ++y) {
    #pragma HLS loop_tripcount max = isa::kTile
  ImageColumns:
    for (int32_t x = 0; x < columns; ++x) {
      #pragma HLS loop_tripcount max = isa::kTile
      #pragma HLS pipeline II = 1
      const int64_t pixel = int64_t(row * isa::kTile + y) * map.width + column * isa::kTile + x;
    ImageLanes:
      for (int32_t lane = 0; lane < lanes; ++lane) {
        #pragma HLS loop_tripcount max = isa::kOutLanes
        #pragma HLS unroll
        scratch.pixel[lane][y * isa::kTile + x] = scratch.table[lane][image[pixel * channels + first + lane]];
      }
    }
  }
}

inline void RunImage(const Instruction& instruction, const int8_t* weights, const uint8_t* image, TileMemory& memory,
                     ImageMemory& scratch) {
  const int32_t* word = instruction.word;
  const int32_t channels = word[isa::kImageChannels];
  const Map map = MakeMap(word[isa::kImageOutput], word[isa::kImageHeight], word[isa::kImageWidth]);
ImageGroups:
  for (int32_t first = 0; first < channels; first += isa::kOutLanes) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / isa::kOutLanes + 1
    const int32_t lanes = Clamp(channels - first, 0, isa::kOutLanes);
  LoadTables:
    for (int32_t i = 0; i < lanes * 256; ++i) {
      #pragma HLS loop_tripcount max = isa::kOutLanes * 256
      #pragma HLS pipeline II = 1
      scratch.table[i >> 8][i & 255] = uint8_t(weights[word[isa::kImageWeights] + 256 * first + i]);
    }
  ImageTiles:
    for (int32_t tile = 0; tile < map.tiles; ++tile) {
      #pragma HLS loop_tripcount max = isa::kTileWords
      const int32_t row = tile / map.columns;
      const int32_t column = tile % map.columns;
      RunImageTile(map, image, channels, first, lanes, row, column, scratch);
    WriteImage:
      for (int32_t lane = 0; lane < lanes; ++lane) {
        #pragma HLS loop_tripcount max = isa::kOutLanes
        #pragma HLS pipeline II = 1
        WriteTile(memory, map, first + lane, row, column, scratch.pixel[lane]);
      }
    }
  }
}

}  // namespace ddi
