// Control: counters, the budget, the kept exit, how an image stops, and its record.
//
// Role     what docs/engine.md says under "Running an image"; the units do the arithmetic
// Rate     a few additions and comparisons an instruction, in the FETCH cycles; a record is two bursts, two words a
// cycle Storage  registers
#pragma once
#include <cstdint>

#include "cost.hpp"
#include "exits.hpp"
#include "geometry.hpp"
#include "layer.hpp"

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
  uint32_t stalls, array_busy, port_idle;
  int32_t stop_pc;  // for reason TIME
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

// What a classifier costs that is held in reserve.
struct Reserve {
  uint32_t flops, cycles;
};

// That of the exit which is kept behind this instruction.
inline Reserve ReserveOf(const Instruction& instruction, const Progress& progress) {
  if (instruction.word[0] == isa::kOpTap) {
    const Reserve own = {uint32_t(instruction.word[isa::kTapFlops]), uint32_t(instruction.word[isa::kTapCycles])};
    return own;
  }
  const bool held = progress.kept.any && !progress.kept.has_run;
  const Reserve reserve = {held ? progress.kept.flops : 0, held ? progress.kept.cycles : 0};
  return reserve;
}

// Would an instruction and its reserve cost more than the image may spend?
inline bool ExceedsBudget(const Cost& cost, const Reserve& reserve, const Progress& progress) {
  return progress.flops + cost.flops + reserve.flops > progress.allowed_flops ||
         progress.cycles + cost.cycles + reserve.cycles > progress.allowed_cycles;
}

