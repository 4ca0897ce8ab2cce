// The loops of CONV, AFFINE, POOL and GLOBAL_POOL as the chip runs them: two processes with queues between them, each
// one iteration a cycle.
//
// Role     fetch     weights, biases and scales of the next groups of output channels, into queues (fetch.hpp)
//          maps      takes them to the lanes (lanes.hpp), and in the same cycle
//            gathers    the next input channel's window (window.hpp)
//            multiplies three taps a cycle (array.hpp)
//            drains     the last step's sums (drain.hpp)
//          It alone uses tile memory. Each bank has two ports: one reads windows or identities, the other reads windows
//          or writes words, which have been ready for some cycles then
// Rate     schedule.hpp plans the cycles of MapCycles; the loop ends when all is written, and the conformance tests
//          hold it to the plan where the bus never waits
// Latency  kDepthMapCycles
//
// What is off costs nothing: lists of active channels drive every trip count, and only active rows and filters are
// fetched. Each part keeps its place in a structure of its own, so that it may run ahead of the next one. A bus that
// waits stops the fetch alone, and the maps only once the queues are empty.
#pragma once
#include <cstdint>

#include "drain.hpp"
#include "fetch.hpp"

namespace ddi {

constexpr int64_t kMaxMapCycles = int64_t(1) << 34;
constexpr bool kReadsTwice = isa::kMapReads == 2;  // does the port that writes read windows, too?

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
  int32_t late;         // rows of pixels that are not in their words yet
  uint32_t cycles;      // of the loop
  uint32_t idle_ports;  // of tile memory, in each of them
};

// The first port: the identity's word, or a block of the next window.
inline void UseReadPort(const Layer& layer, const ConvPlan& plan, int32_t window, const TileMemory& maps, int32_t word,
                        LayerPlaces& places, LayerMemory& memory) {
  #pragma HLS inline
  const bool identity = ReadsIdentity(layer, places.drain);
  const BlockRead read = NextRead(layer, plan, window, !identity, places.gather);
  const StepPlace& step = places.drain.step;
  const Presence there = PresenceOf(layer, step.row, step.column);
  const Corner corner = identity ? MakeWordCorner(layer.identity.address + word) : read.corner;
  BankAddresses addresses;
  #pragma HLS array_partition variable = addresses.of complete dim = 0
  AddressBanks(corner, addresses);
  uint8_t bank[kTilePixels];
  #pragma HLS array_partition variable = bank complete
ReadBanks:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const bool reads = identity ? HasPixel(layer, there, step.row, step.column, i) : read.wanted;
    bank[i] = reads ? maps[BankAddress(addresses, i)][i] : uint8_t(0);
  }
  if (identity) KeepIdentity(bank, memory.drain);
  if (!identity && !read.wanted) ++places.idle_ports;
  PlaceBlock(layer, read, bank, memory.window);
}

// The second port: the word that is due, or, where it reads as well, a block of the next window.
inline void UseWritePort(const Layer& layer, const ConvPlan& plan, int32_t window, const LateRow& due, TileMemory& maps,
                         LayerPlaces& places, LayerMemory& memory) {
  #pragma HLS inline
  const BlockRead read = kReadsTwice ? NextRead(layer, plan, window, !due.last, places.gather) : BlockRead();
  const Presence there = PresenceOf(layer, due.row, due.column);
  const int32_t target = due.last ? layer.output.address + due.word : 0;
  const Corner corner = !kReadsTwice || due.last ? MakeWordCorner(target) : read.corner;
  BankAddresses addresses;
  #pragma HLS array_partition variable = addresses.of complete dim = 0
  AddressBanks(corner, addresses);
  uint8_t bank[kTilePixels];
  #pragma HLS array_partition variable = bank complete
UseBanks:
  for (int32_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    const int32_t address = BankAddress(addresses, i);
    const BankWrite write = WriteOfBank(layer, there, due, i, memory.drain);
    if (due.last && write.writes) {
      maps[address][i] = write.pixel;
      bank[i] = 0;
    } else if (kReadsTwice) {
      bank[i] = read.wanted ? maps[address][i] : uint8_t(0);
    }
  }
  if (kReadsTwice && !due.last && !read.wanted) ++places.idle_ports;
  if (kReadsTwice) PlaceBlock(layer, read, bank, memory.window);
}

