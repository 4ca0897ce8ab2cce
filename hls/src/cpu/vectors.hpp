// Vectors: what the co-simulation multiplies with, a tile's row of eight pixels at a time, or two rows.
//
// Role     numbers of two or four input channels stand in 32 bits, a pack; one instruction of x86 multiplies the packs
//          of kVectorRows rows by one of weights and adds up the products; elsewhere plain loops do. Pixels are
//          unsigned: those of a signed map are raised by 128, and what that adds to a sum is taken off it (weights.hpp)
// Rate     four channels a pack where the processor multiplies bytes (VNNI), two in halves of 16 bits where it does not
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "../packing.hpp"
#include "../shim.hpp"

namespace ddi {

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
constexpr int32_t kPacked = 4;      // channels in a pack
constexpr int32_t kVectorRows = 2;  // rows of a tile in a vector
constexpr uint32_t kRaise = 0x80808080;
#else
constexpr int32_t kPacked = 2;
constexpr int32_t kVectorRows = 1;
constexpr uint32_t kRaise = 0x00800080;
#endif

// Channel `place` of a pack.
inline uint32_t Pack(int32_t number, int32_t place) {
  return (uint32_t(number) & (0xFFFFFFFFu >> (32 - 32 / kPacked))) << (32 / kPacked * place);
}

inline int32_t Unpack(uint32_t pack, int32_t place) {
  const uint32_t number = pack >> (32 / kPacked * place);
  return kPacked == 4 ? int8_t(number & 0xFF) : int16_t(number & 0xFFFF);
}

#if defined(__AVX2__)

typedef __m256i Packs8;  // eight packs

inline Packs8 RepeatPack8(uint32_t pack) { return _mm256_set1_epi32(int32_t(pack)); }

inline Packs8 LoadPacks8(const uint32_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }

inline void StorePacks8(uint32_t* to, Packs8 packs) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), packs); }

inline __m128i LoadBytes8(const uint8_t* from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }

// Eight bytes of each channel as packs, sign-extended if `is_signed` and the pack has room.
inline Packs8 Interleave8(const uint8_t* const (&channel)[kPacked], bool is_signed) {
  const __m128i low = _mm_unpacklo_epi8(LoadBytes8(channel[0]), LoadBytes8(channel[1]));
  if (kPacked == 2) return is_signed ? _mm256_cvtepi8_epi16(low) : _mm256_cvtepu8_epi16(low);
  const __m128i high = _mm_unpacklo_epi8(LoadBytes8(channel[kPacked - 2]), LoadBytes8(channel[kPacked - 1]));
  return _mm256_set_m128i(_mm_unpackhi_epi16(low, high), _mm_unpacklo_epi16(low, high));
}

// Eight pixels of each channel, those outside `mask` as zero, raised.
inline void PackPixels8(const uint8_t* const (&channel)[kPacked], uint64_t mask, uint32_t raise, uint32_t* to) {
  const __m256i inside = _mm256_cvtepi8_epi32(_mm_set_epi64x(0, int64_t(mask)));
  const __m256i pixels = _mm256_and_si256(Interleave8(channel, false), inside);
  StorePacks8(to, _mm256_xor_si256(pixels, RepeatPack8(raise)));
}

// Eight weights of each channel.
inline void PackWeights8(const uint8_t* const (&channel)[kPacked], uint32_t* to) {
  const __m256i least = _mm256_set1_epi8(-127);  // ReadableWeight
  const __m256i weights = Interleave8(channel, true);
  StorePacks8(to, kPacked == 4 ? _mm256_max_epi8(weights, least) : _mm256_max_epi16(weights, _mm256_set1_epi16(-127)));
}

#if defined(__AVX512VNNI__) && defined(__AVX512VL__)

typedef __m512i Sums;     // of kVectorRows rows
typedef __m512i Pixels;   // of kPacked channels
typedef __m512i Weights;  // one pack, repeated

inline Sums StartSums(int32_t start) { return _mm512_set1_epi32(start); }

inline Weights RepeatWeights(uint32_t weights) { return _mm512_set1_epi32(int32_t(weights)); }

// A row and the next one, `down` packs behind it.
inline Pixels LoadPixels(const uint32_t* from, std::ptrdiff_t down) {
  // With a mask of all, for g++ 12 takes the plain form's own header for faulty.
  return _mm512_maskz_inserti64x4(0xFF, _mm512_castsi256_si512(LoadPacks8(from)), LoadPacks8(from + down), 1);
}

inline void StoreSums(int32_t* to, Sums sums) { _mm512_storeu_si512(to, sums); }

// sums[i] += Σ pixels[i][c] · weights[c]
inline void Multiply(Sums& sums, Pixels pixels, Weights weights) { sums = _mm512_dpbusd_epi32(sums, pixels, weights); }

#else

typedef Packs8 Sums;
typedef Packs8 Pixels;
typedef Packs8 Weights;

inline Sums StartSums(int32_t start) { return _mm256_set1_epi32(start); }

inline Weights RepeatWeights(uint32_t weights) { return RepeatPack8(weights); }

inline Pixels LoadPixels(const uint32_t* from, std::ptrdiff_t) { return LoadPacks8(from); }

inline void StoreSums(int32_t* to, Sums sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), sums); }

inline void Multiply(Sums& sums, Pixels pixels, Weights weights) {
  sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pixels, weights));
}

#endif

#else

struct Sums {
  int32_t value[8];
};
struct Packs8 {
  uint32_t value[8];
};
typedef Packs8 Pixels;
typedef uint32_t Weights;

inline Packs8 RepeatPack8(uint32_t pack) { return {{pack, pack, pack, pack, pack, pack, pack, pack}}; }

inline void StorePacks8(uint32_t* to, const Packs8& packs) { std::memcpy(to, packs.value, sizeof(packs.value)); }

inline Sums StartSums(int32_t start) { return {{start, start, start, start, start, start, start, start}}; }

inline Weights RepeatWeights(uint32_t weights) { return weights; }

inline Pixels LoadPixels(const uint32_t* from, std::ptrdiff_t) {
  Pixels pixels;
  std::memcpy(pixels.value, from, sizeof(pixels.value));
  return pixels;
}

inline void StoreSums(int32_t* to, const Sums& sums) { std::memcpy(to, sums.value, sizeof(sums.value)); }

inline void Multiply(Sums& sums, const Pixels& pixels, Weights weights) {
  static_assert(kPacked == 2, "four at a time take an instruction for it");
MultiplyPairs:
  for (int32_t i = 0; i < 8; ++i) {
    sums.value[i] += int16_t(pixels.value[i] & 0xFFFF) * int16_t(weights & 0xFFFF) +
                     int16_t(pixels.value[i] >> 16) * int16_t(weights >> 16);
  }
}

inline void PackPixels8(const uint8_t* const (&channel)[kPacked], uint64_t mask, uint32_t raise, uint32_t* to) {
PackPixels:
  for (int32_t i = 0; i < 8; ++i) {
    const uint32_t inside = uint32_t(mask >> (8 * i)) & 0xFF;
    to[i] = ((channel[0][i] & inside) | (channel[1][i] & inside) << 16) ^ raise;
  }
}

inline void PackWeights8(const uint8_t* const (&channel)[kPacked], uint32_t* to) {
PackNumbers:
  for (int32_t i = 0; i < 8; ++i)
    to[i] = Pack(ReadableWeight(int8_t(channel[0][i])), 0) | Pack(ReadableWeight(int8_t(channel[1][i])), 1);
}

#endif

}  // namespace ddi
