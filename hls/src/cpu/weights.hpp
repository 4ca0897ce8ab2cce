// Weights as the co-simulation multiplies them: rows of packs, one row for each active output channel.
//
// Role     a row holds its packs of input channels one after the other, each with all its taps; behind them stands what
//          a sum starts at where the map is signed: its pixels are raised by 128 (vectors.hpp), so -128 · Σ
//          weights
// Rate     eight taps of kPacked channels for about ten vector instructions
// Storage  rows of a convolution without a mask of inputs are kept from image to image; others are packed anew
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "strip.hpp"

namespace ddi {

constexpr int32_t kTapSlack = 8;  // packs behind the last row that may be written

// Rows of a convolution, and which of them are there.
struct PackedRows {
  std::vector<uint32_t> pack;
  std::vector<uint8_t> there;
};

struct WeightMemory {
  std::unordered_map<uint64_t, PackedRows> kept;
  std::vector<uint32_t> pack;              // rows of the convolution that runs, where they are not kept
  const uint32_t* row[isa::kMaxChannels];  // of each active output channel
};

// Packs of a row of weights, and the start of its sums behind them.
inline int32_t RowPacks(const Strip& strip) { return strip.packs * strip.taps + 1; }

inline int32_t SumWeights(const uint32_t* pack, int32_t count) {
  int32_t sum = 0;
SumPacks:
  for (int32_t i = 0; i < count; ++i) {
  SumPlaces:
    for (int32_t place = 0; place < kPacked; ++place) sum += Unpack(pack[i], place);
  }
  return sum;
}

// The taps of a pack of filters, eight at a time. Up to seven packs behind the last are written too, if filters are
// padded to whole words, as under a mask of inputs.
inline void PackFilters(const uint8_t* const (&filter)[kPacked], int32_t taps, bool is_padded, uint32_t* to) {
  int32_t tap = 0;
FilterOctets:
  for (; tap + (is_padded ? 1 : 8) <= taps; tap += 8) {
    const uint8_t* octet[kPacked];
  OctetChannels:
    for (int32_t c = 0; c < kPacked; ++c) octet[c] = filter[c] + tap;
    PackWeights8(octet, to + tap);
  }
FilterTaps:
  for (; tap < taps; ++tap) {
    to[tap] = 0;
  TapChannels:
    for (int32_t c = 0; c < kPacked; ++c) to[tap] |= Pack(ReadableWeight(int8_t(filter[c][tap])), c);
  }
}

// The row of one output channel, whose weights start at `row`.
inline void PackRow(const Layer& layer, const Masks& masks, const int8_t* row, uint32_t* to) {
  static const uint8_t kZeros[kMaxTaps + kTapSlack] = {0};
  const int32_t taps = layer.shape.kernel * layer.shape.kernel;
  uint32_t* const start = to;
RowPacks:
  for (int32_t i = 0; i < layer.shape.active_in; i += kPacked) {
    const uint8_t* filter[kPacked];
  PackChannels:
    for (int32_t c = 0; c < kPacked; ++c) {
      const bool there = i + c < layer.shape.active_in;
      const int32_t channel = ActiveChannel(masks, layer.in_mask, there ? i + c : i);
      filter[c] = there ? reinterpret_cast<const uint8_t*>(row) + channel * layer.shape.filter_bytes : kZeros;
    }
    PackFilters(filter, taps, layer.in_mask != 0, to);
    to += taps;
  }
  *to = layer.in_signed ? uint32_t(-128 * SumWeights(start, int32_t(to - start))) : 0;
}

// Rows are the same for the same place, number of input channels, kernel and kind of pixels.
inline PackedRows& KeptRows(const Layer& layer, WeightMemory& memory) {
  const uint64_t key = uint64_t(uint32_t(layer.weights)) | uint64_t(layer.shape.active_in) << 32 |
                       uint64_t(layer.shape.kernel) << 48 | uint64_t(layer.in_signed) << 56;
  return memory.kept[key];
}

// Keep the row of `channel`; what is not there yet is packed.
inline const uint32_t* KeptRow(const Layer& layer, const Masks& masks, const int8_t* row, int32_t channel,
                               int32_t packs, PackedRows& kept) {
  uint32_t* to = kept.pack.data() + size_t(channel) * size_t(packs);
  if (kept.there[size_t(channel)] == 0) {
    PackRow(layer, masks, row, to);
    kept.there[size_t(channel)] = 1;
  }
  return to;
}

// Set memory.row for every active output channel.
inline void TakeRows(const Layer& layer, const Strip& strip, const int8_t* weights, const Masks& masks,
                     WeightMemory& memory) {
  const int32_t packs = RowPacks(strip);
  const int32_t count = layer.shape.active_out;
  const bool keep = layer.in_mask == 0;
  PackedRows* kept = keep ? &KeptRows(layer, memory) : nullptr;
  const int32_t rows = keep ? ActiveChannel(masks, layer.out_mask, count - 1) + 1 : count;
  std::vector<uint32_t>& pack = keep ? kept->pack : memory.pack;
  if (pack.size() < size_t(rows) * size_t(packs) + kTapSlack) pack.resize(size_t(rows) * size_t(packs) + kTapSlack);
  if (keep && kept->there.size() < size_t(rows)) kept->there.resize(size_t(rows), 0);
TakeChannels:
  for (int32_t index = 0; index < count; ++index) {
    const int32_t channel = ActiveChannel(masks, layer.out_mask, index);
    const int8_t* row = weights + layer.weights + int64_t(channel) * layer.row_pitch;
    if (keep) {
      memory.row[index] = KeptRow(layer, masks, row, channel, packs, *kept);
    } else {
      PackRow(layer, masks, row, pack.data() + size_t(index) * size_t(packs));
      memory.row[index] = pack.data() + size_t(index) * size_t(packs);
    }
  }
}

}  // namespace ddi
