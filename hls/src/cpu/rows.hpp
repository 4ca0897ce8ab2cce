// FC and LSTM's rows as a processor of the co-simulation multiplies them: operands once, then row by row.
//
// Role     RunRows of chip/rows.hpp, the same sums
// Rate     16 products for a few vector instructions
// Storage  none
#pragma once
#include <cstdint>

#include "../gates.hpp"

namespace ddi {

constexpr int32_t kMostOperands = isa::kVectorWords + isa::kMaxHidden + kBanks;
constexpr int32_t kSafeProducts = 256;  // of a byte and 16 bits, whose sum fits 32 bits

// Inputs, hidden state, and zeros up to a whole word of weights, whose padding may hold anything. Returns the number.
inline int32_t CopyOperands(const Operands& operands, const VectorMemory& vector, const GateMemory& gates,
                            int16_t (&operand)[kMostOperands]) {
  const int32_t count = operands.inputs + operands.hidden;
  const int32_t padded = RowBytes(count);
CopyInputs:
  for (int32_t i = 0; i < operands.inputs; ++i) {
    operand[i] = Narrow16(vector[operands.input + i]);
  }
CopyHidden:
  for (int32_t i = 0; i < operands.hidden; ++i) {
    operand[operands.inputs + i] = gates.hidden[i & 7][i >> 3];
  }
CopyZeros:
  for (int32_t i = count; i < padded; ++i) {
    operand[i] = 0;
  }
  return padded;
}

// Σ weights · operands of `count` bytes of a row.
inline int64_t MultiplyRow(const int8_t* row, const int16_t* operand, int32_t count) {
  int64_t sum = 0;
RowParts:
  for (int32_t first = 0; first < count; first += kSafeProducts) {
    const int32_t end = Smaller(first + kSafeProducts, count);
    int32_t part = 0;
  PartBytes:
    for (int32_t i = first; i < end; ++i) {
      part += int16_t(row[i]) * operand[i];
    }
    sum += part;
  }
  return sum;
}

inline void RunRows(const Instruction& instruction, const int64_t* weights0, const int64_t*, const int64_t*,
                    const int64_t* tables, VectorMemory& vector, GateMemory& gates) {
  const int32_t* word = instruction.word;
  const RowsOutput to = MakeRowsOutput(word);
  const Operands operands = {int16_t(word[to.is_fc ? isa::kFcInput : isa::kLstmInput]),
                             int16_t(word[to.is_fc ? isa::kFcInputs : isa::kLstmInputs]), to.hidden};
  const int8_t* weights =
      reinterpret_cast<const int8_t*>(weights0) + word[to.is_fc ? isa::kFcWeights : isa::kLstmWeights];
  int16_t operand[kMostOperands];
  const int32_t row_bytes = CopyOperands(operands, vector, gates, operand);
  const int32_t rows = to.is_fc ? word[isa::kFcOutputs] : kGates * to.hidden;
  FinishedRows finished = FinishedRows();
CpuRows:
  for (int32_t row = 0; row < rows; ++row) {
    finished.sum[0] = MultiplyRow(weights, operand, row_bytes);
    finished.left = 1;
    FinishRow(to, tables, finished, vector, gates);
    weights += row_bytes;
  }
}

}  // namespace ddi