// Would they, with the stalls that there were, take more cycles? Only an image that has an exit can be late: none fails
// because of a bus.
inline bool IsLate(const Cost& cost, const Reserve& reserve, const Progress& progress) {
  return progress.kept.any &&
         progress.cycles + progress.stalls + cost.cycles + reserve.cycles > progress.allowed_cycles;
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

// Does the image stop before this instruction, for what it has spent or for the time that it has lost?
inline bool StopsAt(const Instruction& instruction, const Cost& cost, int32_t pc, Progress& progress) {
  const Reserve reserve = ReserveOf(instruction, progress);
  const bool exceeds = ExceedsBudget(cost, reserve, progress);
  if (!exceeds && !IsLate(cost, reserve, progress)) return false;
  if (!exceeds) progress.stop_pc = pc;
  Stop(progress, exceeds ? isa::kReasonBudget : isa::kReasonTime, pc);
  return true;
}

inline void CountLayer(const LayerCounts& counts, Progress& progress) {
  progress.stalls += counts.stalls;
  progress.array_busy += counts.array_busy;
  progress.port_idle += counts.port_idle;
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

// Two words of a record in one of the port, the first one low.
inline int64_t PairWords(int32_t first, int32_t second) {
  return int64_t(uint64_t(uint32_t(second)) << 32 | uint32_t(first));
}

// A word behind a record's header: of the trace, of the logits, or of what fills the port's last word.
inline int32_t TailWord(int32_t at, bool has_logits, const Start& start, const int32_t (&trace)[isa::kMaxGates],
                        const int32_t (&logits)[isa::kMaxClasses]) {
  #pragma HLS inline
  if (at < start.gates) return trace[at];
  const int32_t logit = at - start.gates;
  return has_logits && logit < start.classes ? logits[logit] : 0;
}

// What a word behind the header adds to the channels that ran: a gate's, if it says how many.
inline int32_t ChannelsOf(int32_t at, int32_t word, const Start& start) {
  #pragma HLS inline
  return at < start.gates && word > 0 ? word : 0;
}

inline void WriteHeader(const Progress& progress, int32_t image, int32_t channels, int64_t* record) {
  int32_t header[isa::kRecordHeader];
  #pragma HLS array_partition variable = header complete
  header[isa::kRecordStatus] = progress.status;
  header[isa::kRecordImage] = image;
  header[isa::kRecordPc] = progress.last_pc;
  header[isa::kRecordExit] = progress.prediction.exit;
  header[isa::kRecordLabel] = progress.prediction.label;
  header[isa::kRecordReason] = progress.reason;
  header[isa::kRecordFlopsLow] = int32_t(uint32_t(progress.flops));
  header[isa::kRecordFlopsHigh] = int32_t(uint32_t(progress.flops >> 32));
  header[isa::kRecordCyclesLow] = int32_t(uint32_t(progress.cycles));
  header[isa::kRecordCyclesHigh] = int32_t(uint32_t(progress.cycles >> 32));
  header[isa::kRecordLayersRun] = progress.layers;
  header[isa::kRecordChannelsRun] = channels;
  header[isa::kRecordWeightBytes] = int32_t(uint32_t(progress.weight_bytes));
  header[isa::kRecordInstructions] = progress.instructions;
  header[isa::kRecordConfidence] = progress.prediction.confidence;
  header[isa::kRecordEntropy] = progress.prediction.entropy;
  header[isa::kRecordAllowedFlopsLow] = int32_t(uint32_t(progress.allowed_flops));
  header[isa::kRecordAllowedFlopsHigh] = int32_t(uint32_t(progress.allowed_flops >> 32));
  header[isa::kRecordAllowedCyclesLow] = int32_t(uint32_t(progress.allowed_cycles));
  header[isa::kRecordAllowedCyclesHigh] = int32_t(uint32_t(progress.allowed_cycles >> 32));
  header[isa::kRecordStalls] = int32_t(progress.stalls);
  header[isa::kRecordArrayBusy] = int32_t(progress.array_busy);
  header[isa::kRecordPortIdle] = int32_t(progress.port_idle);
  header[isa::kRecordStopPc] = progress.stop_pc;
WriteHeaderBeats:
  for (int32_t beat = 0; beat < kHeaderBeats; ++beat) {
    #pragma HLS pipeline II = 1
    record[beat] = PairWords(header[2 * beat], header[2 * beat + 1]);
  }
}

// `trace` and `logits` are the image's; a failed image has no logits. The header comes last, for the channels that ran
// are added up while the trace is written.
inline void WriteRecord(const Progress& progress, int32_t image, const Start& start,
                        const int32_t (&trace)[isa::kMaxGates], const int32_t (&logits)[isa::kMaxClasses],
                        int64_t* record) {
  const bool has_logits = progress.status == isa::kStatusOk;
  const int32_t beats = RecordBeats(start) - kHeaderBeats;
  int32_t channels = 0;
WriteTail:
  for (int32_t beat = 0; beat < beats; ++beat) {
    #pragma HLS loop_tripcount max = (isa::kMaxGates + isa::kMaxClasses) / 2
    #pragma HLS pipeline II = 1
    const int32_t first = TailWord(2 * beat, has_logits, start, trace, logits);
    const int32_t second = TailWord(2 * beat + 1, has_logits, start, trace, logits);
    record[kHeaderBeats + beat] = PairWords(first, second);
    channels += ChannelsOf(2 * beat, first, start) + ChannelsOf(2 * beat + 1, second, start);
  }
  WriteHeader(progress, image, channels, record);
}

// A word of the record of an image that was not run.
inline int32_t NotRunWord(int32_t at, int32_t image, const Start& start) {
  #pragma HLS inline
  const bool is_trace = at >= isa::kRecordHeader && at < isa::kRecordHeader + start.gates;
  const bool is_minus =
      is_trace || at == isa::kRecordPc || at == isa::kRecordExit || at == isa::kRecordLabel || at == isa::kRecordStopPc;
  return at == isa::kRecordStatus ? isa::kStatusNotRun : at == isa::kRecordImage ? image : is_minus ? -1 : 0;
}

// The record of an image that was not run, because an earlier one of the batch failed.
inline void WriteNotRun(int32_t image, const Start& start, int64_t* record) {
NotRunBeats:
  for (int32_t beat = 0; beat < RecordBeats(start); ++beat) {
    #pragma HLS loop_tripcount max = (isa::kRecordHeader + isa::kMaxGates + isa::kMaxClasses) / 2
    #pragma HLS pipeline II = 1
    record[beat] = PairWords(NotRunWord(2 * beat, image, start), NotRunWord(2 * beat + 1, image, start));
  }
}

}  // namespace ddi
