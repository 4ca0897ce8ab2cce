// The loop of CONV, AFFINE, POOL and GLOBAL_POOL as the chip runs it: one iteration a cycle, five processes side by
// side.
//
// Role     fetch     weights of the next group into the idle half of the lanes' memory, 3 × 8 bytes a cycle
//          rows      biases and scales of the next group, a word a cycle
//          gather    the next input channel's window, two reads of 8 × 8 pixels a cycle
//          multiply  a tap for each column of lanes: 192 multipliers of two products, 384 multiplications a cycle; for
//                    AFFINE a pixel passes, for POOL a tap is taken into a sum or a maximum
//          drain     the last step's sums, 8 pixels a cycle
// Rate     schedule.hpp plans the cycles; the loop runs exactly so many, and results are whole only if all work is
//          done by then, which the conformance tests show
// Latency  kDepthMapCycles
// Storage  two banks of six lanes of kLaneBytes (48 BRAM18); two windows, 2 × 384 sums, folded lanes' filters:
// registers
//
// What is off costs nothing: lists of active channels drive every trip count, and only active rows and filters are
// fetched. The processes stand in structures of their own, so that each may run ahead of the next one. A window moves
// under the multipliers by a column or a row a tap, back and forth, so that each multiplier reads from fixed places.
#pragma once
#include <cstdint>

#include "layer.hpp"
#include "packing.hpp"
#include "ports.hpp"

namespace ddi {

constexpr int32_t kMaxResults = isa::kOutLanes * isa::kFold;  // channels of a group
constexpr int32_t kRowBanks = 4;                              // groups whose biases and scales are kept
constexpr int64_t kMaxMapCycles = int64_t(1) << 34;
constexpr int32_t kPart = kTilePixels / isa::kFold;  // pixels of a small map
constexpr int32_t kHeldWords = 2;                    // words that a 3 × 3 filter can touch
static_assert(isa::kColumns * isa::kColumns <= (kHeldWords - 1) * isa::kPortBytes + 1, "a filter touches two words");

typedef int32_t Sums[isa::kOutLanes][kTilePixels];
typedef int64_t LaneWords[isa::kOutLanes][isa::kLaneBytes / isa::kPortBytes];
typedef int64_t HeldFilters[isa::kOutLanes][isa::kFold][kHeldWords];

// Nothing of the weights outlives an instruction.
inline void ForgetWeights() {}

struct LayerMemory {
  LaneWords lane[2];
  HeldFilters held, held_next;  // of folded lanes
  Window window, window_next;
  Sums accumulator;
  Sums result;  // of the step that is drained
  int32_t rows[kRowBanks][kMaxResults][isa::kTableRow];
  uint8_t word[kTilePixels];
  int32_t pooled[kMaxResults];
};

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
  int32_t turn;                   // which half of the lanes takes them
  int32_t base;                   // byte of a lane where they start: a row's for each quarter of a folded map
  int32_t beat;
  int32_t now_filter, now_offset;
  int32_t ready;  // bytes of each row of the group that are there
};

struct TablePlace {
  GroupPlace group;
  int32_t channel;
  int32_t word;
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
  int32_t sequence;     // windows before this one
  bool loaded;          // this channel's window stands under the multipliers
};

// Folded, a lane has a row of weights for each quarter of its pixels, and one port: the next filter's words come one by
// one while this filter is used.
struct HoldPlace {
  GroupPlace group;
  int32_t step;
  int32_t channel;
  int32_t word;      // of isa::kFold · kHeldWords
  int32_t sequence;  // filters before it
};

struct DrainPlace {
  bool busy;
  GroupPlace group;
  int32_t step;
  int32_t result;
  int32_t block;
};

