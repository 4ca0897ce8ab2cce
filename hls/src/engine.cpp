// The engine: one start runs a batch of images from pixels to result records (docs/engine.md).
//
// Role     fetch, check, price, compare with the budget, execute; gates, masks, exits and counters are all here, and
//          the host does nothing between start and done
// Ports    m_axi, one width each: program and tables 32 bits, weights and images 8 bits (widened by bursts of
//          kWeightBytes), results 32 bits; s_axilite for the start parameters and the return value
// Rate     kIssue cycles an instruction, then its unit's (each header's top comment; cost.hpp adds them up)
// Storage  State below, about 480 KB of block RAM in co-simulation's count, maps included
#include <cstdint>

#include "affine.hpp"
#include "check.hpp"
#include "conv.hpp"
#include "cost.hpp"
#include "exits.hpp"
#include "gates.hpp"
#include "geometry.hpp"
#include "image.hpp"
#include "isa.hpp"
#include "masks.hpp"
#include "pool.hpp"
#include "shim.hpp"
#include "tile_memory.hpp"

namespace ddi {

// The exit whose features are kept, and the cost of its classifier.
struct Kept {
  bool any;
  bool has_run;
  int32_t target;
  uint64_t flops;
  uint64_t cycles;
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
  uint64_t weight_bytes;
  int32_t instructions;
  int32_t layers;
  Kept kept;
  Prediction prediction;
};

// Everything the engine keeps on the chip.
struct State {
  TileMemory maps;
  VectorMemory vector;
  Masks masks;
  GateMemory gates;
  ConvMemory conv;
  ImageMemory image;
  int32_t trace[isa::kMaxGates];
  int32_t logits[isa::kMaxClasses];
};

static_assert(sizeof(State) <= 630 * 1024, "140 block RAMs of 4.5 KB hold the engine's memories");

DDI_STATE State state;

inline Instruction Fetch(const int32_t* program, int32_t pc) {
  Instruction instruction;
FetchWords:
  for (int32_t i = 0; i < isa::kInstructionWords; ++i) {
    #pragma HLS pipeline II = 1
    instruction.word[i] = program[pc * isa::kInstructionWords + i];
  }
  return instruction;
}

inline void Fail(Progress& progress, int32_t status, int32_t pc) {
  progress.status = status;
  progress.last_pc = pc;
  progress.done = true;
}

// Would this instruction, with the classifier held in reserve, pass the budget?
inline bool ExceedsBudget(const Instruction& instruction, const Cost& cost, const Start& start,
                          const Progress& progress) {
  const bool is_tap = instruction.word[0] == isa::kOpTap;
  const bool has_reserve = progress.kept.any && !progress.kept.has_run;
  const uint64_t flops = is_tap ? uint64_t(instruction.word[isa::kTapFlops]) : has_reserve ? progress.kept.flops : 0;
  const uint64_t cycles = is_tap ? uint64_t(instruction.word[isa::kTapCycles]) : has_reserve ? progress.kept.cycles : 0;
  return progress.flops + cost.flops + flops > start.budget_flops ||
         progress.cycles + cost.cycles + cycles > start.budget_cycles;
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
  progress.kept.flops = uint64_t(instruction.word[isa::kTapFlops]);
  progress.kept.cycles = uint64_t(instruction.word[isa::kTapCycles]);
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
  } else if (progress.flops > start.budget_flops || progress.cycles > start.budget_cycles) {
    Fail(progress, isa::kStatusBudgetExceeded, progress.last_pc);
  } else if (progress.stopping) {
    progress.done = true;
  } else if (RuleStops(start, progress.prediction)) {
    progress.reason = isa::kReasonRule;
    progress.done = true;
  } else {
    progress.kept.has_run = true;
    progress.in_classifier = false;
    progress.pc = progress.resume_pc;
  }
}

