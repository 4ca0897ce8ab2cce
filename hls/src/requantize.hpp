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

// The lowest bits of a number with their sign: the same number, where that many hold it.
inline int32_t Narrow(int32_t value, int32_t bits) {
  #pragma HLS inline
  return int32_t(uint32_t(value) << (32 - bits)) >> (32 - bits);
}

inline int32_t NarrowPixel(int32_t value) { return Narrow(value, 9); }  // [-128, 255]

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

// Do so many bits hold a number with its sign? They do if those above are all copies of the sign: no long comparison.
inline bool Fits(int64_t value, int32_t bits) {
  #pragma HLS inline
  const int64_t above = value >> (bits - 1);
  return above == 0 || above == -1;
}

// A sum of CONV, AFFINE or POOL, saturated to 25 bits, because one side of a DSP takes no more.
inline int32_t SaturateSum(int64_t value) {
  #pragma HLS inline
  constexpr int32_t kMost = (1 << (isa::kSumBits - 1)) - 1;
  const int32_t nearest = value < 0 ? -kMost - 1 : kMost;
  return Fits(value, isa::kSumBits) ? int32_t(value) : nearest;
}

// Such a sum requantised, 25 bits by 17, one DSP; twice, and not rounded yet: with an identity, one sum rounds and
// adds. What 28 bits do not hold may be saturated to them: whatever identity is added, of 26 bits, it stays beyond a
// byte and is clamped the same.
inline int32_t RequantizeTwice(int64_t value, const Requantizer& requantizer) {
  #pragma HLS inline
  constexpr int32_t kBits = 28;
  constexpr int32_t kMost = (1 << (kBits - 1)) - 1;
  const int64_t wide = (int64_t(SaturateSum(value)) * requantizer.multiplier * 2) >> requantizer.shift;
  const int32_t nearest = wide < 0 ? -kMost - 1 : kMost;
  return Fits(wide, kBits) ? int32_t(wide) : nearest;
}

// The same for a pixel: |byte · multiplier| < 2^24, so 32 bits are enough, and a shift beyond 30 gives 0 as 30 does.
inline int32_t RequantizeByte(int32_t byte, const Requantizer& requantizer) {
  #pragma HLS inline
  return RoundingShift(byte * requantizer.multiplier, requantizer.shift < 30 ? requantizer.shift : int8_t(30));
}

// To [0, 255] after a ReLU, else to [-128, 127]; the low byte of the result is what a map stores.
inline int32_t Clamp8(int32_t value, bool relu) {
  #pragma HLS inline
  const bool fits = relu ? (value >> 8) == 0 : Fits(value, 8);
  const int32_t least = relu ? 0 : -128;
  const int32_t most = relu ? 255 : 127;
  const int32_t nearest = value < 0 ? least : most;
  return fits ? NarrowPixel(value) : nearest;
}

inline int32_t Saturate32(int64_t value) {
  return int32_t(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}

// Saturate to 16 bits.
inline int16_t Narrow16(int64_t value) {
  #pragma HLS inline
  const int16_t nearest = value < 0 ? INT16_MIN : INT16_MAX;
  return Fits(value, 16) ? int16_t(value) : nearest;
}

}  // namespace ddi
