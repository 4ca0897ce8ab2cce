// Gates: fully connected layers, the LSTM step, and the decisions made from their outputs.
//
// Role     FC, LSTM, GATE_LAYER, GATE_CHANNEL (docs/engine.md). The rows of FC and LSTM are multiplied in
//          chip/rows.hpp or cpu/rows.hpp; each row is finished here
// Rate     an LSTM unit a cycle, a channel of a gate a cycle
// Latency  kDepthLstmUnits, kDepthGateChannels
// Storage  the LSTM's state; vector memory's eight banks are its operands; tables of sigmoid and tanh in block RAM
#pragma once
#include <cstdint>

#include "masks.hpp"
#include "ports.hpp"
#include "requantize.hpp"
#include "tile_memory.hpp"

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

// The three rows whose sums are complete: the sums, the next one to be finished, and where an LSTM's goes.
struct FinishedRows {
  int64_t sum[isa::kWeightPorts];
  int16_t row;
  int8_t left;
  int8_t gate, unit;
};

// A row's result: requantised, and saturated to 16 bits. |sum| < 2^36, so Requantize cannot overflow.
inline int16_t Rescale(int64_t sum, int32_t scale) {
  #pragma HLS inline
  return Narrow16(Requantize(sum, MakeRequantizer(scale)));
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
  #pragma HLS bind_op variable = added op = mul impl = dsp
  const int32_t kept = forget_gate * gates.cell[unit];
  #pragma HLS bind_op variable = kept op = mul impl = dsp
  const int64_t sum = int64_t(kept) + (added >> (kActivationBits - kCellBits)) + kHalf;
  const int32_t cell = Narrow16(sum >> kActivationBits);
  gates.cell[unit] = int16_t(cell);
  const int32_t shown = output_gate * Tanh(cell, kCellBits, kCellShift);
  #pragma HLS bind_op variable = shown op = mul impl = dsp
  const int16_t hidden = int16_t((shown + kHalf) >> kActivationBits);
  gates.hidden[unit & 7][unit >> 3] = hidden;
  vector[output + unit] = hidden;
}

// Where the rows' results go.
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

// Requantise one of the complete rows with its bias and scale. An FC's result goes to vector memory, an LSTM's
// activation to the memory of its gate.
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
NextSums:
  for (int32_t port = 1; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    finished.sum[port - 1] = finished.sum[port];
  }
  ++finished.row;
  --finished.left;
  if (++finished.unit == to.hidden) {
    finished.unit = 0;
    ++finished.gate;
  }
}

// After RunRows: the units of an LSTM.
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

// Decide whether the block is kept. The trace then says how many channels it has, or that it was skipped.
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
      masks.fetched[mask - 1][active] = uint16_t(channel);
      ++active;
    }
  }
  masks.active[mask] = active;
  masks.built_for[mask] = channels;
  if (word[isa::kGateChannelGate] >= 0) trace[word[isa::kGateChannelGate]] = active;
}

}  // namespace ddi
