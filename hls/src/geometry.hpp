// Geometry: sizes of maps, tiles and rows of weights; the fields of an instruction.
//
// Role     shared arithmetic of validation, pricing and execution, so that the three cannot disagree
// Rate     a few additions and shifts an instruction, no storage
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace ddi {

constexpr int32_t kTilePixels = isa::kTile * isa::kTile;
static_assert(isa::kTile == 8, "pixel and tile indices are taken apart by shifts of three bits");
static_assert((isa::kWeightAlign & (isa::kWeightAlign - 1)) == 0, "rows are rounded up with a mask");

// One instruction: its opcode, then the fields that isa.hpp numbers.
struct Instruction {
  int32_t word[isa::kInstructionWords];
};

// a · b, for what happens once an instruction. One multiplier, not inlined, so that all its calls share it: two of the
// DSPs that the array leaves.
inline uint64_t Product(uint32_t a, uint16_t b) {
  #pragma HLS inline off
  const uint64_t product = uint64_t(a) * b;
  #pragma HLS bind_op variable = product op = mul impl = dsp
  return product;
}

// value / 3, exact for any 16 bits: a multiplication by 2^17 / 3 (0xAAAB, rounded up) is far smaller than a divider.
inline uint16_t DivideBy3(uint16_t value) { return uint16_t(Product(value, 0xAAAB) >> 17); }

inline int32_t CeilDivide(int32_t value, int32_t by) { return (value + by - 1) / by; }

inline int32_t Larger(int32_t a, int32_t b) { return a > b ? a : b; }

inline int32_t Smaller(int32_t a, int32_t b) { return a < b ? a : b; }

constexpr int32_t kHeaderBeats = isa::kRecordHeader / 2;
static_assert(isa::kRecordHeader % 2 == 0, "a header is whole words of the port");

// Words of a result record's port, two of the record each. The last one of the record may be more than it needs.
inline int32_t RecordBeats(const Start& start) { return kHeaderBeats + ((start.gates + start.classes + 1) >> 1); }

// Height or width of the output of CONV and AFFINE; stride is 1 or 2.
inline int32_t ConvOut(int32_t size, int32_t stride) { return stride == 2 ? (size + 1) >> 1 : size; }

// Height or width of the output of POOL, stride 1 or 2, at least 1 for fields that passed their check.
inline int32_t PoolOut(int32_t size, int32_t kernel, int32_t stride, int32_t padding) {
  const int32_t last = size + 2 * padding - kernel;
  return (stride == 2 ? last >> 1 : last) + 1;
}

// How many tiles cover a side.
inline int32_t TileCount(int32_t size) { return (size + isa::kTile - 1) >> 3; }

// Words of tile memory of one channel.
inline int32_t Tiles(int32_t height, int32_t width) { return TileCount(height) * TileCount(width); }

// Words of tile memory of a map of `channels`.
inline int32_t MapWords(int32_t channels, int32_t height, int32_t width) {
  return int32_t(Product(uint32_t(channels), uint16_t(Tiles(height, width))));
}

// What a band has of its own, without the tile rows of the bands above and below (docs/engine.md, CONV).
struct Band {
  int32_t top;    // rows of pixels above it that are only read
  int32_t inner;  // rows of pixels that have outputs
};

inline Band MakeBand(int32_t height, int32_t flags) {
  Band band;
  band.top = (flags & isa::kFlagHaloTop) != 0 ? isa::kTile : 0;
  const int32_t whole = (TileCount(height) - 1) * isa::kTile;
  band.inner = ((flags & isa::kFlagHaloBottom) != 0 ? whole : height) - band.top;
  return band;
}

// Height and width of a POOL's output: of a band as CONV's, else by the usual rule.
inline int32_t PoolHeight(const int32_t* word) {
  const int32_t flags = word[isa::kPoolFlags];
  if ((flags & (isa::kFlagHaloTop | isa::kFlagHaloBottom)) != 0) {
    return ConvOut(MakeBand(word[isa::kPoolHeight], flags).inner, word[isa::kPoolStride]);
  }
  return PoolOut(word[isa::kPoolHeight], word[isa::kPoolKernel], word[isa::kPoolStride], word[isa::kPoolPadding]);
}

inline int32_t PoolWidth(const int32_t* word) {
  return PoolOut(word[isa::kPoolWidth], word[isa::kPoolKernel], word[isa::kPoolStride], word[isa::kPoolPadding]);
}

// Bytes from one row of weights to the next.
inline int32_t RowBytes(int32_t count) { return (count + isa::kWeightAlign - 1) & ~(isa::kWeightAlign - 1); }

// Bytes of one input channel's weights in a CONV's row, and of the row.
inline int32_t FilterBytes(int8_t kernel, int32_t in_mask) {
  const int32_t taps = kernel * kernel;
  return in_mask != 0 ? RowBytes(taps) : taps;
}

inline int32_t ConvRow(int32_t in_channels, int32_t kernel, int32_t in_mask) {
  return RowBytes(int32_t(Product(uint32_t(in_channels), uint16_t(FilterBytes(int8_t(kernel), in_mask)))));
}

inline int32_t Clamp(int32_t value, int32_t low, int32_t high) {
  return value < low ? low : value > high ? high : value;
}

}  // namespace ddi
