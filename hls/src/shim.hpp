// Shim: what differs between synthesis and co-simulation, and nothing else. The results are the same, bit for bit.
//
// DDI_CHIP      defined where CONV's main loop is the chip's own, cycle by cycle: for synthesis, and in a co-simulation
//               that asks for it to compare it with the host's or to count its iterations
// DDI_STATE     where the engine's memories live: on the chip, or one set for each thread of the co-simulation
// DDI_PORT      before a function that reads one memory port, with a name of its own. LLVM makes one load of two in
//               opposite branches, from a pointer that is chosen, and one function of two with the same body; Bambu
//               would put either on one of the two buses. So there these stay functions, in sections of their own
// ForgetMemory  on the board a memory holds whatever it held. The co-simulation fills it with a chosen byte at the
//               start of each image, so that every run is repeatable and a program that reads what it never wrote
//               can be found: its results change with the byte.
// Sums8, …      what conv_host.hpp multiplies with: one instruction of x86 for eight pixels of two or four channels;
//               elsewhere plain loops
#pragma once
#include <cstdint>

#ifdef __BAMBU__
#define DDI_PORT(name) __attribute__((noinline, section(#name)))
#else
#define DDI_PORT(name)
#endif

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

// Numbers of several input channels in 32 bits, which one instruction multiplies and adds up: two of 16 bits, or, where
// the processor has it and pixels are unsigned, four of 8.
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
constexpr int32_t kMostPacked = 4;
#else
constexpr int32_t kMostPacked = 2;
#endif

template <int32_t kPacked>
inline uint32_t Pack(int32_t number, int32_t place) {
  return (uint32_t(number) & (0xFFFFFFFFu >> (32 - 32 / kPacked))) << (32 / kPacked * place);
}

#if defined(__AVX2__)

typedef __m256i Sums8;    // of eight pixels
typedef __m256i Pixels8;  // eight pixels of kPacked channels

inline Sums8 ZeroSums() { return _mm256_setzero_si256(); }

inline Pixels8 LoadPixels8(const uint32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

inline void StoreSums8(int32_t* to, Sums8 sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums); }

// sums[i] += Σ pixels[i][c] · weights[c]
template <int32_t kPacked>
inline void MultiplyPacked8(Sums8& sums, Pixels8 pixels, uint32_t weights) {
  const __m256i all = _mm256_set1_epi32(int32_t(weights));
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
  sums = kPacked == 4 ? _mm256_dpbusd_epi32(sums, pixels, all) : _mm256_dpwssd_epi32(sums, pixels, all);
#else
  sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pixels, all));
#endif
}

inline __m128i LoadBytes8(const uint8_t* from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }

// Eight pixels of each of kPacked channels, those outside `mask` as zero.
template <int32_t kPacked>
inline void Interleave(const uint8_t* const (&channel)[kPacked], uint64_t mask, bool is_signed, uint32_t* to) {
  const __m128i inside = _mm_set1_epi64x(int64_t(mask));
  const __m128i low =
      _mm_unpacklo_epi8(_mm_and_si128(LoadBytes8(channel[0]), inside), _mm_and_si128(LoadBytes8(channel[1]), inside));
  __m256i packed = is_signed ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low);
  if (kPacked == 4) {
    const __m128i high = _mm_unpacklo_epi8(_mm_and_si128(LoadBytes8(channel[kPacked - 2]), inside),
                                           _mm_and_si128(LoadBytes8(channel[kPacked - 1]), inside));
    packed = _mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packed);
}

#else

struct Sums8 {
  int32_t value[8];
};
struct Pixels8 {
  uint32_t value[8];
};

inline Sums8 ZeroSums() { return Sums8(); }

inline Pixels8 LoadPixels8(const uint32_t* from) {
  Pixels8 pixels;
  std::memcpy(pixels.value, from, sizeof(pixels.value));
  return pixels;
}

inline void StoreSums8(int32_t* to, const Sums8& sums) { std::memcpy(to, sums.value, sizeof(sums.value)); }

template <int32_t kPacked>
inline void MultiplyPacked8(Sums8& sums, const Pixels8& pixels, uint32_t weights) {
  static_assert(kPacked == 2, "four at a time take an instruction for it");
MultiplyPairs:
  for (int32_t i = 0; i < 8; ++i) {
    sums.value[i] += int16_t(pixels.value[i] & 0xFFFF) * int16_t(weights & 0xFFFF) +
                     int16_t(pixels.value[i] >> 16) * int16_t(weights >> 16);
  }
}

template <int32_t kPacked>
inline void Interleave(const uint8_t* const (&channel)[kPacked], uint64_t mask, bool is_signed, uint32_t* to) {
  const int32_t sign = is_signed ? 0x80 : 0;
InterleavePixels:
  for (int32_t i = 0; i < 8; ++i) {
    to[i] = 0;
  InterleaveChannels:
    for (int32_t c = 0; c < kPacked; ++c) {
      const int32_t byte = channel[c][i] & int32_t(mask >> (8 * i)) & 0xFF;
      to[i] |= Pack<kPacked>(byte - ((byte & sign) << 1), c);
    }
  }
}

#endif

}  // namespace ddi

#endif
