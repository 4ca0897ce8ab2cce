// Drain: the sums of the last step become bytes of a map, while the next step is computed.
//
// Role     bias, scale, identity, clamp, pool; then the word goes to tile memory
// Rate     kDrain pixels a cycle; a word's first ones read the identity's word, its last ones write it
// Storage  the word that is being made and the identity's: registers
#pragma once
#include <cstdint>

#include "array.hpp"

namespace ddi {

constexpr int32_t kDrainLines = isa::kDrain / isa::kPart;  // rows of a part that are drained at once
static_assert(isa::kDrain == isa::kTile, "a row of a tile is drained at once");

struct DrainMemory {
  uint8_t word[kTilePixels];
  uint8_t identity[kTilePixels];
  int32_t pooled[kMaxResults];
};

struct DrainPlace {
  bool busy;
  StepPlace step;
  int32_t result;  // channel of the group
  int32_t block;   // of kDrain pixels
};

inline int32_t DrainBlocks(const Layer& layer) {
  return (layer.shape.by_parts ? kPartPixels : kTilePixels) / isa::kDrain;
}

inline int32_t DrainChannel(const LaneMemory& lanes, const DrainPlace& place) {
  #pragma HLS inline
  return lanes.channel[place.step.group & (kRowBanks - 1)][place.result & (kMaxResults - 1)];
}

// The word of the output that the drained pixels belong to, counted from the map's first.
inline int32_t DrainWord(const Layer& layer, int32_t channel, const DrainPlace& place) {
  #pragma HLS inline
  const int32_t offset = channel * layer.output.tiles;
  #pragma HLS bind_op variable = offset op = mul impl = fabric
  return offset + (place.step.row >> 3) * layer.output.columns + (place.step.column >> 3);
}

inline bool ReadsIdentity(const Layer& layer, const DrainPlace& place) {
  return place.busy && layer.add && place.block == 0;
}

// Does the bank's pixel of the word that is drained lie in the map?
inline bool IsInside(const Layer& layer, const DrainPlace& place, int32_t bank) {
  #pragma HLS inline
  return (place.step.row & ~7) + (bank >> 3) < layer.output.height &&
         (place.step.column & ~7) + (bank & 7) < layer.output.width;
}

// And is it of the part that is drained?
inline bool HasPixel(const Layer& layer, const DrainPlace& place, int32_t bank) {
  #pragma HLS inline
  const bool mine = (place.step.row & 4) == ((bank >> 3) & 4) && (place.step.column & 4) == (bank & 4);
  return IsInside(layer, place, bank) && (mine || !layer.shape.by_parts);
}

inline void KeepIdentity(const uint8_t (&bank)[kTilePixels], DrainMemory& memory) {
  #pragma HLS inline
CopyIdentity:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    memory.identity[i] = bank[i];
  }
}

// Requantise some pixels of the step before; true with a word's last ones, when it is to be written.
inline bool Drain(const Layer& layer, int32_t channel, const LaneMemory& lanes, const ArrayMemory& array,
                  const DrainPlace& place, VectorMemory& vector, DrainMemory& memory) {
  #pragma HLS inline
  if (!place.busy) return false;
  const bool by_parts = layer.shape.by_parts;
  const int32_t bank = place.step.group & (kRowBanks - 1);
  const Finish finish = MakeFinish(layer, lanes.bias[bank][place.result], lanes.scale[bank][place.result]);
  const bool first = place.step.row == 0 && place.step.column == 0 && place.block == 0;
  int32_t row[isa::kDrain];  // what the pool adds up
DrainPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    const int32_t within = place.block * isa::kDrain + i;
    const int32_t part = (place.result >> 1) * kPartPixels;
    const int32_t plain = NarrowSum(array.result[place.result & 1][by_parts ? part + (within & 15) : within]);
    const int32_t sum = layer.has_fraction ? NarrowSum(plain * (1 << isa::kFractionBits)) : plain;
    // A block is a row of a tile, or two rows of a part.
    const int32_t down = by_parts ? (place.step.row & 4) + place.block * kDrainLines + i / isa::kPart : place.block;
    const int32_t across = by_parts ? (place.step.column & 4) + i % isa::kPart : i;
    const int32_t at = (down & 7) * isa::kTile + across;
    const uint8_t byte = FinishPixel(layer, finish, sum, memory.identity[at]);
    memory.word[within] = byte;
    const int32_t y = (place.step.row & ~7) + (down & 7);
    const int32_t x = (place.step.column & ~7) + across;
    row[i] = y < layer.output.height && x < layer.output.width ? PixelValue(byte, !layer.relu) : 0;
  }
  // The row is added up first, so that one sum is carried from row to row.
  const int32_t added = ((row[0] + row[1]) + (row[2] + row[3])) + ((row[4] + row[5]) + (row[6] + row[7]));
  const int32_t pooled = (first ? 0 : memory.pooled[place.result]) + added;
  memory.pooled[place.result] = pooled;
  if (place.block + 1 < DrainBlocks(layer)) return false;
  const int32_t side = by_parts ? isa::kPart : isa::kTile;
  const bool last = place.step.row + side >= layer.output.height && place.step.column + side >= layer.output.width;
  if (last) StorePool(layer, channel, pooled, vector);
  return layer.writes;
}

// What a bank takes of a word: its pixel; zero outside the map; nothing if its pixel belongs to another part.
struct BankWrite {
  bool writes;
  uint8_t pixel;
};

inline BankWrite WriteOfBank(const Layer& layer, const DrainPlace& place, int32_t bank, const DrainMemory& memory) {
  #pragma HLS inline
  const int32_t within = layer.shape.by_parts ? ((bank >> 3) & 3) * isa::kPart + (bank & 3) : bank;
  const bool takes = HasPixel(layer, place, bank);
  const BankWrite write = {takes || !IsInside(layer, place, bank), takes ? memory.word[within] : uint8_t(0)};
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
