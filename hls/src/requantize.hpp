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

// A scale taken apart: sign and multiplier (bits 31, 0-15) and shift (bits 16-21).
struct Requantizer {
  int32_t multiplier;
  int8_t shift;
};

inline Requantizer MakeRequantizer(int32_t scale) {
  #pragma HLS inline
  const int32_t magnitude = scale & 0xFFFF;
  const Requantizer requantizer = {scale < 0 ? -magnitude : magnitude, int8_t((scale >> 16) & 0x3F)};
  return requantizer;
}

// product >> shift, rounded half up: twice the product, shifted, plus one, halved. So no rounding constant is shifted
// into place, and a shift of 0 needs no case of its own. Twice the product must fit in 64 bits, or in 32 for pixels.
inline int64_t RoundingShift(int64_t product, int8_t shift) {
  #pragma HLS inline
  return (((product * 2) >> shift) + 1) >> 1;
}

inline int32_t RoundingShift(int32_t product, int8_t shift) {
  #pragma HLS inline
  return (((product * 2) >> shift) + 1) >> 1;
}

// value · scale, rounded half up. |value| < 2^45, so that nothing overflows whatever the scale.
inline int64_t Requantize(int64_t value, const Requantizer& requantizer) {
  #pragma HLS inline
  return RoundingShift(value * requantizer.multiplier, requantizer.shift);
}

// A sum of CONV, AFFINE or POOL, saturated to 25 bits, because one side of a DSP takes no more.
inline int32_t SaturateSum(int64_t value) {
  constexpr int64_t kMost = int64_t(1) << (isa::kSumBits - 1);
  const int64_t raised = value < -kMost ? -kMost : value;
  return int32_t(raised >= kMost ? kMost - 1 : raised);
}

// Requantise such a sum: 25 bits by 17, one DSP. A result beyond ±2^26 may be saturated there: whatever identity is
// added, it stays beyond a byte and is clamped the same.
inline int32_t RequantizeSum(int64_t value, const Requantizer& requantizer) {
  constexpr int64_t kMost = int64_t(1) << 26;
  const int64_t wide = Requantize(SaturateSum(value), requantizer);
  const int64_t raised = wide < -kMost ? -kMost : wide;
  return int32_t(raised > kMost ? kMost : raised);
}

// The same for a pixel: |byte · multiplier| < 2^24, so 32 bits are enough, and a shift beyond 30 gives 0 as 30 does.
inline int32_t RequantizeByte(int32_t byte, const Requantizer& requantizer) {
  #pragma HLS inline
  return RoundingShift(byte * requantizer.multiplier, requantizer.shift < 30 ? requantizer.shift : int8_t(30));
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

// Saturate to 16 bits. A number fits if the bits above are all copies of its sign.
inline int16_t Narrow16(int64_t value) {
  #pragma HLS inline
  const int64_t above = value >> 15;
  if (above == 0 || above == -1) return int16_t(value);
  return above < 0 ? INT16_MIN : INT16_MAX;
}

}  // namespace ddi
