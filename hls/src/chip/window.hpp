// Windows: the pixels of one input channel under the multipliers, and those of the next one while they are read.
//
// Role     8 × 8 pixels a read, as soon as the window before has been taken; the window moves under the multipliers, by
//          three columns or a row, back and forth, so that each multiplier reads from fixed places
// Rate     two reads a cycle, less those that the drain takes
// Storage  two windows of kWindow × kWindow bytes: registers
#pragma once
#include <cstdint>

#include "lanes.hpp"

namespace ddi {

struct WindowMemory {
  Window now, next;
};

struct GatherPlace {
  StepPlace step;
  Unsigned<kChannelBits> input;  // index in the list of active input channels, or of a pair of them
  Unsigned<2> down, across;
  bool whole;  // and not taken yet
};

// What a port reads for the next window.
struct BlockRead {
  bool wanted;
  Unsigned<2> down, across;  // where it goes in the window
  Corner corner;
};

// Pixels outside the map are zero. For the largest of signed pixels they are the smallest number, so that none wins.
inline uint8_t OutsidePixel(const Layer& layer) { return layer.takes_largest && layer.in_signed ? 0x80 : 0; }

// Where the input channel of the next window starts: of all reads of a cycle, for a window is taken before the next one
// is begun. Of a pair it is the first, and its channels are not listed.
inline int32_t WindowWord(const Layer& layer, const ConvPlan& plan, const Masks& masks, const GatherPlace& place) {
  #pragma HLS inline
  // Behind the last step, and where no input channel is active, a channel may lie anywhere.
  const bool there = place.step.group < plan.groups && layer.shape.inputs > 0;
  const int32_t first =
      layer.shape.paired ? 2 * place.input : SourceChannel(layer, masks, place.input, place.step.first_out);
  const int32_t channel = Unsigned<kIndexBits>(there ? first : 0);
  const int32_t offset = channel * layer.input.tiles;
  #pragma HLS bind_op variable = offset op = mul impl = fabric
  return layer.input.address + offset;
}

// The next read, if the port is free and a window is wanted; and on to the one behind it.
inline BlockRead NextRead(const Layer& layer, const ConvPlan& plan, int32_t window_word, bool free,
                          GatherPlace& place) {
  #pragma HLS inline
  const bool paired = layer.shape.paired;
  const bool second = paired && place.across == 1 && 2 * place.input + 1 < layer.shape.active_in;
  const bool wanted = free && place.step.group < plan.groups && !place.whole && layer.shape.inputs > 0;
  const Unsigned<kTileAddressBits> base(window_word + (second ? int32_t(layer.input.tiles) : 0));
  const int32_t row = StepRow(layer, place.step.row) + place.down * isa::kTile;
  const int32_t column = StepColumn(layer, place.step.column) + (paired ? 0 : place.across * isa::kTile);
  BlockRead read;
  read.down = place.down;
  read.across = place.across;
  read.corner = MakeCorner(layer.input, base, row, column, layer.padding);
  read.wanted = wanted;
  if (!read.wanted) return read;
  const int32_t blocks = WindowBlocks(layer.shape.kernel, layer.shape.stride);
  if (place.across != (paired ? 1 : blocks - 1)) {
    ++place.across;
    return read;
  }
  place.across = 0;
  if (place.down != blocks - 1) {
    ++place.down;
    return read;
  }
  place.down = 0;
  place.whole = true;
  if (place.input != layer.shape.inputs - 1) {
    ++place.input;
    return read;
  }
  place.input = 0;
  NextStep(layer, plan, place.step);
  return read;
}

inline void PlaceBlock(const Layer& layer, const BlockRead& read, const uint8_t (&bank)[kTilePixels],
                       WindowMemory& memory) {
  #pragma HLS inline
  Block block;
  #pragma HLS array_partition variable = block complete dim = 0
  TurnBlock(layer.input, read.corner, OutsidePixel(layer), bank, block);
PlacePixels:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    const int32_t y = i / isa::kWindow;
    const int32_t x = i % isa::kWindow;
    if (read.wanted && y / isa::kTile == read.down && x / isa::kTile == read.across) {
      memory.next[y][x] = block[y % isa::kTile][x % isa::kTile];
    }
  }
}

// What comes under the multipliers next.
struct WindowStep {
  bool moves, row_ends, backwards;  // on to the next taps
  bool loads;                       // the next channel's window
};

// Move the window on: along the row, back and forth, or a row down. Its columns turn in a ring, so that what leaves on
// one side is there when the next row goes back. Or put the next channel's under the multipliers. Each byte has one
// choice of four.
inline void MoveWindow(const WindowStep& step, WindowMemory& memory) {
  #pragma HLS inline
  if (!step.moves && !step.loads) return;
  Window old;
  #pragma HLS array_partition variable = old complete dim = 0
KeepWindow:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    old[i / isa::kWindow][i % isa::kWindow] = memory.now[i / isa::kWindow][i % isa::kWindow];
  }
ShiftWindow:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    const int32_t y = i / isa::kWindow;
    const int32_t x = i % isa::kWindow;
    const uint8_t below = old[(y + 1) % isa::kWindow][x];
    const uint8_t right = old[y][(x + isa::kRowTaps) % isa::kWindow];
    const uint8_t left = old[y][(x + isa::kWindow - isa::kRowTaps) % isa::kWindow];
    memory.now[y][x] = step.loads ? memory.next[y][x] : step.row_ends ? below : step.backwards ? left : right;
  }
}

}  // namespace ddi
