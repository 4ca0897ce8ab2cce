// Shim: what differs between synthesis and co-simulation, and nothing else. The results are the same, bit for bit.
//
// DDI_CHIP      defined where CONV's main loop is the chip's own, cycle by cycle: for synthesis, and in a co-simulation
//               that asks for it to compare it with the processor's or to count its iterations
// DDI_STATE     where the engine's memories live: on the chip, or one set for each thread of the co-simulation
// DDI_PORT      before a function that reads one memory port, with a name of its own. LLVM merges two loads in
//               opposite branches into one from a chosen pointer, and two functions with the same body into one. Bambu
//               would then put both ports on one bus. So for Bambu they stay functions, in sections of their own
// DDI_SIDE_BY_SIDE  defined where processes that leave items in queues for one another run at once, each a loop of its
//               own; elsewhere they take turns in one loop, a cycle each
// DDI_VENDOR    defined by the vendor's flow alone: queues and bursts are its library's
// DDI_BUS       defined where a bus keeps the requests that it was given itself: not in a build of g++ or Bambu
// BurstWords    words of a memory port that are asked for in bursts, ahead of their use
// BusLatency    cycles until a burst's first word or a table's row comes, in the co-simulation's turns; on the chip the
//               bus knows
// DDI_READ      defined where the sources are read and not run: a burst is the bus's own, and a queue is one of the
//               tool's
// LosesBits     called for a number that does not fit its width (widths.hpp): on the chip the bits fall away
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

#if defined(DDI_READ) || defined(DDI_VENDOR)
#define DDI_BUS
#endif

#ifdef DDI_READ

namespace ddi {

typedef const int64_t* BurstWords;

void RequestBurst(BurstWords port, int64_t word, int32_t words);
inline int64_t ReadBurst(BurstWords port, int64_t) { return port[0]; }

template <typename Item, int32_t kDepth>
struct Queue {
  bool Empty();
  bool Full();
  void Push(Item pushed);
  Item Pop();
};

}  // namespace ddi

#elif defined(DDI_VENDOR)

#include <hls_burst_maxi.h>
#include <hls_stream.h>

namespace ddi {

typedef hls::burst_maxi<int64_t> BurstWords;

inline void RequestBurst(BurstWords port, int64_t word, int32_t words) { port.read_request(word, words); }
inline int64_t ReadBurst(BurstWords port, int64_t) { return port.read(); }

template <typename Item, int32_t kDepth>
struct Queue {
  hls::stream<Item, kDepth> items;

  bool Empty() { return items.empty(); }
  bool Full() { return items.full(); }
  void Push(Item pushed) { items.write(pushed); }
  Item Pop() { return items.read(); }
};

}  // namespace ddi

#else

namespace ddi {

typedef const int64_t* BurstWords;

inline void RequestBurst(BurstWords, int64_t, int32_t) {}
inline int64_t ReadBurst(BurstWords port, int64_t at) { return port[at]; }

// What turns fill, a process at a time fills much further.
#ifdef DDI_QUEUE_SCALE
constexpr int32_t kQueueScale = DDI_QUEUE_SCALE;
#else
constexpr int32_t kQueueScale = 1;
#endif

}  // namespace ddi

#endif

#ifdef __SYNTHESIS__

#define DDI_CHIP
#define DDI_STATE static
#ifndef __BAMBU__
#define DDI_SIDE_BY_SIDE
#endif

namespace ddi {

inline void SetBus(int32_t, int32_t) {}
inline void StartBus() {}
inline int32_t BusLatency() { return 0; }
inline void LosesBits() {}

inline void SetForgetByte(int32_t) {}

template <typename Memory>
inline void ForgetMemory(Memory&) {}

}  // namespace ddi

#else

#include <cstring>

#define DDI_STATE static thread_local

namespace ddi {

// A bus of the co-simulation: latencies of `bus_low` to `bus_high` cycles, the same ones in each run.
static int32_t bus_low = 0, bus_high = 0;
DDI_STATE uint32_t bus_draw = 1;

inline void SetBus(int32_t low, int32_t high) {
  bus_low = low;
  bus_high = high;
}

inline void StartBus() { bus_draw = 1; }

inline int32_t BusLatency() {
  bus_draw = bus_draw * 1664525 + 1013904223;
  return bus_low + int32_t((bus_draw >> 8) % uint32_t(bus_high - bus_low + 1));
}

#ifdef DDI_TRAP
inline void LosesBits() { __builtin_trap(); }
#else
inline void LosesBits() {}
#endif

DDI_STATE uint8_t forget_byte = 0;

inline void SetForgetByte(int32_t byte) { forget_byte = uint8_t(byte); }

template <typename Memory>
inline void ForgetMemory(Memory& memory) {
  std::memset(&memory, forget_byte, sizeof(memory));
}

}  // namespace ddi

#endif