// A cycle of the maps' process.
inline void MapCycle(const Layer& layer, const ConvPlan& plan, const Masks& masks,
                     WeightQueue (&weights)[isa::kWeightPorts], TableQueue& rows, TileMemory& maps,
                     VectorMemory& vector, LayerPlaces& places, LayerMemory& memory) {
  #pragma HLS inline
  const int32_t computing = places.multiply.step.group;  // as the cycle begins, so that listing waits for no product
  const Unsigned<kIndexBits> channel = DrainChannel(memory.lanes, places.drain);
  const int32_t word = DrainWord(layer, channel, places.drain);
  const int32_t window = WindowWord(layer, plan, masks, places.gather);
  const LateRow due = TakeLate(memory.drain.late);
  PlaceLate(layer, due, memory.drain);
  UseReadPort(layer, plan, window, maps, word, places, memory);
  UseWritePort(layer, plan, window, due, maps, places, memory);
  AddRow(layer, vector, memory.drain);
  Drain(layer, channel, word, memory.lanes, memory.array, places.drain, memory.drain);
  places.late += (places.drain.busy ? 1 : 0) - (due.full ? 1 : 0);
  NextBlock(layer, plan, places.drain);
  const bool listed =
      HasTable(layer, places.table, places.multiply.step.group) && IsListed(places.list, places.multiply.step.group, 1);
  const bool free = !places.drain.busy && listed;
  const bool whole = Multiply(layer, plan, places.fetch, free, memory.lanes, places.multiply, places.gather.whole,
                              memory.window, memory.array);
  if (whole) {
    places.drain.busy = true;
    places.drain.step = places.multiply.step;
    places.drain.result = 0;
    NextStep(layer, plan, places.multiply.step);
  }
  ListChannels(layer, plan, masks, computing, places.list, memory.lanes);
  TakeTableRow(layer, plan, places.list, places.table, rows, memory.lanes);
  TakeRows(layer, plan, places.list, places.fetch, weights, memory.lanes);
  ++places.cycles;
}

inline LayerCounts CountsOf(const ConvPlan& plan, const LayerPlaces& places) {
  const uint32_t planned = uint32_t(plan.cycles);
  const LayerCounts counts = {places.cycles > planned ? places.cycles - planned : 0, places.multiply.busy,
                              places.idle_ports};
  return counts;
}

// Is every word written?
inline bool IsDone(const ConvPlan& plan, const LayerPlaces& places) {
  #pragma HLS inline
  return places.multiply.step.group == plan.groups && !places.drain.busy && places.late == 0;
}

inline LayerPlaces StartMaps(const Layer& layer, LayerMemory& memory) {
  HandOver(memory.array);  // clears the sums
  memory.drain.row.full = false;
ForgetLate:
  for (int32_t i = 0; i < isa::kWriteDelay; ++i) {
    #pragma HLS unroll
    memory.drain.late.full[i] = false;
    memory.drain.late.last[i] = false;
  }
  LayerPlaces places = LayerPlaces();
  places.multiply.row_end = FirstRowEnd(layer);
  StartRow(layer, places.fetch);
  return places;
}

#ifdef DDI_SIDE_BY_SIDE

inline void FetchLayer(const Layer& layer, const ConvPlan& plan, const Masks& masks, BurstWords weights0,
                       BurstWords weights1, BurstWords weights2, const int64_t* tables,
                       WeightQueue (&weights)[isa::kWeightPorts], TableQueue& rows) {
  Fetcher fetcher = MakeFetcher(layer, plan);
  #pragma HLS array_partition variable = fetcher.rows.word complete dim = 0
FetchCycles:
  for (int64_t cycle = 0; cycle < kMaxMapCycles && !HasFetched(plan, fetcher); ++cycle) {
    #pragma HLS pipeline II = 1
    FetchCycle(layer, plan, masks, weights0, weights1, weights2, tables, fetcher, weights, rows);
  }
}

