// Gates: fully connected layers, the LSTM step, and the decisions made from their outputs.
//
// Role     FC, LSTM, GATE_LAYER, GATE_CHANNEL (docs/engine.md)
// Rate     8 products of each of three rows a cycle, as fast as weights arrive, while the three before are finished one
//          by one; then an LSTM unit a cycle
// Latency  kDepthRowCycles, kDepthLstmUnits
// Storage  the LSTM's state; vector_memory.hpp's eight banks are its operands; tables of sigmoid and tanh in block RAM
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "ports.hpp"
#include "requantize.hpp"
#include "vector_memory.hpp"

namespace ddi {

constexpr int32_t kBanks = isa::kPortBytes;  // of vector memory and of the hidden state: one for each byte of a beat
static_assert(kBanks == 8, "banks are numbered by three bits of an address");
static_assert((isa::kVectorWords & (isa::kVectorWords - 1)) == 0, "addresses wrap around by a mask");
static_assert(isa::kMaxHidden % kBanks == 0, "the banks of the hidden state are full");

constexpr int32_t kGates = 4;  // of an LSTM unit: input, forget, candidate, output

struct GateMemory {
  int16_t hidden[kBanks][isa::kMaxHidden / kBanks];  // unit u is in bank u % kBanks
  int16_t cell[isa::kMaxHidden];
  int16_t activation[kGates][isa::kMaxHidden];
};

inline void ForgetState(GateMemory& gates) {
StateUnits:
  for (int16_t unit = 0; unit < isa::kMaxHidden; ++unit) {
    #pragma HLS pipeline II = 1
    gates.hidden[unit & 7][unit >> 3] = 0;
    gates.cell[unit] = 0;
  }
}

// The operands of a matrix: `inputs` from vector memory, then the LSTM's hidden state, then zeros, since the padding of
// a row of weights may hold anything.
struct Operands {
  int16_t input, inputs, hidden;
};

// Bank `first` to place 0, its neighbours behind it: by four, two and one.
inline void Rotate(const int16_t (&bank)[kBanks], int16_t first, int16_t (&turned)[kBanks]) {
  #pragma HLS inline
  int16_t by_four[kBanks];
  int16_t by_two[kBanks];
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
  int16_t turned[kBanks];
InputBanks:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    bank[i] = Narrow16(vector[((i < first ? row + 1 : row) & kRows) * kBanks + i]);
  }
  Rotate(bank, first, turned);
PlaceInputs:
  for (int16_t i = 0; i < kBanks; ++i) {
    #pragma HLS unroll
    operand[i] = i < left ? turned[i] : int16_t(0);
  }
}

// The hidden state behind the inputs, where a beat reaches it.
inline void ReadHidden(const Operands& operands, int16_t beat, const GateMemory& gates, int16_t (&operand)[kBanks]) {
  #pragma HLS inline
  const int16_t unit = int16_t(beat * kBanks - operands.inputs);  // of the beat's first byte, negative before them
  const int16_t row = int16_t(unit >> 3);
  const int16_t first = int16_t(unit & 7);
  int16_t bank[kBanks];
  int16_t turned[kBanks];
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
  int32_t word;  // that port 0 reads next
  int16_t rows, beats, cycles;
  int16_t row;   // the first of the three
  int16_t beat;  // of their bytes
  int64_t sum[isa::kWeightPorts];
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
  return int32_t(Product(DivideBy3(uint16_t(place.rows + isa::kWeightPorts - 1)), uint16_t(place.cycles))) +
         isa::kWeightPorts;
}

// The three rows before: their sums, the next to be finished, and where an LSTM's goes.
struct FinishedRows {
  int64_t sum[isa::kWeightPorts];
  int16_t row;
  int8_t left;
  int8_t gate, unit;
};

// Byte `i` of a beat times its operand.
inline int32_t Multiply(uint64_t bytes, int32_t i, const int16_t (&operand)[kBanks]) {
  #pragma HLS inline
  const int8_t weight = int8_t(uint8_t(bytes >> (8 * i)));
  const int32_t product = weight * operand[i];
  #pragma HLS bind_op variable = product op = mul impl = fabric
  return product;
}

