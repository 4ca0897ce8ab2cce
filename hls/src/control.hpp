// Control: counters, the budget, the kept exit, how an image stops, and its record.
//
// Role     what docs/engine.md says under "Running an image"; the units do the arithmetic
// Rate     a few additions and comparisons an instruction, in the FETCH cycles; a record is one burst
// Storage  registers
#pragma once
#include <cstdint>

#include "cost.hpp"
#include "exits.hpp"
#include "geometry.hpp"

namespace ddi {

// The exit whose features are kept, and the cost of its classifier.
struct Kept {
  bool any;
  bool has_run;
  int32_t target;
  uint32_t flops;
  uint32_t cycles;
  int32_t threshold;
};

// Counters and control of the image that is running.
struct Progress {
  int32_t pc;
  int32_t last_pc;    // executed last, or that failed
  int32_t resume_pc;  // after a classifier that a rule asked for
  bool in_classifier;
  bool stopping;  // the classifier that runs is the last thing this image does
  bool done;
  int32_t status;
  int32_t reason;
  uint64_t flops;
  uint64_t cycles;
  uint64_t allowed_flops;  // what the image may spend
  uint64_t allowed_cycles;
  uint64_t weight_bytes;
  int32_t instructions;
  int32_t layers;
  Kept kept;
  Prediction prediction;
};

inline void Fail(Progress& progress, int32_t status, int32_t pc) {
  progress.status = status;
  progress.last_pc = pc;
  progress.done = true;
}

// Would this instruction and the classifier held in reserve cost more than the image may spend?
inline bool ExceedsBudget(const Instruction& instruction, const Cost& cost, const Progress& progress) {
  const bool is_tap = instruction.word[0] == isa::kOpTap;
  const bool has_reserve = progress.kept.any && !progress.kept.has_run;
  const uint32_t flops = is_tap ? uint32_t(instruction.word[isa::kTapFlops]) : has_reserve ? progress.kept.flops : 0;
  const uint32_t cycles = is_tap ? uint32_t(instruction.word[isa::kTapCycles]) : has_reserve ? progress.kept.cycles : 0;
  return progress.flops + cost.flops + flops > progress.allowed_flops ||
         progress.cycles + cost.cycles + cycles > progress.allowed_cycles;
}

// Stop the image at `pc`: with the kept exit's result, with its classifier still to run, or without any.
inline void Stop(Progress& progress, int32_t reason, int32_t pc) {
  if (!progress.kept.any) {
    Fail(progress, reason == isa::kReasonBudget ? isa::kStatusBudgetTooSmall : isa::kStatusNoResult, pc);
    return;
  }
  progress.reason = reason;
  if (progress.kept.has_run) {
    progress.done = true;
    return;
  }
  progress.stopping = true;
  progress.in_classifier = true;
  progress.pc = progress.kept.target;
}

inline void KeepExit(const Instruction& instruction, const Start& start, Progress& progress) {
  progress.kept.any = true;
  progress.kept.has_run = false;
  progress.kept.target = instruction.word[isa::kTapTarget];
  progress.kept.flops = uint32_t(instruction.word[isa::kTapFlops]);
  progress.kept.cycles = uint32_t(instruction.word[isa::kTapCycles]);
  progress.kept.threshold = instruction.word[isa::kTapThreshold];
  if (start.rule != isa::kRuleNone) {
    progress.resume_pc = progress.pc;
    progress.in_classifier = true;
    progress.pc = progress.kept.target;
  }
}

// After an EXIT: the network's own output ends the image, a classifier may.
inline void AfterExit(const Start& start, Progress& progress) {
  if (!progress.in_classifier) {
    progress.reason = isa::kReasonEnd;
    progress.done = true;
  } else if (progress.flops > progress.allowed_flops || progress.cycles > progress.allowed_cycles) {
    Fail(progress, isa::kStatusBudgetExceeded, progress.last_pc);
  } else if (progress.stopping) {
    progress.done = true;
  } else if (RuleStops(start, progress.prediction, progress.kept.threshold)) {
    progress.reason = isa::kReasonRule;
    progress.done = true;
  } else {
    progress.kept.has_run = true;
    progress.in_classifier = false;
    progress.pc = progress.resume_pc;
  }
}

// `trace` and `logits` are the image's; a failed image has no logits.
inline void WriteRecord(const Progress& progress, int32_t image, const Start& start,
                        const int32_t (&trace)[isa::kMaxGates], const int32_t (&logits)[isa::kMaxClasses],
                        int32_t* record) {
  const bool has_logits = progress.status == isa::kStatusOk;
  int32_t channels = 0;
WriteTrace:
  for (int32_t gate = 0; gate < start.gates; ++gate) {
    #pragma HLS loop_tripcount max = isa::kMaxGates
    record[isa::kRecordHeader + gate] = trace[gate];
    if (trace[gate] > 0) channels += trace[gate];
  }
WriteLogits:
  for (int32_t i = 0; i < start.classes; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxClasses
    record[isa::kRecordHeader + start.gates + i] = has_logits ? logits[i] : 0;
  }
  record[isa::kRecordStatus] = progress.status;
  record[isa::kRecordImage] = image;
  record[isa::kRecordPc] = progress.last_pc;
  record[isa::kRecordExit] = progress.prediction.exit;
  record[isa::kRecordLabel] = progress.prediction.label;
  record[isa::kRecordReason] = progress.reason;
  record[isa::kRecordFlopsLow] = int32_t(uint32_t(progress.flops));
  record[isa::kRecordFlopsHigh] = int32_t(uint32_t(progress.flops >> 32));
  record[isa::kRecordCyclesLow] = int32_t(uint32_t(progress.cycles));
  record[isa::kRecordCyclesHigh] = int32_t(uint32_t(progress.cycles >> 32));
  record[isa::kRecordLayersRun] = progress.layers;
  record[isa::kRecordChannelsRun] = channels;
  record[isa::kRecordWeightBytes] = int32_t(uint32_t(progress.weight_bytes));
  record[isa::kRecordInstructions] = progress.instructions;
  record[isa::kRecordConfidence] = progress.prediction.confidence;
  record[isa::kRecordEntropy] = progress.prediction.entropy;
  record[isa::kRecordAllowedFlopsLow] = int32_t(uint32_t(progress.allowed_flops));
  record[isa::kRecordAllowedFlopsHigh] = int32_t(uint32_t(progress.allowed_flops >> 32));
  record[isa::kRecordAllowedCyclesLow] = int32_t(uint32_t(progress.allowed_cycles));
  record[isa::kRecordAllowedCyclesHigh] = int32_t(uint32_t(progress.allowed_cycles >> 32));
}

// The record of an image that was not run, because an earlier one of the batch failed.
inline void WriteNotRun(int32_t image, const Start& start, int32_t* record) {
NotRunWords:
  for (int32_t i = 0; i < RecordWords(start); ++i) {
    #pragma HLS loop_tripcount max = isa::kRecordHeader + isa::kMaxGates + isa::kMaxClasses
    const bool is_trace = i >= isa::kRecordHeader && i < isa::kRecordHeader + start.gates;
    const bool is_minus = is_trace || i == isa::kRecordPc || i == isa::kRecordExit || i == isa::kRecordLabel;
    record[i] = i == isa::kRecordStatus ? isa::kStatusNotRun : i == isa::kRecordImage ? image : is_minus ? -1 : 0;
  }
}

}  // namespace ddi
