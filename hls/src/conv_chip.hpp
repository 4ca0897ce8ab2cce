// The main loop of CONV as the chip runs it: one iteration a cycle, four processes side by side.
//
// Role     fetch     weights of the next group into the idle half of the lanes' memory, 3 × 8 bytes a cycle
//          gather    the next input channel's window, two reads of 8 × 8 pixels a cycle
//          multiply  a tap for each column of lanes: 192 multipliers of two products, 384 multiplications a cycle
//          drain     the last step's sums, 16 pixels a cycle
// Rate     schedule.hpp plans the cycles; the loop runs exactly so many, and results are whole only if all work is
//          done by then, which the conformance tests show
// Latency  kDepthConvCycles
// Storage  two banks of six lanes of kLaneBytes (48 BRAM18); two windows in distributed RAM; 2 × 384 sums in registers
//
// What is off costs nothing: lists of active channels drive every trip count, and only active rows and filters are
// fetched. The processes stand in structures of their own, so that each may run ahead of the next one.
#pragma once
#include <cstdint>

#include "conv.hpp"
#include "packing.hpp"
#include "ports.hpp"

namespace ddi {

constexpr int32_t kMaxResults = isa::kOutLanes * isa::kFold;  // channels of a group
constexpr int64_t kMaxConvCycles = int64_t(1) << 34;

typedef int32_t Sums[isa::kOutLanes][kTilePixels];

struct ConvMemory {
  int8_t lane[2][isa::kOutLanes][isa::kLaneBytes];
  Window window[2];
  Sums accumulator;
  Sums result;  // of the step that is drained
  uint8_t word[kTilePixels];
  int32_t pooled[kMaxResults];
};

// Nothing in the lanes is used from one convolution to the next.
inline void ForgetWeights() {}

// Where a process stands among the groups.
struct GroupPlace {
  int32_t kind;
  int32_t number;     // of its kind
  int32_t first_out;  // index of the group's first channel in the list of active output channels
  int32_t sequence;   // groups before it
};

struct FetchPlace {
  GroupPlace group;
  int32_t chunk, filter, offset;  // where the chunk starts: in the fetched row, as a filter and a byte of it
  int32_t rows;                   // first of the three rows that are fetched now
  int32_t beat;
  int32_t now_filter, now_offset;
  int32_t ready;  // bytes of each row of the group that are there
};

struct GatherPlace {
  GroupPlace group;
  int32_t step;
  int32_t channel;  // index in the list of active input channels
  int32_t down, across;
  int32_t sequence;  // windows before it
};

struct MultiplyPlace {
  GroupPlace group;
  int32_t step;
  int32_t cycle;  // of the step
  int32_t channel;
  int32_t beat;
  int32_t row, column;  // of the tap
  int32_t sequence;
};

struct DrainPlace {
  bool busy;
  GroupPlace group;
  int32_t step;
  int32_t result;
  int32_t block;
};

struct ConvPlaces {
  FetchPlace fetch;
  GatherPlace gather;
  MultiplyPlace multiply;
  DrainPlace drain;
};

inline void NextGroup(const ConvPlan& plan, GroupPlace& place) {
  #pragma HLS inline
  place.first_out += plan.kind[place.kind].channels;
  ++place.sequence;
  if (++place.number == plan.kind[place.kind].count) {
    place.number = 0;
    ++place.kind;
  }
}

// Put 8 bytes of row `row` of a group where its lane or lanes read them.
inline void StoreWeights(const Conv& conv, int32_t mode, int32_t row, int32_t at, int64_t bytes,
                         int8_t (&lane)[isa::kOutLanes][isa::kLaneBytes]) {
  #pragma HLS inline
StoreLanes:
  for (int32_t i = 0; i < isa::kOutLanes; ++i) {
    #pragma HLS unroll
    const bool mine = mode == kOutputs ? i == row % isa::kOutLanes : mode == kPair || (i & 1) == row;
    const int32_t base = mode == kOutputs ? row / isa::kOutLanes * conv.shape.row : 0;
  StoreBytes:
    for (int32_t byte = 0; byte < isa::kPortBytes; ++byte) {
      #pragma HLS unroll
      if (mine) lane[i][base + at + byte] = int8_t(uint8_t(uint64_t(bytes) >> (8 * byte)));
    }
  }
}

inline void Fetch(const Conv& conv, const ConvPlan& plan, const Masks& masks, const int64_t* weights0,
                  const int64_t* weights1, const int64_t* weights2, int32_t computing, FetchPlace& place,
                  ConvMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds || place.group.sequence > computing + 1 || conv.shape.row == 0) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const int32_t at = place.chunk + place.beat * isa::kPortBytes;
FetchPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t row = place.rows + port;
    if (row < kind.channels) {
      const int32_t channel = ActiveChannel(masks, conv.out_mask, place.group.first_out + row);
      const int32_t source =
          conv.in_mask == 0
              ? at
              : ActiveChannel(masks, conv.in_mask, place.now_filter) * conv.shape.filter_bytes + place.now_offset;
      const int64_t byte = conv.weights + int64_t(channel) * conv.row_pitch + source;
      StoreWeights(conv, kind.mode, row, at, ReadWeights(port, byte >> 3, weights0, weights1, weights2),
                   memory.lane[place.group.sequence & 1]);
    }
  }
  place.now_offset += isa::kPortBytes;
  if (place.now_offset == conv.shape.filter_bytes) {
    place.now_offset = 0;
    ++place.now_filter;
  }
  const int32_t size = Smaller(isa::kBurst, conv.shape.row - place.chunk);
  if (++place.beat * isa::kPortBytes < size) return;
  place.beat = 0;
  place.rows += isa::kWeightPorts;
  if (place.rows < kind.channels) {  // the next three rows' bytes of the same chunk
    place.now_filter = place.filter;
    place.now_offset = place.offset;
    return;
  }
  place.rows = 0;
  place.chunk += size;
  place.filter = place.now_filter;
  place.offset = place.now_offset;
  place.ready = place.chunk;
  if (place.chunk == conv.shape.row) {
    NextGroup(plan, place.group);
    place.chunk = place.filter = place.offset = place.now_filter = place.now_offset = place.ready = 0;
  }
}

