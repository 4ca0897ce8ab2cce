// Queue: what one process leaves for the next, in order.
//
// Role     lets a process run ahead of the one behind it, so that neither waits for the other's latency
// Rate     an item in and an item out a cycle
// Storage  kDepth items; on the chip a FIFO of the tool's (shim.hpp), elsewhere a ring
#pragma once
#include <cstdint>

#include "../shim.hpp"

namespace ddi {

#if !defined(DDI_VENDOR) && !defined(DDI_READ)

template <typename Item, int32_t kDepth>
struct Queue {
  Item item[kDepth * kQueueScale];
  int32_t first;  // that is taken next
  int32_t count;

  bool Empty() const { return count == 0; }
  bool Full() const { return count == kDepth * kQueueScale; }

  void Push(Item pushed) {
    const int32_t at = first + count;
    item[at < kDepth * kQueueScale ? at : at - kDepth * kQueueScale] = pushed;
    ++count;
  }

  Item Pop() {
    const Item taken = item[first];
    first = first + 1 < kDepth * kQueueScale ? first + 1 : 0;
    --count;
    return taken;
  }
};

#endif

}  // namespace ddi
