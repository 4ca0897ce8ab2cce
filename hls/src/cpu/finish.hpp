// Finish: what becomes of the sums of a tile, 64 pixels at a time.
//
// Role     FinishPixel of layer.hpp in numbers of 32 bits, so that a compiler makes vectors of it; writing the tile
// Rate     about two vector instructions a pixel
// Storage  none
#pragma once
#include <cstdint>
#include <cstring>

#include "../layer.hpp"

namespace ddi {

// Bytes of a tile's row that lie inside the map, the first byte lowest.
inline uint64_t InsideMask(int32_t tile_column, const Map& map) {
  const int32_t columns = Inside(tile_column, map.width);
  return columns == isa::kTile ? ~uint64_t(0) : (uint64_t(1) << (8 * columns)) - 1;
}

// A sum of 25 bits is cut in two, so that each part's product with the multiplier fits 32 bits:
// (v · m + 2^(s-1)) >> s = (high · m + ((low · m) >> kLowBits) + 2^(s-1-kLowBits)) >> (s - kLowBits), for s > kLowBits.
constexpr int32_t kLowBits = 12;
static_assert(isa::kSumBits - 1 - kLowBits + 16 < 30, "the high part's product leaves room for what is added to it");
// |v · m| < 2^40, so that any shift beyond 40 gives 0, as one of 41 does.
constexpr int32_t kMostShift = isa::kSumBits - 1 + 16 + 1;

// A requantiser in those terms.
struct NarrowRequantizer {
  int32_t bias, multiplier;
  int8_t shift;
  bool fits;  // shifts that are too small are FinishPixel's
};

inline NarrowRequantizer MakeNarrowRequantizer(const Finish& finish) {
  int32_t multiplier = finish.requantizer.multiplier;
  int32_t shift = Smaller(finish.requantizer.shift, kMostShift);
SameRatio:
  for (; shift <= kLowBits && multiplier < (1 << 15) && multiplier > -(1 << 15); ++shift) {
    multiplier *= 2;
  }
  NarrowRequantizer narrow;
  narrow.fits = shift > kLowBits;
  narrow.bias = Clamp(finish.bias, -(1 << 30), 1 << 30);  // |sum| < 2^28, so that the result is saturated beyond it
  narrow.multiplier = multiplier;
  narrow.shift = int8_t(narrow.fits ? shift - kLowBits : 1);
  return narrow;
}

inline int32_t RequantizeNarrow(int32_t sum, const NarrowRequantizer& narrow) {
  constexpr int32_t kMost = 1 << (isa::kSumBits - 1);
  const int32_t value = Clamp(sum + narrow.bias, -kMost, kMost - 1);
  const int32_t low = (value & ((1 << kLowBits) - 1)) * narrow.multiplier;
  const int32_t high = (value >> kLowBits) * narrow.multiplier;
  return RoundingShift(high + (low >> kLowBits), narrow.shift);
}

inline void FinishPixels(const Layer& layer, const NarrowRequantizer& narrow, const int32_t (&sum)[kTilePixels],
                         uint8_t (&word)[kTilePixels]) {
  const int32_t least = layer.relu ? 0 : -128;
  const NarrowRequantizer local = narrow;
NarrowPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    word[i] = uint8_t(Clamp(RequantizeNarrow(sum[i], local), least, least + 255));
  }
}

// The same with an identity: RequantizeByte's product and shift.
inline void FinishAdded(const Layer& layer, const NarrowRequantizer& narrow, const int32_t (&sum)[kTilePixels],
                        const uint8_t (&identity)[kTilePixels], uint8_t (&word)[kTilePixels]) {
  const int32_t least = layer.relu ? 0 : -128;
  const int32_t sign = layer.add_signed ? 128 : 0;
  const Requantizer of_identity = layer.of_identity;
  const NarrowRequantizer local = narrow;
AddedPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    const int32_t added = RequantizeByte((identity[i] ^ sign) - sign, of_identity);
    word[i] = uint8_t(Clamp(RequantizeNarrow(sum[i], local) + added, least, least + 255));
  }
}

// Pixel by pixel, whatever the narrow.
inline void FinishWide(const Layer& layer, const Finish& finish, const int32_t (&sum)[kTilePixels],
                       const uint8_t (&identity)[kTilePixels], uint8_t (&word)[kTilePixels]) {
WidePixels:
  for (int32_t i = 0; i < kTilePixels; ++i) word[i] = FinishPixel(layer, finish, sum[i], identity[i]);
}

// Write a tile of a map; bytes outside the map become 0.
inline void WriteWord(const Map& map, int32_t tile_row, int32_t tile_column, const uint8_t (&word)[kTilePixels],
                      uint8_t (&to)[kTilePixels]) {
  const int32_t rows = Inside(tile_row, map.height);
  const uint64_t mask = InsideMask(tile_column, map);
  if (rows == isa::kTile && mask == ~uint64_t(0)) {
    std::memcpy(to, word, sizeof(word));
    return;
  }
WordRows:
  for (int32_t y = 0; y < isa::kTile; ++y) {
    uint64_t row = 0;
    std::memcpy(&row, word + y * isa::kTile, sizeof(row));
    row = y < rows ? row & mask : 0;
    std::memcpy(to + y * isa::kTile, &row, sizeof(row));
  }
}

// Sum of a tile's pixels; those outside the map are zero. Raised by 128 if signed, 64 of them fit 16 bits.
inline int32_t SumWord(const uint8_t (&word)[kTilePixels], bool is_signed) {
  static_assert(kTilePixels * 255 <= UINT16_MAX, "16 bits");
  const uint8_t sign = is_signed ? 128 : 0;
  uint16_t sum = 0;
WordPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) sum = uint16_t(sum + (word[i] ^ sign));
  return sum - kTilePixels * sign;
}

// Requantise a tile of one output channel, write it, and give the sum of its pixels if they are pooled.
inline int32_t FinishTile(const Layer& layer, const Finish& finish, const NarrowRequantizer& narrow, int32_t channel,
                          int32_t tile_row, int32_t tile_column, const int32_t (&sum)[kTilePixels], TileMemory& maps) {
  const int32_t at = channel * layer.output.tiles + tile_row * layer.output.columns + tile_column;
  const uint8_t (&identity)[kTilePixels] = maps[layer.add ? layer.identity.address + at : 0];
  uint8_t word[kTilePixels];
  if (!narrow.fits) {
    FinishWide(layer, finish, sum, identity, word);
  } else if (layer.add) {
    FinishAdded(layer, narrow, sum, identity, word);
  } else {
    FinishPixels(layer, narrow, sum, word);
  }
  uint8_t (&written)[kTilePixels] = maps[layer.output.address + at];
  WriteWord(layer.output, tile_row, tile_column, word, written);
  return layer.pool < 0 ? 0 : SumWord(written, !layer.relu);
}

inline Finish TableFinish(const Layer& layer, const int64_t* tables, int32_t channel) {
  if (!layer.has_table) return MakeFinish(layer, 0, 0);
  const TableRow row = ReadTable(tables, layer.table + channel);
  return MakeFinish(layer, row.bias, row.scale);
}

}  // namespace ddi
