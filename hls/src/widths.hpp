// Widths: numbers of as many bits as they need.
//
// Role     Unsigned<n> and Signed<n>, for what is kept: in registers, places, plans. What is computed with them is
//          computed in 32 bits; a compiler that sees how few bits come in and stay makes no more of it
// Rate     on the chip the bits that do not fit fall away; a processor of the co-simulation takes the native type that
//          holds them. Both give the same records (tests/hls), and in a build with DDI_TRAP a number that does not fit
//          ends the run
#pragma once
#include <cstdint>

#include "isa.hpp"
#include "shim.hpp"

namespace ddi {

template <bool kIsSigned, int32_t kBytes>
struct NativeNumber {};
template <>
struct NativeNumber<false, 1> {
  typedef uint8_t Type;
};
template <>
struct NativeNumber<false, 2> {
  typedef uint16_t Type;
};
template <>
struct NativeNumber<false, 4> {
  typedef uint32_t Type;
};
template <>
struct NativeNumber<true, 1> {
  typedef int8_t Type;
};
template <>
struct NativeNumber<true, 2> {
  typedef int16_t Type;
};
template <>
struct NativeNumber<true, 4> {
  typedef int32_t Type;
};

constexpr int32_t NativeBytes(int32_t bits) { return bits <= 8 ? 1 : bits <= 16 ? 2 : 4; }

#if defined(DDI_CHIP) && !defined(DDI_READ)

template <bool kIsSigned, int32_t kBits>
struct Number {
  typename NativeNumber<kIsSigned, NativeBytes(kBits)>::Type value;

  static int32_t Cut(int32_t number) {
    const uint32_t top = uint32_t(number) << (32 - kBits);
    const int32_t kept = kIsSigned ? int32_t(top) >> (32 - kBits) : int32_t(top >> (32 - kBits));
    if (kept != number) LosesBits();
    return kept;
  }

  Number() = default;
  explicit Number(int32_t number) : value(Cut(number)) {}
  operator int32_t() const { return value; }  // NOLINT(google-explicit-constructor): it stands where a number does

  Number& operator=(int32_t number) {
    value = Cut(number);
    return *this;
  }
  Number& operator+=(int32_t number) { return *this = value + number; }
  Number& operator-=(int32_t number) { return *this = value - number; }
  Number& operator++() { return *this = value + 1; }
  Number& operator--() { return *this = value - 1; }
};

template <int32_t kBits>
using Unsigned = Number<false, kBits>;
template <int32_t kBits>
using Signed = Number<true, kBits>;

#else

template <int32_t kBits>
using Unsigned = typename NativeNumber<false, NativeBytes(kBits)>::Type;
template <int32_t kBits>
using Signed = typename NativeNumber<true, NativeBytes(kBits)>::Type;

#endif

// Bits of a number from 0 to `most`, which 16 bits hold.
constexpr int32_t BitsOf8(int32_t most) {
  return 1 + (most > 1) + (most > 3) + (most > 7) + (most > 15) + (most > 31) + (most > 63) + (most > 127);
}

constexpr int32_t BitsOf(int32_t most) { return most > 255 ? 8 + BitsOf8(most >> 8) : BitsOf8(most); }

// Of the contract's counts and addresses.
constexpr int32_t kChannelBits = BitsOf(isa::kMaxChannels);  // a number of channels, and behind the last one
constexpr int32_t kIndexBits = BitsOf(isa::kMaxChannels - 1);
constexpr int32_t kSideBits = BitsOf(isa::kMaxMap);
constexpr int32_t kTileColumnBits = BitsOf(isa::kMaxMap / isa::kTile);
constexpr int32_t kTileBits = BitsOf(isa::kMaxMap / isa::kTile * (isa::kMaxMap / isa::kTile));
constexpr int32_t kTileAddressBits = BitsOf(isa::kTileWords - 1);
constexpr int32_t kLaneByteBits = BitsOf(isa::kLaneBytes);
constexpr int32_t kLaneWordBits = BitsOf(isa::kLaneBytes / isa::kPortBytes);
constexpr int32_t kResultBits = BitsOf(isa::kOutLanes * isa::kFold);
constexpr int32_t kKernelBits = BitsOf(isa::kMaxKernel);
constexpr int32_t kPaddingBits = BitsOf(isa::kMaxKernel / 2);

}  // namespace ddi