inline int32_t MultiplyBeat(uint64_t bytes, const int16_t (&operand)[kBanks]) {
  #pragma HLS inline
  return ((Multiply(bytes, 0, operand) + Multiply(bytes, 1, operand)) +
          (Multiply(bytes, 2, operand) + Multiply(bytes, 3, operand))) +
         ((Multiply(bytes, 4, operand) + Multiply(bytes, 5, operand)) +
          (Multiply(bytes, 6, operand) + Multiply(bytes, 7, operand)));
}

// Multiply one beat of each of the three rows.
inline void MultiplyRows(const int64_t* weights0, const int64_t* weights1, const int64_t* weights2,
                         const int16_t (&operand)[kBanks], Rows& place) {
  #pragma HLS inline
  if (place.row >= place.rows || place.beat >= place.beats) return;
RowPorts:
  for (int16_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (place.row + port < place.rows) {
      const int32_t word = place.word + (port == 0 ? 0 : port == 1 ? place.beats : 2 * place.beats);
      const uint64_t bytes = uint64_t(ReadWeights(port, word, weights0, weights1, weights2));
      place.sum[port] = (place.beat == 0 ? 0 : place.sum[port]) + MultiplyBeat(bytes, operand);
    }
  }
  ++place.word;
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
  place.word += 2 * place.beats;
}

// A row's number: requantised, and saturated to 16 bits. |sum| < 2^36.
inline int16_t Rescale(int64_t sum, int32_t scale) {
  #pragma HLS inline
  return Narrow16(RoundingShift(sum * ScaleMultiplier(scale), ScaleShift(scale)));
}

// Fractions of the LSTM's numbers, and the shift from a number to the bin of its table.
constexpr int32_t kPreactivationBits = 10;
constexpr int32_t kCellBits = 12;
constexpr int32_t kSigmoidShift = 4;
constexpr int32_t kTanhShift = 3;
constexpr int32_t kCellShift = 5;
constexpr int32_t kActivationBits = 15;
constexpr int32_t kHalf = 1 << (kActivationBits - 1);
static_assert(((isa::kSigmoidHigh - isa::kSigmoidLow) << kPreactivationBits) >> kSigmoidShift == isa::kSigmoidEntries,
              "bins");
static_assert(((isa::kTanhHigh - isa::kTanhLow) << kPreactivationBits) >> kTanhShift == isa::kTanhEntries, "bins");
static_assert(((isa::kTanhHigh - isa::kTanhLow) << kCellBits) >> kCellShift == isa::kTanhEntries, "bins");

inline int32_t Sigmoid(int32_t value) {
  const int32_t bin = (value - isa::kSigmoidLow * (1 << kPreactivationBits)) >> kSigmoidShift;
  return isa::kSigmoidTable[Clamp(bin, 0, isa::kSigmoidEntries - 1)];
}

inline int32_t Tanh(int32_t value, int32_t bits, int32_t shift) {
  const int32_t bin = (value - isa::kTanhLow * (1 << bits)) >> shift;
  return isa::kTanhTable[Clamp(bin, 0, isa::kTanhEntries - 1)];
}

// New cell and hidden state of a unit, from its gates' activations; hidden goes to vector memory too.
inline void UpdateUnit(int16_t unit, int16_t output, VectorMemory& vector, GateMemory& gates) {
  #pragma HLS inline
  const int16_t input_gate = gates.activation[0][unit];
  const int16_t forget_gate = gates.activation[1][unit];
  const int16_t candidate = gates.activation[2][unit];
  const int16_t output_gate = gates.activation[3][unit];
  const int32_t added = input_gate * candidate;
  #pragma HLS bind_op variable = added op = mul impl = fabric
  const int32_t kept = forget_gate * gates.cell[unit];
  #pragma HLS bind_op variable = kept op = mul impl = fabric
  const int64_t sum = int64_t(kept) + (added >> (kActivationBits - kCellBits)) + kHalf;
  const int32_t cell = Narrow16(sum >> kActivationBits);
  gates.cell[unit] = int16_t(cell);
  const int32_t shown = output_gate * Tanh(cell, kCellBits, kCellShift);
  #pragma HLS bind_op variable = shown op = mul impl = fabric
  const int16_t hidden = int16_t((shown + kHalf) >> kActivationBits);
  gates.hidden[unit & 7][unit >> 3] = hidden;
  vector[output + unit] = hidden;
}

// What becomes of the rows' sums.
struct RowsOutput {
  bool is_fc, raw, relu;
  int16_t output;  // of FC
  int16_t hidden;  // of an LSTM
  int32_t table;   // row
};

