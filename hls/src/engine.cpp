// The engine: one start runs a batch of images from pixels to result records (docs/engine.md).
//
// Role     fetch, check, price, compare with the budget, execute; gates, masks, exits and counters are all here, and
//          the host does nothing between start and done
// Ports    m_axi of 64 bits: weights (three ports on the same bytes, each a bus), and on one bus program, tables,
// images,
//          the DDR's map memory and results; s_axilite for the start parameters and the return value (top.hpp)
// Rate     kFetch cycles an instruction, then its unit's loops (docs/isa.md, Loops; cost.hpp adds them up)
// Storage  State below, the maps included
#include <cstdint>

#include "budget.hpp"
#include "check.hpp"
#include "chip/move.hpp"
#include "control.hpp"
#include "shim.hpp"
#ifdef DDI_CHIP
#include "chip/image.hpp"
#include "chip/layer.hpp"
#include "chip/rows.hpp"
#else
#include "cpu/image.hpp"
#include "cpu/layer.hpp"
#include "cpu/rows.hpp"
#endif
#include "cost.hpp"
#include "exits.hpp"
#include "gates.hpp"
#include "geometry.hpp"
#include "isa.hpp"
#include "masks.hpp"
#include "ports.hpp"
#include "tile_memory.hpp"

namespace ddi {

// Everything the engine keeps on the chip.
struct State {
  TileMemory maps;
  VectorMemory vector;
  Masks masks;
  GateMemory gates;
  LayerMemory layer;
  ImageMemory image;
  ChargeMemory charges;
  int64_t code[isa::kCodeStore][isa::kInstructionWords / 2];
  int32_t trace[isa::kMaxGates];
  int32_t logits[isa::kMaxClasses];
};

#ifdef DDI_CHIP
static_assert(sizeof(State) <= 630 * 1024, "140 block RAMs of 4.5 KB hold the engine's memories");
#endif

DDI_STATE State state;

constexpr int32_t kCodeWords = isa::kInstructionWords / 2;  // of the port, two of an instruction each

// Keep the program's first instructions on the chip, once for a batch.
inline void LoadCode(const int64_t* program, int32_t instructions) {
  const int32_t count = Smaller(instructions, isa::kCodeStore) * kCodeWords;
LoadWords:
  for (int32_t i = 0; i < count; ++i) {
    #pragma HLS loop_tripcount max = isa::kCodeStore * kCodeWords
    #pragma HLS pipeline II = 1
    state.code[i / kCodeWords][i % kCodeWords] = program[i];
  }
}

// Two words a cycle, from the chip or, what lies behind the store, from the DDR.
inline Instruction Fetch(const int64_t* program, int32_t pc) {
  const bool near = pc < isa::kCodeStore;
  const int32_t first = pc * kCodeWords;
  Instruction instruction;
FetchWords:
  for (int32_t i = 0; i < kCodeWords; ++i) {
    #pragma HLS pipeline II = 1
    const uint64_t both = uint64_t(near ? state.code[pc][i] : ReadProgram(program, first + i));
    instruction.word[2 * i] = int32_t(uint32_t(both));
    instruction.word[2 * i + 1] = int32_t(uint32_t(both >> 32));
  }
  return instruction;
}

inline void Execute(const Instruction& instruction, const LayerPlan& planned, BurstWords weights0, BurstWords weights1,
                    BurstWords weights2, const int64_t* tables, const int64_t* images, int64_t image_byte,
                    int64_t* maps, const Start& start, Progress& progress) {
  switch (instruction.word[0]) {
    case isa::kOpImage:
      RunImage(instruction, weights0, images, image_byte, state.maps, state.layer, state.image);
      break;
    case isa::kOpConv:
    case isa::kOpAffine:
    case isa::kOpPool:
    case isa::kOpGlobalPool:
      CountLayer(RunLayer(instruction, planned, weights0, weights1, weights2, tables, state.masks, state.maps,
                          state.vector, state.layer),
                 progress);
      break;
    case isa::kOpFc:
    case isa::kOpLstm:
      RunRows(instruction, weights0, weights1, weights2, tables, state.vector, state.gates);
      if (instruction.word[0] == isa::kOpLstm) RunLstm(instruction, state.vector, state.gates);
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
    case isa::kOpMove:
      RunMove(instruction, state.masks, maps, state.maps);
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

// One instruction of the image that starts at `image_byte`: checked, priced, compared with the budget, counted,
// executed.
inline void Step(const int64_t* program, BurstWords weights0, BurstWords weights1, BurstWords weights2,
                 const int64_t* tables, const int64_t* images, int64_t image_byte, int64_t* maps, const Start& start,
                 Progress& progress) {
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
  const LayerPlan planned = PlanLayer(instruction, state.masks);
  const Cost cost = Price(instruction, pc, planned, state.masks);
  if (!progress.in_classifier && StopsAt(instruction, cost, pc, progress)) return;
  progress.flops += cost.flops;
  progress.cycles += cost.cycles;
  progress.weight_bytes += cost.weight_bytes;
  ++progress.instructions;
  progress.last_pc = pc;
  progress.pc = pc + 1;
  Execute(instruction, planned, weights0, weights1, weights2, tables, images, image_byte, maps, start, progress);
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
    state.trace[gate] = isa::kTraceNotReached;
  }
}

inline Progress RunOneImage(const int64_t* program, BurstWords weights0, BurstWords weights1, BurstWords weights2,
                            const int64_t* tables, const int64_t* images, int64_t image_byte, int64_t* maps,
                            const Allowance& allowance, const Start& start) {
  Progress progress = Progress();
  progress.allowed_flops = allowance.flops;
  progress.allowed_cycles = allowance.cycles;
  progress.prediction = NoPrediction();
  progress.stop_pc = -1;
  StartImage(start);
  // Every target lies ahead, so the main stream has at most kMaxInstructions steps, and so has each classifier.
Steps:
  for (int32_t step = 0; step < isa::kMaxInstructions * isa::kMaxInstructions && !progress.done; ++step) {
    Step(program, weights0, weights1, weights2, tables, images, image_byte, maps, start, progress);
  }
  if (progress.status != isa::kStatusOk) {
    progress.reason = 0;
    progress.prediction = NoPrediction();
  }
  return progress;
}

// Run a batch under `start`: a record for each image, and the charges of the pool go back to their place. The status.
inline int32_t RunBatch(const int64_t* program, BurstWords weights0, BurstWords weights1, BurstWords weights2,
                        const int64_t* tables, const int64_t* images, int64_t* maps, int64_t* results,
                        const Start& start) {
  #pragma HLS array_partition variable = state.maps complete dim = 2
  #pragma HLS bind_storage variable = state.maps type = ram_t2p impl = bram
  #pragma HLS array_partition variable = state.layer.lanes.even complete dim = 2
  #pragma HLS array_partition variable = state.layer.lanes.odd complete dim = 2
  #pragma HLS array_partition variable = state.layer.lanes.channel complete dim = 0
  #pragma HLS array_partition variable = state.layer.window.now complete dim = 0
  #pragma HLS array_partition variable = state.layer.window.next complete dim = 0
  #pragma HLS array_partition variable = state.layer.array.sum complete dim = 0
  #pragma HLS array_partition variable = state.layer.array.result complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.word complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.full complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.last complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.row complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.column complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.block complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.word complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.late.pixel complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.pooled complete dim = 0
  #pragma HLS array_partition variable = state.layer.drain.identity complete dim = 0
  #pragma HLS array_partition variable = state.vector cyclic factor = 8
  #pragma HLS array_partition variable = state.gates.activation complete dim = 1
  #pragma HLS array_partition variable = state.image.pixel complete dim = 0
  #pragma HLS array_partition variable = state.gates.hidden complete
  if (!StartIsGood(start)) return isa::kStatusBadStart;
  Allowance allowance = LoadCharges(start, maps, state.charges);
  if (!allowance.good) return isa::kStatusBadStart;
  LoadCode(program, start.instructions);
  ForgetWeights();
  bool failed = false;
  int64_t record_beat = 0;
  int64_t image_byte = 0;
Images:
  for (int32_t image = 0; image < start.images_count; ++image) {
    #pragma HLS loop_tripcount max = 10000
    if (failed) {
      WriteNotRun(image, start, results + record_beat);
    } else {
      const Progress progress =
          RunOneImage(program, weights0, weights1, weights2, tables, images, image_byte, maps, allowance, start);
      WriteRecord(progress, image, start, state.trace, state.logits, results + record_beat);
      ChargeImage(start, progress.flops, progress.cycles, state.charges, allowance);
      failed = progress.status != isa::kStatusOk;
    }
    record_beat += RecordBeats(start);
    image_byte += start.image_bytes;
  }
  SaveCharges(start, state.charges, allowance, maps);
  return isa::kStatusOk;
}

}  // namespace ddi

#include "top.hpp"
