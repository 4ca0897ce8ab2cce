// The loop of CONV, AFFINE, POOL and GLOBAL_POOL as the chip runs it: one iteration a cycle, five processes side by
// side.
//
// Role     fetch     weights, biases and scales of the next group of output channels (lanes.hpp)
//          gather    the next input channel's window (window.hpp)
//          multiply  three taps a cycle (array.hpp)
//          drain     the last step's sums (drain.hpp)
//          ports     each bank of tile memory has two: one reads windows or identities, the other reads windows or
//                    writes words
// Rate     schedule.hpp plans the cycles; the loop runs exactly so many, and results are whole only if all work is
//          done by then, which the conformance tests show
// Latency  kDepthMapCycles
//
// What is off costs nothing: lists of active channels drive every trip count, and only active rows and filters are
// fetched. Each process keeps its place in a structure of its own, so that it may run ahead of the next one.
#pragma once
#include <cstdint>

#include "drain.hpp"

namespace ddi {

constexpr int64_t kMaxMapCycles = int64_t(1) << 34;

struct LayerMemory {
  LaneMemory lanes;
  WindowMemory window;
  ArrayMemory array;
  DrainMemory drain;
};

// Nothing in the lanes is used from one convolution to the next.
inline void ForgetWeights() {}

struct LayerPlaces {
  FetchPlace fetch;
  ListPlace list;
  TablePlace table;
  GatherPlace gather;
  MultiplyPlace multiply;
  DrainPlace drain;
};

// The first port: the identity's word, or a block of the next window.
inline void UseReadPort(const Layer& layer, const ConvPlan& plan, int32_t channel, const TileMemory& maps,
                        int32_t taken, int32_t word, LayerPlaces& places, LayerMemory& memory) {
  #pragma HLS inline
  const bool identity = ReadsIdentity(layer, places.drain);
  const BlockRead read = NextRead(layer, plan, channel, !identity, taken, places.gather);
  const Corner corner = identity ? MakeWordCorner(layer.identity.address + word) : read.corner;
  uint8_t bank[kTilePixels];
ReadBanks:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const bool reads = identity ? HasPixel(layer, places.drain, i) : read.wanted;
    bank[i] = reads ? maps[BankAddress(corner, i)][i] : uint8_t(0);
  }
  if (identity) KeepIdentity(bank, memory.drain);
  PlaceBlock(layer, read, bank, memory.window);
}

// The second port: the word that the drain has finished, or a block of the next window.
inline void UseWritePort(const Layer& layer, const ConvPlan& plan, int32_t channel, bool writes, int32_t taken,
                         int32_t word, TileMemory& maps, LayerPlaces& places, LayerMemory& memory) {
  #pragma HLS inline
  const BlockRead read = NextRead(layer, plan, channel, !writes, taken, places.gather);
  const Corner corner = writes ? MakeWordCorner(layer.output.address + word) : read.corner;
  uint8_t bank[kTilePixels];
UseBanks:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t address = BankAddress(corner, i);
    const BankWrite write = WriteOfBank(layer, places.drain, i, memory.drain);
    if (writes && write.writes) {
      maps[address][i] = write.pixel;
      bank[i] = 0;
    } else {
      bank[i] = read.wanted ? maps[address][i] : uint8_t(0);
    }
  }
  PlaceBlock(layer, read, bank, memory.window);
}

inline void RunMaps(const Layer& layer, const ConvPlan& plan, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int64_t* tables, const Masks& masks, TileMemory& maps,
                    VectorMemory& vector, LayerMemory& memory) {
  LayerPlaces places = LayerPlaces();
  HandOver(memory.array);  // clears the sums
MapCycles:
  for (int64_t cycle = 0; cycle < plan.cycles; ++cycle) {
    #pragma HLS loop_tripcount max = kMaxMapCycles
    #pragma HLS pipeline II = 1
    // The output is apart from the input (check.hpp), and where it takes the identity's place, a pixel is written after
    // it was read.
    #pragma HLS dependence variable = maps type = inter direction = RAW dependent = false
    const int32_t taken = places.multiply.sequence + (places.multiply.loaded ? 1 : 0);  // windows
    const int32_t channel = DrainChannel(memory.lanes, places.drain);
    const int32_t word = DrainWord(layer, channel, places.drain);
    const int32_t source = WindowChannel(layer, plan, masks, places.gather);
    UseReadPort(layer, plan, source, maps, taken, word, places, memory);
    const bool writes = Drain(layer, channel, memory.lanes, memory.array, places.drain, vector, memory.drain);
    UseWritePort(layer, plan, source, writes, taken, word, maps, places, memory);
    NextBlock(layer, plan, places.drain);
    const bool listed = HasTable(layer, places.table, places.multiply.step.group) &&
                        IsListed(places.list, places.multiply.step.group, 1);
    const bool free = !places.drain.busy && listed;
    const bool whole = Multiply(layer, plan, places.fetch, places.gather.sequence, free, memory.lanes, places.multiply,
                                memory.window, memory.array);
    if (whole) {
      places.drain.busy = true;
      places.drain.step = places.multiply.step;
      places.drain.result = 0;
      NextStep(layer, plan, places.multiply.step);
    }
    ListChannels(layer, plan, masks, places.multiply.step.group, places.list, memory.lanes);
    FetchTable(layer, plan, tables, places.list, places.table, memory.lanes);
    Fetch(layer, plan, masks, weights0, weights1, weights2, places.list, places.fetch, memory.lanes);
  }
}

// A CONV, an AFFINE, a POOL or a GLOBAL_POOL: one datapath for all.
inline void RunLayer(const Instruction& instruction, const LayerPlan& planned, const int64_t* weights0,
                     const int64_t* weights1, const int64_t* weights2, const int64_t* tables, const Masks& masks,
                     TileMemory& maps, VectorMemory& vector, LayerMemory& memory) {
  if (planned.shape.active_out == 0) return;
  const Layer layer = DecodeLayer(instruction, planned.shape, tables);
  RunMaps(layer, planned.plan, weights0, weights1, weights2, tables, masks, maps, vector, memory);
}

}  // namespace ddi
