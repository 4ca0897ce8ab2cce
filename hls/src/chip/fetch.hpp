// Fetch: rows of weights and of tables from the DDR into queues, ahead of the lanes.
//
// Role     lists the rows of the next group of output channels, asks for them in bursts as far ahead as the bus takes
//          requests, and passes on what comes. Only active rows are fetched, and under an input mask only the filters
//          of active channels
// Rate     a request, 8 bytes of each of three rows, and a row of the table a cycle
// Latency  the DDR's, behind kRequests requests
// Storage  where the weights of two groups start, the channels whose table rows are on their way, and the queues
#pragma once
#include <cstdint>

#include "lanes.hpp"
#include "queue.hpp"

namespace ddi {

constexpr int32_t kQueueWords = 64;  // of each port
constexpr int32_t kQueueRows = 16;   // of the table

typedef Queue<int64_t, kQueueWords> WeightQueue;
typedef Queue<int64_t, kQueueRows> TableQueue;

constexpr int32_t kListed = 2 * kMaxResults;
static_assert((kListed & (kListed - 1)) == 0, "channels wrap around by a mask");

// The output channels whose rows of the table are on their way, in a ring: as many where a group is one channel as
// where it is eight. And where the weights of two groups start.
struct RowList {
  Unsigned<kIndexBits> channel[kListed];
  Unsigned<BitsOf(kListed - 1)> next, oldest;
  Unsigned<BitsOf(kListed)> count;
  Unsigned<29> word[2][isa::kWeightPorts][kTurns];  // of a weight port, where the channel's row starts
};

struct Fetcher {
  ListPlace list;
  RowList rows;
  FetchPlace request, read;
  Unsigned<BitsOf(kRequests)> requests;  // whose words have not all come
  TablePlace table;
  Bursts bursts[isa::kWeightPorts];
  Bursts table_rows;  // each of a word, asked for as its channel is listed
};

static_assert(kListed <= kRequests, "the rows of all listed channels may be on their way");

inline Fetcher MakeFetcher(const Layer& layer, const ConvPlan& plan) {
  Fetcher fetcher = Fetcher();
  StartRow(layer, fetcher.request);
  StartRow(layer, fetcher.read);
  if (layer.shape.row == 0) fetcher.request.step.group = fetcher.read.step.group = plan.groups;
  if (!layer.has_table) fetcher.table.step.group = plan.groups;
  return fetcher;
}

inline bool HasFetched(const ConvPlan& plan, const Fetcher& fetcher) {
  #pragma HLS inline
  return fetcher.read.step.group == plan.groups && fetcher.table.step.group == plan.groups;
}

// One output channel, while the weights of the group before its own are asked for, and the ring has room.
inline void ListRow(const Layer& layer, const ConvPlan& plan, const Masks& masks, Fetcher& fetcher) {
  #pragma HLS inline
  ListPlace& place = fetcher.list;
  const bool ahead = layer.shape.row != 0 && IsTwoAhead(place.step.group, fetcher.request.step.group);
  if (place.step.group == plan.groups || ahead || fetcher.rows.count == kListed) return;
  const int32_t channel =
      Unsigned<kIndexBits>(FetchedChannel(masks, layer.out_mask, place.step.first_out + place.channel));
  const int32_t offset = channel * layer.row_words;
  #pragma HLS bind_op variable = offset op = mul impl = fabric
  const Unsigned<BitsOf(kTurns - 1)> turn = TurnOf(place.channel);
  const int32_t port = place.channel - turn * isa::kWeightPorts;
  fetcher.rows.word[place.step.group & 1][port][turn] = (layer.weights >> 3) + offset;
  if (layer.has_table) {
    NoteRequest(layer.table + channel, 1, fetcher.table_rows);
    fetcher.rows.channel[fetcher.rows.next] = channel;
    fetcher.rows.next = (fetcher.rows.next + 1) & (kListed - 1);
    ++fetcher.rows.count;
  }
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

// Ask for the next words of three rows: a chunk, or under an input mask what it holds of a filter.
inline void RequestRows(const Layer& layer, const ConvPlan& plan, const Masks& masks, BurstWords weights0,
                        BurstWords weights1, BurstWords weights2, Fetcher& fetcher) {
  #pragma HLS inline
  FetchPlace& place = fetcher.request;
  if (place.step.group == plan.groups || fetcher.requests == kRequests) return;
  const int32_t channels = GroupChannels(plan, place.step);
  if (!IsListed(fetcher.list, place.step.group, Smaller(FirstRow(place) + isa::kWeightPorts, channels))) return;
  const int32_t active = Unsigned<kIndexBits>(FetchedChannel(masks, layer.in_mask, place.filter));
  const int32_t filter = active * layer.filter_words;
  #pragma HLS bind_op variable = filter op = mul impl = fabric
  const int32_t source = layer.in_mask == 0 ? int32_t(place.chunk) : filter + layer.filter_words - place.filter_left;
  const Piece piece = WholePiece(layer, place);
RequestPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    const int32_t row = FirstRow(place) + port;
    const int32_t word = fetcher.rows.word[place.step.group & 1][port][place.turn] + source;
    if (row < channels) RequestWeights(port, word, piece.words, weights0, weights1, weights2, fetcher.bursts[port]);
  }
  ++fetcher.requests;
  NextWords(layer, plan, piece, place);
}

// Can a word of each of three rows be taken?
inline bool HaveArrived(Fetcher& fetcher, int32_t rows) {
  #pragma HLS inline
  bool arrived = true;
PortsArrive:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (port < rows && !HasArrived(fetcher.bursts[port])) arrived = false;
    PassCycle(fetcher.bursts[port]);
  }
  return arrived;
}

