// Convolution: a CONV instruction decoded, and what becomes of its sums.
//
// Role     CONV (docs/engine.md): kernels 1 … 7, stride 1 and 2, padding kernel / 2, both masks, bands, the identity
//          added, the results' global pool. The main loop is conv_chip.hpp's, cycle by cycle as schedule.hpp plans
//          it, or, where a processor of this machine plays the chip, conv_host.hpp's: the same sums in an order
//          that suits its caches. Both are held to the same results by the same tests.
// Rate     requantisation: kDrain pixels a cycle, one DSP for a sum and one for the identity each
// Storage  a word of pixels, a sum for each channel of a group
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "pool.hpp"
#include "requantize.hpp"
#include "schedule.hpp"
#include "tile_memory.hpp"

namespace ddi {

struct Conv {
  ConvShape shape;
  Map input, output, identity;
  int32_t top;  // rows of pixels before the band's first
  int32_t padding;
  int32_t in_mask, out_mask;
  int32_t weights, row_pitch;  // bytes: of the first row, and from row to row
  int32_t table, pool;
  Scale identity_scale, pool_scale;
  bool in_signed, relu, add, add_signed;
};

inline Conv DecodeConv(const Instruction& instruction, const int32_t* tables, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kConvFlags];
  const Band band = MakeBand(word[isa::kConvHeight], flags);
  Conv conv;
  conv.shape = MakeConvShape(instruction, masks);
  conv.input = MakeMap(word[isa::kConvInput], word[isa::kConvHeight], word[isa::kConvWidth]);
  const int32_t height = ConvOut(band.inner, conv.shape.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], conv.shape.stride);
  conv.output = MakeMap(word[isa::kConvOutput], height, width);
  conv.identity = MakeMap(word[isa::kConvIdentity], height, width);
  conv.top = band.top;
  conv.padding = conv.shape.kernel / 2;
  conv.in_mask = word[isa::kConvInMask];
  conv.out_mask = word[isa::kConvOutMask];
  conv.weights = word[isa::kConvWeights];
  conv.row_pitch = ConvRow(word[isa::kConvInChannels], conv.shape.kernel, conv.in_mask);
  conv.table = word[isa::kConvTable];
  conv.pool = word[isa::kConvPool];
  conv.pool_scale = DecodeScale(tables[conv.table]);
  conv.identity_scale = DecodeScale(tables[conv.table + 1]);
  conv.in_signed = (flags & isa::kFlagInSigned) != 0;
  conv.relu = (flags & isa::kFlagRelu) != 0;
  conv.add = (flags & isa::kFlagAdd) != 0;
  conv.add_signed = (flags & isa::kFlagAddSigned) != 0;
  return conv;
}

// First row and column of the input that the window of an output tile covers.
inline int32_t WindowRow(const Conv& conv, int32_t tile) {
  return tile / conv.output.columns * isa::kTile * conv.shape.stride + conv.top - conv.padding;
}

inline int32_t WindowColumn(const Conv& conv, int32_t tile) {
  return tile % conv.output.columns * isa::kTile * conv.shape.stride - conv.padding;
}

// Bias and scale of one output channel.
struct Finish {
  int64_t bias;
  Scale scale;
};

inline Finish MakeFinish(const Conv& conv, const int32_t* tables, int32_t channel) {
  const int32_t* row = tables + conv.table + isa::kTableRow * (1 + channel);
  const Finish finish = {row[0], DecodeScale(row[1])};
  return finish;
}

// A sum becomes the byte of a map.
inline uint8_t FinishPixel(const Conv& conv, const Finish& finish, int32_t sum, int32_t identity) {
  #pragma HLS inline
  const int32_t sign = conv.add_signed ? 0x80 : 0;
  const int32_t added = conv.add ? RequantizeByte(identity - ((identity & sign) << 1), conv.identity_scale) : 0;
  return uint8_t(Clamp8(Requantize(sum + finish.bias, finish.scale) + added, conv.relu));
}

// What a byte of the output counts in its channel's pool.
inline int32_t PooledValue(const Conv& conv, int32_t byte) { return conv.relu ? byte : byte - ((byte & 0x80) << 1); }

inline void StorePool(const Conv& conv, int32_t channel, int32_t sum, VectorMemory& vector) {
  if (conv.pool >= 0) vector[conv.pool + channel] = Saturate16(Requantize(sum, conv.pool_scale));
}

}  // namespace ddi
