// Layer: a CONV, an AFFINE, a POOL or a GLOBAL_POOL decoded, and what becomes of its sums.
//
// Role     CONV: kernels 1 … 7, stride 1 and 2, padding kernel / 2, both masks, bands, the identity added, the results'
//          global pool. AFFINE: a scale and a shift for each channel, `channel_offset` placing the input's channels
//          among the output's. POOL: windows of 1 … 7 pixels. All three gather windows from maps and drain pixels into
//          maps (docs/engine.md). Their loop is chip/layer.hpp's, cycle by cycle as schedule.hpp plans it, or, where a
//          processor of this machine plays the chip, cpu/layer.hpp's: the same sums in an order that suits its caches.
//          Both are held to the same results by the same tests.
// Rate     requantisation: kDrain pixels a cycle, two DSPs each, the second for the identity
// Storage  none
#pragma once
#include <cstdint>

#include "cost.hpp"
#include "masks.hpp"
#include "ports.hpp"
#include "requantize.hpp"
#include "schedule.hpp"
#include "tile_memory.hpp"

namespace ddi {

constexpr int32_t kOutputs = 0;  // CONV
constexpr int32_t kPass = 1;     // AFFINE and GLOBAL_POOL: a pixel is a sum
constexpr int32_t kReduce = 2;   // POOL: a window's sum or its largest pixel

struct Layer {
  ConvShape shape;
  Map input, output, identity;
  Unsigned<2> mode;                  // kOutputs for CONV, kPass for AFFINE and GLOBAL_POOL, kReduce for POOL
  Unsigned<BitsOf(isa::kTile)> top;  // rows of pixels before the band's first
  Unsigned<kPaddingBits> padding;
  Unsigned<BitsOf(isa::kMasks - 1)> in_mask, out_mask;
  int32_t weights;                      // byte of the first row
  Unsigned<kLaneByteBits> row_pitch;    // bytes from row to row
  Unsigned<kLaneWordBits> row_words;    // of a port, from row to row
  Unsigned<3> filter_words;             // of a filter, under an input mask
  Unsigned<kLaneWordBits> fetch_words;  // that are fetched of a row
  int32_t table;                        // row of the first output channel's bias and scale; POOL has none
  int32_t pool;                         // vector of the results' global pool, or -1
  Unsigned<kChannelBits> in_channels, channel_offset;  // of AFFINE
  Requantizer of_identity, of_pool, of_sum;
  bool in_signed, relu, add, add_signed, average;
  bool takes_largest;  // pixel of a window
  bool has_fraction;   // AFFINE and GLOBAL_POOL give their sums one
  bool has_table;      // of a bias and a scale for each channel
  bool writes;         // a map
};

inline Layer DecodeConv(const Instruction& instruction, const int64_t* tables) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kConvFlags];
  const Band band = MakeBand(word[isa::kConvHeight], flags);
  Layer layer = Layer();
  layer.mode = kOutputs;
  layer.input = MakeMap(word[isa::kConvInput], word[isa::kConvHeight], word[isa::kConvWidth]);
  const int32_t height = ConvOut(band.inner, word[isa::kConvStride]);
  const int32_t width = ConvOut(word[isa::kConvWidth], word[isa::kConvStride]);
  layer.output = MakeMap(word[isa::kConvOutput], height, width);
  layer.identity = MakeMap(word[isa::kConvIdentity], height, width);
  layer.top = band.top;
  layer.padding = word[isa::kConvKernel] / 2;
  layer.in_mask = word[isa::kConvInMask];
  layer.out_mask = word[isa::kConvOutMask];
  layer.weights = word[isa::kConvWeights];
  layer.row_pitch = ConvRow(word[isa::kConvInChannels], word[isa::kConvKernel], layer.in_mask);
  layer.has_table = layer.writes = true;
  const int32_t table = word[isa::kConvTable] >> 1;
  const TableRow first = ReadTable(tables, table);
  layer.table = table + 1;
  layer.pool = word[isa::kConvPool];
  layer.of_pool = MakeRequantizer(first.bias);
  layer.of_identity = MakeRequantizer(first.scale);
  layer.in_signed = (flags & isa::kFlagInSigned) != 0;
  layer.relu = (flags & isa::kFlagRelu) != 0;
  layer.add = (flags & isa::kFlagAdd) != 0;
  layer.add_signed = (flags & isa::kFlagAddSigned) != 0;
  return layer;
}

inline Layer DecodeAffine(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  const int32_t stride = word[isa::kAffineStride];
  Layer layer = Layer();
  layer.mode = kPass;
  layer.has_fraction = true;
  layer.input = MakeMap(word[isa::kAffineInput], word[isa::kAffineHeight], word[isa::kAffineWidth]);
  layer.output =
      MakeMap(word[isa::kAffineOutput], ConvOut(layer.input.height, stride), ConvOut(layer.input.width, stride));
  layer.has_table = layer.writes = true;
  layer.table = word[isa::kAffineTable] >> 1;
  layer.pool = word[isa::kAffinePool];
  layer.of_pool = MakeRequantizer(word[isa::kAffinePoolScale]);
  layer.in_channels = word[isa::kAffineInChannels];
  layer.channel_offset = word[isa::kAffineChannelOffset];
  layer.in_signed = (word[isa::kAffineFlags] & isa::kFlagInSigned) != 0;
  layer.relu = (word[isa::kAffineFlags] & isa::kFlagRelu) != 0;
  return layer;
}