struct LayerPlaces {
  FetchPlace fetch;
  TablePlace rows;
  GatherPlace gather;
  HoldPlace hold;
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

// The port whose row belongs to a lane now, or none. As outputs lanes 0-2 and 3-5 take three rows in turn; the columns
// that share a kernel's rows all take the same.
inline int32_t PortOfLane(int32_t mode, int32_t lane, int32_t turn) {
  #pragma HLS inline
  constexpr int32_t kPorts = isa::kWeightPorts;
  const int32_t mine = lane / kPorts == turn ? lane % kPorts : kPorts;
  return mode == kOutputs ? mine : mode == kPair ? 0 : (lane & 1);
}

inline void Fetch(const Layer& layer, const ConvPlan& plan, const Masks& masks, const int64_t* weights0,
                  const int64_t* weights1, const int64_t* weights2, int32_t computing, FetchPlace& place,
                  LayerMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds || place.group.sequence > computing + 1 || layer.shape.row == 0) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const int32_t at = place.chunk + place.beat * isa::kPortBytes;
  const int32_t source =
      layer.in_mask == 0
          ? at
          : ActiveChannel(masks, layer.in_mask, place.now_filter) * layer.shape.filter_bytes + place.now_offset;
  int64_t bytes[isa::kWeightPorts];
FetchPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t row = place.rows + port;
    const int32_t channel =
        ActiveChannel(masks, layer.out_mask, place.group.first_out + (row < kind.channels ? row : 0));
    const int32_t offset = channel * layer.row_pitch;
    #pragma HLS bind_op variable = offset op = mul impl = fabric
    const int64_t byte = int64_t(layer.weights) + offset + source;
    bytes[port] = row < kind.channels ? ReadWeights(port, byte >> 3, weights0, weights1, weights2) : 0;
  }
StoreLanes:
  for (int32_t i = 0; i < isa::kOutLanes; ++i) {
    #pragma HLS unroll
    const int32_t port = PortOfLane(kind.mode, i, place.turn);
    const bool there = port < isa::kWeightPorts && place.rows + port < kind.channels;
    const int64_t mine = port == 0 ? bytes[0] : port == 1 ? bytes[1] : bytes[2];
    if (there) memory.lane[place.group.sequence & 1][i][(place.base + at) >> 3] = mine;
  }
  place.now_offset += isa::kPortBytes;
  if (place.now_offset == layer.shape.filter_bytes) {
    place.now_offset = 0;
    ++place.now_filter;
  }
  const int32_t size = Smaller(isa::kBurst, layer.shape.row - place.chunk);
  if (++place.beat * isa::kPortBytes < size) return;
  place.beat = 0;
  place.rows += isa::kWeightPorts;
  place.turn ^= 1;
  if (place.turn == 0) place.base += layer.shape.row;
  if (place.rows < kind.channels) {  // the next three rows' bytes of the same chunk
    place.now_filter = place.filter;
    place.now_offset = place.offset;
    return;
  }
  place.rows = place.turn = place.base = 0;
  place.chunk += size;
  place.filter = place.now_filter;
  place.offset = place.now_offset;
  place.ready = place.chunk;
  if (place.chunk == layer.shape.row) {
    NextGroup(plan, place.group);
    place.chunk = place.filter = place.offset = place.now_filter = place.now_offset = place.ready = 0;
  }
}

// A word of a bias or a scale.
inline void FetchRows(const Layer& layer, const ConvPlan& plan, const Masks& masks, const int32_t* tables,
                      int32_t computing, TablePlace& place, LayerMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds || place.group.sequence > computing + 1 || !layer.has_table) return;
  const int32_t channel = ActiveChannel(masks, layer.out_mask, place.group.first_out + place.channel);
  memory.rows[place.group.sequence & (kRowBanks - 1)][place.channel][place.word] =
      tables[layer.table + isa::kTableRow * channel + place.word];
  if (++place.word < isa::kTableRow) return;
  place.word = 0;
  if (++place.channel < plan.kind[place.group.kind].channels) return;
  place.channel = 0;
  NextGroup(plan, place.group);
}

inline void Gather(const Layer& layer, const ConvPlan& plan, const Masks& masks, const TileMemory& maps, int32_t loaded,
                   GatherPlace& place, LayerMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds || place.sequence > loaded || layer.shape.active_in == 0) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const int32_t high = (isa::kTile - 1) * layer.shape.stride + layer.shape.kernel;
  const int32_t wide = (kind.tiles * isa::kTile - 1) * layer.shape.stride + layer.shape.kernel;
  const int32_t tile = place.step * kind.tiles;
  const int32_t out_channel = ActiveChannel(masks, layer.out_mask, place.group.first_out);
  Block block;
  ReadBlock(maps, layer.input, SourceChannel(layer, masks, place.channel, out_channel),
            WindowRow(layer, tile) + place.down * isa::kTile, WindowColumn(layer, tile) + place.across * isa::kTile,
            block);
PlaceBlocks:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    const int32_t y = i / isa::kWindow;
    const int32_t x = i % isa::kWindow;
    if (y / isa::kTile == place.down && x / isa::kTile == place.across) {
      memory.window_next[y][x] = block[y % isa::kTile][x % isa::kTile];
    }
  }
  if (++place.across < TileCount(wide)) return;
  place.across = 0;
  if (++place.down < TileCount(high)) return;
  place.down = 0;
  ++place.sequence;
  if (++place.channel < layer.shape.active_in) return;
  place.channel = 0;
  if (++place.step < kind.steps) return;
  place.step = 0;
  NextGroup(plan, place.group);
}

