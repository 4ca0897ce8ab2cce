// Budget: what an image may spend, where the images of a window share their budgets (docs/engine.md, Pooled budgets).
//
// Role     what the next image may spend: what the window has left, after the images before it in the window
// Rate     a few additions an image; two cycles a charge of the history, read at the start and written at the end
// Storage  the charges of a window, for FLOPs and for cycles in turn
#pragma once
#include <cstdint>

#include "geometry.hpp"

namespace ddi {

constexpr uint64_t kNoBudget = ~uint64_t(0) >> 1;
constexpr int32_t kChargeBits = isa::kPooledBits + 8;  // the whole window's budget, spent by one image
static_assert(isa::kMaxPool == 1 << 8, "a window of budgets fits a charge");
static_assert(kChargeBits + 8 <= 63, "and so many charges fit 63 bits");
constexpr int32_t kMapPortWords = kTilePixels / isa::kPortBytes;  // of the maps' port, a word of map memory

struct ChargeMemory {
  uint64_t charge[2 * isa::kMaxPool];
};

// What the next image may spend, and the oldest charge of its window.
struct Allowance {
  bool good;
  int16_t charges;  // of the window behind the next image
  int16_t oldest;
  uint64_t flops, cycles;
};

// A budget that is shared is at least the floor, and so small that sums over a window do not overflow.
inline bool SharedBudgetIsGood(uint64_t budget, uint64_t floor) {
  return budget == kNoBudget || ((budget >> isa::kPooledBits) == 0 && floor <= budget);
}

inline bool PoolIsGood(const Start& start) {
  return start.pool == 1 || (SharedBudgetIsGood(start.budget_flops, start.floor_flops) &&
                             SharedBudgetIsGood(start.budget_cycles, start.floor_cycles));
}

// Take a charge of the history into the window. False if no image can have had such a charge: the history is damaged.
inline bool TakeCharge(uint64_t budget, uint64_t floor, uint64_t& charge, uint64_t& allowed) {
  if (budget == kNoBudget) {
    charge = 0;
    return true;
  }
  allowed += budget - charge;
  return charge >= floor && (charge >> kChargeBits) == 0;
}

// Is at least the floor left? The allowance is unsigned, so one below zero shows as a set top bit.
inline bool LeavesFloor(uint64_t budget, uint64_t floor, uint64_t allowed) {
  return budget == kNoBudget || ((allowed - floor) >> 63) == 0;
}

// Read the history, which stands behind the map memory, oldest charge first. It is not good when it leaves less than
// the floor.
inline Allowance LoadCharges(const Start& start, const int64_t* maps, ChargeMemory& memory) {
  const int64_t first = int64_t(start.map_words) * kMapPortWords;
  Allowance allowance = {true, int16_t(start.pool - 1), 0, start.budget_flops, start.budget_cycles};
HistoryIn:
  for (int16_t i = 0; i < allowance.charges; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxPool
    #pragma HLS pipeline II = 2
    uint64_t flops = uint64_t(maps[first + 2 * i]);
    uint64_t cycles = uint64_t(maps[first + 2 * i + 1]);
    const bool good_flops = TakeCharge(start.budget_flops, start.floor_flops, flops, allowance.flops);
    const bool good_cycles = TakeCharge(start.budget_cycles, start.floor_cycles, cycles, allowance.cycles);
    allowance.good = allowance.good && good_flops && good_cycles;
    memory.charge[2 * i] = flops;
    memory.charge[2 * i + 1] = cycles;
  }
  if (allowance.charges > 0) {
    allowance.good = allowance.good && LeavesFloor(start.budget_flops, start.floor_flops, allowance.flops) &&
                     LeavesFloor(start.budget_cycles, start.floor_cycles, allowance.cycles);
  }
  return allowance;
}

// Put the charge of the image that ended in the place of the oldest one, which leaves the window.
inline void Charge(uint64_t budget, uint64_t floor, uint64_t spent, uint64_t& charge, uint64_t& allowed) {
  if (budget == kNoBudget) return;
  const uint64_t now = spent > floor ? spent : floor;
  allowed += charge - now;
  charge = now;
}

inline void ChargeImage(const Start& start, uint64_t flops, uint64_t cycles, ChargeMemory& memory,
                        Allowance& allowance) {
  if (allowance.charges == 0) return;
  Charge(start.budget_flops, start.floor_flops, flops, memory.charge[2 * allowance.oldest], allowance.flops);
  Charge(start.budget_cycles, start.floor_cycles, cycles, memory.charge[2 * allowance.oldest + 1], allowance.cycles);
  allowance.oldest = int16_t(allowance.oldest + 1 == allowance.charges ? 0 : allowance.oldest + 1);
}

inline void SaveCharges(const Start& start, const ChargeMemory& memory, const Allowance& allowance, int64_t* maps) {
  const int64_t first = int64_t(start.map_words) * kMapPortWords;
  int16_t from = allowance.oldest;
HistoryOut:
  for (int16_t i = 0; i < allowance.charges; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxPool
    #pragma HLS pipeline II = 2
    maps[first + 2 * i] = int64_t(memory.charge[2 * from]);
    maps[first + 2 * i + 1] = int64_t(memory.charge[2 * from + 1]);
    from = int16_t(from + 1 == allowance.charges ? 0 : from + 1);
  }
}

}  // namespace ddi
