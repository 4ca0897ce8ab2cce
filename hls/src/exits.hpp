// Exits: label, confidence and entropy from logits, and the rules that stop an image.
//
// Role     EXIT, and the decision after a classifier that a TAP ran (docs/engine.md)
// Rate     2 cycles a class: the largest logit, then the sums of exponentials, two passes over vector memory
// Latency  kDepthLargestLogit, kDepthExitSums, three divisions included
// Storage  the logits of the exit taken; tables of exp and log in block RAM
#pragma once
#include <cstdint>

#include "requantize.hpp"
#include "tile_memory.hpp"

namespace ddi {

constexpr int32_t kMaxDistance = 4 * isa::kExpEntries - 1;  // from the largest logit, nats · 2^8
static_assert(isa::kExpHigh * 256 == kMaxDistance + 1, "a bin of the exp table is four distances");
static_assert(isa::kLogEntries == 256, "the log table is indexed by eight bits");

static_assert(int64_t(isa::kMaxClasses) << 16 <= int64_t(1) << 27,
              "the sum of all exponentials stays in the range of LogProbabilityMass");

// What an exit says about an image.
struct Prediction {
  int32_t exit;
  int32_t label;
  int32_t confidence;  // · 2^16
  int32_t entropy;     // nats · 2^16
  int32_t target;      // probability of the target class · 2^16
};

inline Prediction NoPrediction() {
  Prediction none = {-1, -1, 0, 0, 0};
  return none;
}

inline uint16_t Distance(int32_t logit, int32_t largest, int32_t scale) {
  #pragma HLS inline
  const Requantizer requantizer = MakeRequantizer(scale);
  const int64_t product = (int64_t(logit) - largest) * requantizer.multiplier;
  #pragma HLS bind_op variable = product op = mul impl = dsp
  const int64_t distance = -RoundingShift(product, requantizer.shift);
  return uint16_t(distance < 0 ? 0 : distance > kMaxDistance ? kMaxDistance : distance);
}

// a / b, b not 0. One divider for the three quotients of an EXIT, since a divider is large and an EXIT is rare.
inline uint32_t Divide(uint64_t a, uint32_t b) {
  #pragma HLS inline off
  return uint32_t(a / b);
}

// Natural logarithm of z / 2^16 · 2^16, for 0 < z < 2^27.
inline int32_t LogProbabilityMass(uint32_t z) {
  int8_t log2 = 0;
Bits:
  for (int8_t bit = 1; bit < 27; ++bit) {
    #pragma HLS unroll
    if (((z >> bit) & 1) != 0) log2 = bit;
  }
  const uint32_t first = z << ((31 - log2) & 31);  // the leading one on top
  return isa::kLogTable[(first >> 23) & 255] + int32_t(Product(uint32_t(log2), uint16_t(isa::kLn2))) - 16 * isa::kLn2;
}

inline Prediction RunExit(const Instruction& instruction, const VectorMemory& vector, const Start& start,
                          int32_t (&logits)[isa::kMaxClasses]) {
  const int32_t* word = instruction.word;
  const int32_t input = word[isa::kExitInput];
  const int32_t scale = word[isa::kExitScale];
  Prediction prediction = NoPrediction();
  prediction.exit = word[isa::kExitExit];
  prediction.label = 0;
  int32_t largest = INT32_MIN;
LargestLogit:
  for (int32_t i = 0; i < word[isa::kExitClasses]; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxClasses
    #pragma HLS pipeline II = 1
    const int32_t logit = vector[input + i];
    logits[i] = logit;
    if (logit > largest) {
      largest = logit;
      prediction.label = i;
    }
  }
  uint32_t mass = 0;    // sum of the exponentials
  uint64_t moment = 0;  // the same, each times its distance: the entropy's numerator
  uint16_t top = 0;
  uint16_t target = 0;
ExitSums:
  for (int32_t i = 0; i < word[isa::kExitClasses]; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxClasses
    #pragma HLS pipeline II = 1
    const uint16_t distance = Distance(logits[i], largest, scale);
    const uint16_t exponential = uint16_t(isa::kExpTable[distance >> 2]);
    const uint32_t product = uint32_t(exponential) * distance;
    #pragma HLS bind_op variable = product op = mul impl = dsp
    mass += exponential;
    moment += product;
    if (exponential > top) top = exponential;
    if (i == start.target_class) target = exponential;
  }
  const int32_t entropy = LogProbabilityMass(mass) + int32_t(Divide(moment << 8, mass));
  prediction.confidence = int32_t(Divide(uint64_t(top) << 16, mass));
  prediction.target = int32_t(Divide(uint64_t(target) << 16, mass));
  prediction.entropy = entropy < 0 ? 0 : entropy;
  return prediction;
}

// Does the rule stop the image at this prediction? The exit's threshold `own` is added to the start's.
inline bool RuleStops(const Start& start, const Prediction& prediction, int32_t own) {
  const int64_t threshold = int64_t(start.threshold) + own;
  switch (start.rule) {
    case isa::kRuleEntropy:
      return prediction.entropy < threshold;
    case isa::kRuleConfidence:
      return prediction.confidence >= threshold;
    case isa::kRuleClass:
      return prediction.target >= threshold;
    default:
      return false;
  }
}

}  // namespace ddi