// One word of the next filter of every folded lane, if its bytes are there.
inline void Hold(const Layer& layer, const ConvPlan& plan, const FetchPlace& fetch, int32_t loaded, HoldPlace& place,
                 LayerMemory& memory) {
  #pragma HLS inline
  if (layer.shape.fold == 1 || place.group.kind == plan.kinds || place.sequence > loaded) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const int32_t first = place.channel * layer.shape.filter_bytes;
  const bool fetched =
      fetch.group.sequence > place.group.sequence ||
      (fetch.group.sequence == place.group.sequence && fetch.ready >= first + layer.shape.kernel * layer.shape.kernel);
  if (!fetched || layer.shape.active_in == 0) return;
  const int32_t part = place.word / kHeldWords;
  const int32_t word = place.word % kHeldWords;
  const int32_t last = isa::kLaneBytes / isa::kPortBytes - 1;
  const int32_t at = ((part * layer.shape.row + first) >> 3) + word;
HoldLanes:
  for (int32_t i = 0; i < isa::kOutLanes; ++i) {
    #pragma HLS unroll
    memory.held_next[i][part][word] = memory.lane[place.group.sequence & 1][i][at < last ? at : last];
  }
  if (++place.word < isa::kFold * kHeldWords) return;
  place.word = 0;
  ++place.sequence;
  if (++place.channel < layer.shape.active_in) return;
  place.channel = 0;
  if (++place.step < kind.steps) return;
  place.step = 0;
  NextGroup(plan, place.group);
}

// A byte of a word of weights.
inline int8_t WeightByte(int64_t word, int32_t at) {
  #pragma HLS inline
  int8_t byte[isa::kPortBytes];
TakeBytes:
  for (int32_t i = 0; i < isa::kPortBytes; ++i) {
    #pragma HLS unroll
    byte[i] = int8_t(uint8_t(uint64_t(word) >> (8 * i)));
  }
  return byte[at & (isa::kPortBytes - 1)];
}

// The weight of a lane at byte `at` of its row; folded, that of the row of a quarter.
inline int8_t ReadWeight(const LayerMemory& memory, int32_t bank, int32_t lane, bool folded, int32_t part,
                         int32_t first, int32_t at) {
  #pragma HLS inline
  const int32_t within = at - (first & ~(isa::kPortBytes - 1));  // of the words that are held
  const int64_t held = memory.held[lane][part][(within >> 3) & (kHeldWords - 1)];
  return folded ? WeightByte(held, within & 7) : WeightByte(memory.lane[bank][lane][at >> 3], at & 7);
}

// The pixel under a multiplier: by its stride, the row that its column takes, and its place on a folded map.
inline int16_t WindowPixel(const Layer& layer, const Window& window, int32_t mode, int32_t column, int32_t pixel) {
  #pragma HLS inline
  const int32_t y = pixel >> 3;
  const int32_t x = pixel & 7;
  const int32_t small_y = pixel % kPart / isa::kSmallMap;
  const int32_t small_x = pixel % isa::kSmallMap;
  const bool twice = layer.shape.stride == 2;
  if (mode == kRows || mode == kPair) return PixelValue(window[y + column][x], layer.in_signed);
  if (layer.shape.fold > 1) {
    return PixelValue(twice ? window[2 * small_y][2 * small_x] : window[small_y][small_x], layer.in_signed);
  }
  return PixelValue(twice ? window[2 * y][2 * x] : window[y][x], layer.in_signed);
}

// A sum of at most kLaneBytes products of 16 bits, in the bits that it needs.
inline int32_t NarrowSum(int32_t value) {
  #pragma HLS inline
  return Narrow(value, 28);
}

static_assert(int64_t(isa::kLaneBytes) * 128 * 255 < (1 << 27), "a sum fits 28 bits");

