// Convolution: 64 pixels × 6 output channels, output-stationary.
//
// Role     CONV (docs/engine.md): kernels 1 … 7, stride 1 and 2, padding kernel / 2, both masks, the identity added
// Loops    group of six active output channels → tile → active input channel → tap; a group that fills at most half
//          of the lanes takes two tiles at once, the second in the upper half
// Rate     one tap of one input channel a cycle: 384 multiplications. The window of the next channel is gathered
//          while this one's taps run, the next pass's weights load beside the computation, and a finished tile is
//          requantised, 8 values a cycle, behind the next one's accumulation; cost.hpp counts that schedule
// Latency  kPipeline cycles from the first tap to the first requantised pixel
// Storage  two banks of kWeightWords × 6 weights (48 KB in 24 BRAM18), two windows, 384 accumulators
//
// Nothing that is off is touched: rows of inactive output channels are not fetched, inactive input channels neither
// loaded nor multiplied. A row with more products than a bank holds is cut into chunks of input channels, whose
// weights are fetched again for each tile; networks of the size this engine is for never need that.
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

constexpr int32_t kHalfLanes = isa::kOutLanes / 2;
static_assert(isa::kOutLanes % 2 == 0, "lanes split into two halves");
static_assert(isa::kWeightWords % kTapsAtOnce == 0, "the last taps of a bank are a whole step");
static_assert(isa::kWeightWords >= isa::kMaxKernel * isa::kMaxKernel, "a bank holds one channel of the largest kernel");

typedef int8_t WeightBank[isa::kWeightWords][isa::kOutLanes];
typedef TapPixel Taps[kTapsAtOnce][2][kTilePixels];  // of one tile, or of two that run at once

struct ConvMemory {
  WeightBank weights[2];  // one is read while the other loads
  Window window[2];       // of the two tiles that a small group takes at once
  int32_t accumulator[isa::kOutLanes][kTilePixels];
};

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

// One step of all lanes: the taps' pixels by words `entry`… of the bank. The upper half of the lanes reads the pixels
// of the second tile, or those of the only one.
inline void MultiplyAccumulate(const Taps& taps, const WeightBank& bank, int32_t entry, int32_t tiles,
                               int32_t (&accumulator)[isa::kOutLanes][kTilePixels]) {
  #pragma HLS inline
MacHalves:
  for (int32_t half = 0; half < 2; ++half) {
    #pragma HLS unroll
    const int32_t tile = tiles == 2 ? half : 0;
    int32_t weight[kHalfLanes][kTapsAtOnce];
  MacWeights:
    for (int32_t i = 0; i < kHalfLanes * kTapsAtOnce; ++i) {
      #pragma HLS unroll
      weight[i / kTapsAtOnce][i % kTapsAtOnce] = bank[entry + i % kTapsAtOnce][half * kHalfLanes + i / kTapsAtOnce];
    }
  MacPixels:
    for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
      #pragma HLS unroll
    MacLanes:
      for (int32_t lane = 0; lane < kHalfLanes; ++lane) {
        #pragma HLS unroll
        int32_t sum = accumulator[half * kHalfLanes + lane][pixel];
      MacTaps:
        for (int32_t tap = 0; tap < kTapsAtOnce; ++tap) {
          #pragma HLS unroll
          sum += taps[tap][tile][pixel] * weight[lane][tap];
        }
        accumulator[half * kHalfLanes + lane][pixel] = sum;
      }
    }
  }
}

// Zero pixels for what is left of the last step.
inline void ClearTaps(int32_t first, Taps& taps) {
ClearTapSteps:
  for (int32_t tap = first; tap < kTapsAtOnce; ++tap) {
    #pragma HLS loop_tripcount max = kTapsAtOnce
  ClearTapPixels:
    for (int32_t i = 0; i < 2 * kTilePixels; ++i) {
      #pragma HLS unroll
      taps[tap][i / kTilePixels][i % kTilePixels] = 0;
    }
  }
}

