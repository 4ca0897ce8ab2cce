// Gates: fully connected layers, the LSTM step, and the decisions made from their outputs.
//
// Role     FC, LSTM, GATE_LAYER, GATE_CHANNEL (docs/engine.md)
// Rate     8 products of each of three rows a cycle, as fast as weights arrive; then an LSTM unit a cycle
// Latency  kDepthFcCycles, kDepthLstmCycles, kDepthLstmUnits
// Storage  the LSTM's state; vector memory is pool.hpp's, in 8 banks; tables of sigmoid and tanh in block RAM
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "ports.hpp"
#include "requantize.hpp"
#include "rounding.hpp"
#include "vector_memory.hpp"

namespace ddi {

constexpr int32_t kBanks = isa::kPortBytes;  // of vector memory and of the hidden state: one for each byte of a beat
static_assert(kBanks == 8, "banks are numbered by three bits of an address");
static_assert((isa::kVectorWords & (isa::kVectorWords - 1)) == 0, "addresses wrap around by a mask");
static_assert(isa::kMaxHidden % kBanks == 0, "the banks of the hidden state are full");

constexpr int32_t kTriples = (4 * isa::kMaxHidden + isa::kWeightPorts - 1) / isa::kWeightPorts;  // rows of an LSTM

struct GateMemory {
  int16_t hidden[kBanks][isa::kMaxHidden / kBanks];  // unit u is in bank u % kBanks
  int16_t cell[isa::kMaxHidden];
  int16_t activation[isa::kWeightPorts][kTriples];  // of an LSTM step: row r is in bank r % 3, at r / 3
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
// port of its own.
struct Rows {
  int32_t word;  // that port 0 reads next
  int16_t rows, beats;
  int16_t row;   // the first of the three
  int16_t beat;  // of their bytes
  int64_t sum[isa::kWeightPorts];
};

inline Rows MakeRows(int32_t weights, int32_t rows, int32_t row_bytes) {
  Rows place = Rows();
  place.word = weights >> 3;
  place.rows = int16_t(rows);
  place.beats = int16_t(row_bytes >> 3);
  return place;
}

inline int32_t CountCycles(const Rows& place) {
  return int32_t(Product(DivideBy3(uint16_t(place.rows + isa::kWeightPorts - 1)), uint16_t(place.beats)));
}

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

// Multiply one beat of each of the three rows; true with their last one, when the sums are whole.
inline bool MultiplyRows(const int64_t* weights0, const int64_t* weights1, const int64_t* weights2,
                         const int16_t (&operand)[kBanks], Rows& place) {
  #pragma HLS inline
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
  return ++place.beat == place.beats;
}

// The next three rows; ports 1 and 2 have read the two behind this one.
inline void NextRows(Rows& place) {
  #pragma HLS inline
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

// Where a row's activation is.
struct ActivationPlace {
  int8_t bank, at;
};

inline ActivationPlace MakeActivationPlace(int16_t row) {
  ActivationPlace place;
  place.at = int8_t(DivideBy3(uint16_t(row)));
  place.bank = int8_t(row - isa::kWeightPorts * place.at);
  return place;
}

// The activation there; then the next row's place.
inline int16_t NextActivation(const GateMemory& gates, ActivationPlace& place) {
  #pragma HLS inline
  const int16_t activation = gates.activation[place.bank][place.at];
  if (++place.bank == isa::kWeightPorts) {
    place.bank = 0;
    ++place.at;
  }
  return activation;
}

// New cell and hidden state of a unit, from its gates' activations; hidden goes to vector memory too.
inline void UpdateUnit(int16_t unit, int16_t output, ActivationPlace& input_place, ActivationPlace& forget_place,
                       ActivationPlace& candidate_place, ActivationPlace& output_place, VectorMemory& vector,
                       GateMemory& gates) {
  #pragma HLS inline
  const int16_t input_gate = NextActivation(gates, input_place);
  const int16_t forget_gate = NextActivation(gates, forget_place);
  const int16_t candidate = NextActivation(gates, candidate_place);
  const int16_t output_gate = NextActivation(gates, output_place);
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

// FC and LSTM share one loop and one call, and with them its multipliers and requantisers.
inline void RunRows(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int32_t* tables, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const bool is_fc = word[0] == isa::kOpFc;
  const int16_t hidden = is_fc ? int16_t(0) : int16_t(word[isa::kLstmHidden]);
  const Operands operands = {int16_t(word[is_fc ? isa::kFcInput : isa::kLstmInput]),
                             int16_t(word[is_fc ? isa::kFcInputs : isa::kLstmInputs]), hidden};
  const int32_t table = word[is_fc ? isa::kFcTable : isa::kLstmTable];
  const bool raw = is_fc && (word[isa::kFcFlags] & isa::kFlagRaw) != 0;
  const bool relu = is_fc && (word[isa::kFcFlags] & isa::kFlagRelu) != 0;
  Rows place = MakeRows(word[is_fc ? isa::kFcWeights : isa::kLstmWeights], is_fc ? word[isa::kFcOutputs] : 4 * hidden,
                        RowBytes(operands.inputs + hidden));
  int16_t triple = 0;
  const int32_t cycles = CountCycles(place);
RowCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kVectorWords * isa::kVectorWords / isa::kPortBytes
    #pragma HLS pipeline II = 1
    int16_t operand[kBanks];
    ReadInputs(operands, place.beat, vector, operand);
    ReadHidden(operands, place.beat, gates, operand);
    if (MultiplyRows(weights0, weights1, weights2, operand, place)) {
    StorePorts:
      for (int16_t port = 0; port < isa::kWeightPorts; ++port) {
        #pragma HLS unroll
        const int16_t output = int16_t(place.row + port);
        if (output < place.rows) {
          const int32_t* row = tables + table + isa::kTableRow * output;
          const int64_t sum = place.sum[port] + row[0];
          const int16_t narrow = Rescale(sum, row[1]);
          if (is_fc) {
            vector[word[isa::kFcOutput] + output] = raw ? Saturate32(sum) : relu && narrow < 0 ? 0 : narrow;
          } else {
            const bool is_candidate = output >= 2 * hidden && output < 3 * hidden;
            gates.activation[port][triple] =
                int16_t(is_candidate ? Tanh(narrow, kPreactivationBits, kTanhShift) : Sigmoid(narrow));
          }
        }
      }
      NextRows(place);
      ++triple;
    }
  }
}

// Behind RunRows, an LSTM's units.
inline void RunLstm(const Instruction& instruction, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int16_t hidden = int16_t(word[isa::kLstmHidden]);
  ActivationPlace input_place = MakeActivationPlace(0);
  ActivationPlace forget_place = MakeActivationPlace(hidden);
  ActivationPlace candidate_place = MakeActivationPlace(int16_t(2 * hidden));
  ActivationPlace output_place = MakeActivationPlace(int16_t(3 * hidden));
LstmUnits:
  for (int16_t unit = 0; unit < hidden; ++unit) {
    #pragma HLS loop_tripcount max = isa::kMaxHidden
    #pragma HLS pipeline II = 1
    UpdateUnit(unit, int16_t(word[isa::kLstmOutput]), input_place, forget_place, candidate_place, output_place, vector,
               gates);
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
