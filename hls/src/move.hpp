// Move: words of maps between tile memory and the DDR's map memory, for maps that do not fit on the chip.
//
// Role     MOVE (docs/engine.md): bands of a map in, bands out, or a copy on the chip; under a mask active channels
// only Rate     a tile's row of 8 bytes a cycle, one burst for the words of a channel Latency  kDepthMoveBeats Storage
// none
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "tile_memory.hpp"

namespace ddi {

static_assert(isa::kPortBytes == isa::kTile, "a beat is a tile's row");

// A place in tile memory, or in the DDR.
struct MoveEnd {
  bool far;
  int32_t address;
  int32_t pitch;
};

inline MoveEnd MakeMoveEnd(int32_t address, int32_t pitch) {
  MoveEnd end;
  end.far = (address & isa::kDdrAddress) != 0;
  end.address = address & ~isa::kDdrAddress;
  end.pitch = pitch;
  return end;
}

inline int64_t PackRow(const uint8_t (&word)[kTilePixels], int32_t row) {
  #pragma HLS inline
  uint64_t beat = 0;
PackBytes:
  for (int32_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    beat |= uint64_t(word[row * isa::kTile + i]) << (8 * i);
  }
  return int64_t(beat);
}

inline void UnpackRow(int64_t beat, int32_t row, uint8_t (&word)[kTilePixels]) {
  #pragma HLS inline
UnpackBytes:
  for (int32_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    word[row * isa::kTile + i] = uint8_t(uint64_t(beat) >> (8 * i));
  }
}

inline void RunMove(const Instruction& instruction, const Masks& masks, int64_t* map_memory, TileMemory& maps) {
  const int32_t* word = instruction.word;
  const int32_t mask = word[isa::kMoveMask];
  const int32_t words = word[isa::kMoveWords];
  const MoveEnd from = MakeMoveEnd(word[isa::kMoveInput], word[isa::kMoveInputPitch]);
  const MoveEnd to = MakeMoveEnd(word[isa::kMoveOutput], word[isa::kMoveOutputPitch]);
  const int64_t cycles = int64_t(ActiveCount(masks, mask, word[isa::kMoveChannels])) * words * isa::kTile;
  int32_t index = 0;
  int32_t at = 0;  // word of the channel
  int32_t row = 0;
MoveBeats:
  for (int64_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels * isa::kTileWords
    #pragma HLS pipeline II = 1
    const int32_t channel = ActiveChannel(masks, mask, index);
    const int64_t source = from.address + int64_t(channel) * from.pitch + at;
    const int64_t target = to.address + int64_t(channel) * to.pitch + at;
    const int64_t beat = from.far ? map_memory[source * isa::kTile + row] : PackRow(maps[source], row);
    if (to.far) {
      map_memory[target * isa::kTile + row] = beat;
    } else {
      UnpackRow(beat, row, maps[target]);
    }
    if (++row == isa::kTile) {
      row = 0;
      if (++at == words) {
        at = 0;
        ++index;
      }
    }
  }
}

}  // namespace ddi
