// Pooling: the maximum or the average of a window, and the sum of a whole channel.
//
// Role     POOL and GLOBAL_POOL (docs/engine.md); pixels outside the map are left out, not taken as zero
// Rate     POOL: one tap of a tile's 64 windows a cycle, kernel² cycles a tile; GLOBAL_POOL: one tile a cycle
// Latency  kPipeline cycles
// Storage  64 sums or maxima in registers; vector memory takes the result of GLOBAL_POOL
//
// Strides up to 7 reach further than a window of four tiles, so POOL reads its pixels from the banks directly.
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

typedef int32_t VectorMemory[isa::kVectorWords];

inline int32_t ReadPixel(const TileMemory& memory, const Map& map, int32_t channel, int32_t y, int32_t x,
                         int32_t sign) {
  const int32_t tile = (y >> 3) * map.columns + (x >> 3);
  const int32_t byte = memory[map.address + channel * map.tiles + tile][((y & 7) << 3) + (x & 7)];
  return byte - ((byte & sign) << 1);
}

// A POOL instruction, decoded.
struct Pool {
  Map input, output;
  int32_t kernel, stride, padding, sign;
  bool average, relu;
  Scale scale;
};

inline Pool DecodePool(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kPoolFlags];
  Pool pool;
  pool.kernel = word[isa::kPoolKernel];
  pool.stride = word[isa::kPoolStride];
  pool.padding = word[isa::kPoolPadding];
  pool.sign = (flags & isa::kFlagInSigned) != 0 ? 0x80 : 0;
  pool.average = (flags & isa::kFlagAverage) != 0;
  pool.relu = (flags & isa::kFlagRelu) != 0;
  pool.scale = DecodeScale(word[isa::kPoolScale]);
  pool.input = MakeMap(word[isa::kPoolInput], word[isa::kPoolHeight], word[isa::kPoolWidth]);
  pool.output = MakeMap(word[isa::kPoolOutput], PoolOut(pool.input.height, pool.kernel, pool.stride, pool.padding),
                        PoolOut(pool.input.width, pool.kernel, pool.stride, pool.padding));
  return pool;
}

// One tap for the 64 windows of output tile (row, column).
inline void PoolTap(const TileMemory& memory, const Pool& pool, int32_t channel, int32_t row, int32_t column,
                    int32_t tap_y, int32_t tap_x, int32_t (&sum)[kTilePixels], int32_t (&maximum)[kTilePixels]) {
  #pragma HLS inline
PoolPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t y = (row * isa::kTile + (i >> 3)) * pool.stride - pool.padding + tap_y;
    const int32_t x = (column * isa::kTile + (i & 7)) * pool.stride - pool.padding + tap_x;
    if (y >= 0 && y < pool.input.height && x >= 0 && x < pool.input.width) {
      const int32_t value = ReadPixel(memory, pool.input, channel, y, x, pool.sign);
      sum[i] += value;
      if (value > maximum[i]) maximum[i] = value;
    }
  }
}

inline void RunPool(const Instruction& instruction, TileMemory& memory) {
  const Pool pool = DecodePool(instruction);
PoolChannels:
  for (int32_t channel = 0; channel < instruction.word[isa::kPoolChannels]; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
  PoolTiles:
    for (int32_t tile = 0; tile < pool.output.tiles; ++tile) {
      #pragma HLS loop_tripcount max = isa::kTileWords
      const int32_t row = tile / pool.output.columns;
      const int32_t column = tile % pool.output.columns;
      int32_t sum[kTilePixels];
      int32_t maximum[kTilePixels];
      uint8_t pixel[kTilePixels];
    ClearPool:
      for (int32_t i = 0; i < kTilePixels; ++i) {
        #pragma HLS unroll
        sum[i] = 0;
        maximum[i] = -128;
      }
    PoolRows:
      for (int32_t y = 0; y < pool.kernel; ++y) {
        #pragma HLS loop_tripcount max = isa::kMaxKernel
      PoolColumns:
        for (int32_t x = 0; x < pool.kernel; ++x) {
          #pragma HLS loop_tripcount max = isa::kMaxKernel
          #pragma HLS pipeline II = 1
          PoolTap(memory, pool, channel, row, column, y, x, sum, maximum);
        }
      }
    FinishPool:
      for (int32_t i = 0; i < kTilePixels; ++i) {
        #pragma HLS unroll
        pixel[i] = uint8_t(Clamp8(pool.average ? Requantize(sum[i], pool.scale) : maximum[i], pool.relu));
      }
      WriteTile(memory, pool.output, channel, row, column, pixel);
    }
  }
}

inline void RunGlobalPool(const Instruction& instruction, const TileMemory& memory, VectorMemory& vector) {
  const int32_t* word = instruction.word;
  const Map map = MakeMap(word[isa::kGlobalPoolInput], word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]);
  const int32_t sign = (word[isa::kGlobalPoolFlags] & isa::kFlagInSigned) != 0 ? 0x80 : 0;
  const Scale scale = DecodeScale(word[isa::kGlobalPoolScale]);
GlobalChannels:
  for (int32_t channel = 0; channel < word[isa::kGlobalPoolChannels]; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    int32_t sum = 0;
  GlobalTiles:
    for (int32_t tile = 0; tile < map.tiles; ++tile) {
      #pragma HLS loop_tripcount max = isa::kTileWords
      #pragma HLS pipeline II = 1
      const int32_t rows = Inside(tile / map.columns, map.height);
      const int32_t columns = Inside(tile % map.columns, map.width);
      const int32_t address = map.address + channel * map.tiles + tile;
    GlobalPixels:
      for (int32_t i = 0; i < kTilePixels; ++i) {
        #pragma HLS unroll
        const int32_t byte = memory[address][i];
        const bool inside = (i >> 3) < rows && (i & 7) < columns;
        sum += inside ? byte - ((byte & sign) << 1) : 0;
      }
    }
    vector[word[isa::kGlobalPoolOutput] + channel] = Saturate16(Requantize(sum, scale));
  }
}

}  // namespace ddi
