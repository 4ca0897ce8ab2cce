// Tile memory: the maps of the network, 8 × 8 pixels of one channel a word, one bank a pixel.
//
// Role     word `address + channel · tiles + tile`, byte `(y % 8) · 8 + x % 8` (docs/engine.md, State)
// Rate     two accesses to each bank a cycle: reads of 8 × 8 pixels at any position, and of whole words, and writes
// Latency  2 cycles
// Storage  kTileWords × 64 bytes: 384 KB in 192 BRAM18
//
// A block of 8 × 8 pixels that straddles tiles meets every bank once: each bank reads from the tile that its pixel lies
// in, and the pixels are rotated into place. Pixels outside the map come back as zero, so that taps at
// the border need no case of their own.
#pragma once
#include <cstdint>

#include "geometry.hpp"
#include "shim.hpp"
#include "widths.hpp"

namespace ddi {

static_assert(isa::kMaxKernel / 2 <= isa::kTile, "padding reaches no further than the next tile");

typedef uint8_t TileMemory[isa::kTileWords][kTilePixels];
typedef uint8_t Block[isa::kTile][isa::kTile];
typedef uint8_t Window[isa::kWindow][isa::kWindow];

// A map in tile memory: where it starts and how it is cut into tiles.
struct Map {
  Unsigned<kTileAddressBits> address;
  Unsigned<kSideBits> height;
  Unsigned<kSideBits> width;
  Unsigned<kTileColumnBits> columns;  // tiles in a row of tiles
  Unsigned<kTileBits> tiles;          // tiles of a channel
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

// Pixels of a tile that lie inside the map, along one side; 0 for a tile outside it.
inline int32_t Inside(int32_t tile, int32_t size) {
  return tile < 0 ? 0 : Clamp(size - tile * isa::kTile, 0, isa::kTile);
}

// Where a port reads each bank: of the four tiles that 8 × 8 pixels from (row, column) on can touch, the one that the
// bank's pixel lies in.
struct Corner {
  Unsigned<kTileAddressBits> address[2][2];
  Signed<kSideBits + 2> row, column;  // of the first pixel
  Unsigned<kPaddingBits> padding;     // by which these are less than multiples of eight
};

// `base` is the channel's first word; pixels may lie outside the map.
inline Corner MakeCorner(const Map& map, int32_t base, int32_t row, int32_t column, int32_t padding) {
  #pragma HLS inline
  const int32_t tile_row = row >> 3;
  const int32_t tile_column = column >> 3;
  const int32_t first = base + tile_row * map.columns + tile_column;
  const int32_t rows = TileCount(map.height);
  Corner corner;
  corner.row = Signed<kSideBits + 2>(row);
  corner.column = Signed<kSideBits + 2>(column);
  corner.padding = padding;
CornerRows:
  for (int32_t i = 0; i < 2; ++i) {
    #pragma HLS unroll
  CornerColumns:
    for (int32_t j = 0; j < 2; ++j) {
      #pragma HLS unroll
      const bool there =
          tile_row + i >= 0 && tile_row + i < rows && tile_column + j >= 0 && tile_column + j < map.columns;
      corner.address[i][j] = there ? first + (i == 1 ? map.columns : 0) + j : base;
    }
  }
  return corner;
}

// One whole word.
inline Corner MakeWordCorner(int32_t address) {
  #pragma HLS inline
  Corner corner = Corner();
  corner.address[0][0] = corner.address[0][1] = corner.address[1][0] = corner.address[1][1] = address;
  return corner;
}

// Along a side, the first banks read from the same tile whatever the padding, so they have one address; each of the
// others may have its own.
constexpr int32_t kTogether = isa::kTile - isa::kMaxKernel / 2;
constexpr int32_t kBankKinds = isa::kTile - kTogether + 1;

struct BankAddresses {
  Unsigned<kTileAddressBits> of[kBankKinds][kBankKinds];
};

inline void AddressBanks(const Corner& corner, BankAddresses& addresses) {
  #pragma HLS inline
  const int32_t first = (isa::kTile - corner.padding) & 7;  // of the banks that the first tile serves
AddressRows:
  for (int32_t i = 0; i < kBankKinds; ++i) {
    #pragma HLS unroll
  AddressColumns:
    for (int32_t j = 0; j < kBankKinds; ++j) {
      #pragma HLS unroll
      addresses.of[i][j] = corner.address[i + kTogether - 1 < first ? 1 : 0][j + kTogether - 1 < first ? 1 : 0];
    }
  }
}

inline int32_t BankAddress(const BankAddresses& addresses, int32_t bank) {
  #pragma HLS inline
  constexpr int32_t kLast = kTogether - 1;  // of those that have one
  return addresses.of[Larger(bank >> 3, kLast) - kLast][Larger(bank & 7, kLast) - kLast];
}

// Which of eight rows and of eight columns lie in a map.
struct Presence {
  bool row[isa::kTile], column[isa::kTile];
};

// Of eight places from `first` on, which is at most a padding before a map's first: those among the map's `size`. Each
// follows from six bits.
inline void FindSide(int32_t first, int32_t size, bool (&there)[isa::kTile]) {
  #pragma HLS inline
  const Unsigned<4> end = Unsigned<4>(Clamp(size - first, 0, isa::kTile));
  constexpr int32_t kMost = (1 << kPaddingBits) - 1;
  const Unsigned<kPaddingBits> begin = Unsigned<kPaddingBits>(first < 0 ? -first & kMost : 0);
FindPlaces:
  for (int32_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    there[i] = i >= begin && i < end;
  }
}

// Those from (row, column) on.
inline Presence FindPresence(const Map& map, int32_t row, int32_t column) {
  #pragma HLS inline
  Presence there;
  FindSide(row, map.height, there.row);
  FindSide(column, map.width, there.column);
  return there;
}

// The 8 × 8 pixels that a port has read from their banks, in their places, rows first; `outside` the map.
inline void TurnBlock(const Map& map, const Corner& corner, uint8_t outside, const uint8_t (&bank)[kTilePixels],
                      Block& block) {
  #pragma HLS inline
  uint8_t turned[isa::kTile][isa::kTile];
  #pragma HLS array_partition variable = turned complete dim = 0
RotateRows:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    turned[i >> 3][i & 7] = bank[((((i >> 3) - corner.padding) & 7) << 3) + (i & 7)];
  }
  const Presence there = FindPresence(map, corner.row, corner.column);
RotateColumns:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const bool inside = there.row[i >> 3] && there.column[i & 7];
    block[i >> 3][i & 7] = inside ? turned[i >> 3][((i & 7) - corner.padding) & 7] : outside;
  }
}

// Vector memory: pooled features and logits, what gates and classifiers compute with. Eight banks, eight entries a
// cycle; 8 BRAM18.
typedef int32_t VectorMemory[isa::kVectorWords];

}  // namespace ddi
