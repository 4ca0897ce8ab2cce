// Move: words of maps between tile memory and the DDR's map memory, for maps that do not fit on the chip.
//
// Role     MOVE (docs/engine.md): bands of a map in, bands out, or a copy on the chip; under a mask active channels
//          only
// Rate     a tile's row of 8 bytes a cycle, one burst for the words of a channel. Each way is a loop of its own, so
// that
//          none asks one memory for more than it has ports for: a bank of tile memory has two, a bus reads and writes
//          at once
// Latency  kDepthMoveIn, for all of them
// Storage  none
#pragma once
#include <cstdint>

#include "../masks.hpp"
#include "../tile_memory.hpp"

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
  uint32_t half[2];
  #pragma HLS array_partition variable = half complete
PackHalves:
  for (int8_t i = 0; i < 2; ++i) {
    #pragma HLS unroll
    const int32_t first = (row & 7) * isa::kTile;
    const uint32_t low = uint32_t(word[first + (4 * i + 1)]) << 8 | word[first + 4 * i];
    const uint32_t high = uint32_t(word[first + (4 * i + 3)]) << 8 | word[first + (4 * i + 2)];
    half[i] = high << 16 | low;
  }
  return int64_t(uint64_t(half[1]) << 32 | half[0]);
}

inline void UnpackRow(int64_t beat, int8_t row, uint8_t (&word)[kTilePixels]) {
  #pragma HLS inline
UnpackBytes:
  for (int8_t i = 0; i < isa::kTile; ++i) {
    #pragma HLS unroll
    word[(row & 7) * isa::kTile + i] = uint8_t(uint64_t(beat) >> (8 * i));
  }
}

// Where a MOVE stands: a tile's row of a word of a channel.
struct MovePlace {
  MoveEnd from, to;
  int32_t mask;
  int16_t words;  // of a channel
  int16_t index;  // of the next channel
  int16_t at;     // word of the channel
  int8_t row;
};

inline MovePlace MakeMovePlace(const int32_t* word, const Masks& masks) {
  MovePlace place = MovePlace();
  place.mask = word[isa::kMoveMask];
  place.words = int16_t(word[isa::kMoveWords]);
  const int32_t channel = ActiveChannel(masks, place.mask, 0);
  place.from = MakeMoveEnd(word[isa::kMoveInput], word[isa::kMoveInputPitch], channel);
  place.to = MakeMoveEnd(word[isa::kMoveOutput], word[isa::kMoveOutputPitch], channel);
  place.index = 1;
  return place;
}

// Where a word is now: in tile memory.
inline int32_t NearWord(const MovePlace& place, const MoveEnd& end) {
  #pragma HLS inline
  constexpr uint32_t kBits = (1u << kTileAddressBits) - 1;  // no more are added up
  return int32_t(((end.address & kBits) + (uint32_t(place.at) & kBits)) & kBits);
}

// The word of the DDR's port that holds the row.
inline int64_t FarBeat(const MovePlace& place, const MoveEnd& end) {
  #pragma HLS inline
  return (int64_t(end.address + uint32_t(place.at)) << 3) + (place.row & 7);
}

// On to the next row.
inline void NextBeat(const Masks& masks, MovePlace& place) {
  #pragma HLS inline
  if (place.at == 0) {
    const int32_t next = ActiveChannel(masks, place.mask, place.index & (isa::kMaxChannels - 1));
    AddBits(uint8_t(next >> (2 * (place.row & 7))), place.from);
    AddBits(uint8_t(next >> (2 * (place.row & 7))), place.to);
  }
  if (++place.row < isa::kTile) return;
  place.row = 0;
  if (++place.at < place.words) return;
  place.at = 0;
  ++place.index;
  NextChannel(place.from);
  NextChannel(place.to);
}

// What is read is never what was written, since the ranges are apart (check.hpp); a bus reads and writes at once.
inline void MoveFromDdr(int32_t beats, const Masks& masks, int64_t* map_memory, TileMemory& maps, MovePlace& place) {
MoveIn:
  for (int32_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels * isa::kTileWords
    #pragma HLS pipeline II = 1
    #pragma HLS dependence variable = map_memory type = inter direction = RAW dependent = false
    const int64_t row = map_memory[FarBeat(place, place.from)];
    if (place.to.far) {
      map_memory[FarBeat(place, place.to)] = row;
    } else {
      UnpackRow(row, place.row, maps[NearWord(place, place.to)]);
    }
    NextBeat(masks, place);
  }
}

inline void MoveFromTiles(int32_t beats, const Masks& masks, int64_t* map_memory, TileMemory& maps, MovePlace& place) {
MoveOut:
  for (int32_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels * isa::kTileWords
    #pragma HLS pipeline II = 1
    #pragma HLS dependence variable = maps type = inter direction = RAW dependent = false
    const int64_t row = PackRow(maps[NearWord(place, place.from)], place.row);
    if (place.to.far) {
      map_memory[FarBeat(place, place.to)] = row;
    } else {
      UnpackRow(row, place.row, maps[NearWord(place, place.to)]);
    }
    NextBeat(masks, place);
  }
}

inline void RunMove(const Instruction& instruction, const Masks& masks, int64_t* map_memory, TileMemory& maps) {
  const int32_t* word = instruction.word;
  MovePlace place = MakeMovePlace(word, masks);
  const int32_t active = ActiveCount(masks, place.mask, word[isa::kMoveChannels]);
  const int32_t beats = int32_t(Product(uint32_t(active), uint16_t(place.words))) * isa::kTile;
  if (place.from.far) {
    MoveFromDdr(beats, masks, map_memory, maps, place);
  } else {
    MoveFromTiles(beats, masks, map_memory, maps, place);
  }
}

}  // namespace ddi
