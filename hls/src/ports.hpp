// Ports: the buses of the weights and of the tables.
//
// Role     the same bytes of weights on three memory ports, so that each serves rows of its own; a bias with its scale
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

// A row of a table.
struct TableRow {
  int32_t bias, scale;
};

static_assert(isa::kTableRow == 2, "a row is a word of the port, and rows start on such words");

inline TableRow ReadTable(const int64_t* tables, int32_t row) {
  #pragma HLS inline
  const uint64_t both = uint64_t(tables[row]);
  const TableRow found = {int32_t(uint32_t(both)), int32_t(uint32_t(both >> 32))};
  return found;
}

}  // namespace ddi
