// Gates: fully connected layers, the LSTM step, and the decisions made from their outputs.
//
// Role     FC, LSTM, GATE_LAYER, GATE_CHANNEL (docs/engine.md)
// Rate     kWeightAlign products a cycle, as fast as weights arrive; an LSTM step adds 4 cycles a hidden unit
// Latency  kPipeline cycles
// Storage  operands of a row, the LSTM's state, vector memory (8 BRAM18); tables of sigmoid and tanh in LUTs
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "pool.hpp"
#include "requantize.hpp"

namespace ddi {

constexpr int32_t kOperands = isa::kVectorWords + isa::kMaxHidden + isa::kWeightAlign;

struct GateMemory {
  int16_t operand[kOperands];  // inputs of a row of weights, zero up to the end of the row's last fetch
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

// Operands from vector memory, then zeros: the padding of a row of weights may hold anything.
inline void LoadOperands(const VectorMemory& vector, int32_t input, int32_t inputs, GateMemory& gates) {
Operands:
  for (int32_t i = 0; i < inputs; ++i) {
    #pragma HLS loop_tripcount max = isa::kVectorWords
    #pragma HLS pipeline II = 1
    gates.operand[i] = int16_t(Saturate16(vector[input + i]));
  }
}

inline void PadOperands(int32_t count, GateMemory& gates) {
OperandPadding:
  for (int32_t i = count; i < RowBytes(count); ++i) {
    #pragma HLS loop_tripcount max = isa::kWeightAlign
    #pragma HLS pipeline II = 1
    gates.operand[i] = 0;
  }
}

// Σ row[i] · operand[i] over `bytes` of weights, a multiple of kWeightAlign.
inline int64_t Dot(const int8_t* row, const int16_t (&operand)[kOperands], int32_t bytes) {
  int64_t sum = 0;
Fetches:
  for (int32_t first = 0; first < bytes; first += isa::kWeightAlign) {
    #pragma HLS loop_tripcount max = kOperands / isa::kWeightAlign
    #pragma HLS pipeline II = 1
    int32_t partial = 0;
  Products:
    for (int32_t i = 0; i < isa::kWeightAlign; ++i) {
      #pragma HLS unroll
      partial += row[first + i] * operand[first + i];
    }
    sum += partial;
  }
  return sum;
}

inline void RunFc(const Instruction& instruction, const int8_t* weights, const int32_t* tables, VectorMemory& vector,
                  GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int32_t row_bytes = RowBytes(word[isa::kFcInputs]);
  const bool raw = (word[isa::kFcFlags] & isa::kFlagRaw) != 0;
  const bool relu = (word[isa::kFcFlags] & isa::kFlagRelu) != 0;
  LoadOperands(vector, word[isa::kFcInput], word[isa::kFcInputs], gates);
  PadOperands(word[isa::kFcInputs], gates);
Outputs:
  for (int32_t output = 0; output < word[isa::kFcOutputs]; ++output) {
    #pragma HLS loop_tripcount max = isa::kVectorWords
    const int32_t* row = tables + word[isa::kFcTable] + isa::kTableRow * output;
    const int64_t sum =
        Dot(weights + word[isa::kFcWeights] + int64_t(output) * row_bytes, gates.operand, row_bytes) + row[0];
    const int32_t narrow = Saturate16(Requantize(sum, DecodeScale(row[1])));
    vector[word[isa::kFcOutput] + output] = raw ? Saturate32(sum) : relu && narrow < 0 ? 0 : narrow;
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
inline void UpdateState(int32_t hidden, int32_t output, VectorMemory& vector, GateMemory& gates) {
Units:
  for (int32_t unit = 0; unit < hidden; ++unit) {
    #pragma HLS loop_tripcount max = isa::kMaxHidden
    #pragma HLS pipeline II = 1
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
}

inline void RunLstm(const Instruction& instruction, const int8_t* weights, const int32_t* tables, VectorMemory& vector,
                    GateMemory& gates) {
  const int32_t* word = instruction.word;
  const int32_t inputs = word[isa::kLstmInputs];
  const int32_t hidden = word[isa::kLstmHidden];
  const int32_t row_bytes = RowBytes(inputs + hidden);
  LoadOperands(vector, word[isa::kLstmInput], inputs, gates);
HiddenOperands:
  for (int32_t unit = 0; unit < hidden; ++unit) {
    #pragma HLS loop_tripcount max = isa::kMaxHidden
    #pragma HLS pipeline II = 1
    gates.operand[inputs + unit] = gates.hidden[unit];
  }
  PadOperands(inputs + hidden, gates);
LstmGates:
  for (int32_t gate = 0; gate < 4; ++gate) {
  LstmUnits:
    for (int32_t unit = 0; unit < hidden; ++unit) {
      #pragma HLS loop_tripcount max = isa::kMaxHidden
      const int32_t index = gate * hidden + unit;
      const int32_t* row = tables + word[isa::kLstmTable] + isa::kTableRow * index;
      const int64_t sum =
          Dot(weights + word[isa::kLstmWeights] + int64_t(index) * row_bytes, gates.operand, row_bytes) + row[0];
      const int32_t value = Saturate16(Requantize(sum, DecodeScale(row[1])));
      gates.activation[gate][unit] = int16_t(gate == 2 ? Tanh(value, kPreactivationBits, kTanhShift) : Sigmoid(value));
    }
  }
  UpdateState(hidden, word[isa::kLstmOutput], vector, gates);
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
ListChannels:
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
