// Rounding: requantisation of sums that are too wide for a map's, as FC, LSTM and EXIT have them.
//
// Role     (value · multiplier) >> shift, rounds half up; the same numbers as requantize.hpp
// Rate     one value a cycle for each instance
// Storage  none
//
// Twice the product, shifted, plus one, halved, is the product rounded half up: no rounding constant is made, and a
// shift of 0 is no case of its own.
#pragma once
#include <cstdint>

namespace ddi {

// Multiplier and shift of a scale word.
inline int32_t ScaleMultiplier(int32_t scale) {
  #pragma HLS inline
  const int32_t magnitude = scale & 0xFFFF;
  return scale < 0 ? -magnitude : magnitude;
}

inline int8_t ScaleShift(int32_t scale) {
  #pragma HLS inline
  return int8_t((scale >> 16) & 0x3F);
}

// |product| < 2^61
inline int64_t RoundingShift(int64_t product, int8_t shift) {
  #pragma HLS inline
  return (((product * 2) >> shift) + 1) >> 1;
}

// To 16 bits: the bits above must all be copies of the sign.
inline int16_t Narrow16(int64_t value) {
  #pragma HLS inline
  const int64_t above = value >> 15;
  if (above == 0 || above == -1) return int16_t(value);
  return above < 0 ? INT16_MIN : INT16_MAX;
}

}  // namespace ddi
