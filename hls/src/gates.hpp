// Gates: fully connected layers, the LSTM step, and the decisions made from their outputs.
//
// Role     FC, LSTM, GATE_LAYER, GATE_CHANNEL (docs/engine.md)
// Rate     8 products of each of three rows a cycle, as fast as weights arrive; then an LSTM unit a cycle
// Latency  kDepthFcCycles, kDepthLstmCycles, kDepthLstmUnits
// Storage  the LSTM's state; vector memory is pool.hpp's, in 8 banks; tables of sigmoid and tanh in LUTs
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "pool.hpp"
#include "ports.hpp"
#include "requantize.hpp"

namespace ddi {

struct GateMemory {
  int16_t hidden[isa::kMaxHidden];
  int16_t cell[isa::kMaxHidden];
  int16_t activation[4][isa::kMaxHidden];  // input, forget and output gate and candidate of an LSTM step
};

inline void ForgetState(GateMemory& gates) {
StateUnits:
  for (int32_t unit = 0; unit < isa::kMaxHidden; ++unit) {
    #pragma HLS unroll
    gates.hidden[unit] = 0;
    gates.cell[unit] = 0;
  }
}

// The operands of a matrix: `inputs` from vector memory, then the LSTM's hidden state, then zeros, since the padding of
// a row of weights may hold anything.
struct Operands {
  int32_t input, inputs, hidden;
};

inline int32_t ReadOperand(const Operands& operands, int32_t index, const VectorMemory& vector,
                           const GateMemory& gates) {
  #pragma HLS inline
  if (index < operands.inputs) return Saturate16(vector[operands.input + index]);
  const int32_t unit = index - operands.inputs;
  return unit < operands.hidden ? gates.hidden[unit] : 0;
}

// Three rows of weights at a time, each on a port of its own.
struct RowsPlace {
  int32_t row;   // the first of the three
  int32_t beat;  // of their bytes
  int64_t sum[isa::kWeightPorts];
};

// Multiply one beat of each of the three rows; true with their last one, when the sums are whole.
inline bool MultiplyRows(const int64_t* weights0, const int64_t* weights1, const int64_t* weights2, int32_t base,
                         int32_t row_bytes, const Operands& operands, const VectorMemory& vector,
                         const GateMemory& gates, int32_t rows, RowsPlace& place) {
  #pragma HLS inline
  int16_t operand[isa::kPortBytes];  // the same for the three rows
BeatOperands:
  for (int32_t i = 0; i < isa::kPortBytes; ++i) {
    #pragma HLS unroll
    operand[i] = int16_t(ReadOperand(operands, place.beat * isa::kPortBytes + i, vector, gates));
  }
RowPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (place.row + port < rows) {
      const int64_t byte = base + int64_t(place.row + port) * row_bytes + place.beat * isa::kPortBytes;
      const uint64_t bytes = uint64_t(ReadWeights(port, byte >> 3, weights0, weights1, weights2));
      int32_t partial = 0;  // eight products of 23 bits
    Products:
      for (int32_t i = 0; i < isa::kPortBytes; ++i) {
        #pragma HLS unroll
        partial += int8_t(uint8_t(bytes >> (8 * i))) * operand[i];
      }
      place.sum[port] = (place.beat == 0 ? 0 : place.sum[port]) + partial;
    }
  }
  if (++place.beat * isa::kPortBytes < row_bytes) return false;
  place.beat = 0;
  return true;
}

inline void StoreOutputs(const int32_t* word, const int32_t* tables, const RowsPlace& place, VectorMemory& vector) {
  #pragma HLS inline
  const bool raw = (word[isa::kFcFlags] & isa::kFlagRaw) != 0;
  const bool relu = (word[isa::kFcFlags] & isa::kFlagRelu) != 0;
StorePorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t output = place.row + port;
    if (output < word[isa::kFcOutputs]) {
      const int32_t* row = tables + word[isa::kFcTable] + isa::kTableRow * output;
      const int64_t sum = place.sum[port] + row[0];
      const int32_t narrow = Saturate16(Requantize(sum, DecodeScale(row[1])));
      vector[word[isa::kFcOutput] + output] = raw ? Saturate32(sum) : relu && narrow < 0 ? 0 : narrow;
    }
  }
}

