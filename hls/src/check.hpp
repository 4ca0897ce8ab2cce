// Check: every count and address of an instruction against the sizes given at start, before anything is touched.
//
// Role     docs/engine.md, Checks, in its order; the first that fails gives the status
// Rate     a few comparisons an instruction, in the FETCH cycles
// Storage  none. Sums are made of fields that have passed their check, so that none wraps around a comparison.
#pragma once
#include <cstdint>

#include "budget.hpp"
#include "geometry.hpp"
#include "masks.hpp"

namespace ddi {

constexpr int32_t kOpcodes = isa::kOpMove + 1;
static_assert(int64_t(isa::kLaneBytes) * 128 * 255 < INT32_MAX / 4, "a sum of a CONV fits 32 bits");
constexpr int32_t kMaxExit = 255;

inline bool Between(int32_t value, int32_t low, int32_t high) { return value >= low && value <= high; }

inline bool IsStride(int32_t stride) { return stride == 1 || stride == 2; }

inline bool IsMap(int32_t channels, int32_t height, int32_t width) {
  return Between(channels, 1, isa::kMaxChannels) && Between(height, 1, isa::kMaxMap) && Between(width, 1, isa::kMaxMap);
}

// A mask id, and, for a list, that it was built for a map of this many channels.
inline bool IsMask(const Masks& masks, int32_t mask, int32_t channels) {
  return Between(mask, 0, isa::kMasks - 1) && (mask == 0 || masks.built_for[mask] == channels);
}

// Each parameter in its range, and those that depend on others.
inline bool StartIsGood(const Start& start) {
  return StartIsInRange(start) &&
         (start.rule != isa::kRuleClass || Between(start.target_class, 0, start.classes - 1)) && PoolIsGood(start);
}

inline bool IsClassifierOpcode(int32_t opcode) {
  return opcode == isa::kOpConv || opcode == isa::kOpAffine || opcode == isa::kOpPool || opcode == isa::kOpGlobalPool ||
         opcode == isa::kOpFc || opcode == isa::kOpExit;
}

constexpr int32_t kHalos = isa::kFlagHaloTop | isa::kFlagHaloBottom;

inline bool ConvFieldsAreGood(const int32_t* word, const Masks& masks) {
  const int32_t flags = isa::kFlagInSigned | isa::kFlagRelu | isa::kFlagAdd | isa::kFlagAddSigned | kHalos;
  const int32_t channels = word[isa::kConvInChannels];
  const int32_t kernel = word[isa::kConvKernel];
  return IsMap(channels, word[isa::kConvHeight], word[isa::kConvWidth]) &&
         Between(word[isa::kConvOutChannels], 1, isa::kMaxChannels) && (word[isa::kConvFlags] & ~flags) == 0 &&
         Between(kernel, 1, isa::kMaxKernel) && kernel % 2 == 1 && IsStride(word[isa::kConvStride]) &&
         Between(word[isa::kConvInMask], 0, isa::kMasks - 1) &&
         ConvRow(channels, kernel, word[isa::kConvInMask]) <= isa::kLaneBytes && word[isa::kConvPool] >= -1 &&
         MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner >= 1 &&
         IsMask(masks, word[isa::kConvInMask], channels) &&
         IsMask(masks, word[isa::kConvOutMask], word[isa::kConvOutChannels]);
}

inline bool PoolFieldsAreGood(const int32_t* word) {
  const int32_t flags = isa::kFlagInSigned | isa::kFlagRelu | isa::kFlagAverage | kHalos;
  const int32_t kernel = word[isa::kPoolKernel];
  const int32_t stride = word[isa::kPoolStride];
  const int32_t padding = word[isa::kPoolPadding];
  const bool banded = (word[isa::kPoolFlags] & kHalos) != 0;
  return IsMap(word[isa::kPoolChannels], word[isa::kPoolHeight], word[isa::kPoolWidth]) &&
         (word[isa::kPoolFlags] & ~flags) == 0 && Between(kernel, 1, isa::kMaxKernel) && IsStride(stride) &&
         stride <= kernel && Between(padding, 0, (word[isa::kPoolFlags] & isa::kFlagAverage) != 0 ? 0 : kernel / 2) &&
         kernel <= word[isa::kPoolHeight] + 2 * padding && kernel <= word[isa::kPoolWidth] + 2 * padding &&
         (!banded || (2 * padding == kernel - 1 && MakeBand(word[isa::kPoolHeight], word[isa::kPoolFlags]).inner >= 1));
}

inline bool MoveFieldsAreGood(const int32_t* word, const Masks& masks) {
  const int32_t words = word[isa::kMoveWords];
  return Between(word[isa::kMoveChannels], 1, isa::kMaxChannels) && Between(words, 1, isa::kTileWords) &&
         Between(word[isa::kMoveInputPitch], words, isa::kDdrAddress - 1) &&
         Between(word[isa::kMoveOutputPitch], words, isa::kDdrAddress - 1) &&
         IsMask(masks, word[isa::kMoveMask], word[isa::kMoveChannels]);
}

inline int32_t ImageBytes(const int32_t* word) {
  const uint32_t pixels = uint32_t(Product(uint32_t(word[isa::kImageHeight]), uint16_t(word[isa::kImageWidth])));
  return int32_t(Product(pixels, uint16_t(word[isa::kImageChannels])));
}

// BAD_FIELD: counts, sizes, flags and ids.
inline bool FieldsAreGood(const Instruction& instruction, const Start& start, const Masks& masks) {
  const int32_t* word = instruction.word;
  switch (word[0]) {
    case isa::kOpImage:
      return IsMap(word[isa::kImageChannels], word[isa::kImageHeight], word[isa::kImageWidth]) &&
             ImageBytes(word) == start.image_bytes;
    case isa::kOpConv:
      return ConvFieldsAreGood(word, masks);
    case isa::kOpAffine:
      return IsMap(word[isa::kAffineInChannels], word[isa::kAffineHeight], word[isa::kAffineWidth]) &&
             Between(word[isa::kAffineOutChannels], 1, isa::kMaxChannels) &&
             (word[isa::kAffineFlags] & ~(isa::kFlagInSigned | isa::kFlagRelu)) == 0 &&
             IsStride(word[isa::kAffineStride]) && word[isa::kAffinePool] >= -1 &&
             Between(word[isa::kAffineChannelOffset], 0, isa::kMaxChannels);
    case isa::kOpPool:
      return PoolFieldsAreGood(word);
    case isa::kOpGlobalPool:
      return IsMap(word[isa::kGlobalPoolChannels], word[isa::kGlobalPoolHeight], word[isa::kGlobalPoolWidth]) &&
             (word[isa::kGlobalPoolFlags] & ~isa::kFlagInSigned) == 0;
    case isa::kOpFc:
      return Between(word[isa::kFcInputs], 1, isa::kVectorWords) &&
             Between(word[isa::kFcOutputs], 1, isa::kVectorWords) &&
             (word[isa::kFcFlags] & ~(isa::kFlagRaw | isa::kFlagRelu)) == 0;
    case isa::kOpLstm:
      return Between(word[isa::kLstmInputs], 1, isa::kVectorWords) &&
             Between(word[isa::kLstmHidden], 1, isa::kMaxHidden);
    case isa::kOpGateLayer:
      return Between(word[isa::kGateLayerGate], 0, start.gates - 1) &&
             Between(word[isa::kGateLayerChannels], 0, isa::kMaxChannels);
    case isa::kOpGateChannel:
      return Between(word[isa::kGateChannelChannels], 1, isa::kMaxChannels) &&
             Between(word[isa::kGateChannelMask], 1, isa::kMasks - 1) &&
             Between(word[isa::kGateChannelGate], -1, start.gates - 1);
    case isa::kOpTap:
      return Between(word[isa::kTapExit], 0, kMaxExit) && word[isa::kTapFlops] >= 0 && word[isa::kTapCycles] >= 0;
    case isa::kOpExit:
      return Between(word[isa::kExitExit], 0, kMaxExit) && word[isa::kExitClasses] == start.classes;
    case isa::kOpMove:
      return MoveFieldsAreGood(word, masks);
    default:  // END
      return true;
  }
}

// A range of a memory; size 0 where the instruction has no such range.
struct Range {
  int32_t base;
  int32_t size;  // at most 2^30
};

inline Range MakeRange(int32_t base, int32_t size) {
  Range range;
  range.base = base;
  range.size = size;
  return range;
}

inline Range MapRange(int32_t base, int32_t channels, int32_t height, int32_t width) {
  return MakeRange(base, MapWords(channels, height, width));
}

// Where a range ends. Unsigned, because the sum of a base and a size may exceed 2^31 - 1.
inline uint32_t End(const Range& range) { return uint32_t(range.base) + uint32_t(range.size); }

inline bool Fits(const Range& range, int32_t limit) {
  return range.size == 0 || (range.base >= 0 && limit >= 0 && End(range) <= uint32_t(limit));
}

// Of two ranges that fit their memories.
inline bool Disjoint(const Range& a, const Range& b) {
  return a.size == 0 || b.size == 0 || End(a) <= uint32_t(b.base) || End(b) <= uint32_t(a.base);
}

// Everything an instruction reads and writes; its fields have passed their check.
struct Footprint {
  Range vector_input, vector_output;      // vector memory, words
  Range map_input, map_output, identity;  // tile memory, words
  Range weights;                          // bytes
  Range table;                            // words
  bool has_target;
  int32_t target;
};

inline Footprint MapFootprint(const int32_t* word) {
  Footprint use = Footprint();
  if (word[0] == isa::kOpImage) {
    use.map_output =
        MapRange(word[isa::kImageOutput], word[isa::kImageChannels], word[isa::kImageHeight], word[isa::kImageWidth]);
    use.weights = MakeRange(word[isa::kImageWeights], 256 * word[isa::kImageChannels]);
  } else if (word[0] == isa::kOpConv) {
    const int32_t stride = word[isa::kConvStride];
    const int32_t channels = word[isa::kConvOutChannels];
    const int32_t row = ConvRow(word[isa::kConvInChannels], word[isa::kConvKernel], word[isa::kConvInMask]);
    use.map_input =
        MapRange(word[isa::kConvInput], word[isa::kConvInChannels], word[isa::kConvHeight], word[isa::kConvWidth]);
    use.map_output = MapRange(word[isa::kConvOutput], channels,
                              ConvOut(MakeBand(word[isa::kConvHeight], word[isa::kConvFlags]).inner, stride),
                              ConvOut(word[isa::kConvWidth], stride));
    if ((word[isa::kConvFlags] & isa::kFlagAdd) != 0)
      use.identity = MakeRange(word[isa::kConvIdentity], use.map_output.size);
    if (word[isa::kConvPool] >= 0) use.vector_output = MakeRange(word[isa::kConvPool], channels);
    use.weights = MakeRange(word[isa::kConvWeights], int32_t(Product(uint32_t(row), uint16_t(channels))));
    use.table = MakeRange(word[isa::kConvTable], isa::kTableRow * (1 + channels));
  } else if (word[0] == isa::kOpAffine) {
    const int32_t stride = word[isa::kAffineStride];
    use.map_input = MapRange(word[isa::kAffineInput], word[isa::kAffineInChannels], word[isa::kAffineHeight],
                             word[isa::kAffineWidth]);
    use.map_output = MapRange(word[isa::kAffineOutput], word[isa::kAffineOutChannels],
                              ConvOut(word[isa::kAffineHeight], stride), ConvOut(word[isa::kAffineWidth], stride));
    if (word[isa::kAffinePool] >= 0) {
      use.vector_output = MakeRange(word[isa::kAffinePool], word[isa::kAffineOutChannels]);
    }
    use.table = MakeRange(word[isa::kAffineTable], isa::kTableRow * word[isa::kAffineOutChannels]);
  } else if (word[0] == isa::kOpPool) {
    use.map_input =
        MapRange(word[isa::kPoolInput], word[isa::kPoolChannels], word[isa::kPoolHeight], word[isa::kPoolWidth]);
    use.map_output = MapRange(word[isa::kPoolOutput], word[isa::kPoolChannels], PoolHeight(word), PoolWidth(word));
  } else {  // GLOBAL_POOL
    use.map_input = MapRange(word[isa::kGlobalPoolInput], word[isa::kGlobalPoolChannels], word[isa::kGlobalPoolHeight],
                             word[isa::kGlobalPoolWidth]);
    use.vector_output = MakeRange(word[isa::kGlobalPoolOutput], word[isa::kGlobalPoolChannels]);
  }
  return use;
}

// Bytes of a matrix of weights.
inline int32_t MatrixBytes(int32_t rows, int32_t count) {
  return int32_t(Product(uint32_t(rows), uint16_t(RowBytes(count))));
}

inline Footprint VectorFootprint(const int32_t* word) {
  Footprint use = Footprint();
  if (word[0] == isa::kOpFc) {
    const int32_t outputs = word[isa::kFcOutputs];
    use.vector_input = MakeRange(word[isa::kFcInput], word[isa::kFcInputs]);
    use.vector_output = MakeRange(word[isa::kFcOutput], outputs);
    use.weights = MakeRange(word[isa::kFcWeights], MatrixBytes(outputs, word[isa::kFcInputs]));
    use.table = MakeRange(word[isa::kFcTable], isa::kTableRow * outputs);
  } else if (word[0] == isa::kOpLstm) {
    const int32_t rows = 4 * word[isa::kLstmHidden];
    use.vector_input = MakeRange(word[isa::kLstmInput], word[isa::kLstmInputs]);
    use.vector_output = MakeRange(word[isa::kLstmOutput], word[isa::kLstmHidden]);
    use.weights =
        MakeRange(word[isa::kLstmWeights], MatrixBytes(rows, word[isa::kLstmInputs] + word[isa::kLstmHidden]));
    use.table = MakeRange(word[isa::kLstmTable], isa::kTableRow * rows);
  } else if (word[0] == isa::kOpGateLayer) {
    use.vector_input = MakeRange(word[isa::kGateLayerInput], 1);
    use.has_target = true;
    use.target = word[isa::kGateLayerTarget];
  } else if (word[0] == isa::kOpGateChannel) {
    use.vector_input = MakeRange(word[isa::kGateChannelInput], word[isa::kGateChannelChannels]);
  } else if (word[0] == isa::kOpTap) {
    use.has_target = true;
    use.target = word[isa::kTapTarget];
  } else if (word[0] == isa::kOpExit) {
    use.vector_input = MakeRange(word[isa::kExitInput], word[isa::kExitClasses]);
  }
  return use;
}

// Words from a MOVE's first to its last. All that are too many for any memory count as kDdrAddress.
inline int32_t MoveSize(const int32_t* word, int32_t pitch) {
  const uint64_t size =
      Product(uint32_t(pitch), uint16_t(word[isa::kMoveChannels] - 1)) + uint32_t(word[isa::kMoveWords]);
  return (size >> 30) != 0 ? isa::kDdrAddress : int32_t(size);
}

// MOVE's two ranges: each in its own memory, apart where that is the same.
inline int32_t CheckMove(const int32_t* word, const Start& start) {
  const bool far[2] = {(word[isa::kMoveInput] & isa::kDdrAddress) != 0,
                       (word[isa::kMoveOutput] & isa::kDdrAddress) != 0};
  const Range input = MakeRange(word[isa::kMoveInput] & ~isa::kDdrAddress, MoveSize(word, word[isa::kMoveInputPitch]));
  const Range output =
      MakeRange(word[isa::kMoveOutput] & ~isa::kDdrAddress, MoveSize(word, word[isa::kMoveOutputPitch]));
  if (!Fits(input, far[0] ? start.map_words : isa::kTileWords) ||
      !Fits(output, far[1] ? start.map_words : isa::kTileWords)) {
    return isa::kStatusBadAddress;
  }
  return far[0] == far[1] && !Disjoint(input, output) ? isa::kStatusBadOverlap : isa::kStatusOk;
}

// Status of the instruction at `pc`: kStatusOk, or the first check that fails.
inline int32_t Check(const Instruction& instruction, int32_t pc, bool in_classifier, const Start& start,
                     const Masks& masks) {
  const int32_t opcode = instruction.word[0];
  if (!Between(opcode, 0, kOpcodes - 1) || (in_classifier && !IsClassifierOpcode(opcode))) return isa::kStatusBadOpcode;
  if (!FieldsAreGood(instruction, start, masks)) return isa::kStatusBadField;
  if (opcode == isa::kOpMove) return CheckMove(instruction.word, start);
  const bool on_maps = Between(opcode, isa::kOpImage, isa::kOpGlobalPool);
  const Footprint use = on_maps ? MapFootprint(instruction.word) : VectorFootprint(instruction.word);
  if (!Fits(use.vector_input, isa::kVectorWords) || !Fits(use.vector_output, isa::kVectorWords))
    return isa::kStatusBadVector;
  if (!Fits(use.map_input, isa::kTileWords) || !Fits(use.map_output, isa::kTileWords) ||
      !Fits(use.identity, isa::kTileWords)) {
    return isa::kStatusBadAddress;
  }
  const bool same_place = use.identity.base == use.map_output.base;
  if (!Disjoint(use.map_input, use.map_output) || (!same_place && !Disjoint(use.identity, use.map_output)) ||
      !Disjoint(use.vector_input, use.vector_output)) {
    return isa::kStatusBadOverlap;
  }
  if (!Fits(use.weights, start.weight_bytes) || use.weights.base % isa::kWeightAlign != 0)
    return isa::kStatusBadWeights;
  if (!Fits(use.table, start.table_words) || use.table.base % isa::kTableRow != 0) return isa::kStatusBadTable;
  if (use.has_target && !(use.target > pc && use.target < start.instructions)) return isa::kStatusBadTarget;
  return isa::kStatusOk;
}

}  // namespace ddi
