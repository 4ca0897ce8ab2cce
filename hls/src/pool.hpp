// Pooling: POOL over windows, GLOBAL_POOL over whole maps into vector memory.
//
// Role     POOL and GLOBAL_POOL (docs/engine.md)
// Rate     POOL: a tile's window, two reads a cycle, then a tap for all 64 windows a cycle; windows that lie side by
// side
//          in a read are reduced as they are read. GLOBAL_POOL: a tile a cycle
// Latency  kDepthPoolCycles, kDepthGlobalTiles
// Storage  one window, one word, 64 sums; vector memory: 8 BRAM18
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

typedef int32_t VectorMemory[isa::kVectorWords];

struct PoolMemory {
  Window window;
  uint8_t word[kTilePixels];
  int32_t value[kTilePixels];  // sum or maximum
};

// A POOL instruction, decoded.
struct Pool {
  Map input, output;
  int32_t kernel, stride, padding, top;
  int32_t reads, reads_across;  // of a window
  bool side_by_side;            // windows of 1, 2 or 4 pixels that neither overlap nor straddle reads
  int32_t shift;                // binary logarithm of these
  bool average, in_signed, relu;
  Scale scale;
};

inline bool PoolsSideBySide(const int32_t* word) {
  const int32_t kernel = word[isa::kPoolKernel];
  return kernel == word[isa::kPoolStride] && isa::kTile % kernel == 0 && word[isa::kPoolPadding] == 0;
}

inline Pool DecodePool(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kPoolFlags];
  Pool pool;
  pool.kernel = word[isa::kPoolKernel];
  pool.stride = word[isa::kPoolStride];
  pool.padding = word[isa::kPoolPadding];
  pool.top = MakeBand(word[isa::kPoolHeight], flags).top;
  pool.reads_across = TileCount((isa::kTile - 1) * pool.stride + pool.kernel);
  pool.reads = pool.reads_across * pool.reads_across;
  pool.side_by_side = PoolsSideBySide(word);
  pool.shift = pool.kernel >> 1;  // of 1, 2 and 4
  pool.average = (flags & isa::kFlagAverage) != 0;
  pool.in_signed = (flags & isa::kFlagInSigned) != 0;
  pool.relu = (flags & isa::kFlagRelu) != 0;
  pool.scale = DecodeScale(word[isa::kPoolScale]);
  pool.input = MakeMap(word[isa::kPoolInput], word[isa::kPoolHeight], word[isa::kPoolWidth]);
  pool.output = MakeMap(word[isa::kPoolOutput], PoolHeight(word), PoolWidth(word));
  return pool;
}

// Take a pixel into a window's value.
inline void Reduce(const Pool& pool, bool first, bool inside, int32_t pixel, int32_t& value) {
  #pragma HLS inline
  const int32_t before = first ? (pool.average ? 0 : -128) : value;
  value = !inside ? before : pool.average ? before + pixel : Larger(before, pixel);
}

// Reduce the whole windows of one read.
inline void ReduceRead(const Pool& pool, int32_t row, int32_t column, int32_t down, int32_t across,
                       const Window& window, int32_t (&value)[kTilePixels]) {
  #pragma HLS inline
ReadPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t y = down * isa::kTile + (i >> 3);
    const int32_t x = across * isa::kTile + (i & 7);
    const bool first = ((y | x) & (pool.kernel - 1)) == 0;
    const bool inside = row + y < pool.input.height && column + x < pool.input.width;
    Reduce(pool, first, inside, window[y][x], value[(y >> pool.shift) * isa::kTile + (x >> pool.shift)]);
  }
}

// Two reads of a tile's window.
inline void ReadPool(const TileMemory& maps, const Pool& pool, int32_t channel, int32_t row, int32_t column,
                     int32_t read, PoolMemory& memory) {
  #pragma HLS inline
PoolReads:
  for (int32_t i = 0; i < isa::kMapReads; ++i) {
    #pragma HLS unroll
    const int32_t down = (read + i) / pool.reads_across;
    const int32_t across = (read + i) % pool.reads_across;
    if (read + i < pool.reads) {
      ReadWindow(maps, pool.input, channel, row, column, down, across, pool.in_signed, memory.window);
      if (pool.side_by_side) ReduceRead(pool, row, column, down, across, memory.window, memory.value);
    }
  }
}

// One tap of the 64 windows that start at (row, column) of the map.
inline void PoolTap(const Pool& pool, int32_t row, int32_t column, int32_t tap_y, int32_t tap_x, const Window& window,
                    int32_t (&value)[kTilePixels]) {
  #pragma HLS inline
  const bool first = tap_y == 0 && tap_x == 0;
PoolPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t y = (i >> 3) * pool.stride + tap_y;
    const int32_t x = (i & 7) * pool.stride + tap_x;
    const bool inside = row + y >= 0 && row + y < pool.input.height && column + x >= 0 && column + x < pool.input.width;
    Reduce(pool, first, inside, window[y][x], value[i]);
  }
}

inline void FinishPool(const Pool& pool, PoolMemory& memory) {
  #pragma HLS inline
FinishPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int64_t value = pool.average ? Requantize(memory.value[i], pool.scale) : memory.value[i];
    memory.word[i] = uint8_t(Clamp8(value, pool.relu));
  }
}

inline void RunPool(const Instruction& instruction, TileMemory& maps, PoolMemory& memory) {
  const Pool pool = DecodePool(instruction);
  const int32_t read_cycles = CeilDivide(pool.reads, isa::kMapReads);
  const int32_t turn = read_cycles + (pool.side_by_side ? 0 : pool.kernel * pool.kernel);  // cycles of a tile
  const int32_t cycles = instruction.word[isa::kPoolChannels] * pool.output.tiles * turn;
  int32_t channel = 0;
  int32_t tile = 0;
  int32_t at = 0;  // cycle of the tile
  int32_t tap_y = 0;
  int32_t tap_x = 0;
PoolCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kTileWords * 64
    #pragma HLS pipeline II = 1
    const int32_t row = tile / pool.output.columns * isa::kTile * pool.stride + pool.top - pool.padding;
    const int32_t column = tile % pool.output.columns * isa::kTile * pool.stride - pool.padding;
    if (at < read_cycles) {
      ReadPool(maps, pool, channel, row, column, at * isa::kMapReads, memory);
    } else {
      PoolTap(pool, row, column, tap_y, tap_x, memory.window, memory.value);
      if (++tap_x == pool.kernel) {
        tap_x = 0;
        ++tap_y;
      }
    }
    if (++at == turn) {
      FinishPool(pool, memory);
      WriteTile(maps, pool.output, channel, tile, memory.word);
      at = tap_y = tap_x = 0;
      if (++tile == pool.output.tiles) {
        tile = 0;
        ++channel;
      }
    }
  }
}

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
