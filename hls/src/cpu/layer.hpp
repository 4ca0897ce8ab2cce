// CONV, AFFINE, POOL and GLOBAL_POOL as a processor of the co-simulation runs them.
//
// Role     the chip's results by other loops: CONV in multiply.hpp, the others in pool.hpp
// Rate     counted by schedule.hpp as on the chip
// Storage  buffers of each thread, which grow to what its programs take
//
// The chip's loop (chip/layer.hpp) gives the same results: tests/hls holds both against the golden model.
#pragma once
#include <cstdint>

#include "../ports.hpp"
#include "multiply.hpp"
#include "pool.hpp"

namespace ddi {

// The chip's memories of a layer; a processor's are not part of the engine's state.
struct LayerMemory {};

struct CpuMemory {
  ConvMemory conv;
  PoolMemory pool;
};

DDI_STATE CpuMemory cpu_memory;

// At each start, for the weights may be others.
inline void ForgetWeights() { cpu_memory.conv.weights.kept.clear(); }

inline LayerCounts RunLayer(const Instruction& instruction, const LayerPlan& planned, const int64_t* weights0,
                            const int64_t*, const int64_t*, const int64_t* tables, const Masks& masks, TileMemory& maps,
                            VectorMemory& vector, LayerMemory&) {
  const Layer layer = DecodeLayer(instruction, planned.shape, tables);
  if (layer.mode != kOutputs) {
    RunMaps(layer, tables, maps, vector, cpu_memory.pool);
  } else if (layer.shape.active_out > 0) {
    RunConv(layer, reinterpret_cast<const int8_t*>(weights0), tables, masks, maps, vector, cpu_memory.conv);
  }
  return LayerCounts();
}

}  // namespace ddi
