// Drain: the sums of the last step become bytes of a map, while the next step is computed.
//
// Role     bias, scale, identity, clamp, pool; then the word goes to tile memory
// Rate     kDrain pixels a cycle; a word's first ones read the identity's word, its last ones write it
// Storage  the word that is being made and the identity's: registers
#pragma once
#include <cstdint>

#include "array.hpp"

namespace ddi {

constexpr int32_t kDrainLines = isa::kDrain / isa::kPart;   // rows of a part that are drained at once
constexpr int32_t kDrainAcross = isa::kTile / isa::kDrain;  // blocks of pixels that are a row of a tile
static_assert(isa::kDrain == isa::kTile || isa::kDrain == isa::kPart, "a row of a tile, or of a part");
constexpr int32_t kDrains = kTilePixels / isa::kDrain;  // of a tile

// Some pixels on their way to the word that they are part of. They are made in several stages, but a port that writes
// in the same stage as it reads can do either each cycle; so they are kept until they must be there, and written then.
struct LateRow {
  bool full, last;                  // of its word
  Unsigned<kSideBits> row, column;  // of the step
  Unsigned<BitsOf(kDrains - 1)> block;
  Unsigned<kTileAddressBits> word;  // of the output
  uint8_t pixel[isa::kDrain];
};

// All of them, the first the youngest.
struct LateRows {
  bool full[isa::kWriteDelay];
  bool last[isa::kWriteDelay];
  Unsigned<kSideBits> row[isa::kWriteDelay];
  Unsigned<kSideBits> column[isa::kWriteDelay];
  Unsigned<BitsOf(kDrains - 1)> block[isa::kWriteDelay];
  Unsigned<kTileAddressBits> word[isa::kWriteDelay];
  uint8_t pixel[isa::kWriteDelay][isa::kDrain];
};

constexpr int32_t kRowSumBits = 12;
static_assert(isa::kDrain * 256 <= 1 << (kRowSumBits - 1), "a row's pixels added up");

// A row's pixels added up, which the pool takes a cycle later: so one sum alone is carried from row to row.
struct RowSum {
  bool full, first, last;  // of a channel
  Unsigned<kResultBits> result;
  Unsigned<kIndexBits> channel;
  Signed<kRowSumBits> sum;
};

struct DrainMemory {
  uint8_t word[kTilePixels];
  LateRows late;
  uint8_t identity[kTilePixels];
  RowSum row;
  int32_t pooled[kMaxResults];
};

struct DrainPlace {
  bool busy;
  StepPlace step;
  Unsigned<kResultBits> result;     // channel of the group
  Unsigned<BitsOf(kDrains)> block;  // of kDrain pixels
};

inline int32_t DrainBlocks(const Layer& layer) {
  return (layer.shape.by_parts ? kPartPixels : kTilePixels) / isa::kDrain;
}

inline Unsigned<kIndexBits> DrainChannel(const LaneMemory& lanes, const DrainPlace& place) {
  #pragma HLS inline
  return lanes.channel[place.step.group & (kRowBanks - 1)][place.result & (kMaxResults - 1)];
}

// The word of the output that the drained pixels belong to, counted from the map's first.
inline int32_t DrainWord(const Layer& layer, Unsigned<kIndexBits> channel, const DrainPlace& place) {
  #pragma HLS inline
  const int32_t offset = channel * layer.output.tiles;
  #pragma HLS bind_op variable = offset op = mul impl = fabric
  return offset + (place.step.row >> 3) * layer.output.columns + (place.step.column >> 3);
}

inline bool ReadsIdentity(const Layer& layer, const DrainPlace& place) {
  return place.busy && layer.add && place.block == 0;
}

// Of the word of a step at (row, column): what lies in the map.
inline Presence PresenceOf(const Layer& layer, int32_t row, int32_t column) {
  #pragma HLS inline
  return FindPresence(layer.output, row & ~7, column & ~7);
}

// Does the bank's pixel of that word lie in the map, and is it of the step's part?
inline bool HasPixel(const Layer& layer, const Presence& there, int32_t row, int32_t column, int32_t bank) {
  #pragma HLS inline
  const bool mine = (row & 4) == ((bank >> 3) & 4) && (column & 4) == (bank & 4);
  return there.row[bank >> 3] && there.column[bank & 7] && (mine || !layer.shape.by_parts);
}

inline void KeepIdentity(const uint8_t (&bank)[kTilePixels], DrainMemory& memory) {
  #pragma HLS inline
CopyIdentity:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    memory.identity[i] = bank[i];
  }
}

