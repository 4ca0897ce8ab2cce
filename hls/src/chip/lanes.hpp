// Lanes: the weights, biases and scales of the output channels that are computed, fetched a group ahead.
//
// Role     rows of weights into the half of the lanes' memory that is not in use; biases and scales of the group
// Rate     8 bytes of each of three rows a cycle, and a bias with its scale; every lane gives three neighbouring
//          weights a cycle, wherever they stand
// Storage  two banks of eight lanes of kLaneBytes, each in two memories of four bytes a word: 32 BRAM18
//
// Only active rows are fetched, and under an input mask only the filters of active channels.
#pragma once
#include <cstdint>

#include "../layer.hpp"
#include "../packing.hpp"
#include "../ports.hpp"

namespace ddi {

constexpr int32_t kRowBanks = 4;  // groups whose biases and scales are kept
constexpr int32_t kLaneWord = 4;  // bytes of a word: those of two neighbours hold any three weights
constexpr int32_t kLaneDepth = isa::kLaneBytes / (2 * kLaneWord);
static_assert(2 * kLaneWord == isa::kPortBytes, "a port's bytes are a word of each of a lane's memories");
static_assert(isa::kRowTaps <= kLaneWord + 1, "three weights lie in two words");
static_assert((kLaneDepth & (kLaneDepth - 1)) == 0, "addresses wrap around by a mask");

struct LaneMemory {
  int16_t channel[kRowBanks][kMaxResults];    // the group's output channels
  uint32_t even[2][kMaxResults][kLaneDepth];  // words 0, 2, 4 … of each bank and lane
  uint32_t odd[2][kMaxResults][kLaneDepth];
  int32_t bias[kRowBanks][kMaxResults];
  int32_t scale[kRowBanks][kMaxResults];
};

// Where a process stands: in a group of output channels, in a step of it.
struct StepPlace {
  int32_t group;        // groups before it
  int32_t first_out;    // index of the group's first channel in the list of active output channels
  int32_t row, column;  // first pixel of the step
};

inline int32_t GroupChannels(const ConvPlan& plan, const StepPlace& place) {
  return place.group + 1 == plan.groups ? plan.last : plan.channels;
}

inline void NextGroup(const ConvPlan& plan, StepPlace& place) {
  #pragma HLS inline
  ++place.group;
  place.first_out += plan.channels;
}

inline void NextStep(const Layer& layer, const ConvPlan& plan, StepPlace& place) {
  #pragma HLS inline
  const int32_t side = layer.shape.by_parts ? isa::kPart : isa::kTile;
  place.column += side;
  if (place.column < layer.output.width) return;
  place.column = 0;
  place.row += side;
  if (place.row < layer.output.height) return;
  place.row = 0;
  NextGroup(plan, place);
}

struct FetchPlace {
  StepPlace step;
  int32_t chunk, filter, offset;  // where the chunk starts: in the fetched row, as a filter and a byte of it
  int32_t rows;                   // first of the three rows that are fetched now
  int32_t beat;
  int32_t now_filter, now_offset;
  int32_t ready;  // bytes of each row of the group that are there
};

struct ListPlace {
  StepPlace step;
  int32_t channel;
};

struct TablePlace {
  StepPlace step;
  int32_t channel;
};

// One output channel of the next group into its list.
inline void ListChannels(const Layer& layer, const ConvPlan& plan, const Masks& masks, int32_t computing,
                         ListPlace& place, LaneMemory& memory) {
  #pragma HLS inline
  if (place.step.group == plan.groups || place.step.group > computing + 1) return;
  memory.channel[place.step.group & (kRowBanks - 1)][place.channel] =
      int16_t(ActiveChannel(masks, layer.out_mask, place.step.first_out + place.channel));
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

// Does the group's list hold its first `channels` output channels?
inline bool IsListed(const ListPlace& place, int32_t group, int32_t channels) {
  return place.step.group > group || (place.step.group == group && place.channel >= channels);
}

inline void Fetch(const Layer& layer, const ConvPlan& plan, const Masks& masks, const int64_t* weights0,
                  const int64_t* weights1, const int64_t* weights2, const ListPlace& list, FetchPlace& place,
                  LaneMemory& memory) {
  #pragma HLS inline
  if (place.step.group == plan.groups || layer.shape.row == 0) return;
  const int32_t channels = GroupChannels(plan, place.step);
  if (!IsListed(list, place.step.group, Smaller(place.rows + isa::kWeightPorts, channels))) return;
  const int32_t at = place.chunk + place.beat * isa::kPortBytes;
  const int32_t source =
      layer.in_mask == 0
          ? at
          : FetchedChannel(masks, layer.in_mask, place.now_filter) * layer.shape.filter_bytes + place.now_offset;
  int64_t bytes[isa::kWeightPorts];
FetchPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t row = place.rows + port;
    const int32_t channel = memory.channel[place.step.group & (kRowBanks - 1)][row & (kMaxResults - 1)];
    const int32_t offset = channel * layer.row_pitch;
    #pragma HLS bind_op variable = offset op = mul impl = fabric
    const int64_t byte = int64_t(layer.weights) + offset + source;
    bytes[port] = row < channels ? ReadWeights(port, byte >> 3, weights0, weights1, weights2) : 0;
  }
StoreLanes:
  for (int32_t lane = 0; lane < kMaxResults; ++lane) {
    #pragma HLS unroll
    const int64_t mine = bytes[lane % isa::kWeightPorts];
    if (lane >= place.rows && lane < place.rows + isa::kWeightPorts) {
      memory.even[place.step.group & 1][lane][at >> 3] = uint32_t(uint64_t(mine));
      memory.odd[place.step.group & 1][lane][at >> 3] = uint32_t(uint64_t(mine) >> 32);
    }
  }
  place.now_offset += isa::kPortBytes;
  if (place.now_offset == layer.shape.filter_bytes) {
    place.now_offset = 0;
    ++place.now_filter;
  }
  const bool last_rows = place.rows + isa::kWeightPorts >= channels;
  if (last_rows) place.ready = at + isa::kPortBytes;
  const int32_t size = Smaller(isa::kBurst, layer.shape.row - place.chunk);
  if (++place.beat * isa::kPortBytes < size) return;
  place.beat = 0;
  if (!last_rows) {  // the next three rows' bytes of the same chunk
    place.rows += isa::kWeightPorts;
    place.now_filter = place.filter;
    place.now_offset = place.offset;
    return;
  }
  place.rows = 0;
  place.chunk += size;
  place.filter = place.now_filter;
  place.offset = place.now_offset;
  if (place.chunk == layer.shape.row) {
    NextGroup(plan, place.step);
    place.chunk = place.filter = place.offset = place.now_filter = place.now_offset = place.ready = 0;
  }
}

// The bias and the scale of an output channel.
inline void FetchTable(const Layer& layer, const ConvPlan& plan, const int64_t* tables, const ListPlace& list,
                       TablePlace& place, LaneMemory& memory) {
  #pragma HLS inline
  if (!layer.has_table || !IsListed(list, place.step.group, place.channel + 1)) return;
  const int32_t bank = place.step.group & (kRowBanks - 1);
  const int32_t channel = memory.channel[bank][place.channel];
  const TableRow row = ReadTable(tables, layer.table + channel);
  memory.bias[bank][place.channel] = row.bias;
  memory.scale[bank][place.channel] = row.scale;
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

// Have the bias and scale of a group's first results come? Later ones come at least as fast as they are used.
inline bool HasTable(const Layer& layer, const TablePlace& place, int32_t group) {
  return place.step.group > group || (place.step.group == group && place.channel > 0) || !layer.has_table;
}

// Three neighbouring weights of a lane.
struct RowWeights {
  int8_t tap[isa::kRowTaps];
};

// Those from byte `at` of the lane's row on, of which `valid` belong to the kernel's row: the others are zero.
inline RowWeights ReadWeightsOf(const LaneMemory& memory, int32_t bank, int32_t lane, int32_t at, int32_t valid) {
  #pragma HLS inline
  const int32_t word = at >> 2;
  const uint32_t even = memory.even[bank][lane][((word + 1) >> 1) & (kLaneDepth - 1)];
  const uint32_t odd = memory.odd[bank][lane][(word >> 1) & (kLaneDepth - 1)];
  const uint64_t both = (word & 1) != 0 ? uint64_t(even) << 32 | odd : uint64_t(odd) << 32 | even;
  const uint32_t first = uint32_t(both >> (8 * (at & 3)));
  RowWeights weights;
TakeWeights:
  for (int32_t tap = 0; tap < isa::kRowTaps; ++tap) {
    #pragma HLS unroll
    const int8_t byte = int8_t(uint8_t(first >> (8 * tap)));
    weights.tap[tap] = tap < valid ? ReadableWeight(byte) : int8_t(0);
  }
  return weights;
}

}  // namespace ddi