inline void Execute(const Instruction& instruction, const int8_t* weights, const int32_t* tables, const uint8_t* image,
                    const Start& start, Progress& progress) {
  switch (instruction.word[0]) {
    case isa::kOpImage:
      RunImage(instruction, weights, image, state.maps, state.image);
      break;
    case isa::kOpConv:
      RunConv(instruction, weights, tables, state.masks, state.maps, state.conv);
      break;
    case isa::kOpAffine:
      RunAffine(instruction, tables, state.maps, state.conv.window[0]);
      break;
    case isa::kOpPool:
      RunPool(instruction, state.maps);
      break;
    case isa::kOpGlobalPool:
      RunGlobalPool(instruction, state.maps, state.vector);
      break;
    case isa::kOpFc:
      RunFc(instruction, weights, tables, state.vector, state.gates);
      break;
    case isa::kOpLstm:
      RunLstm(instruction, weights, tables, state.vector, state.gates);
      break;
    case isa::kOpGateLayer:
      if (RunGateLayer(instruction, state.vector, state.trace)) {
        ++progress.layers;
      } else {
        progress.pc = instruction.word[isa::kGateLayerTarget];
      }
      break;
    case isa::kOpGateChannel:
      RunGateChannel(instruction, state.vector, state.masks, state.trace);
      break;
    case isa::kOpTap:
      KeepExit(instruction, start, progress);
      break;
    case isa::kOpExit:
      progress.prediction = RunExit(instruction, state.vector, start, state.logits);
      AfterExit(start, progress);
      break;
    default:  // END
      Stop(progress, isa::kReasonEnd, progress.last_pc);
      break;
  }
}

// One instruction: checked, priced, compared with the budget, counted, executed.
inline void Step(const int32_t* program, const int8_t* weights, const int32_t* tables, const uint8_t* image,
                 const Start& start, Progress& progress) {
  const int32_t pc = progress.pc;
  if (pc >= start.instructions) {
    Fail(progress, isa::kStatusBadTarget, pc);
    return;
  }
  const Instruction instruction = Fetch(program, pc);
  const int32_t status = Check(instruction, pc, progress.in_classifier, start, state.masks);
  if (status != isa::kStatusOk) {
    Fail(progress, status, pc);
    return;
  }
  const Cost cost = Price(instruction, state.masks);
  if (!progress.in_classifier && ExceedsBudget(instruction, cost, start, progress)) {
    Stop(progress, isa::kReasonBudget, pc);
    return;
  }
  progress.flops += cost.flops;
  progress.cycles += cost.cycles;
  progress.weight_bytes += cost.weight_bytes;
  ++progress.instructions;
  progress.last_pc = pc;
  progress.pc = pc + 1;
  Execute(instruction, weights, tables, image, start, progress);
}

// Memories as they are at the start of an image.
inline void StartImage(const Start& start) {
  ForgetMemory(state.maps);
  ForgetMemory(state.vector);
  ForgetMasks(state.masks);
  ForgetState(state.gates);
ForgetTrace:
  for (int32_t gate = 0; gate < start.gates; ++gate) {
    #pragma HLS loop_tripcount max = isa::kMaxGates
    state.trace[gate] = -1;
  }
}

inline Progress RunOneImage(const int32_t* program, const int8_t* weights, const int32_t* tables, const uint8_t* image,
                            const Start& start) {
  Progress progress = Progress();
  progress.prediction = NoPrediction();
  StartImage(start);
  // Every target lies ahead, so the main stream has at most kMaxInstructions steps, and so has each classifier.
Steps:
  for (int32_t step = 0; step < isa::kMaxInstructions * isa::kMaxInstructions && !progress.done; ++step) {
    Step(program, weights, tables, image, start, progress);
  }
  if (progress.status != isa::kStatusOk) {
    progress.reason = 0;
    progress.prediction = NoPrediction();
  }
  return progress;
}