inline void Gather(const Conv& conv, const ConvPlan& plan, const Masks& masks, const TileMemory& maps,
                   int32_t computing, GatherPlace& place, ConvMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds || place.sequence > computing + 1 || conv.shape.active_in == 0) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const int32_t high = (isa::kTile - 1) * conv.shape.stride + conv.shape.kernel;
  const int32_t wide = (kind.tiles * isa::kTile - 1) * conv.shape.stride + conv.shape.kernel;
  const int32_t tile = place.step * kind.tiles;
  ReadWindow(maps, conv.input, ActiveChannel(masks, conv.in_mask, place.channel), WindowRow(conv, tile),
             WindowColumn(conv, tile), place.down, place.across, conv.in_signed, memory.window[place.sequence & 1]);
  if (++place.across < TileCount(wide)) return;
  place.across = 0;
  if (++place.down < TileCount(high)) return;
  place.down = 0;
  ++place.sequence;
  if (++place.channel < conv.shape.active_in) return;
  place.channel = 0;
  if (++place.step < kind.steps) return;
  place.step = 0;
  NextGroup(plan, place.group);
}

// One tap of one input channel for every column of lanes.
inline void MultiplyTap(const Conv& conv, int32_t mode, const MultiplyPlace& place, const Window& window,
                        const int8_t (&lane)[isa::kOutLanes][isa::kLaneBytes], Sums& accumulator) {
  #pragma HLS inline
  const int32_t stride = conv.shape.stride;
Columns:
  for (int32_t column = 0; column < isa::kColumns; ++column) {
    #pragma HLS unroll
    const int32_t row = mode == kOutputs ? place.row : place.row * isa::kColumns + column;
    const bool inside = row < conv.shape.kernel;
    const int32_t entry = place.channel * conv.shape.filter_bytes + row * conv.shape.kernel + place.column;
  Pixels:
    for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
      #pragma HLS unroll
      const int32_t part = conv.shape.fold > 1 ? pixel / (kTilePixels / isa::kFold) : 0;
      const int32_t within = conv.shape.fold > 1 ? pixel % (kTilePixels / isa::kFold) : pixel;
      const int32_t side = conv.shape.fold > 1 ? isa::kSmallMap : isa::kTile;
      const int32_t y = row + within / side * stride;
      const int32_t x = place.column + within % side * stride;
      const int32_t at = inside ? part * conv.shape.row + entry : 0;
      const int32_t first = inside ? window[inside ? y : 0][x] : 0;
      const int32_t second = inside && mode == kPair ? window[y][x + isa::kTile] : 0;
      const int32_t low_weight = lane[2 * column][at];
      const int32_t high_weight = lane[2 * column + 1][at];
      // Two weights share a pixel, or two pixels a weight.
      int32_t high = 0;
      int32_t low = 0;
      MultiplyPacked(mode == kPair ? second : high_weight, mode == kPair ? first : low_weight,
                     mode == kPair ? low_weight : first, high, low);
      accumulator[2 * column][pixel] += low;
      accumulator[2 * column + 1][pixel] += high;
    }
  }
}

// Hand a finished step's sums to the drain, and clear the accumulators. The columns that shared the kernel's rows add
// up.
inline void HandOver(int32_t mode, ConvMemory& memory) {
  #pragma HLS inline
HandOverLanes:
  for (int32_t i = 0; i < isa::kOutLanes; ++i) {
    #pragma HLS unroll
  HandOverPixels:
    for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
      #pragma HLS unroll
      const int32_t column_sum = memory.accumulator[i & 1][pixel] + memory.accumulator[2 + (i & 1)][pixel] +
                                 memory.accumulator[4 + (i & 1)][pixel];
      memory.result[i][pixel] = mode == kOutputs ? memory.accumulator[i][pixel] : column_sum;
    }
  }
