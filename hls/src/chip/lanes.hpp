// Lanes: the weights, biases and scales of the output channels that are computed, a group ahead.
//
// Role     rows of weights from their queues (fetch.hpp) into the half of the lanes' memory that is not in use; biases
//          and scales of the group
// Rate     8 bytes of each of three rows a cycle, and a bias with its scale; every lane gives three neighbouring
//          weights a cycle, wherever they stand
// Storage  eight lanes of two banks of kLaneBytes, each in two memories of four bytes a word: 32 BRAM18
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
constexpr int32_t kTurns = (kMaxResults + isa::kWeightPorts - 1) / isa::kWeightPorts;  // that fetch a group's rows
static_assert((kLaneDepth & (kLaneDepth - 1)) == 0, "addresses wrap around by a mask");

constexpr int32_t kBurstWords = isa::kBurst / isa::kPortBytes;
constexpr int32_t kBurstBits = BitsOf(kBurstWords);
constexpr int32_t kFilterBits = BitsOf((isa::kMaxKernel * isa::kMaxKernel + isa::kWeightAlign - 1) / isa::kPortBytes);

struct LaneMemory {
  Unsigned<kIndexBits> channel[kRowBanks][kMaxResults];  // the group's output channels
  uint32_t even[2][kMaxResults][kLaneDepth];             // words 0, 2, 4 … of each bank and lane
  uint32_t odd[2][kMaxResults][kLaneDepth];
  int32_t bias[kRowBanks][kMaxResults];
  int32_t scale[kRowBanks][kMaxResults];
};

// Where a process stands: in a group of output channels, in a step of it.
struct StepPlace {
  Unsigned<kChannelBits> group;          // groups before it
  Unsigned<kChannelBits + 1> first_out;  // index of the group's first channel in the list of active output channels
  Unsigned<kSideBits> row, column;       // first pixel of the step
};

inline int32_t GroupChannels(const ConvPlan& plan, const StepPlace& place) {
  return place.group == plan.groups - 1 ? plan.last : plan.channels;
}

inline void NextGroup(const ConvPlan& plan, StepPlace& place) {
  #pragma HLS inline
  ++place.group;
  place.first_out += plan.channels;
}

inline void NextStep(const Layer& layer, const ConvPlan& plan, StepPlace& place) {
  #pragma HLS inline
  const int32_t side = layer.shape.by_parts ? isa::kPart : isa::kTile;
  // Compared with what is behind the last one, and not once the sum is there: a window's two reads may both end a step.
  if (place.column < layer.output.width - side) {
    place.column += side;
    return;
  }
  place.column = 0;
  if (place.row < layer.output.height - side) {
    place.row += side;
    return;
  }
  place.row = 0;
  NextGroup(plan, place);
}

// Where rows of weights are fetched: three rows at a time, a chunk of each, a word after the other. What is left of
// each is counted down, so that where a piece ends is known at the start of a cycle.
struct FetchPlace {
  StepPlace step;
  Unsigned<BitsOf(kTurns - 1)> turn;    // of kWeightPorts rows each
  Unsigned<kLaneWordBits> chunk;        // words before the chunk
  Unsigned<kBurstBits> size, left;      // words of the chunk, and those of them that are still to come
  Unsigned<kLaneWordBits> rest;         // words of the row behind the chunk
  Unsigned<kChannelBits> filter;        // of the next word
  Unsigned<kFilterBits> filter_left;    // words of it that are still to come
  Unsigned<kChannelBits> first_filter;  // the same of the chunk's first word
  Unsigned<kFilterBits> first_left;
  Unsigned<kLaneByteBits> ready;  // bytes of each row of the group that are there
};

// Words that stand one behind the other in the DDR: of the chunk, or under an input mask of a filter.
struct Piece {
  int32_t words;
  bool ends_filter, ends_chunk;
};

// Groups that are listed are at most so many ahead of those that are used that two bits tell them apart.
inline bool IsTwoAhead(int32_t listed, int32_t group) { return ((listed ^ group) & 3) == 2; }

struct ListPlace {
  StepPlace step;
  Unsigned<kResultBits> channel;
};

struct TablePlace {
  StepPlace step;
  Unsigned<kResultBits> channel;
};

