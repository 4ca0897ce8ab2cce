// Affine: a scale and a shift for each channel, DenseNet's batch normalisation and ReLU before a convolution.
//
// Role     AFFINE (docs/engine.md); `channel_offset` places the input's channels among the output's, and stride 2
//          keeps every second pixel (the shortcut of a narrowing ResNet block)
// Rate     one tile a cycle at stride 1, one in four cycles at stride 2, through the window of tile_memory.hpp
// Storage  one window
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

inline void RunAffine(const Instruction& instruction, const int32_t* tables, TileMemory& memory, Window& window) {
  const int32_t* word = instruction.word;
  const int32_t stride = word[isa::kAffineStride];
  const bool in_signed = (word[isa::kAffineFlags] & isa::kFlagInSigned) != 0;
  const bool relu = (word[isa::kAffineFlags] & isa::kFlagRelu) != 0;
  const Map input = MakeMap(word[isa::kAffineInput], word[isa::kAffineHeight], word[isa::kAffineWidth]);
  const Map output = MakeMap(word[isa::kAffineOutput], ConvOut(input.height, stride), ConvOut(input.width, stride));
  const WindowShape shape = MakeWindowShape(1, stride);
AffineChannels:
  for (int32_t channel = 0; channel < word[isa::kAffineOutChannels]; ++channel) {
    #pragma HLS loop_tripcount max = isa::kMaxChannels
    const int32_t source = channel - word[isa::kAffineChannelOffset];
    const bool has_source = source >= 0 && source < word[isa::kAffineInChannels];
    const int32_t row_address = word[isa::kAffineTable] + isa::kTableRow * channel;
    const int64_t bias = tables[row_address];
    const Scale scale = DecodeScale(tables[row_address + 1]);
  AffineTiles:
    for (int32_t tile = 0; tile < output.tiles; ++tile) {
      #pragma HLS loop_tripcount max = isa::kTileWords
      const int32_t row = tile / output.columns;
      const int32_t column = tile % output.columns;
      TapPixel tap[kTilePixels];
      uint8_t pixel[kTilePixels];
      GatherWindow(memory, input, has_source ? source : 0, row * stride, column * stride, shape, stride, in_signed,
                   window);
      ReadTap(window, 0, 0, stride, tap);
    AffinePixels:
      for (int32_t i = 0; i < kTilePixels; ++i) {
        #pragma HLS unroll
        const int64_t value = has_source ? int64_t(tap[i]) * (1 << isa::kFractionBits) : 0;
        pixel[i] = uint8_t(Clamp8(Requantize(value + bias, scale), relu));
      }
      WriteTile(memory, output, channel, row, column, pixel);
    }
  }
}

}  // namespace ddi