// Pass on the next word of three rows.
inline void ReadRows(const Layer& layer, const ConvPlan& plan, BurstWords weights0, BurstWords weights1,
                     BurstWords weights2, Fetcher& fetcher, WeightQueue (&queue)[isa::kWeightPorts]) {
  #pragma HLS inline
  FetchPlace& place = fetcher.read;
  const int32_t channels = GroupChannels(plan, place.step);
  const bool arrived = HaveArrived(fetcher, channels - FirstRow(place));
  if (fetcher.requests == 0 || queue[0].Full() || !arrived) return;
ReadPorts:
  for (int32_t port = 0; port < isa::kWeightPorts; ++port) {
    #pragma HLS unroll
    if (FirstRow(place) + port < channels) {
      queue[port].Push(ReadWeights(port, weights0, weights1, weights2, fetcher.bursts[port]));
    }
  }
  const Piece piece = OneWord(layer, place);
  if (piece.ends_filter || piece.ends_chunk) --fetcher.requests;
  NextWords(layer, plan, piece, place);
}

// Pass on the bias and the scale of an output channel.
inline void ReadTableRow(const Layer& layer, const ConvPlan& plan, const int64_t* tables, Fetcher& fetcher,
                         TableQueue& queue) {
  #pragma HLS inline
  TablePlace& place = fetcher.table;
  const bool arrived = HasArrived(fetcher.table_rows);
  PassCycle(fetcher.table_rows);
  if (fetcher.rows.count == 0 || queue.Full() || !arrived) return;
  const int32_t row = layer.table + fetcher.rows.channel[fetcher.rows.oldest];
  fetcher.rows.oldest = (fetcher.rows.oldest + 1) & (kListed - 1);
  --fetcher.rows.count;
  queue.Push(ReadRow(tables, row, fetcher.table_rows));
  if (++place.channel < GroupChannels(plan, place.step)) return;
  place.channel = 0;
  NextGroup(plan, place.step);
}

inline void FetchCycle(const Layer& layer, const ConvPlan& plan, const Masks& masks, BurstWords weights0,
                       BurstWords weights1, BurstWords weights2, const int64_t* tables, Fetcher& fetcher,
                       WeightQueue (&weights)[isa::kWeightPorts], TableQueue& rows) {
  #pragma HLS inline
  ListRow(layer, plan, masks, fetcher);
  ReadTableRow(layer, plan, tables, fetcher, rows);
  RequestRows(layer, plan, masks, weights0, weights1, weights2, fetcher);
  ReadRows(layer, plan, weights0, weights1, weights2, fetcher, weights);
}

}  // namespace ddi
