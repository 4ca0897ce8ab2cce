// Masks: lists of active channels. A list drives trip counts, so a channel that is off is never fetched or computed.
//
// Role     written by GATE_CHANNEL, read by CONV
// Rate     one channel a cycle
// Storage  (kMasks - 1) × kMaxChannels entries, twice, for gathering and fetching read different entries in a cycle;
//          mask 0 stands for every channel and is not stored
#pragma once
#include <cstdint>

#include "geometry.hpp"

namespace ddi {

struct Masks {
  uint16_t channel[isa::kMasks - 1][isa::kMaxChannels];  // in rising order; mask 0 has no list
  uint16_t fetched[isa::kMasks - 1][isa::kMaxChannels];  // the same again, for the fetch of weights
  int16_t active[isa::kMasks];
  int16_t built_for[isa::kMasks];  // number of channels that the list was built for, 0 if it was not built
};

inline void ForgetMasks(Masks& masks) {
MaskLists:
  for (int32_t mask = 0; mask < isa::kMasks; ++mask) {
    #pragma HLS unroll
    masks.active[mask] = 0;
    masks.built_for[mask] = 0;
  }
}

// Number of active channels of a map of `channels`.
inline int32_t ActiveCount(const Masks& masks, int32_t mask, int32_t channels) {
  return mask == 0 ? channels : masks.active[mask];
}

// The index-th active channel.
inline int32_t ActiveChannel(const Masks& masks, int32_t mask, int32_t index) {
  return mask == 0 ? index : masks.channel[mask - 1][index];
}

// The same, for the fetch of weights.
inline int32_t FetchedChannel(const Masks& masks, int32_t mask, int32_t index) {
  return mask == 0 ? index : masks.fetched[mask - 1][index];
}

}  // namespace ddi