// The youngest row.
inline void PutLate(const LateRow& late, LateRows& memory) {
  #pragma HLS inline
  memory.full[0] = late.full;
  memory.last[0] = late.last;
  memory.row[0] = late.row;
  memory.column[0] = late.column;
  memory.block[0] = late.block;
  memory.word[0] = late.word;
PutPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    memory.pixel[0][i] = late.pixel[i];
  }
}

// The row that is due; all others go a place on.
inline LateRow TakeLate(LateRows& memory) {
  #pragma HLS inline
  LateRow due;
  #pragma HLS array_partition variable = due.pixel complete
  const int32_t oldest = isa::kWriteDelay - 1;
  due.full = memory.full[oldest];
  due.last = memory.last[oldest];
  due.row = memory.row[oldest];
  due.column = memory.column[oldest];
  due.block = memory.block[oldest];
  due.word = memory.word[oldest];
TakePixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    due.pixel[i] = memory.pixel[oldest][i];
  }
ShiftLate:
  for (int32_t i = oldest; i > 0; --i) {
    #pragma HLS unroll
    memory.full[i] = memory.full[i - 1];
    memory.last[i] = memory.last[i - 1];
    memory.row[i] = memory.row[i - 1];
    memory.column[i] = memory.column[i - 1];
    memory.block[i] = memory.block[i - 1];
    memory.word[i] = memory.word[i - 1];
  ShiftPixels:
    for (int32_t j = 0; j < isa::kDrain; ++j) {
      #pragma HLS unroll
      memory.pixel[i][j] = memory.pixel[i - 1][j];
    }
  }
  memory.full[0] = false;
  memory.last[0] = false;
  return due;
}

// Its pixels go to their places in the word; those of a part to all four parts, of which one is written.
inline void PlaceLate(const Layer& layer, const LateRow& due, DrainMemory& memory) {
  #pragma HLS inline
  const bool by_parts = layer.shape.by_parts;
  uint8_t line[kDrainLines][isa::kTile];  // of a word: the lines that a part has of the row, or the row itself
  #pragma HLS array_partition variable = line complete dim = 0
PlaceLines:
  for (int32_t i = 0; i < kDrainLines * isa::kTile; ++i) {
    #pragma HLS unroll
    const int32_t x = i % isa::kTile;
    const int32_t of_part = i / isa::kTile * isa::kPart + x % isa::kPart;
    line[i / isa::kTile][x] = by_parts ? due.pixel[of_part] : due.pixel[x % isa::kDrain];
  }
PlaceLatePixels:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t y = i / isa::kTile;
    const int32_t block = by_parts ? y % isa::kPart / kDrainLines : i / isa::kDrain;
    if (due.full && due.block == block) memory.word[i] = line[y % kDrainLines][i % isa::kTile];
  }
}

// The last row's sum into the pool of its channel.
inline void AddRow(const Layer& layer, VectorMemory& vector, DrainMemory& memory) {
  #pragma HLS inline
  const RowSum row = memory.row;
  memory.row.full = false;
  if (!row.full) return;
  const int32_t pooled = NarrowPool((row.first ? 0 : memory.pooled[row.result & (kMaxResults - 1)]) + row.sum);
  memory.pooled[row.result & (kMaxResults - 1)] = pooled;
  if (row.last) StorePool(layer, row.channel, pooled, vector);
}