inline void WriteRecord(const Progress& progress, int32_t image, const Start& start, int32_t* record) {
  const bool has_logits = progress.status == isa::kStatusOk;
  int32_t channels = 0;
WriteTrace:
  for (int32_t gate = 0; gate < start.gates; ++gate) {
    #pragma HLS loop_tripcount max = isa::kMaxGates
    record[isa::kRecordHeader + gate] = state.trace[gate];
    if (state.trace[gate] > 0) channels += state.trace[gate];
  }
WriteLogits:
  for (int32_t i = 0; i < start.classes; ++i) {
    #pragma HLS loop_tripcount max = isa::kMaxClasses
    record[isa::kRecordHeader + start.gates + i] = has_logits ? state.logits[i] : 0;
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

// Run `images_count` images of `image_bytes` each; a record for each goes to `results`. Returns 0, or BAD_START, when
// nothing is written.
extern "C" int32_t ddi_engine(const int32_t* program, const int8_t* weights, const int32_t* tables,
                              const uint8_t* images, int32_t* results, int32_t instructions, int32_t weight_bytes,
                              int32_t table_words, int32_t images_count, int32_t image_bytes, int32_t gates,
                              int32_t classes, uint64_t budget_flops, uint64_t budget_cycles, int32_t rule,
                              int32_t threshold, int32_t target_class) {
  #pragma HLS interface m_axi port = program offset = slave bundle = program
  #pragma HLS interface m_axi port = weights offset = slave bundle = weights max_widen_bitwidth = 128
  #pragma HLS interface m_axi port = tables offset = slave bundle = tables
  #pragma HLS interface m_axi port = images offset = slave bundle = images
  #pragma HLS interface m_axi port = results offset = slave bundle = results
  #pragma HLS interface s_axilite port = program
  #pragma HLS interface s_axilite port = weights
  #pragma HLS interface s_axilite port = tables
  #pragma HLS interface s_axilite port = images
  #pragma HLS interface s_axilite port = results
  #pragma HLS interface s_axilite port = instructions
  #pragma HLS interface s_axilite port = weight_bytes
  #pragma HLS interface s_axilite port = table_words
  #pragma HLS interface s_axilite port = images_count
  #pragma HLS interface s_axilite port = image_bytes
  #pragma HLS interface s_axilite port = gates
  #pragma HLS interface s_axilite port = classes
  #pragma HLS interface s_axilite port = budget_flops
  #pragma HLS interface s_axilite port = budget_cycles
  #pragma HLS interface s_axilite port = rule
  #pragma HLS interface s_axilite port = threshold
  #pragma HLS interface s_axilite port = target_class
  #pragma HLS interface s_axilite port = return
  using namespace ddi;
  #pragma HLS array_partition variable = state.maps complete dim = 2
  #pragma HLS bind_storage variable = state.maps type = ram_t2p impl = bram
  #pragma HLS array_partition variable = state.conv.weights complete dim = 1
  #pragma HLS array_partition variable = state.conv.weights complete dim = 3
  #pragma HLS array_partition variable = state.conv.window complete dim = 0
  #pragma HLS array_partition variable = state.conv.accumulator complete dim = 0
  #pragma HLS array_partition variable = state.image.pixel complete dim = 0
  #pragma HLS array_partition variable = state.image.table complete dim = 1
  #pragma HLS array_partition variable = state.gates.operand cyclic factor = 16
  const Start start = {instructions, weight_bytes, table_words,   images_count, image_bytes, gates,
                       classes,      budget_flops, budget_cycles, rule,         threshold,   target_class};
  if (!StartIsGood(start)) return isa::kStatusBadStart;
  bool failed = false;
Images:
  for (int32_t image = 0; image < images_count; ++image) {
    #pragma HLS loop_tripcount max = 10000
    int32_t* record = results + int64_t(image) * RecordWords(start);
    if (failed) {
      WriteNotRun(image, start, record);
    } else {
      const uint8_t* pixels = images + int64_t(image) * image_bytes;
      const Progress progress = RunOneImage(program, weights, tables, pixels, start);
      WriteRecord(progress, image, start, record);
      failed = progress.status != isa::kStatusOk;
    }
  }
  return isa::kStatusOk;
}