// One tap of one input channel for every column of lanes. Two weights share a pixel, or two pixels a weight.
inline void MultiplyTap(const Layer& layer, int32_t mode, const MultiplyPlace& place, LayerMemory& memory) {
  #pragma HLS inline
  const bool folded = layer.shape.fold > 1;
  const int32_t first = place.channel * layer.shape.filter_bytes;
  const int32_t bank = place.group.sequence & 1;
Columns:
  for (int32_t column = 0; column < isa::kColumns; ++column) {
    #pragma HLS unroll
    const int32_t row = mode == kOutputs ? place.row : column;
    const int32_t at = first + row * layer.shape.kernel + place.column;
    int16_t weight[isa::kFold][2];
  Weights:
    for (int32_t i = 0; i < 2 * isa::kFold; ++i) {
      #pragma HLS unroll
      weight[i / 2][i & 1] = int16_t(ReadWeight(memory, bank, 2 * column + (i & 1), folded, i / 2, first, at));
    }
  Pixels:
    for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
      #pragma HLS unroll
      const int32_t part = folded ? pixel / kPart : 0;
      const int16_t near = WindowPixel(layer, memory.window, mode, column, pixel);
      const int16_t far = PixelValue(memory.window[(pixel >> 3) + column][(pixel & 7) + isa::kTile], layer.in_signed);
      const PackedProduct product = MultiplyPacked(NarrowPixel(mode == kPair ? far : weight[part][1]),
                                                   NarrowPixel(mode == kPair ? near : weight[part][0]),
                                                   NarrowPixel(mode == kPair ? weight[part][0] : near));
      memory.accumulator[2 * column][pixel] = NarrowSum(memory.accumulator[2 * column][pixel] + product.low);
      memory.accumulator[2 * column + 1][pixel] =
          NarrowSum(memory.accumulator[2 * column + 1][pixel] + product.high + product.carry);
    }
  }
}

// AFFINE's pixel with its fraction, or POOL's tap, into the first lane's sums.
inline void TakeTap(const Layer& layer, const MultiplyPlace& place, int32_t tile, bool has_source,
                    LayerMemory& memory) {
  #pragma HLS inline
  const int32_t row = WindowRow(layer, tile) + place.row;
  const int32_t column = WindowColumn(layer, tile) + place.column;
TakePixels:
  for (int32_t pixel = 0; pixel < kTilePixels; ++pixel) {
    #pragma HLS unroll
    const int32_t y = row + (pixel >> 3) * layer.shape.stride;
    const int32_t x = column + (pixel & 7) * layer.shape.stride;
    const bool inside = y >= 0 && y < layer.input.height && x >= 0 && x < layer.input.width;
    const int16_t value = WindowPixel(layer, memory.window, kOutputs, 0, pixel);
    const int32_t passed = has_source ? value * (1 << isa::kFractionBits) : 0;
    const int16_t before = int16_t(memory.accumulator[0][pixel]);
    const int32_t reduced = ReducePixel(layer, place.beat == 0, inside, value, before);
    memory.accumulator[0][pixel] = layer.mode == kPass ? passed : reduced;
  }
}

// Move the window to the next tap: along the row, back and forth, or a row on. Its columns turn in a ring, so that what
// leaves on one side is there when the next row goes back.
inline void MoveWindow(bool row_ends, bool backwards, Window& window) {
  #pragma HLS inline
  Window old;
KeepWindow:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    old[i / isa::kWindow][i % isa::kWindow] = window[i / isa::kWindow][i % isa::kWindow];
  }
ShiftWindow:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    const int32_t y = i / isa::kWindow;
    const int32_t x = i % isa::kWindow;
    const uint8_t below = old[(y + 1) % isa::kWindow][x];
    const uint8_t right = old[y][(x + 1) % isa::kWindow];
    const uint8_t left = old[y][(x + isa::kWindow - 1) % isa::kWindow];
    window[y][x] = row_ends ? below : backwards ? left : right;
  }
}

// Put the next channel's window under the multipliers, and folded lanes' next filters at hand.
inline void LoadWindow(LayerMemory& memory) {
  #pragma HLS inline
CopyWindow:
  for (int32_t i = 0; i < isa::kWindow * isa::kWindow; ++i) {
    #pragma HLS unroll
    memory.window[i / isa::kWindow][i % isa::kWindow] = memory.window_next[i / isa::kWindow][i % isa::kWindow];
  }
CopyFilters:
  for (int32_t i = 0; i < isa::kOutLanes * isa::kFold * kHeldWords; ++i) {
    #pragma HLS unroll
    constexpr int32_t kLane = isa::kFold * kHeldWords;
    memory.held[i / kLane][i % kLane / kHeldWords][i % kHeldWords] =
        memory.held_next[i / kLane][i % kLane / kHeldWords][i % kHeldWords];
  }
}