// Requantise some pixels of the step before.
inline void Drain(const Layer& layer, int32_t channel, int32_t word, const LaneMemory& lanes, const ArrayMemory& array,
                  const DrainPlace& place, DrainMemory& memory) {
  #pragma HLS inline
  if (!place.busy) return;
  const bool by_parts = layer.shape.by_parts;
  const int32_t block = place.block & (kDrains - 1);
  const int32_t result = place.result & (kMaxResults - 1);
  const int32_t bank = place.step.group & (kRowBanks - 1);
  const Finish finish = MakeFinish(layer, lanes.bias[bank][result], lanes.scale[bank][result]);
  Signed<9> row[isa::kDrain];  // what the pool adds up
  LateRow late;
  #pragma HLS array_partition variable = late.pixel complete
DrainPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    const int32_t within = block * isa::kDrain + i;
    const int32_t part = (result >> 1) * kPartPixels;
    const int32_t plain = NarrowSum(array.result[result & 1][by_parts ? part + (within & 15) : within]);
    const int32_t sum = layer.has_fraction ? NarrowSum(plain * (1 << isa::kFractionBits)) : plain;
    // A block is a row of a tile or half of one, or two rows of a part or one.
    const int32_t of_tile = kDrainAcross == 2 ? block >> 1 : block;
    const int32_t half = kDrainAcross == 2 ? (block & 1) * isa::kPart : 0;
    const int32_t down = by_parts ? (place.step.row & 4) + block * kDrainLines + i / isa::kPart : of_tile;
    const int32_t across = by_parts ? (place.step.column & 4) + i % isa::kPart : half + i;
    const int32_t at = (down & 7) * isa::kTile + across;
    const uint8_t byte = FinishPixel(layer, finish, sum, memory.identity[at]);
    late.pixel[i] = byte;
    const int32_t y = (place.step.row & ~7) + (down & 7);
    const int32_t x = (place.step.column & ~7) + across;
    row[i] = y < layer.output.height && x < layer.output.width ? PixelValue(byte, !layer.relu) : int16_t(0);
  }
  const int32_t side = by_parts ? isa::kPart : isa::kTile;
  const bool whole = place.block + 1 == DrainBlocks(layer);
  late.full = true;
  late.last = whole && layer.writes;
  late.row = place.step.row;
  late.column = place.step.column;
  late.block = block;
  late.word = word;
  PutLate(late, memory.late);
  memory.row.full = true;
  memory.row.first = place.step.row == 0 && place.step.column == 0 && block == 0;
  memory.row.last =
      whole && place.step.row + side >= layer.output.height && place.step.column + side >= layer.output.width;
  memory.row.result = result;
  memory.row.channel = channel;
  constexpr int32_t kLast = isa::kDrain - isa::kPart;
  const int32_t first = (row[0] + row[1]) + (row[2] + row[3]);
  memory.row.sum = kLast == 0 ? first : first + ((row[kLast] + row[kLast + 1]) + (row[kLast + 2] + row[kLast + 3]));
}

// What a bank takes of a word: its pixel; zero outside the map; nothing if its pixel belongs to another part.
struct BankWrite {
  bool writes;
  uint8_t pixel;
};

inline BankWrite WriteOfBank(const Layer& layer, const Presence& there, const LateRow& late, int32_t bank,
                             const DrainMemory& memory) {
  #pragma HLS inline
  const bool takes = HasPixel(layer, there, late.row, late.column, bank);
  const BankWrite write = {takes || !(there.row[bank >> 3] && there.column[bank & 7]),
                           takes ? memory.word[bank] : uint8_t(0)};
  return write;
}

// On to the next pixels.
inline void NextBlock(const Layer& layer, const ConvPlan& plan, DrainPlace& place) {
  #pragma HLS inline
  if (!place.busy || ++place.block < DrainBlocks(layer)) return;
  place.block = 0;
  if (++place.result < GroupChannels(plan, place.step)) return;
  place.busy = false;
}

}  // namespace ddi