inline RowsOutput MakeRowsOutput(const int32_t* word) {
  RowsOutput to;
  to.is_fc = word[0] == isa::kOpFc;
  to.raw = to.is_fc && (word[isa::kFcFlags] & isa::kFlagRaw) != 0;
  to.relu = to.is_fc && (word[isa::kFcFlags] & isa::kFlagRelu) != 0;
  to.output = int16_t(word[isa::kFcOutput]);
  to.hidden = to.is_fc ? int16_t(0) : int16_t(word[isa::kLstmHidden]);
  to.table = word[to.is_fc ? isa::kFcTable : isa::kLstmTable] >> 1;
  return to;
}

// Requantise one of the rows before, with its bias and scale: an FC's number to vector memory, an LSTM's activation to
// its gate's.
inline void FinishRow(const RowsOutput& to, const int64_t* tables, FinishedRows& finished, VectorMemory& vector,
                      GateMemory& gates) {
  #pragma HLS inline
  if (finished.left == 0) return;
  const TableRow row = ReadTable(tables, to.table + finished.row);
  const int64_t sum = finished.sum[0] + row.bias;
  const int16_t narrow = Rescale(sum, row.scale);
  if (to.is_fc) {
    vector[to.output + finished.row] = to.raw ? Saturate32(sum) : to.relu && narrow < 0 ? 0 : narrow;
  } else {
    gates.activation[finished.gate & (kGates - 1)][finished.unit] =
        int16_t(finished.gate == 2 ? Tanh(narrow, kPreactivationBits, kTanhShift) : Sigmoid(narrow));
  }
  finished.sum[0] = finished.sum[1];
  finished.sum[1] = finished.sum[2];
  ++finished.row;
  --finished.left;
  if (++finished.unit == to.hidden) {
    finished.unit = 0;
    ++finished.gate;
  }
}

#ifdef DDI_CHIP

// FC and LSTM share one loop and one call, and with them its multipliers and requantiser.
inline void RunRows(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int64_t* tables, VectorMemory& vector, GateMemory& gates) {
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
    int16_t operand[kBanks];
    ReadInputs(operands, place.beat, vector, operand);
    ReadHidden(operands, place.beat, gates, operand);
    FinishRow(to, tables, finished, vector, gates);
    MultiplyRows(weights0, weights1, weights2, operand, place);
    NextCycle(place, finished);
  }
}

#else

// In cpu/rows.hpp.
inline void RunRows(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int64_t* tables, VectorMemory& vector, GateMemory& gates);

#endif

// Behind RunRows, an LSTM's units.
inline void RunLstm(const Instruction& instruction, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int16_t hidden = int16_t(word[isa::kLstmHidden]);
LstmUnits:
  for (int16_t unit = 0; unit < hidden; ++unit) {
    #pragma HLS loop_tripcount max = isa::kMaxHidden
    #pragma HLS pipeline II = 1
    UpdateUnit(unit, int16_t(word[isa::kLstmOutput]), vector, gates);
  }
}

// Keep the block? The trace says how many channels it has then, or that it was skipped.
inline bool RunGateLayer(const Instruction& instruction, const VectorMemory& vector, int32_t (&trace)[isa::kMaxGates]) {
  const int32_t* word = instruction.word;
  const bool keep = vector[word[isa::kGateLayerInput]] > word[isa::kGateLayerThreshold];
  trace[word[isa::kGateLayerGate]] = keep ? word[isa::kGateLayerChannels] : isa::kTraceSkipped;
  return keep;
}

inline void RunGateChannel(const Instruction& instruction, const VectorMemory& vector, Masks& masks,
                           int32_t (&trace)[isa::kMaxGates]) {
  const int32_t* word = instruction.word;
  const int32_t mask = word[isa::kGateChannelMask];
  const int16_t channels = int16_t(word[isa::kGateChannelChannels]);
  int16_t active = 0;
GateChannels:
  for (int16_t channel = 0; channel < channels; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    #pragma HLS pipeline II = 1
    if (vector[word[isa::kGateChannelInput] + channel] > word[isa::kGateChannelThreshold]) {
      masks.channel[mask - 1][active] = uint16_t(channel);
      ++active;
    }
  }
  masks.active[mask] = active;
  masks.built_for[mask] = channels;
  if (word[isa::kGateChannelGate] >= 0) trace[word[isa::kGateChannelGate]] = active;
}

}  // namespace ddi
