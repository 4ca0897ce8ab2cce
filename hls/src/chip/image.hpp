// Image loader: bytes of the image become signed activations through one table a channel.
//
// Role     IMAGE (docs/engine.md); normalisation and quantisation of the input are in the table
// Rate     kImageBytes a cycle, a tile's row of pixels after the other: images of more than three channels are read
// once
//          for every three. While a row comes in, the one before it is written, a channel a cycle: a row takes a cycle
//          more than the image has channels. The last row of a group is written behind the loop, in up to three cycles
//          more.
// Latency  kDepthLoadTables, kDepthImageBeats
// Storage  three tables of 256 bytes, a copy for each byte of a cycle, in the memories of the lanes' weights, which no
//          convolution needs then; two rows of eight pixels of each channel
//
// Which channel of which pixel a byte is, is carried for the first byte of a beat alone: one sum and one comparison
// take it eight bytes on. The others are a fixed distance behind it.
#pragma once
#include <cstdint>

#include "layer.hpp"

namespace ddi {

constexpr int32_t kTableBeats = 256 / isa::kPortBytes;
static_assert(isa::kPortBytes == isa::kTile, "a word of a table is a word of the port");
static_assert(isa::kImageLanes * kTableBeats <= kLaneDepth && isa::kImageBytes <= kMaxResults, "tables fit the lanes");
static_assert(isa::kImageBytes == 4, "a cycle takes one half or the other of a port's word");

struct ImageMemory {
  uint64_t held;                                   // the image's word, while its halves are looked up
  uint8_t pixel[2][isa::kImageLanes][isa::kTile];  // the row that comes in, the row that is written
};

// An image in memory: where its first byte stands behind the port's first word; a group of its channels.
struct ImageSource {
  int64_t word;
  int8_t before;  // bytes of that word that are not the image's
  int16_t channels;
  int16_t first;       // channel of the group
  int8_t lanes;        // channels of the group
  uint32_t pitch;      // bytes of a row of the image
  int16_t tile_bytes;  // of a tile's row of pixels
  int16_t last_bytes;  // of those of the last tile of a row of tiles
};

// A byte of a row of pixels: its pixel and its channel. Before the row's first byte the pixel is negative.
struct ImageByte {
  int8_t pixel;
  int16_t channel;
};

// So many bytes behind a row's first one, and so many before it: a cycle's first byte may be any of a port's half.
struct ImageSteps {
  int8_t pixel_ahead[isa::kImageBytes + 1];
  int16_t channel_ahead[isa::kImageBytes + 1];
  int8_t pixel_before[isa::kImageBytes];
  int16_t channel_before[isa::kImageBytes];
};

// Where the loader stands: a tile, a row of it, a cycle of that row's bytes.
struct ImagePlace {
  int16_t tile, row, column;  // of the tile
  int8_t y;
  int16_t beat;
  uint32_t strip_byte, tile_byte, row_byte;  // the first of the row of tiles, of the tile, of the row of pixels
  ImageByte first;                           // of the beat
};

// The row of pixels that is written.
struct ReadyRow {
  int8_t lane, lanes;  // the next, and how many there are
  int8_t y, columns;
  int16_t address;  // of the next lane's word
};

// Eight entries a word of the port: four in a word of each of a lane's memories. Copy i is in lane i.
inline void LoadImageTables(const Instruction& instruction, BurstWords weights0, int32_t first, int32_t lanes,
                            LaneMemory& tables) {
  const int32_t base = (instruction.word[isa::kImageWeights] + 256 * first) >> 3;
  const int16_t beats = int16_t(lanes * kTableBeats);
  RequestBurst(weights0, base, beats);
LoadTables:
  for (int16_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kImageLanes * kTableBeats
    #pragma HLS pipeline II = 1
    const uint64_t bytes = uint64_t(ReadWeights0(weights0, base + beat));
  TableCopies:
    for (int8_t i = 0; i < isa::kImageBytes; ++i) {
      #pragma HLS unroll
      tables.even[0][i][beat] = uint32_t(bytes);
      tables.odd[0][i][beat] = uint32_t(bytes >> 32);
    }
  }
}

// An entry of a lane's table, read from copy `copy`.
inline uint8_t LookUp(const LaneMemory& tables, int8_t copy, int8_t lane, uint8_t byte) {
  #pragma HLS inline
  const int32_t at = lane * kTableBeats + (byte >> 3);
  const uint32_t low = tables.even[0][copy][at];
  const uint32_t high = tables.odd[0][copy][at];
  const uint32_t four = (byte & 4) != 0 ? high : low;
  const uint16_t two = (byte & 2) != 0 ? uint16_t(four >> 16) : uint16_t(four);
  return (byte & 1) != 0 ? uint8_t(two >> 8) : uint8_t(two);
}

// `by` bytes behind `from`. A channel of `by` is less than all of them, so that one comparison tells if a pixel ends.
inline ImageByte Ahead(const ImageByte& from, const ImageByte& by, int16_t channels) {
  #pragma HLS inline
  const int16_t channel = int16_t(from.channel + by.channel);
  const bool ends = channel >= channels;
  const ImageByte to = {int8_t(from.pixel + by.pixel + (ends ? 1 : 0)), int16_t(ends ? channel - channels : channel)};
  return to;
}

// That many bytes behind `from`.
inline ImageByte BytesAhead(const ImageByte& from, const ImageSteps& steps, int32_t bytes, int16_t channels) {
  #pragma HLS inline
  const ImageByte by = {steps.pixel_ahead[bytes], steps.channel_ahead[bytes]};
  return Ahead(from, by, channels);
}

// The first byte of a row's first cycle, which may stand before the row.
inline ImageByte FirstByte(const ImageSteps& steps, uint32_t row_byte) {
  #pragma HLS inline
  const int32_t before = int32_t(row_byte & (isa::kImageBytes - 1));
  const ImageByte first = {steps.pixel_before[before], steps.channel_before[before]};
  return first;
}

inline void CountSteps(int16_t channels, ImageSteps& steps) {
  const ImageByte one = {int8_t(channels == 1 ? 1 : 0), int16_t(channels == 1 ? 0 : 1)};
  ImageByte ahead = {0, 0};
  ImageByte before = {0, 0};
CountBytes:
  for (int8_t i = 0; i < isa::kImageBytes; ++i) {
    #pragma HLS unroll
    steps.pixel_ahead[i] = ahead.pixel;
    steps.channel_ahead[i] = ahead.channel;
    steps.pixel_before[i] = before.pixel;
    steps.channel_before[i] = before.channel;
    ahead = Ahead(ahead, one, channels);
    const bool first = before.channel == 0;
    before.pixel = int8_t(before.pixel - (first ? 1 : 0));
    before.channel = int16_t((first ? channels : before.channel) - 1);
  }
  steps.pixel_ahead[isa::kImageBytes] = ahead.pixel;
  steps.channel_ahead[isa::kImageBytes] = ahead.channel;
}

// Look up a cycle's bytes of a row of pixels: those of its bytes that belong to the row, and to channels of this group.
inline void LoadBeat(const Map& map, const int64_t* images, const ImageSource& source, const ImageSteps& steps,
                     ImagePlace& place, const LaneMemory& tables, ImageMemory& memory) {
  #pragma HLS inline
  const int8_t before = int8_t(place.row_byte & (isa::kImageBytes - 1));
  const int16_t row_bytes = place.column + 1 == map.columns ? source.last_bytes : source.tile_bytes;
  const int16_t left = int16_t(before + row_bytes - place.beat * isa::kImageBytes);
  const int8_t end = int8_t(left < isa::kImageBytes ? left < 0 ? 0 : left : isa::kImageBytes);
  const int8_t start = place.beat == 0 ? before : int8_t(0);
  const uint32_t half = (place.row_byte >> 2) + uint32_t(place.beat);
  if (end > 0 && ((half & 1) == 0 || place.beat == 0)) memory.held = uint64_t(images[source.word + (half >> 1)]);
  const uint32_t bytes = uint32_t((half & 1) != 0 ? memory.held >> 32 : memory.held);
BeatBytes:
  for (int8_t i = 0; i < isa::kImageBytes; ++i) {
    #pragma HLS unroll
    const ImageByte at = BytesAhead(place.first, steps, i, source.channels);
    const int16_t lane = int16_t(at.channel - source.first);
    if (i >= start && i < end && lane >= 0 && lane < source.lanes) {
      memory.pixel[0][lane & 3][at.pixel & 7] = LookUp(tables, i, int8_t(lane & 3), uint8_t(bytes >> (8 * i)));
    }
  }
  place.first = BytesAhead(place.first, steps, isa::kImageBytes, source.channels);
}

// Write a row of pixels of one lane. A word's first row also clears the rest of the word, because the map may end
// within it.
inline void WriteRow(TileMemory& maps, const Map& map, const ImageMemory& memory, ReadyRow& ready) {
  #pragma HLS inline
  uint8_t row[2][isa::kTile];  // for the word's first row, and for the others, which the first one clears
  #pragma HLS array_partition variable = row complete dim = 0
WriteColumns:
  for (int8_t x = 0; x < isa::kTile; ++x) {
    #pragma HLS unroll
    row[0][x] = x < ready.columns ? memory.pixel[1][ready.lane & 3][x] : uint8_t(0);
    row[1][x] = ready.y == 0 ? uint8_t(0) : row[0][x];
  }
WriteImage:
  for (int8_t i = 0; i < kTilePixels; ++i) {
    #pragma HLS unroll
    if (ready.y == (i >> 3) || ready.y == 0) maps[ready.address][i] = row[Smaller(i >> 3, 1)][i & 7];
  }
  ready.address = int16_t(ready.address + map.tiles);
  ++ready.lane;
}

// Behind a row's last beat: hand the row over.
inline void HandRow(const Map& map, const ImageSource& source, int16_t first_word, ImagePlace& place, ReadyRow& ready,
                    ImageMemory& memory) {
  #pragma HLS inline
HandLanes:
  for (int8_t lane = 0; lane < isa::kImageLanes; ++lane) {
    #pragma HLS unroll
  HandPixels:
    for (int8_t i = 0; i < isa::kTile; ++i) {
      #pragma HLS unroll
      memory.pixel[1][lane][i] = memory.pixel[0][lane][i];
    }
  }
  ready.lane = 0;
  ready.lanes = source.lanes;
  ready.y = place.y;
  ready.columns = int8_t(place.column + 1 == map.columns ? ((map.width - 1) & 7) + 1 : isa::kTile);
  ready.address = int16_t(first_word + place.tile);
}

// The row behind the one that ended.
inline void NextRow(const Map& map, const ImageSource& source, ImagePlace& place) {
  #pragma HLS inline
  place.beat = 0;
  place.row_byte += source.pitch;
  ++place.y;
  if (place.y < isa::kTile && place.row * isa::kTile + place.y < map.height) return;
  place.y = 0;
  ++place.tile;
  place.tile_byte += uint32_t(source.tile_bytes);
  if (++place.column == map.columns) {
    place.column = 0;
    ++place.row;
    place.strip_byte += source.pitch << 3;
    place.tile_byte = place.strip_byte;
  }
  place.row_byte = place.tile_byte;
}

// One group of up to three channels.
inline void LoadPixels(const Map& map, const int64_t* images, const ImageSource& source, const LaneMemory& tables,
                       TileMemory& maps, ImageMemory& memory) {
  const uint32_t rows = uint32_t(Product(uint32_t(map.height), uint16_t(map.columns)));
  const int32_t beats = int32_t(Product(rows, uint16_t(isa::kTile / isa::kImageBytes * source.channels + 1)));
  const int16_t first_word = int16_t(map.address + MapWords(source.first, map.height, map.width));
  ImageSteps steps;
  #pragma HLS array_partition variable = steps.pixel_ahead complete
  #pragma HLS array_partition variable = steps.channel_ahead complete
  #pragma HLS array_partition variable = steps.pixel_before complete
  #pragma HLS array_partition variable = steps.channel_before complete
  CountSteps(source.channels, steps);
  ImagePlace place = ImagePlace();
  place.strip_byte = place.tile_byte = place.row_byte = uint32_t(source.before);
  place.first = FirstByte(steps, place.row_byte);
  ReadyRow ready = ReadyRow();
ImageBeats:
  for (int32_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = isa::kTileWords * isa::kTile * 2
    #pragma HLS pipeline II = 1
    LoadBeat(map, images, source, steps, place, tables, memory);
    if (ready.lane < ready.lanes) WriteRow(maps, map, memory, ready);
    if (place.beat++ == isa::kTile / isa::kImageBytes * source.channels) {
      HandRow(map, source, first_word, place, ready, memory);
      NextRow(map, source, place);
      place.first = FirstByte(steps, place.row_byte);
    }
  }
LastRow:
  for (int8_t lane = 0; lane < source.lanes; ++lane) {
    #pragma HLS loop_tripcount max = isa::kImageLanes
    WriteRow(maps, map, memory, ready);
  }
}

inline ImageSource MakeImageSource(const Map& map, int64_t image_byte, int32_t channels) {
  ImageSource source = ImageSource();
  source.word = image_byte >> 3;
  source.before = int8_t(image_byte & 7);
  source.channels = int16_t(channels);
  source.pitch = uint32_t(Product(uint32_t(map.width), uint16_t(channels)));
  source.tile_bytes = int16_t(channels * isa::kTile);
  source.last_bytes = int16_t(Product(uint32_t(((map.width - 1) & 7) + 1), uint16_t(channels)));
  return source;
}

inline void RunImage(const Instruction& instruction, BurstWords weights0, const int64_t* images, int64_t image_byte,
                     TileMemory& maps, LayerMemory& layer, ImageMemory& memory) {
  const int32_t* word = instruction.word;
  const int32_t channels = word[isa::kImageChannels];
  const Map map = MakeMap(word[isa::kImageOutput], word[isa::kImageHeight], word[isa::kImageWidth]);
  ImageSource source = MakeImageSource(map, image_byte, channels);
ImageGroups:
  for (int32_t first = 0; first < channels; first += isa::kImageLanes) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels / isa::kImageLanes + 1
    source.first = int16_t(first);
    source.lanes = int8_t(Smaller(channels - first, isa::kImageLanes));
    LoadImageTables(instruction, weights0, first, source.lanes, layer.lanes);
    LoadPixels(map, images, source, layer.lanes, maps, memory);
  }
}

}  // namespace ddi
