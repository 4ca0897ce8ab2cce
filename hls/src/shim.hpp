// Shim: what differs between synthesis and co-simulation, and nothing else. The results are the same, bit for bit.
//
// DDI_CHIP      defined where CONV's main loop is the chip's own, cycle by cycle: for synthesis, and in a co-simulation
//               that asks for it to compare it with the processor's or to count its iterations
// DDI_STATE     where the engine's memories live: on the chip, or one set for each thread of the co-simulation
// DDI_PORT      before a function that reads one memory port, with a name of its own. LLVM merges two loads in
//               opposite branches into one from a chosen pointer, and two functions with the same body into one. Bambu
//               would then put both ports on one bus. So for Bambu they stay functions, in sections of their own
// ForgetMemory  on the board a memory holds whatever it held. The co-simulation fills it with a chosen byte at the
//               start of each image, so that every run is repeatable and a program that reads what it never wrote
//               can be found: its results change with the byte.
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

#define DDI_STATE static thread_local

namespace ddi {

DDI_STATE uint8_t forget_byte = 0;

inline void SetForgetByte(int32_t byte) { forget_byte = uint8_t(byte); }

template <typename Memory>
inline void ForgetMemory(Memory& memory) {
  std::memset(&memory, forget_byte, sizeof(memory));
}

}  // namespace ddi

#endif