inline Layer DecodePool(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kPoolFlags];
  Layer layer = Layer();
  layer.mode = kReduce;
  layer.input = MakeMap(word[isa::kPoolInput], word[isa::kPoolHeight], word[isa::kPoolWidth]);
  layer.output = MakeMap(word[isa::kPoolOutput], PoolHeight(word), PoolWidth(word));
  layer.top = MakeBand(word[isa::kPoolHeight], flags).top;
  layer.padding = word[isa::kPoolPadding];
  layer.pool = -1;
  layer.writes = true;
  layer.average = (flags & isa::kFlagAverage) != 0;
  layer.takes_largest = !layer.average;
  layer.of_sum = MakeRequantizer(layer.average ? word[isa::kPoolScale] : 1);  // a maximum stays as it is
  layer.in_signed = (flags & isa::kFlagInSigned) != 0;
  layer.relu = (flags & isa::kFlagRelu) != 0;
  return layer;
}

inline Layer DecodeGlobalPool(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  Layer layer = Layer();
  layer.mode = kPass;
  layer.has_fraction = true;
  layer.input = MakeMap(word[isa::kGlobalPoolInput], word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]);
  layer.output = layer.input;
  layer.pool = word[isa::kGlobalPoolOutput];
  layer.of_pool = MakeRequantizer(word[isa::kGlobalPoolScale]);
  layer.in_channels = word[isa::kGlobalPoolChannels];
  layer.of_sum = MakeRequantizer((isa::kFractionBits << 16) | 1);  // takes the fraction away again
  layer.in_signed = (word[isa::kGlobalPoolFlags] & isa::kFlagInSigned) != 0;
  layer.relu = !layer.in_signed;
  return layer;
}

inline Layer DecodeLayer(const Instruction& instruction, const ConvShape& shape, const int64_t* tables) {
  const int32_t opcode = instruction.word[0];
  Layer layer = opcode == isa::kOpConv     ? DecodeConv(instruction, tables)
                : opcode == isa::kOpAffine ? DecodeAffine(instruction)
                : opcode == isa::kOpPool   ? DecodePool(instruction)
                                           : DecodeGlobalPool(instruction);
  layer.shape = shape;
  layer.row_words = layer.row_pitch >> 3;
  layer.filter_words = layer.in_mask != 0 ? shape.filter_bytes >> 3 : 0;
  layer.fetch_words = shape.row >> 3;
  return layer;
}

// What the chip's main loop did besides its results. A processor of the co-simulation counts none of it.
struct LayerCounts {
  uint32_t stalls;      // cycles beyond the plan's
  uint32_t array_busy;  // cycles in which the array multiplied
  uint32_t port_idle;   // accesses of tile memory that were not made
};

// The input channel behind the index-th of a group's inputs, and whether there is one.
inline int32_t SourceChannel(const Layer& layer, const Masks& masks, int32_t index, int32_t out_channel) {
  #pragma HLS inline
  if (layer.mode == kOutputs) return ActiveChannel(masks, layer.in_mask, index);
  if (layer.mode == kReduce) return out_channel;
  const int32_t source = out_channel - layer.channel_offset;
  return source >= 0 && source < layer.in_channels ? source : 0;
}

inline bool HasSource(const Layer& layer, int32_t out_channel) {
  #pragma HLS inline
  const int32_t source = out_channel - layer.channel_offset;
  return layer.mode != kPass || (source >= 0 && source < layer.in_channels);
}

// First row and column of the input that the window of a step at output pixel (row, column) covers: at stride 1 that of
// the whole tile. Either is `padding` less than a multiple of eight.
inline int32_t StepRow(const Layer& layer, int32_t row) {
  return (layer.shape.stride == 2 ? 2 * row : row & ~7) + layer.top - layer.padding;
}

inline int32_t StepColumn(const Layer& layer, int32_t column) {
  return (layer.shape.stride == 2 ? 2 * column : column & ~7) - layer.padding;
}

// Bias and scale of one output channel.
struct Finish {
  int32_t bias;
  Requantizer requantizer;
};

inline Finish MakeFinish(const Layer& layer, int32_t bias, int32_t scale) {
  const Finish finish = {layer.has_table ? bias : 0, layer.has_table ? MakeRequantizer(scale) : layer.of_sum};
  return finish;
}

// A byte of a map as a number.
inline int16_t PixelValue(uint8_t byte, bool is_signed) {
  const int32_t negative = (byte >> 7) & (is_signed ? 1 : 0);
  return int16_t(negative * -256 + byte);
}

// A sum becomes the byte of a map.
inline uint8_t FinishPixel(const Layer& layer, const Finish& finish, int32_t sum, int32_t identity) {
  #pragma HLS inline
  const int32_t added =
      layer.add ? RequantizeByte(PixelValue(uint8_t(identity), layer.add_signed), layer.of_identity) : 0;
  const int32_t twice = RequantizeTwice(int64_t(sum) + finish.bias, finish.requantizer);
  return uint8_t(Clamp8((twice + added * 2 + 1) >> 1, layer.relu));
}

// Bits of the pixels of a map added up.
constexpr int32_t kPoolBits = 25;
static_assert(int64_t(isa::kMaxMap) * isa::kMaxMap * 255 < (1 << (kPoolBits - 1)), "and a sign");

inline int32_t NarrowPool(int32_t sum) {
  #pragma HLS inline
  return Narrow(sum, kPoolBits);
}

inline void StorePool(const Layer& layer, int32_t channel, int32_t sum, VectorMemory& vector) {
  if (layer.pool >= 0) vector[layer.pool + channel] = Narrow16(Requantize(NarrowPool(sum), layer.of_pool));
}

}  // namespace ddi
