// Packed multiplication: two weights share one DSP48E1, because both meet the same pixel, and a row of DSPs adds up.
//
// Role     Σ high · pixel and Σ low · pixel over two or three taps, a multiplication each, for any weights and pixels
// Rate     kRowTaps pairs a cycle; the pair is the DSP's pre-adder's and the sum its post-adder's, along a column of
// DSPs Latency  that of kRowTaps DSPs, and a carry into the sums behind Storage  none
//
// P = Σ (high · 2^17 + low) · pixel = H · 2^17 + L with H = Σ high · pixel and L = Σ low · pixel. A weight lies in
// [-127, 127] and a pixel in [-128, 255], so |L| < 2^17: the lowest 17 bits of P are L, or L + 2^17 where L is below
// zero, and then the bits above are H - 1. The parity of H tells which of the two it is. It is the parity of the
// number of taps whose weight and pixel are both odd, so one LUT of six inputs computes it. Ports: the pre-adder gives
// 25 bits, the pixel takes 9 of 18, and P 35 of 48. tests/hls/src/test_packing.py tries every case.
#pragma once
#include <cstdint>

#include "isa.hpp"
#include "requantize.hpp"

namespace ddi {

constexpr int32_t kPackShift = 17;
constexpr int32_t kMaxWeight = 127;
constexpr int32_t kMinPackedPixel = -128;
constexpr int32_t kMaxPackedPixel = 255;
static_assert(isa::kRowTaps == 2 || isa::kRowTaps == 3, "so many products are added up below");

constexpr int64_t kMaxPair = int64_t(kMaxWeight) * (1 << kPackShift) + kMaxWeight;  // what leaves the pre-adder
static_assert(kMaxPair < (1 << 24), "25 bits hold a pair of weights");
static_assert(kMinPackedPixel >= -(1 << 17) && kMaxPackedPixel < (1 << 17), "18 bits hold a pixel");
static_assert(isa::kRowTaps * kMaxWeight * kMaxPackedPixel < (1 << kPackShift), "L stays below 2^17");
static_assert(isa::kRowTaps * kMaxPair * kMaxPackedPixel < (int64_t(1) << 47), "48 bits hold P");

inline int32_t NarrowPair(int32_t value) { return Narrow(value, 25); }  // what leaves the pre-adder

// A byte of weights as the engine reads it: -128 counts as -127.
inline int8_t ReadableWeight(int8_t byte) {
  #pragma HLS inline
  return int8_t(byte == -128 ? -127 : byte);
}

// What packed multiplications give that are added up: Σ low · pixel = low, Σ high · pixel = high + carry, exactly.
struct PackedSum {
  int32_t high;
  int32_t low;
  int32_t carry;  // 0 or 1, for the adder behind
};

// high · 2^17 + low times a pixel.
inline int64_t MultiplyPacked(int32_t high, int32_t low, int32_t pixel) {
  #pragma HLS inline
  const int32_t sum = high * (1 << kPackShift) + low;
  #pragma HLS bind_op variable = sum op = add impl = dsp
  const int64_t product = int64_t(NarrowPair(sum)) * NarrowPixel(pixel);
  #pragma HLS bind_op variable = product op = mul impl = dsp
  return product;
}

// The lowest bit of a product.
inline int32_t OddProduct(int32_t a, int32_t b) {
  #pragma HLS inline
  const int32_t odd = a & 1;
  return odd & (b & 1);
}

// `odd`: the lowest bit of H.
inline PackedSum UnpackSum(int64_t sum, int32_t odd) {
  #pragma HLS inline
  const int32_t high = int32_t(sum >> kPackShift);
  const int32_t carry = (high & 1) ^ odd;
  const int32_t rest = int32_t(sum & ((1 << kPackShift) - 1));
  const PackedSum packed = {high, carry * -(1 << kPackShift) + rest, carry};
  return packed;
}

// Two pairs of weights, each with a pixel of its own.
inline PackedSum MultiplyTaps(const int8_t (&high)[2], const int8_t (&low)[2], const int16_t (&pixel)[2]) {
  #pragma HLS inline
  const int64_t first = MultiplyPacked(high[0], low[0], pixel[0]);
  const int64_t sum = first + MultiplyPacked(high[1], low[1], pixel[1]);
  #pragma HLS bind_op variable = sum op = add impl = dsp
  return UnpackSum(sum, OddProduct(high[0], pixel[0]) ^ OddProduct(high[1], pixel[1]));
}

// Three of them.
inline PackedSum MultiplyTaps(const int8_t (&high)[3], const int8_t (&low)[3], const int16_t (&pixel)[3]) {
  #pragma HLS inline
  const int64_t first = MultiplyPacked(high[0], low[0], pixel[0]);
  const int64_t two = first + MultiplyPacked(high[1], low[1], pixel[1]);
  #pragma HLS bind_op variable = two op = add impl = dsp
  const int64_t sum = two + MultiplyPacked(high[2], low[2], pixel[2]);
  #pragma HLS bind_op variable = sum op = add impl = dsp
  const int32_t odd = OddProduct(high[0], pixel[0]) ^ OddProduct(high[1], pixel[1]) ^ OddProduct(high[2], pixel[2]);
  return UnpackSum(sum, odd);
}

}  // namespace ddi
