// Requantiser: one integer multiply and one rounding shift, for every instruction alike.
//
// Role     a wide sum becomes a byte or a 16-bit number; docs/engine.md, Numbers
// Rate     one value a cycle for each instance; layers instantiate eight, a DSP each, and FC one
// Latency  4 cycles (multiply 2, round and shift 1, clamp 1)
// Storage  none
#pragma once
#include <cstdint>

#include "isa.hpp"

namespace ddi {

// A scale word taken apart: sign, multiplier (bits 0-15) and shift (bits 16-21).
struct Scale {
  int32_t multiplier;
  int32_t shift;
  int64_t rounding;
};

inline Scale DecodeScale(int32_t word) {
  const int32_t magnitude = word & 0xFFFF;
  Scale scale;
  scale.multiplier = word < 0 ? -magnitude : magnitude;
  scale.shift = (word >> 16) & 0x3F;
  scale.rounding = scale.shift > 0 ? int64_t(1) << (scale.shift - 1) : 0;
  return scale;
}

// (value · multiplier) >> shift, rounds half up. |value| < 2^36, so nothing overflows whatever the scale.
inline int64_t Requantize(int64_t value, const Scale& scale) {
  return (value * scale.multiplier + scale.rounding) >> scale.shift;
}

// A sum of CONV, AFFINE or POOL, saturated to what one side of a DSP takes.
inline int32_t SaturateSum(int64_t value) {
  constexpr int64_t kMost = int64_t(1) << (isa::kSumBits - 1);
  const int64_t raised = value < -kMost ? -kMost : value;
  return int32_t(raised >= kMost ? kMost - 1 : raised);
}

// Requantise such a sum: 25 bits by 17, one DSP. What is beyond 2^26 either way stays beyond a byte with any identity
// added, so that it may be saturated there.
inline int32_t RequantizeSum(int64_t value, const Scale& scale) {
  constexpr int64_t kMost = int64_t(1) << 26;
  const int64_t wide = (int64_t(SaturateSum(value)) * scale.multiplier + scale.rounding) >> scale.shift;
  const int64_t raised = wide < -kMost ? -kMost : wide;
  return int32_t(raised > kMost ? kMost : raised);
}

// The same for a pixel: |byte · multiplier| < 2^24, so that 32 bits do and a shift beyond 30 gives 0 as one of 30 does.
inline int32_t RequantizeByte(int32_t byte, const Scale& scale) {
  #pragma HLS inline
  const int32_t shift = scale.shift < 30 ? scale.shift : 30;
  const int32_t rounding = shift > 0 ? 1 << (shift - 1) : 0;
  const int32_t product = byte * scale.multiplier;
  return (product + rounding) >> shift;
}

// To [0, 255] after a ReLU, else to [-128, 127]; the low byte of the result is what a map stores.
inline int32_t Clamp8(int64_t value, bool relu) {
  const int64_t low = relu ? 0 : -128;
  const int64_t high = relu ? 255 : 127;
  const int64_t raised = value < low ? low : value;
  return int32_t(raised > high ? high : raised);
}

inline int32_t Saturate16(int64_t value) {
  return int32_t(value < INT16_MIN ? INT16_MIN : value > INT16_MAX ? INT16_MAX : value);
}

inline int32_t Saturate32(int64_t value) {
  return int32_t(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}

// The sums of FC, LSTM and EXIT are wider than a map's, and come one at a time. The numbers are the same, by less
// logic: twice the product, shifted, plus one, halved, is the product rounded half up. That needs no rounding constant,
// and a shift of 0 is no case of its own.

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
