// Claims: what dependence pragmas say never happens, watched while the co-simulation runs. Part of a build that
// claims.py makes: clang calls a function here at every load and store (-fsanitize-coverage=trace-loads,trace-stores).
//
// A claim covers an array, a direction and a window of iterations. Each byte of the array keeps the iterations of its
// last write and its last read. An access that meets one of them within the window breaks the claim; the first of each
// claim is kept.
#pragma once
#include <cstddef>
#include <cstdint>
#include <unordered_map>

namespace ddi_claims {

enum Direction { kRaw, kWar, kWaw };

constexpr uintptr_t kStack = uintptr_t(1) << 24;  // bytes around a local variable that are the stack
constexpr uintptr_t kReach = uintptr_t(1) << 32;  // bytes behind a pointer that may be its array
constexpr int64_t kNever = -(int64_t(1) << 62);

struct Broken {
  int64_t count, apart, byte;  // how often; of the first: iterations between, byte of the array
};

struct Last {
  int64_t write = kNever, read = kNever;
};

// One claim in one run of its loop. Claims of loops around this one are its `outer`.
struct Entry {
  int32_t claim;
  uintptr_t first, end;
  bool pointer;  // whose array may have any size: it never is the stack
  bool inter;
  Direction direction;
  int64_t window;
  int64_t start;
  Entry* outer;
  std::unordered_map<uintptr_t, Last> last;

  template <typename Array>
  Entry(int32_t number, Array& array, bool between, Direction what, int64_t iterations);
  ~Entry();
};

extern Entry* entries;
extern int64_t iteration;
extern Broken broken[];

// Where an array lies, or what a pointer leads to.
template <typename Pointer>
struct Place {
  static uintptr_t First(const Pointer& pointer) { return uintptr_t(pointer); }
  static constexpr uintptr_t kSize = kReach;
};

template <typename Item, size_t kItems>
struct Place<Item[kItems]> {
  static uintptr_t First(const Item (&array)[kItems]) { return uintptr_t(array); }
  static constexpr uintptr_t kSize = sizeof(Item) * kItems;
};

template <typename Array>
Entry::Entry(int32_t number, Array& array, bool between, Direction what, int64_t iterations)
    : claim(number),
      first(Place<Array>::First(array)),
      end(first + Place<Array>::kSize),
      pointer(end - first == kReach),
      inter(between),
      direction(what),
      window(iterations),
      start(iteration),
      outer(entries) {
  entries = this;
}

inline Entry::~Entry() { entries = outer; }

inline void Break(const Entry& entry, int64_t before, uintptr_t at) {
  const int64_t apart = iteration - before;
  const bool counts = entry.inter ? apart > 0 && apart < entry.window : apart == 0;
  if (before < entry.start || !counts) return;
  Broken& found = broken[entry.claim];
  if (found.count++ == 0) {
    found.apart = apart;
    found.byte = int64_t(at - entry.first);
  }
}

inline void Meet(const void* address, uintptr_t size, bool writes) {
  const uintptr_t from = uintptr_t(address), here = uintptr_t(&from);
  const bool stack = from + kStack > here && from < here + kStack;
  for (Entry* entry = entries; entry != nullptr; entry = entry->outer) {
    if (entry->pointer && stack) continue;
    for (uintptr_t at = from; at < from + size && at >= entry->first && at < entry->end; ++at) {
      Last& last = entry->last[at];
      if (!writes && entry->direction == kRaw) Break(*entry, last.write, at);
      if (writes && entry->direction == kWar) Break(*entry, last.read, at);
      if (writes && entry->direction == kWaw) Break(*entry, last.write, at);
      (writes ? last.write : last.read) = iteration;
    }
  }
}

// What clang calls. It watches the functions above too, so that they are left alone while they run.
__attribute__((no_sanitize("coverage"))) inline void Watch(const void* address, uintptr_t size, bool writes) {
  static bool busy = false;
  if (busy || entries == nullptr) return;
  busy = true;
  Meet(address, size, writes);
  busy = false;
}

}  // namespace ddi_claims