inline void RunFc(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                  const int64_t* weights2, const int32_t* tables, VectorMemory& vector, const GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int32_t row_bytes = RowBytes(word[isa::kFcInputs]);
  const Operands operands = {word[isa::kFcInput], word[isa::kFcInputs], 0};
  const int32_t outputs = word[isa::kFcOutputs];
  const int32_t cycles = CeilDivide(outputs, isa::kWeightPorts) * (row_bytes / isa::kPortBytes);
  RowsPlace place = RowsPlace();
FcCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kVectorWords * isa::kVectorWords / isa::kPortBytes
    #pragma HLS pipeline II = 1
    if (MultiplyRows(weights0, weights1, weights2, word[isa::kFcWeights], row_bytes, operands, vector, gates, outputs,
                     place)) {
      StoreOutputs(word, tables, place, vector);
      place.row += isa::kWeightPorts;
    }
  }
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

// New cell and hidden state of every unit, from the gates' activations; hidden goes to vector memory too.
inline void UpdateUnit(int32_t unit, int32_t output, VectorMemory& vector, GateMemory& gates) {
  #pragma HLS inline
  const int64_t input_gate = gates.activation[0][unit];
  const int64_t forget_gate = gates.activation[1][unit];
  const int64_t candidate = gates.activation[2][unit];
  const int64_t output_gate = gates.activation[3][unit];
  const int64_t added = (input_gate * candidate) >> (kActivationBits - kCellBits);
  const int32_t cell = Saturate16((forget_gate * gates.cell[unit] + added + kHalf) >> kActivationBits);
  gates.cell[unit] = int16_t(cell);
  gates.hidden[unit] =
      int16_t(Saturate16((output_gate * Tanh(cell, kCellBits, kCellShift) + kHalf) >> kActivationBits));
  vector[output + unit] = gates.hidden[unit];
}

inline void StoreActivations(const int32_t* word, const int32_t* tables, const RowsPlace& place, GateMemory& gates) {
  #pragma HLS inline
  const int32_t hidden = word[isa::kLstmHidden];
StoreGates:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t index = place.row + port;
    if (index < 4 * hidden) {
      const int32_t* row = tables + word[isa::kLstmTable] + isa::kTableRow * index;
      const int32_t value = Saturate16(Requantize(place.sum[port] + row[0], DecodeScale(row[1])));
      const int32_t gate = index / hidden;
      gates.activation[gate][index % hidden] =
          int16_t(gate == 2 ? Tanh(value, kPreactivationBits, kTanhShift) : Sigmoid(value));
    }
  }
}

inline void RunLstm(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int32_t* tables, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int32_t hidden = word[isa::kLstmHidden];
  const int32_t row_bytes = RowBytes(word[isa::kLstmInputs] + hidden);
  const Operands operands = {word[isa::kLstmInput], word[isa::kLstmInputs], hidden};
  const int32_t cycles = CeilDivide(4 * hidden, isa::kWeightPorts) * (row_bytes / isa::kPortBytes);
  RowsPlace place = RowsPlace();
LstmCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = 4 * isa::kMaxHidden * (isa::kVectorWords + isa::kMaxHidden) / isa::kPortBytes
    #pragma HLS pipeline II = 1
    if (MultiplyRows(weights0, weights1, weights2, word[isa::kLstmWeights], row_bytes, operands, vector, gates,
                     4 * hidden, place)) {
      StoreActivations(word, tables, place, gates);
      place.row += isa::kWeightPorts;
    }
  }
LstmUnits:
  for (int32_t unit = 0; unit < hidden; ++unit) {
    #pragma HLS loop_tripcount max = isa::kMaxHidden
    #pragma HLS pipeline II = 1
    UpdateUnit(unit, word[isa::kLstmOutput], vector, gates);
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
  int32_t active = 0;
GateChannels:
  for (int32_t channel = 0; channel < word[isa::kGateChannelChannels]; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    #pragma HLS pipeline II = 1
    if (vector[word[isa::kGateChannelInput] + channel] > word[isa::kGateChannelThreshold]) {
      masks.channel[mask][active] = uint16_t(channel);
      ++active;
    }
  }
  masks.active[mask] = active;
  masks.built_for[mask] = word[isa::kGateChannelChannels];
  if (word[isa::kGateChannelGate] >= 0) trace[word[isa::kGateChannelGate]] = active;
}

}  // namespace ddi
