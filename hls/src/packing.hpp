// Packed multiplication: two weights share one DSP48E1, because both meet the same pixel.
//
// Role     high · pixel and low · pixel from one multiplication, for any two weights and any pixel
// Rate     one pair a cycle; the sum is the DSP's pre-adder, so any two active channels can share one
// Latency  that of the DSP, and one addition of 17 bits in the fabric
// Storage  none
//
// P = (high · 2^16 + low) · pixel = high · pixel · 2^16 + low · pixel. A weight is an int8 and a pixel lies in
// [-128, 255], so low · pixel lies in int16: the lowest 16 bits of P, taken with their sign, are low · pixel. Above
// them stands high · pixel, less one where low · pixel is negative and has borrowed; bit 15 of P says so and is added
// back. Ports: the pre-adder gives 25 bits, the pixel takes 10 of 18, and P 32 of 48, so that a native int32_t holds
// it. tests/hls/test_packing.py tries every case.
#pragma once
#include <cstdint>

namespace ddi {

constexpr int32_t kPackShift = 16;
constexpr int32_t kMinPackedPixel = -128;
constexpr int32_t kMaxPackedPixel = 255;

constexpr int64_t kMinPair = int64_t(INT8_MIN) * (1 << kPackShift) + INT8_MIN;  // what leaves the pre-adder
constexpr int64_t kMaxPair = int64_t(INT8_MAX) * (1 << kPackShift) + INT8_MAX;
static_assert(kMinPair >= -(1 << 24) && kMaxPair < (1 << 24), "25 bits hold a pair of weights");
static_assert(kMinPackedPixel >= -(1 << 17) && kMaxPackedPixel < (1 << 17), "18 bits hold a pixel");
static_assert(kMaxPackedPixel * INT8_MIN >= INT16_MIN && kMaxPackedPixel * INT8_MAX <= INT16_MAX, "16 bits hold low");
static_assert(kMinPackedPixel * INT8_MIN <= INT16_MAX, "16 bits hold low");
static_assert(kMinPair * kMaxPackedPixel >= INT32_MIN && kMaxPair * kMaxPackedPixel <= INT32_MAX, "32 bits hold P");
static_assert(kMinPair * kMinPackedPixel <= INT32_MAX, "32 bits hold P");

// The lowest bits of a number with their sign: the same number, where that many hold it.
inline int32_t Narrow(int32_t value, int32_t bits) {
  #pragma HLS inline
  return int32_t(uint32_t(value) << (32 - bits)) >> (32 - bits);
}

inline int32_t NarrowPixel(int32_t value) { return Narrow(value, 9); }  // [-128, 255]
inline int32_t NarrowPair(int32_t value) { return Narrow(value, 25); }  // what leaves the pre-adder

// What a packed multiplication gives: low = low_weight · pixel, and high_weight · pixel = high + carry, exactly.
struct PackedProduct {
  int32_t high;
  int32_t low;
  int32_t carry;  // 0 or 1, for the adder behind
};

// Weights and pixel may change places.
inline PackedProduct MultiplyPacked(int32_t high_weight, int32_t low_weight, int32_t pixel) {
  #pragma HLS inline
  const int32_t sum = high_weight * (1 << kPackShift) + low_weight;
  #pragma HLS bind_op variable = sum op = add impl = dsp
  const int32_t pair = NarrowPair(sum);
  const int32_t product = pair * NarrowPixel(pixel);
  #pragma HLS bind_op variable = product op = mul impl = dsp
  const PackedProduct packed = {product >> kPackShift, int16_t(product & 0xFFFF), (product >> (kPackShift - 1)) & 1};
  return packed;
}

}  // namespace ddi
