// Ports: the buses of the weights, the tables and the program.
//
// Role     the same bytes of weights on three memory ports, so that each serves rows of its own; a bias with its scale
// Rate     8 bytes a cycle and port of weights or tables, a word of the program
#pragma once
#include <cstdint>

#include "isa.hpp"
#include "shim.hpp"

namespace ddi {

// A port is chosen by hand, for a pointer may not be kept. With one port the names of the other two stand for it, and
// nothing asks for them.
static_assert(isa::kWeightPorts == 1 || isa::kWeightPorts == 3, "weights0, or weights0 … weights2");

constexpr int32_t kRequests = isa::kReadRequests;
static_assert((kRequests & (kRequests - 1)) == 0, "requests wrap around by a mask");

#ifdef DDI_BUS

// The chip's bus knows by itself what it was asked for.
struct Bursts {};

inline void NoteRequest(int64_t, int32_t, Bursts&) {}
inline int64_t NextWord(Bursts&) { return 0; }
inline void PassCycle(Bursts&) {}
inline bool HasArrived(const Bursts&) { return true; }

#else

// What a port was asked for and has not given yet, in order.
struct Bursts {
  int64_t word[kRequests];
  int16_t words[kRequests];
  int8_t first;                 // request that words come for
  int8_t count;                 // of requests
  int16_t taken;                // words of the first
  int64_t now, due[kRequests];  // cycles: passed, and from which on its words come
};

inline void NoteRequest(int64_t word, int32_t words, Bursts& bursts) {
  const int32_t at = (bursts.first + bursts.count) & (kRequests - 1);
  bursts.word[at] = word;
  bursts.words[at] = int16_t(words);
  bursts.due[at] = bursts.now + BusLatency();
  ++bursts.count;
}

inline void PassCycle(Bursts& bursts) { ++bursts.now; }

// May the next word be taken?
inline bool HasArrived(const Bursts& bursts) { return bursts.now >= bursts.due[bursts.first]; }

inline int64_t NextWord(Bursts& bursts) {
  const int64_t at = bursts.word[bursts.first] + bursts.taken;
  if (++bursts.taken == bursts.words[bursts.first]) {
    bursts.taken = 0;
    bursts.first = int8_t((bursts.first + 1) & (kRequests - 1));
    --bursts.count;
  }
  return at;
}

#endif

// What stands at `at` on a port: a function for each of them.
DDI_PORT(program)
inline int64_t ReadProgram(const int64_t* program, int64_t at) { return program[at]; }
DDI_PORT(weights0)
inline int64_t ReadWeights0(BurstWords weights0, int64_t at) { return ReadBurst(weights0, at); }
DDI_PORT(weights1)
inline int64_t ReadWeights1(BurstWords weights1, int64_t at) { return ReadBurst(weights1, at); }
DDI_PORT(weights2)
inline int64_t ReadWeights2(BurstWords weights2, int64_t at) { return ReadBurst(weights2, at); }

// Ask port `port`, a constant once the loop over the ports is unrolled, for `words` words from `word` on.
inline void RequestWeights(int32_t port, int64_t word, int32_t words, BurstWords weights0, BurstWords weights1,
                           BurstWords weights2, Bursts& bursts) {
  #pragma HLS inline
  if (port == 0) RequestBurst(weights0, word, words);
  if (port == 1) RequestBurst(weights1, word, words);
  if (port == 2) RequestBurst(weights2, word, words);
  NoteRequest(word, words, bursts);
}

// The next word of those that the port was asked for.
inline int64_t ReadWeights(int32_t port, BurstWords weights0, BurstWords weights1, BurstWords weights2,
                           Bursts& bursts) {
  #pragma HLS inline
  const int64_t at = NextWord(bursts);
  if (port == 0) return ReadWeights0(weights0, at);
  if (port == 1) return ReadWeights1(weights1, at);
  return ReadWeights2(weights2, at);
}

// A row of a table that was asked for ahead, the first of those that have not been read.
inline int64_t ReadRow(const int64_t* tables, int64_t row, Bursts& bursts) {
  #pragma HLS inline
  NextWord(bursts);
  return tables[row];
}

// A row of a table.
struct TableRow {
  int32_t bias, scale;
};

static_assert(isa::kTableRow == 2, "a row is a word of the port, and rows start on such words");

inline TableRow SplitTableRow(int64_t word) {
  #pragma HLS inline
  const TableRow found = {int32_t(uint32_t(uint64_t(word))), int32_t(uint32_t(uint64_t(word) >> 32))};
  return found;
}

inline TableRow ReadTable(const int64_t* tables, int32_t row) {
  #pragma HLS inline
  return SplitTableRow(tables[row]);
}

}  // namespace ddi
