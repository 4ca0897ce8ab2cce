// What the harness keeps of both sides: bits of the RTL's structures, what an iteration of the C++ left, what is given
// and reported. Included by harness.cpp alone; layout.hpp is generated (bitstreams/lockstep/layout.py).
#pragma once
#define DDI_CHIP
#include <cstdint>
#include <cstring>

#include "Vmaps.h"
#include "chip/layer.hpp"
#include "verilated.h"

namespace lockstep {

using namespace ddi;

// Bits of words, filled from the lowest.
struct Bits {
  uint32_t* word;
  int32_t at = 0;

  void Put(int64_t value, int32_t bits) {
    for (int32_t i = 0; i < bits; ++i, ++at) word[at / 32] |= uint32_t(value >> i & 1) << (at % 32);
  }
};

struct Field {
  const char* name;
  int32_t bits;
};

inline int64_t Take(const uint32_t* word, int32_t at, int32_t bits) {
  uint64_t value = 0;
  for (int32_t i = 0; i < bits; ++i) value |= uint64_t(word[(at + i) / 32] >> ((at + i) % 32) & 1) << i;
  return int64_t(value);
}

}  // namespace lockstep

#include "layout.hpp"

namespace lockstep {

constexpr int32_t kPlaceWords = sizeof(Vmaps::place) / sizeof(uint32_t);
constexpr int32_t kLayerWords = sizeof(Vmaps::layer) / sizeof(uint32_t);
constexpr int32_t kStages = 32;    // iterations that are remembered
constexpr int32_t kShutting = 10;  // per cent by which an open gate shuts

// The stages in which the RTL has done an iteration's work (bitstreams/lockstep/rtl).
constexpr int32_t kWritten = 7, kGathered = 9, kIdentity = 9, kLoaded = 10, kSummed = 16, kPooled = 24, kStored = 29;

// What an iteration of the C++ left.
struct Iteration {
  Window next, now;
  Sums sum, result;
  uint8_t identity[kTilePixels], has_identity[kTilePixels];
  bool writes;
  int32_t written;  // word of tile memory
  uint8_t before[kTilePixels], after[kTilePixels];
  int32_t pooled[kMaxResults];
  int32_t stored, value;  // entry of vector memory, or -1
};

struct Report {
  int64_t cycles, model_cycles, differing_cycles, first_cycle, waits;
  char what[80];
};

struct Given {
  const int32_t* instruction;
  const uint16_t* lists;  // of masks 1 …, kMaxChannels each
  const int32_t* active;  // of each mask
  const int64_t* weights;
  const int64_t* tables;
  int32_t bus_low, bus_high;  // cycles until a burst comes
  int32_t held;               // of 100 times, a gate that is shut stays so
  uint32_t seed;
  int32_t read_first, read_end;  // words that are read back
};

struct Random {
  uint32_t state;
  int32_t operator()(int32_t below) {
    state = state * 1664525 + 1013904223;
    return int32_t((state >> 8) % uint32_t(below));
  }
};

struct Streams {
  WeightQueue weights[isa::kWeightPorts];
  TableQueue rows;
};

}  // namespace lockstep
