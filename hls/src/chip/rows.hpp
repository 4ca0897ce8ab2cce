// FC and LSTM's rows as the chip multiplies them.
//
// Role     RunRows: operands from vector memory and the hidden state, three rows of weights at a time, while the three
//          before are finished one by one (gates.hpp)
// Rate     8 products of each of three rows a cycle, as fast as weights arrive
// Latency  kDepthRowCycles
// Storage  three sums
#pragma once
#include <cstdint>

#include "../gates.hpp"
#include "../schedule.hpp"
#include "../widths.hpp"

namespace ddi {

// Rotate bank `first` to place 0 and its neighbours behind it, in three stages: by four, two and one.
inline void Rotate(const int16_t (&bank)[kBanks], int16_t first, int16_t (&turned)[kBanks]) {
  #pragma HLS inline
  int16_t by_four[kBanks];
  #pragma HLS array_partition variable = by_four complete
  int16_t by_two[kBanks];
  #pragma HLS array_partition variable = by_two complete
RotateFour:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    by_four[i] = (first & 4) != 0 ? bank[(i + 4) & 7] : bank[i];
  }
RotateTwo:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    by_two[i] = (first & 2) != 0 ? by_four[(i + 2) & 7] : by_four[i];
  }
RotateOne:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    turned[i] = (first & 1) != 0 ? by_two[(i + 1) & 7] : by_two[i];
  }
}

// The operands of one beat. Neighbours in vector memory lie in neighbouring banks, each of which is read once; then
// they are rotated into place.
inline void ReadInputs(const Operands& operands, int16_t beat, const VectorMemory& vector, int16_t (&operand)[kBanks]) {
  #pragma HLS inline
  constexpr int16_t kRows = isa::kVectorWords / kBanks - 1;
  const int16_t row = int16_t((operands.input >> 3) + beat);
  const int16_t first = int16_t(operands.input & 7);  // bank of the first
  const int16_t left = int16_t(operands.inputs - beat * kBanks);
  int16_t bank[kBanks];
  #pragma HLS array_partition variable = bank complete
InputBanks:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    const bool reads = ((i - first) & 7) < left;
    bank[i] = reads ? Narrow16(vector[((i < first ? row + 1 : row) & kRows) * kBanks + i]) : int16_t(0);
  }
  Rotate(bank, first, operand);
}

// The hidden state behind the inputs, where a beat reaches it.
inline void ReadHidden(const Operands& operands, int16_t beat, const GateMemory& gates, int16_t (&operand)[kBanks]) {
  #pragma HLS inline
  const int16_t unit = int16_t(beat * kBanks - operands.inputs);  // of the beat's first byte, negative before them
  const int16_t row = int16_t(unit >> 3);
  const int16_t first = int16_t(unit & 7);
  int16_t bank[kBanks];
  #pragma HLS array_partition variable = bank complete
  int16_t turned[kBanks];
  #pragma HLS array_partition variable = turned complete
HiddenBanks:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    bank[i] = gates.hidden[i][(i < first ? row + 1 : row) & (isa::kMaxHidden / kBanks - 1)];
  }
  Rotate(bank, first, turned);
PlaceHidden:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    if (unit >= -i && unit < operands.hidden - i) operand[i] = turned[i];
  }
}

// A matrix of weights in rows of `beats` words, and where its multiplication stands: three rows at a time, each on a
// port of its own, for `cycles`, since behind it three rows are finished one by one.
struct Rows {
  int16_t rows, beats, cycles;
  int16_t row;   // the first of the three
  int16_t beat;  // of their bytes
  int64_t sum[isa::kWeightPorts];
  int16_t asked;    // rows before the next three that are asked for
  int8_t requests;  // of three rows each, whose words have not all come
  int32_t word;     // where these start
  Bursts bursts[isa::kWeightPorts];
};

inline Rows MakeRows(int32_t weights, int32_t rows, int32_t row_bytes) {
  Rows place = Rows();
  place.word = weights >> 3;
  place.rows = int16_t(rows);
  place.beats = int16_t(row_bytes >> 3);
  place.cycles = int16_t(Larger(place.beats, isa::kWeightPorts));
  return place;
}

inline int32_t CountCycles(const Rows& place) {
  return int32_t(Product(uint32_t(Turns(place.rows)), uint16_t(place.cycles))) + isa::kWeightPorts;
}

// What two bits of a weight make of an operand, once for all three rows. The array has the DSPs.
struct Multiples {
  int16_t one;
  Signed<17> two;
  Signed<18> three;
};

inline void MakeMultiples(const int16_t (&operand)[kBanks], Multiples (&multiples)[kBanks]) {
  #pragma HLS inline
MakeThree:
  for (int32_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    const int32_t one = operand[i];
    multiples[i].one = operand[i];
    multiples[i].two = one * 2;
    multiples[i].three = one + one * 2;
  }
}