// Hand a finished step's sums to the drain, and clear the accumulators.
inline void HandOver(LayerMemory& memory) {
  #pragma HLS inline
HandOverSums:
  for (int32_t i = 0; i < isa::kOutLanes * kTilePixels; ++i) {
    #pragma HLS unroll
    memory.result[i / kTilePixels][i % kTilePixels] = memory.accumulator[i / kTilePixels][i % kTilePixels];
    memory.accumulator[i / kTilePixels][i % kTilePixels] = 0;
  }
}

// The next tap; true with a channel's last one.
inline bool NextTap(const Layer& layer, const GroupKind& kind, MultiplyPlace& place, Window& window) {
  #pragma HLS inline
  const bool backwards = (place.row & 1) != 0;
  const bool row_ends = place.column == (backwards ? 0 : layer.shape.kernel - 1);
  MoveWindow(row_ends, backwards, window);
  if (row_ends) {
    ++place.row;
  } else {
    place.column += backwards ? -1 : 1;
  }
  return ++place.beat == kind.beat;
}

inline void Multiply(const Layer& layer, const ConvPlan& plan, const FetchPlace& fetch, const GatherPlace& gather,
                     const HoldPlace& hold, MultiplyPlace& place, DrainPlace& drain, LayerMemory& memory) {
  #pragma HLS inline
  if (place.group.kind == plan.kinds) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const bool folded = layer.shape.fold > 1;
  if (place.cycle < kind.step) ++place.cycle;
  if (place.channel < layer.shape.active_in) {
    if (!place.loaded) {
      if (gather.sequence <= place.sequence || (folded && hold.sequence <= place.sequence)) return;
      LoadWindow(memory);
      place.loaded = true;
      return;
    }
    // As outputs one byte a cycle is needed, else the whole filter; folded lanes hold theirs.
    const int32_t taps = layer.shape.kernel * layer.shape.kernel;
    const int32_t bytes = kind.mode == kOutputs ? Smaller((place.row + 1) * layer.shape.kernel, taps) : taps;
    const bool fetched = layer.mode != kOutputs || folded || fetch.group.sequence > place.group.sequence ||
                         fetch.ready >= place.channel * layer.shape.filter_bytes + bytes;
    if (!fetched) return;
    const bool taken = place.beat >= kind.taps;
    if (!taken && layer.mode == kOutputs) MultiplyTap(layer, kind.mode, place, memory);
    if (!taken && layer.mode != kOutputs) {
      TakeTap(layer, place, place.step, HasSource(layer, place.group.first_out), memory);
    }
    if (NextTap(layer, kind, place, memory.window)) {
      place.beat = place.row = place.column = 0;
      ++place.channel;
      ++place.sequence;
      // The next window, if it is there, stands ready with the next cycle.
      place.loaded = gather.sequence > place.sequence && (!folded || hold.sequence > place.sequence);
      if (place.loaded) LoadWindow(memory);
    }
  }
  if (place.channel < layer.shape.active_in || place.cycle < kind.step || drain.busy) return;
  HandOver(memory);
  drain.busy = true;
  drain.group = place.group;
  drain.step = place.step;
  drain.result = drain.block = 0;
  place.cycle = place.channel = 0;
  if (++place.step < kind.steps) return;
  place.step = 0;
  NextGroup(plan, place.group);
}

// The sums that the drain takes now: of one lane, or of the three columns that shared the kernel's rows.
struct DrainSums {
  int32_t value[isa::kDrain];
};

inline DrainSums TakeSums(const Sums& result, bool shared, int32_t lane, int32_t block) {
  #pragma HLS inline
  DrainSums sums;
TakeSumPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    int32_t taken[isa::kOutLanes];
  TakeSumLanes:
    for (int32_t j = 0; j < isa::kOutLanes; ++j) {
      #pragma HLS unroll
      taken[j] = NarrowSum(result[j][block * isa::kDrain + i]);
    }
    const int32_t even = NarrowSum(taken[0] + taken[2] + taken[4]);
    const int32_t odd = NarrowSum(taken[1] + taken[3] + taken[5]);
    sums.value[i] = shared ? ((lane & 1) != 0 ? odd : even) : taken[lane];
  }
  return sums;
}

