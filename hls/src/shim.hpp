// Shim: what differs between synthesis and co-simulation, and nothing else. The results are the same, bit for bit.
//
// DDI_CHIP      defined where CONV's main loop is the chip's own, cycle by cycle: for synthesis, and in a co-simulation
//               that asks for it to compare it with the host's or to count its iterations
// DDI_STATE     where the engine's memories live: on the chip, or one set for each thread of the co-simulation
// ForgetMemory  on the board a memory holds whatever it held. The co-simulation fills it with a chosen byte at the
//               start of each image, so that every run is repeatable and a program that reads what it never wrote
//               can be found: its results change with the byte.
// Pixels,       what conv_host.hpp multiplies: eight sums, and eight pairs of 16-bit numbers that one instruction of
// Sums8         x86 multiplies and adds in pairs; elsewhere plain loops
#pragma once
#include <cstdint>

#ifdef __SYNTHESIS__

#define DDI_CHIP
#define DDI_STATE static

namespace ddi {

inline void SetForgetByte(int32_t) {}

template <typename Memory>
inline void ForgetMemory(Memory&) {}

}  // namespace ddi

#else

#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define DDI_STATE static thread_local

namespace ddi {

DDI_STATE uint8_t forget_byte = 0;

inline void SetForgetByte(int32_t byte) { forget_byte = uint8_t(byte); }

template <typename Memory>
inline void ForgetMemory(Memory& memory) {
  std::memset(&memory, forget_byte, sizeof(memory));
}

// A pair of 16-bit numbers as one 32-bit number, the first in its low half.
inline int32_t MakePair(int32_t low, int32_t high) {
  return int32_t(uint32_t(low) & 0xFFFF) | int32_t(uint32_t(high) << 16);
}

#if defined(__AVX2__)

typedef __m256i Sums8;
typedef __m256i Pixels8;

inline Sums8 ZeroSums() { return _mm256_setzero_si256(); }

inline Pixels8 LoadPixels8(const int32_t* pairs) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs)); }

inline void StoreSums8(int32_t* to, Sums8 sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums); }

// sums[i] += low(pixels[i]) · low(weights) + high(pixels[i]) · high(weights)
inline void MultiplyPairs(Sums8& sums, Pixels8 pixels, int32_t weights) {
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  sums = _mm256_dpwssd_epi32(sums, pixels, _mm256_set1_epi32(weights));
#else
  sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pixels, _mm256_set1_epi32(weights)));
#endif
}

// Bytes of two channels, eight pixels each, as pairs of 16-bit numbers.
inline void InterleaveBytes(const uint8_t* first, const uint8_t* second, uint64_t mask, bool is_signed,
                            int32_t* pairs) {
  const __m128i bytes = _mm_unpacklo_epi8(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(first)),
                                          _mm_loadl_epi64(reinterpret_cast<const __m128i*>(second)));
  const __m128i inside = _mm_set1_epi64x(int64_t(mask));
  const __m128i kept = _mm_and_si128(bytes, _mm_unpacklo_epi8(inside, inside));
  const __m256i wide = is_signed ? _mm256_cvtepi8_epi16(kept) : _mm256_cvtepu8_epi16(kept);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(pairs), wide);
}

#else

struct Sums8 {
  int32_t value[8];
};
typedef Sums8 Pixels8;

inline Sums8 ZeroSums() { return Sums8(); }

inline Pixels8 LoadPixels8(const int32_t* pairs) {
  Pixels8 pixels;
  std::memcpy(pixels.value, pairs, sizeof(pixels.value));
  return pixels;
}

inline void StoreSums8(int32_t* to, const Sums8& sums) { std::memcpy(to, sums.value, sizeof(sums.value)); }

inline void MultiplyPairs(Sums8& sums, const Pixels8& pixels, int32_t weights) {
PairLanes:
  for (int32_t i = 0; i < 8; ++i) {
    const int32_t low = int16_t(pixels.value[i] & 0xFFFF) * int16_t(weights & 0xFFFF);
    sums.value[i] += low + (pixels.value[i] >> 16) * (weights >> 16);
  }
}

inline void InterleaveBytes(const uint8_t* first, const uint8_t* second, uint64_t mask, bool is_signed,
                            int32_t* pairs) {
PairBytes:
  for (int32_t i = 0; i < 8; ++i) {
    const int32_t inside = int32_t(mask >> (8 * i)) & 0xFF;
    const int32_t low = first[i] & inside;
    const int32_t high = second[i] & inside;
    const int32_t sign = is_signed ? 0x80 : 0;
    pairs[i] = MakePair(low - ((low & sign) << 1), high - ((high & sign) << 1));
  }
}

#endif

}  // namespace ddi

#endif
