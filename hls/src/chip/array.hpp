// Array: 192 multipliers of two products each, under a window that moves.
//
// Role     kRowTaps taps of one input channel a cycle, or, of a 1 × 1 kernel, two input channels: for every pixel of a
//          tile and two output channels, or for every pixel of a part of a tile and eight. AFFINE, GLOBAL_POOL and
//          average POOL multiply by one; a largest POOL compares the pixels of a part
// Rate     384 multiplications a cycle
// Storage  2 × 64 sums: registers
#pragma once
#include <cstdint>

#include "window.hpp"

namespace ddi {

typedef int32_t Sums[isa::kOutLanes][kTilePixels];

struct ArrayMemory {
  Sums sum;
  Sums result;  // of the step that is drained
};

struct MultiplyPlace {
  StepPlace step;
  Unsigned<kChannelBits> input;    // index in the list of active input channels, or of a pair of them
  Unsigned<kLaneByteBits> filter;  // byte of a row of weights where the channel's start
  Unsigned<kBeatBits> beat;        // of the channel
  Unsigned<kBeatBits> row;         // of the first of the taps, or behind the kernel
  Unsigned<kKernelBits> column;
  Unsigned<kLaneByteBits> row_end;  // behind the weights of the kernel's row
  bool loaded;                      // this channel's window stands under the multipliers
  uint32_t busy;                    // cycles with products
};

// A sum of at most kLaneBytes products of 16 bits, in as few bits as hold it, since there are 128 such registers.
inline int32_t NarrowSum(int32_t value) {
  #pragma HLS inline
  return Narrow(value, 28);
}

static_assert(int64_t(isa::kLaneBytes) * kMaxWeight * kMaxPackedPixel < (1 << 27), "a sum fits 28 bits");

// The bytes under the taps of a part's pixels.
typedef uint8_t PartBytes[kPartPixels][isa::kRowTaps];

// At stride 1 the window is a tile's, of which `step` says the part.
inline void FindPart(const Layer& layer, const StepPlace& step, const Window& window, PartBytes& part) {
  #pragma HLS inline
PartPixels:
  for (int32_t pixel = 0; pixel < kPartPixels; ++pixel) {
    #pragma HLS unroll
    const int32_t y = pixel / isa::kPart;
    const int32_t x = pixel % isa::kPart;
  PartTaps:
    for (int32_t tap = 0; tap < isa::kRowTaps; ++tap) {
      #pragma HLS unroll
      const uint8_t near = window[(step.row & 4) + y][(step.column & 4) + x + tap];
      part[pixel][tap] = layer.shape.stride == 2 ? window[2 * y][2 * x + tap] : near;
    }
  }
}

// The byte under a multiplier's tap, `whole` where a whole tile is computed, as a number.
inline int16_t WindowPixel(const Layer& layer, uint8_t part, uint8_t whole) {
  #pragma HLS inline
  return PixelValue(layer.shape.by_parts ? part : whole, layer.in_signed);
}

// The pixels under a multiplier's taps. The second tap of a pair is the same pixel of its second channel.
inline void WindowPixels(const Layer& layer, const PartBytes& part, const Window& window, int32_t pixel,
                         int16_t (&value)[isa::kRowTaps]) {
  #pragma HLS inline
  const int32_t of_part = pixel % kPartPixels;
  const int32_t y = pixel >> 3;
  const int32_t x = pixel & 7;
  const uint8_t second = kPairs && layer.shape.paired ? window[y][x + kPairColumn] : window[y][x + 1];
PixelTaps:
  for (int32_t tap = 0; tap < isa::kRowTaps; ++tap) {
    #pragma HLS unroll
    value[tap] = WindowPixel(layer, part[of_part][tap], tap == 1 ? second : window[y][x + tap]);
  }
}

// The weights of a row of output channels for the taps at `place`, or ones for the first row and else zeros.
inline RowWeights TapWeights(const Layer& layer, const MultiplyPlace& place, bool has_source, int32_t lane,
                             const LaneMemory& lanes) {
  #pragma HLS inline
  const int32_t valid =
      layer.shape.paired ? Smaller(layer.shape.active_in - place.filter, 2) : layer.shape.kernel - place.column;
  const int32_t at = layer.shape.paired ? place.filter : place.row_end - layer.shape.kernel + place.column;
  RowWeights weights = ReadWeightsOf(lanes, place.step.group & 1, lane, at, valid);
OnesTaps:
  for (int32_t tap = 0; tap < isa::kRowTaps; ++tap) {
    #pragma HLS unroll
    const int8_t one = lane == 0 && tap < valid && has_source ? 1 : 0;
    weights.tap[tap] = layer.mode == kOutputs ? weights.tap[tap] : one;
  }
  return weights;
}

// The taps of one cycle into every sum.
inline void TakeTaps(const Layer& layer, const MultiplyPlace& place, bool has_source, const LaneMemory& lanes,
                     const PartBytes& part, const Window& window, ArrayMemory& memory) {
  #pragma HLS inline
  RowWeights weights[kMaxResults];
LaneWeights:
  for (int32_t lane = 0; lane < kMaxResults; ++lane) {
    #pragma HLS unroll
    weights[lane] = TapWeights(layer, place, has_source, lane, lanes);
  }
  RowWeights part_weights[isa::kFold][isa::kOutLanes];
PartWeights:
  for (int32_t i = 0; i < kMaxResults; ++i) {
    #pragma HLS unroll
    part_weights[i >> 1][i & 1] = layer.shape.by_parts ? weights[i] : weights[i & 1];
  }
TakePixels:
  for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
    #pragma HLS unroll
    int16_t value[isa::kRowTaps];
    WindowPixels(layer, part, window, pixel, value);
    const PackedSum sum =
        MultiplyTaps(part_weights[pixel / kPartPixels][1].tap, part_weights[pixel / kPartPixels][0].tap, value);
    memory.sum[0][pixel] = NarrowSum(memory.sum[0][pixel] + sum.low);
    memory.sum[1][pixel] = NarrowSum(memory.sum[1][pixel] + sum.high + sum.carry);
  }
}

