// Vector memory: pooled features, logits, whatever gates and classifiers compute with.
//
// Role     written by the pools of maps, FC and LSTM; read by FC, LSTM, gates and exits
// Rate     eight entries a cycle, from eight banks
// Storage  kVectorWords × 32 bits: 8 BRAM18
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace ddi {

typedef int32_t VectorMemory[isa::kVectorWords];

}  // namespace ddi
