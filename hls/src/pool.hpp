// Global pooling: GLOBAL_POOL over whole maps into vector memory.
//
// Role     GLOBAL_POOL (docs/engine.md); where a map comes from a CONV, that can do the same by the way
// Rate     a tile a cycle
// Latency  kDepthGlobalTiles
// Storage  vector memory: 8 BRAM18
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

typedef int32_t VectorMemory[isa::kVectorWords];

inline void RunGlobalPool(const Instruction& instruction, const TileMemory& maps, VectorMemory& vector) {
  const int32_t* word = instruction.word;
  const Map map = MakeMap(word[isa::kGlobalPoolInput], word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]);
  const int32_t sign = (word[isa::kGlobalPoolFlags] & isa::kFlagInSigned) != 0 ? 0x80 : 0;
  const Scale scale = DecodeScale(word[isa::kGlobalPoolScale]);
  const int32_t cycles = word[isa::kGlobalPoolChannels] * map.tiles;
  int32_t channel = 0;
  int32_t tile = 0;
  int32_t sum = 0;
GlobalTiles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    #pragma HLS pipeline II = 1
    const int32_t rows = Inside(tile / map.columns, map.height);
    const int32_t columns = Inside(tile % map.columns, map.width);
  GlobalPixels:
    for (int32_t i = 0; i < kTilePixels; ++i) {
      #pragma HLS unroll
      const int32_t byte = maps[map.address + cycle][i];
      const bool inside = (i >> 3) < rows && (i & 7) < columns;
      sum += inside ? byte - ((byte & sign) << 1) : 0;
    }
    if (++tile == map.tiles) {
      vector[word[isa::kGlobalPoolOutput] + channel] = Saturate16(Requantize(sum, scale));
      tile = 0;
      sum = 0;
      ++channel;
    }
  }
}

}  // namespace ddi
