// Move: words of maps between tile memory and the DDR's map memory, for maps that do not fit on the chip.
//
// Role     MOVE (docs/engine.md): bands of a map in, bands out, or a copy on the chip; under a mask active channels
//          only
// Rate     a tile's row of 8 bytes a cycle, one burst for the words of a channel
// Latency  kDepthMoveBeats
// Storage  none
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "tile_memory.hpp"

namespace ddi {

static_assert(isa::kPortBytes == isa::kTile, "a beat is a tile's row");

static_assert(isa::kMaxChannels <= 1 << (2 * isa::kTile), "a word's beats count two bits of a channel each");

// A place in tile memory, or in the DDR. The next channel's address needs channel · pitch. It is added up while the
// first word of a channel moves, two bits of the channel's number a beat, so that no multiplier is needed.
struct MoveEnd {
  bool far;
  uint32_t first;  // of channel 0
  uint32_t pitch;
  uint32_t address;  // of the channel that moves
  uint32_t next;     // of the one behind it
  uint32_t step;     // pitch · 4^beat
};

inline MoveEnd MakeMoveEnd(int32_t address, int32_t pitch, int32_t channel) {
  MoveEnd end;
  end.far = (address & isa::kDdrAddress) != 0;
  end.first = uint32_t(address & ~isa::kDdrAddress);
  end.pitch = uint32_t(pitch);
  end.address = end.first + uint32_t(Product(end.pitch, uint16_t(channel)));
  end.next = end.first;
  end.step = end.pitch;
  return end;
}

// Add two bits of the next channel's number.
inline void AddBits(uint8_t bits, MoveEnd& end) {
  #pragma HLS inline
  end.next += ((bits & 1) != 0 ? end.step : 0) + ((bits & 2) != 0 ? end.step << 1 : 0);
  end.step <<= 2;
}

inline void NextChannel(MoveEnd& end) {
  #pragma HLS inline
  end.address = end.next;
  end.next = end.first;
  end.step = end.pitch;
}

inline int64_t PackRow(const uint8_t (&word)[kTilePixels], int8_t row) {
  #pragma HLS inline
  uint64_t beat = 0;
PackBytes:
  for (int8_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    beat |= uint64_t(word[(row & 7) * isa::kTile + i]) << (8 * i);
  }
  return int64_t(beat);
}

inline void UnpackRow(int64_t beat, int8_t row, uint8_t (&word)[kTilePixels]) {
  #pragma HLS inline
UnpackBytes:
  for (int8_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    word[(row & 7) * isa::kTile + i] = uint8_t(uint64_t(beat) >> (8 * i));
  }
}

inline void RunMove(const Instruction& instruction, const Masks& masks, int64_t* map_memory, TileMemory& maps) {
  const int32_t* word = instruction.word;
  const int32_t mask = word[isa::kMoveMask];
  const int16_t words = int16_t(word[isa::kMoveWords]);
  const int32_t active = ActiveCount(masks, mask, word[isa::kMoveChannels]);
  const int32_t channel = ActiveChannel(masks, mask, 0);
  MoveEnd from = MakeMoveEnd(word[isa::kMoveInput], word[isa::kMoveInputPitch], channel);
  MoveEnd to = MakeMoveEnd(word[isa::kMoveOutput], word[isa::kMoveOutputPitch], channel);
  const int32_t cycles = int32_t(Product(uint32_t(active), uint16_t(words))) * isa::kTile;
  int16_t index = 1;  // of the next channel
  int16_t at = 0;     // word of the channel
  int8_t row = 0;
MoveBeats:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels * isa::kTileWords
    #pragma HLS pipeline II = 1
    const uint32_t source = from.address + uint32_t(at);
    const uint32_t target = to.address + uint32_t(at);
    const int64_t beat = from.far ? map_memory[(int64_t(source) << 3) + row] : PackRow(maps[source], row);
    if (to.far) {
      map_memory[(int64_t(target) << 3) + row] = beat;
    } else {
      UnpackRow(beat, row, maps[target]);
    }
    if (at == 0) {
      const int32_t next = ActiveChannel(masks, mask, index & (isa::kMaxChannels - 1));
      AddBits(uint8_t(next >> (2 * (row & 7))), from);
      AddBits(uint8_t(next >> (2 * (row & 7))), to);
    }
    if (++row == isa::kTile) {
      row = 0;
      if (++at == words) {
        at = 0;
        ++index;
        NextChannel(from);
        NextChannel(to);
      }
    }
  }
}

}  // namespace ddi