// Requantise some pixels of the step before; with a tile's last ones, write its word.
inline void Drain(const Layer& layer, const ConvPlan& plan, const Masks& masks, TileMemory& maps, VectorMemory& vector,
                  DrainPlace& place, LayerMemory& memory) {
  #pragma HLS inline
  if (!place.busy) return;
  const GroupKind& kind = plan.kind[place.group.kind];
  const bool folded = layer.shape.fold > 1;
  const int32_t index = kind.mode == kPair ? 0 : place.result;  // of the channel in its group
  const int32_t tile = place.step * kind.tiles + (kind.mode == kPair ? place.result : 0);
  const int32_t channel = ActiveChannel(masks, layer.out_mask, place.group.first_out + index);
  const int32_t lane = place.result % isa::kOutLanes;
  const int32_t quarter = folded ? place.result / isa::kOutLanes : 0;
  const int32_t block = (quarter * (kPart / isa::kDrain) + place.block) & (kTilePixels / isa::kDrain - 1);
  const int32_t rows = Inside(tile / layer.output.columns, layer.output.height);
  const int32_t columns = Inside(tile % layer.output.columns, layer.output.width);
  const int32_t bank = place.group.sequence & (kRowBanks - 1);
  const Finish finish = MakeFinish(layer, memory.rows[bank][index][0], memory.rows[bank][index][1]);
  // Without ADD the output's own word is read and not used, so that one loop does for both.
  const int32_t identity =
      (layer.add ? layer.identity.address : layer.output.address) + channel * layer.output.tiles + tile;
  const DrainSums sums = TakeSums(memory.result, kind.mode == kRows || kind.mode == kPair, lane, block);
  int32_t sum = tile == 0 && place.block == 0 ? 0 : memory.pooled[index];
DrainPixels:
  for (int32_t i = 0; i < isa::kDrain; ++i) {
    #pragma HLS unroll
    const int32_t within = place.block * isa::kDrain + i;
    const int32_t to = folded ? within / isa::kSmallMap * isa::kTile + within % isa::kSmallMap : within;
    const uint8_t byte = FinishPixel(layer, finish, sums.value[i], maps[identity][to]);
    memory.word[to] = byte;
    sum += (to >> 3) < rows && (to & 7) < columns ? PixelValue(byte, !layer.relu) : 0;
  }
  memory.pooled[index] = sum;
  if (++place.block < (folded ? kPart : kTilePixels) / isa::kDrain) return;
  place.block = 0;
  if (layer.writes) WriteTile(maps, layer.output, channel, tile, memory.word);
  if (tile == layer.output.tiles - 1) StorePool(layer, channel, sum, vector);
  place.busy = ++place.result < kind.channels * kind.tiles;
}

inline void RunMaps(const Layer& layer, const ConvPlan& plan, const int64_t* weights0, const int64_t* weights1,
                    const int64_t* weights2, const int32_t* tables, const Masks& masks, TileMemory& maps,
                    VectorMemory& vector, LayerMemory& memory) {
  LayerPlaces places = LayerPlaces();
  HandOver(memory);  // clears the accumulators
MapCycles:
  for (int64_t cycle = 0; cycle < plan.cycles; ++cycle) {
    #pragma HLS loop_tripcount max = kMaxMapCycles
    #pragma HLS pipeline II = 1
    Drain(layer, plan, masks, maps, vector, places.drain, memory);
    Multiply(layer, plan, places.fetch, places.gather, places.hold, places.multiply, places.drain, memory);
    const int32_t loaded = places.multiply.sequence + (places.multiply.loaded ? 1 : 0);  // windows taken so far
  GatherReads:
    for (int32_t read = 0; read < isa::kMapReads; ++read) {
      #pragma HLS unroll
      Gather(layer, plan, masks, maps, loaded, places.gather, memory);
    }
    Hold(layer, plan, places.fetch, loaded, places.hold, memory);
    FetchRows(layer, plan, masks, tables, places.multiply.group.sequence, places.rows, memory);
    Fetch(layer, plan, masks, weights0, weights1, weights2, places.multiply.group.sequence, places.fetch, memory);
  }
}

// A CONV, an AFFINE, a POOL or a GLOBAL_POOL: one datapath for all.
inline void RunLayer(const Instruction& instruction, const int64_t* weights0, const int64_t* weights1,
                     const int64_t* weights2, const int32_t* tables, const Masks& masks, TileMemory& maps,
                     VectorMemory& vector, LayerMemory& memory) {
  const Layer layer = DecodeLayer(instruction, tables, masks);
  if (layer.shape.active_out == 0) return;
  const ConvPlan plan = layer.mode == kOutputs ? MakeConvPlan(layer.shape) : MakeMapPlan(layer.mode, layer.shape);
  RunMaps(layer, plan, weights0, weights1, weights2, tables, masks, maps, vector, memory);
}

}  // namespace ddi
