// Exits: label, confidence and entropy from logits, and the rules that stop an image.
//
// Role     EXIT, and the decision after a classifier that a TAP ran (docs/engine.md)
// Rate     2 cycles a class: the largest logit, then the sums of exponentials, two passes over vector memory
// Latency  kDepthLargestLogit, kDepthExitSums, two divisions included
// Storage  the logits of the exit taken (4 BRAM18 at 1024 classes); tables of exp and log in LUTs
#pragma once
#include <cstdint>

#include "pool.hpp"
#include "requantize.hpp"

namespace ddi {

constexpr int32_t kMaxDistance = 4 * isa::kExpEntries - 1;  // from the largest logit, nats · 2^8
static_assert(isa::kExpHigh * 256 == kMaxDistance + 1, "a bin of the exp table is four distances");
static_assert(isa::kLogEntries == 256, "the log table is indexed by eight bits");

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

inline int32_t Distance(int32_t logit, int32_t largest, const Scale& scale) {
  const int64_t distance = -Requantize(int64_t(logit) - largest, scale);
  return int32_t(distance < 0 ? 0 : distance > kMaxDistance ? kMaxDistance : distance);
}

// Natural logarithm of z / 2^16 · 2^16, for 0 < z < 2^27.
inline int32_t LogProbabilityMass(int64_t z) {
  int32_t log2 = 0;
Bits:
  for (int32_t bit = 1; bit < 32; ++bit) {
    #pragma HLS unroll
    if ((z >> bit) != 0) log2 = bit;
  }
  return isa::kLogTable[((z << 8) >> log2) & 255] + (log2 - 16) * isa::kLn2;
}

inline Prediction RunExit(const Instruction& instruction, const VectorMemory& vector, const Start& start,
                          int32_t (&logits)[isa::kMaxClasses]) {
  const int32_t* word = instruction.word;
  const int32_t input = word[isa::kExitInput];
  const Scale scale = DecodeScale(word[isa::kExitScale]);
  Prediction prediction = NoPrediction();
  prediction.exit = word[isa::kExitExit];
  prediction.label = 0;
  int32_t largest = vector[input];
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
  int64_t mass = 0;
  int64_t moment = 0;
  int64_t top = 0;
  int64_t target = 0;
ExitSums:
  for (int32_t i = 0; i < word[isa::kExitClasses]; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxClasses
    #pragma HLS pipeline II = 1
    const int32_t distance = Distance(logits[i], largest, scale);
    const int64_t exponential = isa::kExpTable[distance >> 2];
    mass += exponential;
    moment += exponential * distance;
    if (exponential > top) top = exponential;
    if (i == start.target_class) target = exponential;
  }
  const int64_t entropy = LogProbabilityMass(mass) + (moment << 8) / mass;
  prediction.confidence = int32_t((top << 16) / mass);
  prediction.target = int32_t((target << 16) / mass);
  prediction.entropy = int32_t(entropy < 0 ? 0 : entropy);
  return prediction;
}

// Does the rule stop the image at this prediction?
inline bool RuleStops(const Start& start, const Prediction& prediction) {
  switch (start.rule) {
    case isa::kRuleEntropy:
      return prediction.entropy < start.threshold;
    case isa::kRuleConfidence:
      return prediction.confidence >= start.threshold;
    case isa::kRuleClass:
      return prediction.target >= start.threshold;
    default:
      return false;
  }
}

}  // namespace ddi
