// Ports: the buses of the weights.
//
// Role     the same bytes on three memory ports, so that each serves rows of its own
// Rate     8 bytes a cycle and port
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace ddi {

static_assert(isa::kWeightPorts == 3, "a port is chosen by hand, for a pointer may not be kept");

// Eight bytes of weights by port `port`, a constant once the loop over the ports is unrolled.
inline int64_t ReadWeights(int32_t port, int64_t word, const int64_t* weights0, const int64_t* weights1,
                           const int64_t* weights2) {
  #pragma HLS inline
  if (port == 0) return weights0[word];
  if (port == 1) return weights1[word];
  return weights2[word];
}

}  // namespace ddi
