// Weight fetcher of CONV: which weights are needed when, and their way into weight memory.
//
// Role     decodes CONV, cuts it into passes, and fetches a pass's weights while the pass before it computes
// Rate     one row of weights at kWeightBytes a cycle, one cycle more for each output channel (cost.hpp)
// Storage  two banks of kWeightWords × 6 weights: 48 KB in 24 BRAM18
//
// Nothing that is off is fetched: rows of inactive output channels are skipped, and of a row only the active input
// channels are kept. A row with more products than a bank holds is cut into chunks of input channels, whose weights are
// fetched again for each tile; networks of the size this engine is for never need that.
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "tile_memory.hpp"

namespace ddi {

constexpr int32_t kHalfLanes = isa::kOutLanes / 2;
static_assert(isa::kOutLanes % 2 == 0, "lanes split into two halves");
static_assert(isa::kWeightWords % kTapsAtOnce == 0, "the last taps of a bank are a whole step");
static_assert(isa::kWeightWords >= isa::kMaxKernel * isa::kMaxKernel, "a bank holds one channel of the largest kernel");

typedef int8_t WeightBank[isa::kWeightWords][isa::kOutLanes];

// A CONV instruction, decoded.
struct Conv {
  Map input, output, identity;
  WindowShape window;
  int32_t kernel, stride, taps;
  int32_t in_mask, out_mask, active_in, active_out;
  int32_t weights, row_bytes, table;
  bool in_signed, relu, add, add_signed;
  int32_t chunk;   // input channels that a bank of weights holds
  int32_t chunks;  // at least 1, also without an active input channel
};

inline Conv DecodeConv(const Instruction& instruction, const Masks& masks) {
  const int32_t* word = instruction.word;
  const int32_t flags = word[isa::kConvFlags];
  Conv conv;
  conv.kernel = word[isa::kConvKernel];
  conv.stride = word[isa::kConvStride];
  conv.taps = conv.kernel * conv.kernel;
  conv.input = MakeMap(word[isa::kConvInput], word[isa::kConvHeight], word[isa::kConvWidth]);
  const int32_t height = ConvOut(word[isa::kConvHeight], conv.stride);
  const int32_t width = ConvOut(word[isa::kConvWidth], conv.stride);
  conv.output = MakeMap(word[isa::kConvOutput], height, width);
  conv.identity = MakeMap(word[isa::kConvIdentity], height, width);
  conv.window = MakeWindowShape(conv.kernel, conv.stride);
  conv.in_mask = word[isa::kConvInMask];
  conv.out_mask = word[isa::kConvOutMask];
  conv.active_in = ActiveCount(masks, conv.in_mask, word[isa::kConvInChannels]);
  conv.active_out = ActiveCount(masks, conv.out_mask, word[isa::kConvOutChannels]);
  conv.weights = word[isa::kConvWeights];
  conv.row_bytes = RowBytes(word[isa::kConvInChannels] * conv.taps);
  conv.table = word[isa::kConvTable];
  conv.in_signed = (flags & isa::kFlagInSigned) != 0;
  conv.relu = (flags & isa::kFlagRelu) != 0;
  conv.add = (flags & isa::kFlagAdd) != 0;
  conv.add_signed = (flags & isa::kFlagAddSigned) != 0;
  conv.chunk = isa::kWeightWords / conv.taps;
  conv.chunks = conv.active_in <= conv.chunk ? 1 : (conv.active_in + conv.chunk - 1) / conv.chunk;
  return conv;
}

// A pass uses one bank of weights: a group's tiles, all of them where a row of weights fits a bank.
struct Pass {
  int32_t first_out;   // index of the group's first channel in the list of active output channels
  int32_t lanes;       // channels in the group
  int32_t tiles;       // tiles computed at once: 2 for a group that fills at most half of the lanes
  int32_t first_tile;  // of this pass
  int32_t chunk;       // which input channels
};

inline Pass FirstPass(const Conv& conv, int32_t first_out) {
  Pass pass;
  pass.first_out = first_out;
  pass.lanes = Clamp(conv.active_out - first_out, 0, isa::kOutLanes);
  pass.tiles = pass.lanes <= kHalfLanes ? 2 : 1;
  pass.first_tile = 0;
  pass.chunk = 0;
  return pass;
}

// The pass after this one; it has no lanes when the convolution is done.
inline Pass NextPass(const Conv& conv, const Pass& pass) {
  Pass next = pass;
  if (++next.chunk < conv.chunks) return next;
  next.chunk = 0;
  next.first_tile += pass.tiles;
  if (conv.chunks > 1 && next.first_tile < conv.output.tiles) return next;
  return FirstPass(conv, pass.first_out + isa::kOutLanes);
}

// Fetch the weights of a pass: word e of the bank is tap e % taps of the (e / taps)-th active input channel. Lanes
// without a channel keep what they held and compute what nobody reads.
inline void LoadWeights(const int8_t* weights, const Conv& conv, const Masks& masks, const Pass& pass,
                        WeightBank& bank) {
  const int32_t first = pass.chunk * conv.chunk;
  const int32_t last = conv.active_in < first + conv.chunk ? conv.active_in : first + conv.chunk;
LoadLanes:
  for (int32_t lane = 0; lane < pass.lanes; ++lane) {
    #pragma HLS loop_tripcount max = isa::kOutLanes
    const int32_t out_channel = ActiveChannel(masks, conv.out_mask, pass.first_out + lane);
    const int8_t* row = weights + conv.weights + int64_t(out_channel) * conv.row_bytes;
    int32_t entry = 0;
  LoadChannels:
    for (int32_t index = first; index < last; ++index) {
      #pragma HLS loop_tripcount max = isa::kWeightWords
      const int8_t* filter = row + ActiveChannel(masks, conv.in_mask, index) * conv.taps;
    LoadTaps:
      for (int32_t tap = 0; tap < conv.taps; ++tap) {
        #pragma HLS loop_tripcount max = isa::kMaxKernel * isa::kMaxKernel
        #pragma HLS pipeline II = 1
        bank[entry][lane] = filter[tap];
        if (pass.tiles == 2) bank[entry][kHalfLanes + lane] = filter[tap];  // the same channel for the second tile
        ++entry;
      }
    }
  }
}

}  // namespace ddi
