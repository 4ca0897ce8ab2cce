// Ports: the buses of the weights, the tables and the program.
//
// Role     the same bytes of weights on three memory ports, so that each serves rows of its own; a bias with its scale
// Rate     8 bytes a cycle and port of weights or tables, a word of the program
#pragma once
#include <cstdint>

#include "isa.hpp"
#include "shim.hpp"

namespace ddi {

static_assert(isa::kWeightPorts == 3, "a port is chosen by hand, for a pointer may not be kept");

// What stands at `at` on a port: a function for each of them.
DDI_PORT(program)
inline int32_t ReadProgram(const int32_t* program, int64_t at) { return program[at]; }
DDI_PORT(weights0)
inline int64_t ReadWeights0(const int64_t* weights0, int64_t at) { return weights0[at]; }
DDI_PORT(weights1)
inline int64_t ReadWeights1(const int64_t* weights1, int64_t at) { return weights1[at]; }
DDI_PORT(weights2)
inline int64_t ReadWeights2(const int64_t* weights2, int64_t at) { return weights2[at]; }

// Eight bytes of weights by port `port`, a constant once the loop over the ports is unrolled.
inline int64_t ReadWeights(int32_t port, int64_t word, const int64_t* weights0, const int64_t* weights1,
                           const int64_t* weights2) {
  #pragma HLS inline
  if (port == 0) return ReadWeights0(weights0, word);
  if (port == 1) return ReadWeights1(weights1, word);
  return ReadWeights2(weights2, word);
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