// The pixel of a part under a tap, or one that no other is less than where the tap lies behind the kernel.
inline int32_t PartPixel(const Layer& layer, const MultiplyPlace& place, const PartBytes& part, int32_t pixel,
                         int32_t tap) {
  #pragma HLS inline
  const bool within = place.column + tap < layer.shape.kernel;
  return within ? PixelValue(part[pixel][tap], layer.in_signed) : kMinPackedPixel;
}

// The largest pixel of the taps of one cycle, and of those before, for each pixel of a part. The taps are compared with
// one another first, so that one comparison is carried from cycle to cycle.
inline void TakeLargest(const Layer& layer, const MultiplyPlace& place, const PartBytes& part, ArrayMemory& memory) {
  #pragma HLS inline
LargestPixels:
  for (int32_t pixel = 0; pixel < kPartPixels; ++pixel) {
    #pragma HLS unroll
    Signed<9> largest = Signed<9>(PartPixel(layer, place, part, pixel, 0));
  LargestTaps:
    for (int32_t tap = 1; tap < isa::kRowTaps; ++tap) {
      #pragma HLS unroll
      largest = Larger(largest, PartPixel(layer, place, part, pixel, tap));
    }
    const int32_t before = place.beat == 0 ? kMinPackedPixel : NarrowPixel(memory.sum[0][pixel]);
    memory.sum[0][pixel] = Larger(before, largest);
  }
}

// The taps of one cycle: largest or added up, never one behind the other.
inline void TakeBeat(const Layer& layer, const MultiplyPlace& place, bool has_source, const LaneMemory& lanes,
                     const Window& window, ArrayMemory& memory) {
  #pragma HLS inline
  PartBytes part;
  #pragma HLS array_partition variable = part complete dim = 0
  FindPart(layer, place.step, window, part);
  if (layer.takes_largest) {
    TakeLargest(layer, place, part, memory);
  } else {
    TakeTaps(layer, place, has_source, lanes, part, window, memory);
  }
}

// Hand a finished step's sums to the drain, and clear the sums.
inline void HandOver(ArrayMemory& memory) {
  #pragma HLS inline
HandOverSums:
  for (int32_t i = 0; i < isa::kOutLanes * kTilePixels; ++i) {
    #pragma HLS unroll
    memory.result[i / kTilePixels][i % kTilePixels] = memory.sum[i / kTilePixels][i % kTilePixels];
    memory.sum[i / kTilePixels][i % kTilePixels] = 0;
  }
}

// On to the next taps; true behind a channel's last ones.
inline bool NextTaps(const Layer& layer, const ConvPlan& plan, MultiplyPlace& place, WindowStep& step) {
  #pragma HLS inline
  step.moves = true;
  step.backwards = (place.row & 1) != 0;
  step.row_ends = step.backwards ? place.column == 0 : place.column + isa::kRowTaps >= layer.shape.kernel;
  if (step.row_ends) {
    ++place.row;
    place.row_end += layer.shape.kernel;
  } else {
    place.column += step.backwards ? -isa::kRowTaps : isa::kRowTaps;
  }
  return ++place.beat == plan.beat;
}

// Bytes of a channel's first row of weights, or of a pair's two.
inline int32_t FirstRowEnd(const Layer& layer) {
  #pragma HLS inline
  return layer.shape.paired ? 2 : int32_t(layer.shape.kernel);
}

// Are the weights there that the taps at `place` take?
inline bool HasWeights(const Layer& layer, const FetchPlace& fetch, const MultiplyPlace& place) {
  return layer.mode != kOutputs || fetch.step.group > place.step.group ||
         (fetch.step.group == place.step.group && fetch.ready >= place.row_end);
}

// One cycle of the multipliers; true when a step's sums are whole and the drain is `free` for them. `gathered`: the
// next window is whole, and not taken yet.
inline bool Multiply(const Layer& layer, const ConvPlan& plan, const FetchPlace& fetch, bool free,
                     const LaneMemory& lanes, MultiplyPlace& place, bool& gathered, WindowMemory& window,
                     ArrayMemory& memory) {
  #pragma HLS inline
  if (place.step.group == plan.groups) return false;
  if (place.input < layer.shape.inputs) {
    const bool taken = place.beat >= plan.taps;
    if (place.loaded && !taken && !HasWeights(layer, fetch, place)) return false;
    WindowStep step = WindowStep();
    if (place.loaded) {
      const bool has_source = HasSource(layer, place.step.first_out);
      if (!taken) {
        TakeBeat(layer, place, has_source, lanes, window.now, memory);
        ++place.busy;
      }
      if (NextTaps(layer, plan, place, step)) {
        place.beat = 0;
        place.row = 0;
        place.column = 0;
        place.filter += layer.shape.paired ? 2 : layer.shape.filter_bytes;
        place.row_end = place.filter + FirstRowEnd(layer);
        ++place.input;
        place.loaded = false;
      }
    }
    // The next window, if it is there, stands ready with the next cycle.
    step.loads = !place.loaded && gathered;
    if (step.loads) {
      place.loaded = true;
      gathered = false;
    }
    MoveWindow(step, window);
  }
  if (place.input < layer.shape.inputs || !free) return false;
  HandOver(memory);
  place.input = 0;
  place.filter = 0;
  place.row_end = FirstRowEnd(layer);
  return true;
}

}  // namespace ddi