// Accumulate a pass's input channels for one tile, or for two: channel → tap, one step a cycle.
inline void Accumulate(const TileMemory& memory, const Conv& conv, const Masks& masks, const Pass& pass, int32_t tile,
                       const WeightBank& bank, ConvMemory& scratch) {
  const int32_t first = pass.chunk * conv.chunk;
  const int32_t last = conv.active_in < first + conv.chunk ? conv.active_in : first + conv.chunk;
  // The second tile of an odd last pair repeats the first; it is not written.
  const int32_t second = tile + 1 < conv.output.tiles ? tile + 1 : tile;
  const int32_t row[2] = {tile / conv.output.columns * conv.stride, second / conv.output.columns * conv.stride};
  const int32_t column[2] = {tile % conv.output.columns * conv.stride, second % conv.output.columns * conv.stride};
  Taps taps;
  #pragma HLS array_partition variable = taps complete dim = 0
  int32_t entry = 0;
  int32_t filled = 0;
InputChannels:
  for (int32_t index = first; index < last; ++index) {
    #pragma HLS loop_tripcount max = isa::kWeightWords
    const int32_t channel = ActiveChannel(masks, conv.in_mask, index);
  Gather:
    for (int32_t half = 0; half < pass.tiles; ++half) {
      #pragma HLS loop_tripcount max = 2
      GatherWindow(memory, conv.input, channel, row[half], column[half], conv.window, conv.stride, conv.in_signed,
                   scratch.window[half]);
    }
  TapRows:
    for (int32_t y = 0; y < conv.kernel; ++y) {
      #pragma HLS loop_tripcount max = isa::kMaxKernel
    TapColumns:
      for (int32_t x = 0; x < conv.kernel; ++x) {
        #pragma HLS loop_tripcount max = isa::kMaxKernel
        #pragma HLS pipeline II = 1
      ReadTaps:
        for (int32_t half = 0; half < pass.tiles; ++half) {
          #pragma HLS loop_tripcount max = 2
          #pragma HLS unroll
          ReadTap(scratch.window[half], conv.window.origin + y, conv.window.origin + x, conv.stride,
                  taps[filled][half]);
        }
        if (++filled == kTapsAtOnce) {
          MultiplyAccumulate(taps, bank, entry, pass.tiles, scratch.accumulator);
          entry += kTapsAtOnce;
          filled = 0;
        }
      }
    }
  }
  if (filled > 0) {
    ClearTaps(filled, taps);
    MultiplyAccumulate(taps, bank, entry, pass.tiles, scratch.accumulator);
  }
}

// Requantise one finished tile of one output channel, add the identity, clamp and write.
inline void Finish(TileMemory& memory, const int32_t* tables, const Conv& conv, int32_t channel, int32_t tile,
                   const int32_t (&sum)[kTilePixels]) {
  const int32_t* row = tables + conv.table + isa::kTableRow * (1 + channel);
  const int64_t bias = row[0];
  const Scale scale = DecodeScale(row[1]);
  const Scale identity_scale = DecodeScale(tables[conv.table + 1]);
  const int32_t sign = conv.add_signed ? 0x80 : 0;
  // Without ADD the output's own word is read and not used, so that one loop does for both.
  const int32_t place = conv.add ? conv.identity.address : conv.output.address;
  const int32_t address = place + channel * conv.output.tiles + tile;
  uint8_t pixel[kTilePixels];
FinishPixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS pipeline II = 1
    #pragma HLS unroll factor = 8
    const int32_t byte = memory[address][i];
    const int64_t added = conv.add ? Requantize(byte - ((byte & sign) << 1), identity_scale) : 0;
    pixel[i] = uint8_t(Clamp8(Requantize(sum[i] + bias, scale) + added, conv.relu));
  }
  WriteTile(memory, conv.output, channel, tile / conv.output.columns, tile % conv.output.columns, pixel);
}

// Run a pass: its tiles, from cleared accumulators at the first chunk to written maps at the last.
inline void RunPass(TileMemory& memory, const int32_t* tables, const Conv& conv, const Masks& masks, const Pass& pass,
                    const WeightBank& bank, ConvMemory& scratch) {
  const int32_t last_tile = conv.chunks > 1 ? pass.first_tile + 1 : conv.output.tiles;
PassTiles:
  for (int32_t tile = pass.first_tile; tile < last_tile; tile += pass.tiles) {
    #pragma HLS loop_tripcount max = isa::kTileWords
    if (pass.chunk == 0) {
    ClearLanes:
      for (int32_t lane = 0; lane < isa::kOutLanes; ++lane) {
        #pragma HLS unroll
      ClearPixels:
        for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
          #pragma HLS unroll
          scratch.accumulator[lane][pixel] = 0;
        }
      }
    }
    Accumulate(memory, conv, masks, pass, tile, bank, scratch);
    if (pass.chunk == conv.chunks - 1) {
    FinishTiles:
      for (int32_t half = 0; half < pass.tiles; ++half) {
        #pragma HLS loop_tripcount max = 2
      FinishLanes:
        for (int32_t lane = 0; lane < pass.lanes; ++lane) {
          #pragma HLS loop_tripcount max = isa::kOutLanes
          if (tile + half < conv.output.tiles) {
            Finish(memory, tables, conv, ActiveChannel(masks, conv.out_mask, pass.first_out + lane), tile + half,
                   scratch.accumulator[half * kHalfLanes + lane]);
          }
        }
      }
    }
  }
}

inline void RunConv(const Instruction& instruction, const int8_t* weights, const int32_t* tables, const Masks& masks,
                    TileMemory& memory, ConvMemory& scratch) {
  const Conv conv = DecodeConv(instruction, masks);
  Pass pass = FirstPass(conv, 0);
  LoadWeights(weights, conv, masks, pass, scratch.weights[0]);
  int32_t bank = 0;
Passes:
  for (; pass.lanes > 0; bank ^= 1) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels * isa::kTileWords
    const Pass next = NextPass(conv, pass);
    LoadWeights(weights, conv, masks, next, scratch.weights[bank ^ 1]);  // beside RunPass: it writes the other bank
    RunPass(memory, tables, conv, masks, pass, scratch.weights[bank], scratch);
    pass = next;
  }
}

}  // namespace ddi
