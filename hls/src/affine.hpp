// Affine: a scale and a shift for each channel, DenseNet's batch normalisation and ReLU before a convolution.
//
// Role     AFFINE (docs/engine.md); `channel_offset` places the input's channels among the output's, and stride 2
//          keeps every second pixel (the shortcut of a narrowing ResNet block)
// Rate     a tile in four cycles: 16 requantisers, those of CONV; at stride 2 its four reads take two of them
// Latency  kDepthAffineCycles
// Storage  one window, one word
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

struct AffineMemory {
  Window window;
  uint8_t word[kTilePixels];
};

struct Affine {
  Map input, output;
  int32_t stride, in_channels, channel_offset, table;
  bool in_signed, relu;
};

inline Affine DecodeAffine(const Instruction& instruction) {
  const int32_t* word = instruction.word;
  Affine affine;
  affine.stride = word[isa::kAffineStride];
  affine.in_channels = word[isa::kAffineInChannels];
  affine.channel_offset = word[isa::kAffineChannelOffset];
  affine.table = word[isa::kAffineTable];
  affine.in_signed = (word[isa::kAffineFlags] & isa::kFlagInSigned) != 0;
  affine.relu = (word[isa::kAffineFlags] & isa::kFlagRelu) != 0;
  affine.input = MakeMap(word[isa::kAffineInput], word[isa::kAffineHeight], word[isa::kAffineWidth]);
  affine.output = MakeMap(word[isa::kAffineOutput], ConvOut(affine.input.height, affine.stride),
                          ConvOut(affine.input.width, affine.stride));
  return affine;
}

// The pixels that a tile of the output takes: one read at stride 1, four at stride 2.
inline void ReadAffine(const TileMemory& maps, const Affine& affine, int32_t source, int32_t tile, Window& window) {
  const int32_t row = tile / affine.output.columns * isa::kTile * affine.stride;
  const int32_t column = tile % affine.output.columns * isa::kTile * affine.stride;
AffineReadRows:
  for (int32_t down = 0; down < affine.stride; ++down) {
    #pragma HLS loop_tripcount max = 2
    #pragma HLS unroll
  AffineReadColumns:
    for (int32_t across = 0; across < affine.stride; ++across) {
      #pragma HLS loop_tripcount max = 2
      #pragma HLS unroll
      ReadWindow(maps, affine.input, source, row, column, down, across, affine.in_signed, window);
    }
  }
}

inline void RunAffine(const Instruction& instruction, const int32_t* tables, TileMemory& maps, AffineMemory& memory) {
  constexpr int32_t kBlocks = kTilePixels / isa::kDrain;
  const Affine affine = DecodeAffine(instruction);
  const int32_t cycles = instruction.word[isa::kAffineOutChannels] * affine.output.tiles * kBlocks;
  int32_t channel = 0;
  int32_t tile = 0;
  int32_t block = 0;
AffineCycles:
  for (int32_t cycle = 0; cycle < cycles; ++cycle) {
    #pragma HLS loop_tripcount max = isa::kTileWords * kBlocks
    #pragma HLS pipeline II = 1
    const int32_t source = channel - affine.channel_offset;
    const bool has_source = source >= 0 && source < affine.in_channels;
    if (block == 0) ReadAffine(maps, affine, has_source ? source : 0, tile, memory.window);
    const int32_t* row = tables + affine.table + isa::kTableRow * channel;
    const int64_t bias = row[0];
    const Scale scale = DecodeScale(row[1]);
  AffinePixels:
    for (int32_t i = 0; i < isa::kDrain; ++i) {
      #pragma HLS unroll
      const int32_t at = block * isa::kDrain + i;
      const int32_t pixel = memory.window[(at >> 3) * affine.stride][(at & 7) * affine.stride];
      const int64_t value = has_source ? int64_t(pixel) * (1 << isa::kFractionBits) : 0;
      memory.word[at] = uint8_t(Clamp8(Requantize(value + bias, scale), affine.relu));
    }
    if (++block == kBlocks) {
      WriteTile(maps, affine.output, channel, tile, memory.word);
      block = 0;
      if (++tile == affine.output.tiles) {
        tile = 0;
        ++channel;
      }
    }
  }
}

}  // namespace ddi
