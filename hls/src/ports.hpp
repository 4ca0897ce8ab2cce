// Ports: the buses of the weights.
//
// Role     the same bytes on three memory ports, so that each serves rows of its own
// Rate     8 bytes a cycle and port
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace ddi {

struct WeightPorts {
  const int64_t* port[isa::kWeightPorts];
};

}  // namespace ddi
