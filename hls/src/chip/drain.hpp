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
  int32_t pooled = first ? 0 : memory.pooled[place.result];
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
    pooled += y < layer.output.height && x < layer.output.width ? PixelValue(byte, !layer.relu) : 0;
  }
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
  const int32_t y = bank >> 3;
  const int32_t x = bank & 7;
  const bool mine = (place.step.row & 4) == (y & 4) && (place.step.column & 4) == (x & 4);
  const bool inside =
      (place.step.row & ~7) + y < layer.output.height && (place.step.column & ~7) + x < layer.output.width;
  const uint8_t pixel = memory.word[layer.shape.by_parts ? (y & 3) * isa::kPart + (x & 3) : bank];
  const bool takes = inside && (mine || !layer.shape.by_parts);
  const BankWrite write = {mine || !inside || !layer.shape.by_parts, takes ? pixel : uint8_t(0)};
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