ClearLanes:
  for (int32_t i = 0; i < isa::kOutLanes; ++i) {
    #pragma HLS unroll
  ClearPixels:
    for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
      #pragma HLS unroll
      memory.accumulator[i][pixel] = 0;
    }
  }
}

inline void Multiply(const Conv& conv, const ConvPlan& plan, const FetchPlace& fetch, const GatherPlace& gather,
                     MultiplyPlace& place, DrainPlace& drain, ConvMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  if (place.channel < conv.shape.active_in) {
    // As outputs one byte a cycle is needed, else the whole filter.
    const int32_t bytes = kind.mode == kOutputs ? Smaller(place.beat + 1, conv.shape.kernel * conv.shape.kernel)
                                                : conv.shape.kernel * conv.shape.kernel;
    const bool fetched =
        fetch.group.sequence > place.group.sequence || fetch.ready >= place.channel * conv.shape.filter_bytes + bytes;
    if (!fetched || gather.sequence <= place.sequence) return;
    if (place.beat < kind.taps) {
      MultiplyTap(conv, kind.mode, place, memory.window[place.sequence & 1], memory.lane[place.group.sequence & 1],
                  memory.accumulator);
      if (++place.column == conv.shape.kernel) {
        place.column = 0;
        ++place.row;
      }
    }
    if (++place.beat == kind.beat) {
      place.beat = place.row = place.column = 0;
      ++place.channel;
      ++place.sequence;
    }
  }
  if (++place.cycle < kind.step || drain.busy) return;
  HandOver(kind.mode, memory);
  drain.busy = true;
  drain.group = place.group;
  drain.step = place.step;
  drain.result = drain.block = 0;
  place.cycle = place.channel = 0;
  if (++place.step < kind.steps) return;
  place.step = 0;
  NextGroup(plan, place.group);
}

// Requantise 16 pixels of the step before; with a tile's last ones, write its word.
inline void Drain(const Conv& conv, const ConvPlan& plan, const Masks& masks, const int32_t* tables, TileMemory& maps,
                  VectorMemory& vector, DrainPlace& place, ConvMemory& memory) {
  #pragma HLS inline
  if (!place.busy) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const bool folded = conv.shape.fold > 1;
  const int32_t index = kind.mode == kPair ? 0 : place.result;  // of the channel in its group
  const int32_t tile = place.step * kind.tiles + (kind.mode == kPair ? place.result : 0);
  const int32_t channel = ActiveChannel(masks, conv.out_mask, place.group.first_out + index);
  const int32_t lane = place.result % isa::kOutLanes;
  const int32_t rows = Inside(tile / conv.output.columns, conv.output.height);
  const int32_t columns = Inside(tile % conv.output.columns, conv.output.width);
  const Finish finish = MakeFinish(conv, tables, channel);
  // Without ADD the output's own word is read and not used, so that one loop does for both.
  const int32_t identity =
      (conv.add ? conv.identity.address : conv.output.address) + channel * conv.output.tiles + tile;
  int32_t sum = tile == 0 && place.block == 0 ? 0 : memory.pooled[index];
DrainPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    const int32_t from = folded ? place.result / isa::kOutLanes * isa::kDrain + i : place.block * isa::kDrain + i;
    const int32_t to = folded ? i / isa::kSmallMap * isa::kTile + i % isa::kSmallMap : from;
    const uint8_t byte = FinishPixel(conv, finish, memory.result[lane][from], maps[identity][to]);
    memory.word[to] = byte;
    sum += (to >> 3) < rows && (to & 7) < columns ? PooledValue(conv, byte) : 0;
  }
  memory.pooled[index] = sum;
  if (++place.block < kTilePixels / isa::kDrain && !folded) return;
  place.block = 0;
  WriteTile(maps, conv.output, channel, tile, memory.word);
  if (tile == conv.output.tiles - 1) StorePool(conv, channel, sum, vector);
  place.busy = ++place.result < kind.channels * kind.tiles;
}

inline void RunConv(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int32_t* tables, const Masks& masks, TileMemory& maps,
                    VectorMemory& vector, ConvMemory& memory) {
  const Conv conv = DecodeConv(instruction, tables, masks);
  if (conv.shape.active_out == 0) return;
  const ConvPlan plan = MakeConvPlan(conv.shape);
  ConvPlaces places = ConvPlaces();
  HandOver(kOutputs, memory);  // clears the accumulators
ConvCycles:
  for (int64_t cycle = 0; cycle < plan.cycles; ++cycle) {
    #pragma HLS loop_tripcount max = kMaxConvCycles
    #pragma HLS pipeline II = 1
    Drain(conv, plan, masks, tables, maps, vector, places.drain, memory);
    Multiply(conv, plan, places.fetch, places.gather, places.multiply, places.drain, memory);
  GatherReads:
    for (int32_t read = 0; read < isa::kMapReads; ++read) {
      #pragma HLS unroll
      Gather(conv, plan, masks, maps, places.multiply.sequence, places.gather, memory);
    }
    Fetch(conv, plan, masks, weights0, weights1, weights2, places.multiply.group.sequence, places.fetch, memory);
  }
}

}  // namespace ddi