inline void RunMaps(const Layer& layer, const ConvPlan& plan, const Masks& masks,
                    WeightQueue (&weights)[isa::kWeightPorts], TableQueue& rows, TileMemory& maps, VectorMemory& vector,
                    LayerMemory& memory, LayerCounts& counts) {
  LayerPlaces places = StartMaps(layer, memory);
MapCycles:
  for (int64_t cycle = 0; cycle < kMaxMapCycles && !IsDone(plan, places); ++cycle) {
    #pragma HLS pipeline II = 1
    // The output is apart from the input (check.hpp), and where it takes the identity's place, a pixel is written after
    // it was read.
    #pragma HLS dependence variable = maps type = inter direction = RAW dependent = false
    // What comes to the lanes is used in the next cycle at the earliest.
    #pragma HLS dependence variable = memory.lanes.even type = inter direction = RAW distance = 1 dependent = true
    #pragma HLS dependence variable = memory.lanes.odd type = inter direction = RAW distance = 1 dependent = true
    #pragma HLS dependence variable = memory.lanes.bias type = inter direction = RAW distance = 1 dependent = true
    #pragma HLS dependence variable = memory.lanes.scale type = inter direction = RAW distance = 1 dependent = true
    MapCycle(layer, plan, masks, weights, rows, maps, vector, places, memory);
  }
  counts = CountsOf(plan, places);
}

inline void RunProcesses(const Layer& layer, const ConvPlan& plan, BurstWords weights0, BurstWords weights1,
                         BurstWords weights2, const int64_t* tables, const Masks& masks, TileMemory& maps,
                         VectorMemory& vector, LayerMemory& memory, LayerCounts& counts) {
  #pragma HLS dataflow
  DDI_STATE WeightQueue weights[isa::kWeightPorts];
  DDI_STATE TableQueue rows;
  FetchLayer(layer, plan, masks, weights0, weights1, weights2, tables, weights, rows);
  RunMaps(layer, plan, masks, weights, rows, maps, vector, memory, counts);
}

#else

// The same two processes in turns.
inline void RunMaps(const Layer& layer, const ConvPlan& plan, BurstWords weights0, BurstWords weights1,
                    BurstWords weights2, const int64_t* tables, const Masks& masks, TileMemory& maps,
                    VectorMemory& vector, LayerMemory& memory, LayerCounts& counts) {
  DDI_STATE WeightQueue weights[isa::kWeightPorts];
  DDI_STATE TableQueue rows;
  Fetcher fetcher = MakeFetcher(layer, plan);
  LayerPlaces places = StartMaps(layer, memory);
MapCycles:
  for (int64_t cycle = 0; cycle < kMaxMapCycles && !IsDone(plan, places); ++cycle) {
    MapCycle(layer, plan, masks, weights, rows, maps, vector, places, memory);
    FetchCycle(layer, plan, masks, weights0, weights1, weights2, tables, fetcher, weights, rows);
  }
  counts = CountsOf(plan, places);
}

inline void RunProcesses(const Layer& layer, const ConvPlan& plan, BurstWords weights0, BurstWords weights1,
                         BurstWords weights2, const int64_t* tables, const Masks& masks, TileMemory& maps,
                         VectorMemory& vector, LayerMemory& memory, LayerCounts& counts) {
  RunMaps(layer, plan, weights0, weights1, weights2, tables, masks, maps, vector, memory, counts);
}

#endif

// A CONV, an AFFINE, a POOL or a GLOBAL_POOL: one datapath for all.
inline LayerCounts RunLayer(const Instruction& instruction, const LayerPlan& planned, BurstWords weights0,
                            BurstWords weights1, BurstWords weights2, const int64_t* tables, const Masks& masks,
                            TileMemory& maps, VectorMemory& vector, LayerMemory& memory) {
  LayerCounts counts = LayerCounts();
  if (planned.shape.active_out == 0) return counts;
  const Layer layer = DecodeLayer(instruction, planned.shape, tables);
  RunProcesses(layer, planned.plan, weights0, weights1, weights2, tables, masks, maps, vector, memory, counts);
  return counts;
}

}  // namespace ddi
