// Convolution: 64 pixels × 6 output channels, output-stationary.
//
// Role     CONV (docs/engine.md): kernels 1 … 7, stride 1 and 2, padding kernel / 2, both masks, the identity added
// Loops    group of six active output channels → tile → active input channel → tap; a group that fills at most half
//          of the lanes takes two tiles at once, the second in the upper half
// Rate     one tap of one input channel a cycle: 384 multiplications. The window of the next channel is gathered
//          while this one's taps run, the next pass's weights load beside the computation, and a finished tile is
//          requantised, 8 values a cycle, behind the next one's accumulation; cost.hpp counts that schedule
// Latency  kPipeline cycles from the first tap to the first requantised pixel
// Storage  two windows and 384 accumulators in registers; weights.hpp's two banks
//
// What is off costs nothing: lists of active channels drive every trip count.
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "requantize.hpp"
#include "tile_memory.hpp"
#include "weights.hpp"

namespace ddi {

typedef TapPixel Taps[kTapsAtOnce][2][kTilePixels];  // of one tile, or of two that run at once

struct ConvMemory {
  WeightBank weights[2];  // one is read while the other loads
  Window window[2];       // of the two tiles that a small group takes at once
  int32_t accumulator[isa::kOutLanes][kTilePixels];
};

// One step of all lanes: the taps' pixels by words `entry`… of the bank. The upper half of the lanes reads the pixels
// of the second tile, or those of the only one.
inline void MultiplyAccumulate(const Taps& taps, const WeightBank& bank, int32_t entry, int32_t tiles,
                               int32_t (&accumulator)[isa::kOutLanes][kTilePixels]) {
  #pragma HLS inline
MacHalves:
  for (int32_t half = 0; half < 2; ++half) {
    #pragma HLS unroll
    const int32_t tile = tiles == 2 ? half : 0;
    TapWeight weight[kHalfLanes][kTapsAtOnce];
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
    // These two touch different banks, so the fetch may run beside the computation.
    LoadWeights(weights, conv, masks, next, scratch.weights[bank ^ 1]);
    RunPass(memory, tables, conv, masks, pass, scratch.weights[bank], scratch);
    pass = next;
  }
}

}  // namespace ddi
