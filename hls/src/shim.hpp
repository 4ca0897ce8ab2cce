// Shim: what differs between synthesis and co-simulation, and nothing else. The results are the same, bit for bit.
//
// DDI_STATE     where the engine's memories live: on the chip, or one set for each thread of the co-simulation
// TapPixel,     a pixel and a weight on their way to the multipliers: narrow on the chip, while x86 multiplies whole
// TapWeight     32-bit lanes fastest
// kTapsAtOnce   taps multiplied in one step: one on the chip, whose accumulators are registers; four on x86, where
//               the accumulators go through memory and four taps share the trip
// CopyPixels    a row of a tile; g++ would otherwise take it apart, pixel by pixel
// ForgetMemory  on the board a memory holds whatever it held. The co-simulation fills it with a chosen byte at the
//               start of each image, so that every run is repeatable and a program that reads what it never wrote
//               can be found: its results change with the byte.
#pragma once
#include <cstdint>
#include <cstring>

namespace ddi {

#ifdef __SYNTHESIS__

#define DDI_STATE static
typedef int16_t TapPixel;
typedef int8_t TapWeight;
constexpr int32_t kTapsAtOnce = 1;

template <int32_t kCount>
inline void CopyPixels(int16_t* to, const int16_t* from) {
  #pragma HLS inline
CopyPixels:
  for (int32_t i = 0; i < kCount; ++i) {
    #pragma HLS unroll
    to[i] = from[i];
  }
}

inline void SetForgetByte(int32_t) {}

template <typename Memory>
inline void ForgetMemory(Memory&) {}

#else

#define DDI_STATE static thread_local
typedef int32_t TapPixel;
typedef int32_t TapWeight;
constexpr int32_t kTapsAtOnce = 4;

template <int32_t kCount>
inline void CopyPixels(int16_t* to, const int16_t* from) {
  std::memcpy(to, from, kCount * sizeof(int16_t));
}

DDI_STATE uint8_t forget_byte = 0;

inline void SetForgetByte(int32_t byte) { forget_byte = uint8_t(byte); }

template <typename Memory>
inline void ForgetMemory(Memory& memory) {
  std::memset(&memory, forget_byte, sizeof(memory));
}

#endif

}  // namespace ddi