// One output channel of the next group into its list.
inline void ListChannels(const Layer& layer, const ConvPlan& plan, const Masks& masks, int32_t computing,
                         ListPlace& place, LaneMemory& memory) {
  #pragma HLS inline
  if (place.step.group == plan.groups || IsTwoAhead(place.step.group, computing)) return;
  memory.channel[place.step.group & (kRowBanks - 1)][place.channel] =
      ActiveChannel(masks, layer.out_mask, place.step.first_out + place.channel);
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

// Does the group's list hold its first `channels` output channels?
inline bool IsListed(const ListPlace& place, int32_t group, int32_t channels) {
  return ((place.step.group ^ group) & 3) != 0 || place.channel >= channels;
}

// To the first words of a row.
inline void StartRow(const Layer& layer, FetchPlace& place) {
  #pragma HLS inline
  place.chunk = place.filter = place.first_filter = place.ready = 0;
  place.size = place.left = Smaller(kBurstWords, layer.fetch_words);
  place.rest = layer.fetch_words - place.size;
  place.filter_left = place.first_left = layer.filter_words;
}

// All words from `place` on that lie in one piece.
inline Piece WholePiece(const Layer& layer, const FetchPlace& place) {
  #pragma HLS inline
  const bool masked = layer.in_mask != 0;
  const bool by_filter = masked && place.filter_left < place.left;
  const Piece piece = {by_filter ? int32_t(place.filter_left) : int32_t(place.left),
                       masked && place.filter_left <= place.left, !by_filter};
  return piece;
}

// The next word alone.
inline Piece OneWord(const Layer& layer, const FetchPlace& place) {
  #pragma HLS inline
  const Piece piece = {1, layer.in_mask != 0 && place.filter_left == 1, place.left == 1};
  return piece;
}

static_assert(isa::kWeightPorts == 1 || kTurns == 3, "a turn's rows are found without a product");

// The first row of the turn.
inline int32_t FirstRow(const FetchPlace& place) {
  #pragma HLS inline
  return isa::kWeightPorts == 1 ? int32_t(place.turn)
         : place.turn == 0      ? 0
         : place.turn == 1      ? isa::kWeightPorts
                                : 2 * isa::kWeightPorts;
}

// The turn of a channel of the group.
inline Unsigned<BitsOf(kTurns - 1)> TurnOf(int32_t channel) {
  #pragma HLS inline
  return Unsigned<BitsOf(kTurns - 1)>(isa::kWeightPorts == 1            ? channel
                                      : channel < isa::kWeightPorts     ? 0
                                      : channel < 2 * isa::kWeightPorts ? 1
                                                                        : 2);
}

// Behind a piece. Behind a chunk come the same words of the next three rows.
inline void NextWords(const Layer& layer, const ConvPlan& plan, const Piece& piece, FetchPlace& place) {
  #pragma HLS inline
  if (layer.in_mask != 0) {
    place.filter += piece.ends_filter ? 1 : 0;
    place.filter_left = piece.ends_filter ? int32_t(layer.filter_words) : place.filter_left - piece.words;
  }
  if (!piece.ends_chunk) {
    place.left -= piece.words;
    return;
  }
  if (FirstRow(place) + isa::kWeightPorts < GroupChannels(plan, place.step)) {
    ++place.turn;
    place.left = place.size;
    place.filter = place.first_filter;
    place.filter_left = place.first_left;
    return;
  }
  place.turn = 0;
  if (place.rest == 0) {
    NextGroup(plan, place.step);
    StartRow(layer, place);
    return;
  }
  place.chunk += place.size;
  place.size = place.left = Smaller(kBurstWords, place.rest);
  place.rest -= place.size;
  place.first_filter = place.filter;
  place.first_left = place.filter_left;
}

// Has a word of each of the three rows come?
template <typename Weights>
inline bool HaveCome(Weights (&queue)[isa::kWeightPorts], int32_t rows) {
  #pragma HLS inline
  bool come = true;
PortsCome:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (port < rows && queue[port].Empty()) come = false;
  }
  return come;
}

// Three rows' words of the next group into its lanes, once these are free: when its channels are listed.
template <typename Weights>
inline void TakeRows(const Layer& layer, const ConvPlan& plan, const ListPlace& list, FetchPlace& place,
                     Weights (&queue)[isa::kWeightPorts], LaneMemory& memory) {
  #pragma HLS inline
  if (place.step.group == plan.groups || layer.shape.row == 0) return;
  const int32_t channels = GroupChannels(plan, place.step);
  if (!IsListed(list, place.step.group, Smaller(FirstRow(place) + isa::kWeightPorts, channels))) return;
  if (!HaveCome(queue, channels - FirstRow(place))) return;
  int64_t bytes[isa::kWeightPorts];
TakePorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    bytes[port] = FirstRow(place) + port < channels ? queue[port].Pop() : int64_t(0);
  }
  const int32_t at = (place.chunk + place.size - place.left) & (kLaneDepth - 1);
StoreLanes:
  for (int32_t lane = 0; lane < kMaxResults; ++lane) {
    #pragma HLS unroll
    const int64_t mine = bytes[lane % isa::kWeightPorts];
    if (lane >= FirstRow(place) && lane < FirstRow(place) + isa::kWeightPorts) {
      memory.even[place.step.group & 1][lane][at] = uint32_t(uint64_t(mine));
      memory.odd[place.step.group & 1][lane][at] = uint32_t(uint64_t(mine) >> 32);
    }
  }
  if (FirstRow(place) + isa::kWeightPorts >= channels) place.ready = (at + 1) * isa::kPortBytes;
  NextWords(layer, plan, OneWord(layer, place), place);
}

// The bias and the scale of an output channel.
template <typename Rows>
inline void TakeTableRow(const Layer& layer, const ConvPlan& plan, const ListPlace& list, TablePlace& place,
                         Rows& queue, LaneMemory& memory) {
  #pragma HLS inline
  if (!layer.has_table || !IsListed(list, place.step.group, place.channel + 1) || queue.Empty()) return;
  const int32_t bank = place.step.group & (kRowBanks - 1);
  const TableRow row = SplitTableRow(queue.Pop());
  memory.bias[bank][place.channel] = row.bias;
  memory.scale[bank][place.channel] = row.scale;
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

// Have the biases and scales of all of a group's channels come? The drain that uses them waits for nothing.
inline bool HasTable(const Layer& layer, const TablePlace& place, int32_t group) {
  return place.step.group > group || !layer.has_table;
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
  uint8_t bytes[isa::kPortBytes];  // in a ring, whichever word comes first
  #pragma HLS array_partition variable = bytes complete
SplitWords:
  for (int32_t i = 0; i < isa::kPortBytes; ++i) {
    #pragma HLS unroll
    bytes[i] = uint8_t((i < kLaneWord ? even : odd) >> (8 * (i % kLaneWord)));
  }
  RowWeights weights;
TakeWeights:
  for (int32_t tap = 0; tap < isa::kRowTaps; ++tap) {
    #pragma HLS unroll
    const int8_t byte = int8_t(bytes[(at + tap) & (isa::kPortBytes - 1)]);
    weights.tap[tap] = tap < valid ? ReadableWeight(byte) : int8_t(0);
  }
  return weights;
}

}  // namespace ddi