// Byte `i` of a beat times its operand: two bits of the weight after the other, the last two with its sign. Each sum
// takes a multiple in with the LUTs that add it, and leaves two bits of the product behind.
inline int32_t Multiply(uint64_t bytes, int32_t i, const Multiples (&multiples)[kBanks]) {
  #pragma HLS inline
  const uint8_t weight = uint8_t(bytes >> (8 * i));
  const int32_t one = multiples[i].one;
  const int32_t two = multiples[i].two;
  const int32_t three = multiples[i].three;
  const int32_t first = (weight & 2) != 0 ? ((weight & 1) != 0 ? three : two) : (weight & 1) != 0 ? one : 0;
  const int32_t second = (first >> 2) + ((weight & 8) != 0   ? ((weight & 4) != 0 ? three : two)
                                         : (weight & 4) != 0 ? one
                                                             : 0);
  const int32_t third = (second >> 2) + ((weight & 32) != 0   ? ((weight & 16) != 0 ? three : two)
                                         : (weight & 16) != 0 ? one
                                                              : 0);
  const int32_t fourth = (third >> 2) +
                         ((weight & 128) != 0  ? ((weight & 64) != 0 ? ~one : ~two)
                          : (weight & 64) != 0 ? one
                                               : 0) +
                         ((weight & 128) != 0 ? 1 : 0);
  return fourth * 64 | ((third & 3) << 4 | ((second & 3) << 2 | (first & 3)));
}

inline int32_t MultiplyBeat(uint64_t bytes, const Multiples (&multiples)[kBanks]) {
  #pragma HLS inline
  return ((Multiply(bytes, 0, multiples) + Multiply(bytes, 1, multiples)) +
          (Multiply(bytes, 2, multiples) + Multiply(bytes, 3, multiples))) +
         ((Multiply(bytes, 4, multiples) + Multiply(bytes, 5, multiples)) +
          (Multiply(bytes, 6, multiples) + Multiply(bytes, 7, multiples)));
}

// Ask for three rows ahead of their use.
inline void AskForRows(BurstWords weights0, BurstWords weights1, BurstWords weights2, Rows& place) {
  #pragma HLS inline
  if (place.asked >= place.rows || place.requests == kRequests) return;
AskPorts:
  for (int16_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t word = place.word + (port == 0 ? 0 : port == 1 ? place.beats : 2 * place.beats);
    if (place.asked + port < place.rows) {
      RequestWeights(port, word, place.beats, weights0, weights1, weights2, place.bursts[port]);
    }
  }
  place.asked = int16_t(place.asked + isa::kWeightPorts);
  ++place.requests;
  place.word += isa::kWeightPorts * place.beats;
}

// Multiply one beat of each of the three rows.
inline void MultiplyRows(BurstWords weights0, BurstWords weights1, BurstWords weights2,
                         const Multiples (&multiples)[kBanks], Rows& place) {
  #pragma HLS inline
  if (place.row >= place.rows || place.beat >= place.beats) return;
RowPorts:
  for (int16_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (place.row + port < place.rows) {
      const uint64_t bytes = uint64_t(ReadWeights(port, weights0, weights1, weights2, place.bursts[port]));
      place.sum[port] = (place.beat == 0 ? 0 : place.sum[port]) + MultiplyBeat(bytes, multiples);
    }
  }
  if (place.beat + 1 == place.beats) --place.requests;
}

// On to the next cycle; with the last one, the three sums are handed over and the next rows come. Ports 1 and 2 have
// read the two behind this one.
inline void NextCycle(Rows& place, FinishedRows& finished) {
  #pragma HLS inline
  if (++place.beat < place.cycles || place.row >= place.rows) return;
HandOverRows:
  for (int16_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    finished.sum[port] = place.sum[port];
  }
  finished.left = int8_t(Smaller(isa::kWeightPorts, place.rows - place.row));
  place.beat = 0;
  place.row = int16_t(place.row + isa::kWeightPorts);
}

// FC and LSTM share one loop and one call, and with them its multipliers and requantiser.
inline void RunRows(const Instruction& instruction, BurstWords weights0, BurstWords weights1, BurstWords weights2,
                    const int64_t* tables, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const RowsOutput to = MakeRowsOutput(word);
  const Operands operands = {int16_t(word[to.is_fc ? isa::kFcInput : isa::kLstmInput]),
                             int16_t(word[to.is_fc ? isa::kFcInputs : isa::kLstmInputs]), to.hidden};
  Rows place =
      MakeRows(word[to.is_fc ? isa::kFcWeights : isa::kLstmWeights],
               to.is_fc ? word[isa::kFcOutputs] : kGates * to.hidden, RowBytes(operands.inputs + operands.hidden));
  FinishedRows finished = FinishedRows();
  const int32_t cycles = CountCycles(place);
RowCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kVectorWords * isa::kVectorWords / isa::kPortBytes
    #pragma HLS pipeline II = 1
    // Inputs and outputs are apart (check.hpp); the hidden state is written behind this loop.
    #pragma HLS dependence variable = vector type = inter direction = RAW dependent = false
    int16_t operand[kBanks];
    #pragma HLS array_partition variable = operand complete
    ReadInputs(operands, place.beat, vector, operand);
    ReadHidden(operands, place.beat, gates, operand);
    FinishRow(to, tables, finished, vector, gates);
    AskForRows(weights0, weights1, weights2, place);
    Multiples multiples[kBanks];
    #pragma HLS array_partition variable = multiples complete
    MakeMultiples(operand, multiples);
    MultiplyRows(weights0, weights1, weights2, multiples, place);
    NextCycle(place, finished);
  }
}

}  // namespace ddi
