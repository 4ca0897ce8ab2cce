// Harness: the chip's loop and the RTL side by side, a cycle at a time (bitstreams/lockstep/build.py).
//
// The C++ fetches, with a bus that is late and a gate that holds back what came; what reaches its queues is what the
// RTL's streams offer. Each iteration's places, windows, sums, identities, words, writes and pools are compared with
// the RTL's registers, in the cycle in which the stage of each has done that iteration.
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "sides.hpp"

namespace lockstep {

class Bench {
 public:
  explicit Bench(int32_t fault) {
    const std::string argument = "+fault=" + std::to_string(fault);
    const char* arguments[] = {"maps", argument.c_str()};
    context_.commandArgs(2, arguments);
    model_ = std::make_unique<Vmaps>(&context_);
    model_->clk = 0;
    model_->eval();
  }

  void Run(const Given& given, uint8_t* maps, int32_t* vector, Report& report) {
    report_ = &report;
    report = Report();
    report.first_cycle = report.cycles = counted_ = -1;
    SetMasks(given);
    std::memcpy(maps_, maps, sizeof(maps_));
    std::memcpy(vector_, vector, sizeof(vector_));
    Load(maps);
    Instruction instruction;
    std::memcpy(instruction.word, given.instruction, sizeof(instruction.word));
    const LayerPlan planned = PlanLayer(instruction, masks_);
    if (planned.shape.active_out > 0) {
      RunLayer(DecodeLayer(instruction, planned.shape, given.tables), planned.plan, given, vector);
    } else {
      report.cycles = 0;
    }
    ReadBack(given, maps);
  }

 private:
  // The inputs settle before the clock's edge.
  void Clock() {
    model_->eval();
    model_->clk = 1;
    model_->eval();
    model_->clk = 0;
  }

  void SetMasks(const Given& given) {
    for (int32_t mask = 1; mask < isa::kMasks; ++mask) {
      masks_.active[mask] = int16_t(given.active[mask]);
      for (int32_t i = 0; i < given.active[mask]; ++i) {
        const uint16_t channel = given.lists[(mask - 1) * isa::kMaxChannels + i];
        masks_.channel[mask - 1][i] = masks_.fetched[mask - 1][i] = channel;
        model_->list_write = 1;
        model_->list_at = (mask - 1) * isa::kMaxChannels + i;
        model_->list_channel = channel;
        Clock();
      }
    }
    model_->list_write = 0;
  }

  // Words of tile memory that are other than those that the RTL has.
  void Load(const uint8_t* maps) {
    for (int32_t word = 0; word < isa::kTileWords; ++word) {
      const uint8_t* from = maps + word * kTilePixels;
      if (loaded_ && std::memcmp(from, held_[word], kTilePixels) == 0) continue;
      std::memcpy(held_[word], from, kTilePixels);
      model_->host = model_->host_write = 1;
      model_->host_at = word;
      std::memcpy(&model_->host_data, from, kTilePixels);
      Clock();
    }
    loaded_ = true;
    Idle();
  }

  void Idle() {
    model_->host = model_->host_write = 0;
    for (int32_t i = 0; i < kStages; ++i) Clock();
  }

  void ReadBack(const Given& given, uint8_t* maps) {
    constexpr int32_t kReadStages = 3;
    for (int32_t word = given.read_first; word < given.read_end + kReadStages - 1; ++word) {
      model_->host = 1;
      model_->host_at = word < given.read_end ? word : 0;
      Clock();
      const int32_t read = word - (kReadStages - 1);
      if (read >= given.read_first) std::memcpy(held_[read], &model_->host_read, kTilePixels);
    }
    Idle();
    std::memcpy(maps, held_, sizeof(held_));
  }

  void RunLayer(const Layer& layer, const ConvPlan& plan, const Given& given, int32_t* vector) {
    StartLayer(layer, plan, given);
    Fetcher fetcher = MakeFetcher(layer, plan);
    LayerPlaces places = StartMaps(layer, memory_);
    int64_t cycle = 0;
    for (; cycle < kMaxMapCycles && !IsDone(plan, places); ++cycle) {
      ComparePlaces(layer, places, cycle);
      Offer();
      int32_t counts[isa::kWeightPorts];
      for (int32_t i = 0; i < isa::kWeightPorts; ++i) counts[i] = offered_.weights[i].count;
      const int32_t row_count = offered_.rows.count;
      Iterate(layer, plan, places, history_[cycle % kStages]);
      for (int32_t i = 0; i < isa::kWeightPorts; ++i) {
        Expect((model_->weights_ready >> i & 1) == counts[i] - offered_.weights[i].count, "weights_ready", cycle);
      }
      Expect(model_->table_ready == row_count - offered_.rows.count, "table_ready", cycle);
      if (FetchHasRoom()) {
        FetchCycle(layer, plan, masks_, given.weights, given.weights, given.weights, given.tables, fetcher,
                   fetched_.weights, fetched_.rows);
      }
      LetThrough(given);
      Tick(cycle, vector);
    }
    report_->model_cycles = cycle;
    ComparePlaces(layer, places, cycle);
    Expect(report_->cycles == cycle, "done", cycle);
    for (const int64_t end = cycle + kStages; cycle < end; ++cycle) {  // the stages behind
      Offer();
      history_[cycle % kStages] = Rest();
      Tick(cycle, vector);
    }
    RestorePools(vector);
    Expect(std::memcmp(vector, vector_, sizeof(vector_)) == 0, "vector memory", cycle);
  }

  void StartLayer(const Layer& layer, const ConvPlan& plan, const Given& given) {
    fetched_ = offered_ = Streams();
    SetBus(given.bus_low, given.bus_high);
    StartBus();
    random_ = Random{given.seed};
    shut_ = {};
    ForgetPools(layer, given.instruction[isa::kConvOutChannels]);
    uint32_t words[kLayerWords] = {};
    Bits bits = {words};
    PackLayer(layer, plan, bits);
    std::memcpy(&model_->layer, words, sizeof(words));
    model_->start = 1;
    Clock();
    model_->start = 0;
  }

  // The fetch asks its first queue for room, for all of them are emptied at once; behind gates they are not.
  bool FetchHasRoom() const {
    for (const WeightQueue& queue : fetched_.weights) {
      if (queue.Full()) return false;
    }
    return true;
  }

  // What was fetched comes to the streams, each through a gate of its own.
  void LetThrough(const Given& given) {
    bool any = false;
    for (bool& shut : shut_) {
      shut = given.held > 0 && random_(100) < (shut ? given.held : kShutting);
      any = any || shut;
    }
    report_->waits += any;
    for (int32_t i = 0; i < isa::kWeightPorts; ++i) {
      WeightQueue &from = fetched_.weights[i], &to = offered_.weights[i];
      while (!shut_[i] && !from.Empty() && !to.Full()) to.Push(from.Pop());
    }
    TableQueue &from = fetched_.rows, &to = offered_.rows;
    while (!shut_[isa::kWeightPorts] && !from.Empty() && !to.Full()) to.Push(from.Pop());
  }

  // An iteration of the C++, and what it leaves.
  void Iterate(const Layer& layer, const ConvPlan& plan, LayerPlaces& places, Iteration& made) {
    const LateRows& late = memory_.drain.late;
    constexpr int32_t kOldest = isa::kWriteDelay - 1;
    made.writes = late.last[kOldest];
    made.written = layer.output.address + late.word[kOldest];
    if (made.writes) std::memcpy(made.before, maps_[made.written], kTilePixels);
    const bool reads_identity = ReadsIdentity(layer, places.drain);
    const StepPlace& step = places.drain.step;
    const Presence there = PresenceOf(layer, step.row, step.column);
    for (int32_t i = 0; i < kTilePixels && reads_identity; ++i) {
      has_identity_[i] = HasPixel(layer, there, step.row, step.column, i);
    }
    MapCycle(layer, plan, masks_, offered_.weights, offered_.rows, maps_, vector_, places, memory_);
    made.stored = FindStored();
    made.value = made.stored < 0 ? 0 : vector_[made.stored];
    if (made.writes) std::memcpy(made.after, maps_[made.written], kTilePixels);
    Keep(made);
  }

  // The layer's pools are no numbers until they are written, each once.
  void ForgetPools(const Layer& layer, int32_t channels) {
    first_pool_ = layer.pool;
    is_stored_.assign(size_t(layer.pool < 0 ? 0 : channels), false);
    for (size_t i = 0; i < is_stored_.size(); ++i) vector_[first_pool_ + int32_t(i)] = INT32_MAX;
  }

  int32_t FindStored() {
    for (size_t i = 0; i < is_stored_.size(); ++i) {
      const int32_t at = first_pool_ + int32_t(i);
      if (is_stored_[i] || vector_[at] == INT32_MAX) continue;
      is_stored_[i] = true;
      return at;
    }
    return -1;
  }

  // Those that no active channel wrote stay as they were.
  void RestorePools(const int32_t* vector) {
    for (size_t i = 0; i < is_stored_.size(); ++i) {
      const int32_t at = first_pool_ + int32_t(i);
      if (!is_stored_[i]) vector_[at] = vector[at];
    }
  }

  void Keep(Iteration& made) {
    std::memcpy(made.next, memory_.window.next, sizeof(Window));
    std::memcpy(made.now, memory_.window.now, sizeof(Window));
    std::memcpy(made.sum, memory_.array.sum, sizeof(Sums));
    std::memcpy(made.result, memory_.array.result, sizeof(Sums));
    std::memcpy(made.identity, memory_.drain.identity, kTilePixels);
    std::memcpy(made.has_identity, has_identity_, kTilePixels);
    std::memcpy(made.pooled, memory_.drain.pooled, sizeof(made.pooled));
  }

  // Behind the last iteration: what stays as it is.
  Iteration Rest() {
    Iteration made = Iteration();
    made.stored = -1;
    Keep(made);
    return made;
  }

  // What stands first in the queues.
  void Offer() {
    model_->weights_valid = 0;
    for (int32_t i = 0; i < isa::kWeightPorts; ++i) {
      const WeightQueue& queue = offered_.weights[i];
      if (queue.Empty()) continue;
      model_->weights_valid |= 1 << i;
      std::memcpy(&model_->weights[2 * i], &queue.item[queue.first], sizeof(int64_t));
    }
    model_->table_valid = !offered_.rows.Empty();
    if (!offered_.rows.Empty()) model_->table_row = uint64_t(offered_.rows.item[offered_.rows.first]);
    model_->eval();  // what is ready
  }

  // The clock's edge behind a cycle, then the registers of each stage.
  void Tick(int64_t cycle, int32_t* vector) {
    Clock();
    if (model_->done && report_->cycles < 0) report_->cycles = cycle + 1;
    if (model_->vector_valid) vector[model_->vector_at] = int16_t(model_->vector_value);
    const auto of = [&](int32_t stage) -> const Iteration* {
      return cycle + 1 >= stage ? &history_[(cycle + 1 - stage) % kStages] : nullptr;
    };
    const int64_t now = cycle + 1;
    if (const Iteration* each = of(kGathered)) Expect(Same(&model_->window_next, each->next), "window.next", now);
    if (const Iteration* each = of(kLoaded)) Expect(Same(&model_->window_now, each->now), "window.now", now);
    if (const Iteration* each = of(kSummed)) {
      Expect(SameSums(&model_->sums, each->sum), "array.sum", now);
      Expect(SameSums(&model_->results, each->result), "array.result", now);
    }
    if (const Iteration* each = of(kIdentity)) {
      bool same = true;
      for (int32_t i = 0; i < kTilePixels; ++i) {
        same = same && (!each->has_identity[i] || Bytes(&model_->identity)[i] == each->identity[i]);
      }
      Expect(same, "drain.identity", now);
    }
    if (const Iteration* each = of(kWritten)) {
      Expect(each->writes ? SameWrite(*each) : model_->write_b == 0, "a write of tile memory", now);
    }
    if (const Iteration* each = of(kPooled)) Expect(Same(&model_->pooled, each->pooled), "drain.pooled", now);
    if (const Iteration* each = of(kStored)) {
      const bool stores = each->stored >= 0;
      const bool same = model_->vector_at == each->stored && int16_t(model_->vector_value) == each->value;
      Expect(model_->vector_valid == stores && (same || !stores), "a write of vector memory", now);
    }
  }

  static const uint8_t* Bytes(const void* port) { return static_cast<const uint8_t*>(port); }

  template <typename Array>
  static bool Same(const void* port, const Array& array) {
    return std::memcmp(port, array, sizeof(array)) == 0;
  }

  static bool SameSums(const void* port, const Sums& sums) {
    constexpr int32_t kBits = sizeof(Vmaps::sums) * 8 / (isa::kOutLanes * kTilePixels);
    const uint32_t* word = static_cast<const uint32_t*>(port);
    for (int32_t i = 0; i < isa::kOutLanes * kTilePixels; ++i) {
      const int32_t at = i * kBits, above = at % 32 + kBits > 32 ? at / 32 + 1 : at / 32;
      const uint64_t both = word[at / 32] | uint64_t(word[above]) << 32;
      const int32_t found = Narrow(int32_t(uint32_t(both >> (at % 32))), kBits);
      if (found != sums[i / kTilePixels][i % kTilePixels]) return false;
    }
    return true;
  }

  // Port B writes the word's banks that changed, with what they hold then.
  bool SameWrite(const Iteration& each) const {
    const uint32_t* addresses = reinterpret_cast<const uint32_t*>(&model_->at_b);
    for (int32_t i = 0; i < kTilePixels; ++i) {
      const bool writes = model_->write_b >> i & 1;
      if (!writes && each.before[i] != each.after[i]) return false;
      if (!writes) continue;
      if (Bytes(&model_->data_b)[i] != each.after[i]) return false;
      if (Take(addresses, i * kTileAddressBits, kTileAddressBits) != each.written) return false;
    }
    return true;
  }

  void ComparePlaces(const Layer& layer, const LayerPlaces& places, int64_t cycle) {
    uint32_t words[kPlaceWords] = {};
    Bits bits = {words};
    PackPlace(layer, places, bits);
    if (std::memcmp(words, &model_->place, sizeof(words)) == 0) return Expect(true, "", cycle);
    const uint32_t* found = reinterpret_cast<const uint32_t*>(&model_->place);
    int32_t at = 0;
    for (const Field& field : kPlaceFields) {
      const int64_t wanted = Take(words, at, field.bits), got = Take(found, at, field.bits);
      at += field.bits;
      if (wanted == got) continue;
      char what[80];
      std::snprintf(what, sizeof(what), "%s is %lld, and %lld in C++", field.name, (long long)got, (long long)wanted);
      return Expect(false, what, cycle);
    }
  }

  void Expect(bool same, const char* what, int64_t cycle) {
    if (same) return;
    report_->differing_cycles += counted_ != cycle;
    counted_ = cycle;
    if (report_->first_cycle >= 0) return;
    report_->first_cycle = cycle;
    std::snprintf(report_->what, sizeof(report_->what), "%s", what);
  }

  VerilatedContext context_;
  std::unique_ptr<Vmaps> model_;
  Report* report_ = nullptr;
  int64_t counted_ = -1;
  bool loaded_ = false;
  Streams fetched_ = Streams(), offered_ = Streams();
  Random random_ = {};
  std::array<bool, isa::kWeightPorts + 1> shut_ = {};
  Masks masks_ = Masks();
  LayerMemory memory_ = LayerMemory();
  std::array<Iteration, kStages> history_ = {};
  uint8_t has_identity_[kTilePixels] = {};
  uint8_t held_[isa::kTileWords][kTilePixels] = {};  // what the RTL's tile memory holds
  int32_t first_pool_ = -1;
  std::vector<bool> is_stored_;
  TileMemory maps_ = {};
  VectorMemory vector_ = {};
};

}  // namespace lockstep

extern "C" {

void* ddi_lockstep_open(int32_t fault) { return new lockstep::Bench(fault); }

void ddi_lockstep_close(void* bench) { delete static_cast<lockstep::Bench*>(bench); }

// One CONV on both. maps: kTileWords words, in as both start, out as the RTL left them where they are read back;
// vector: vector memory, likewise.
void ddi_lockstep_run(void* bench, const lockstep::Given* given, uint8_t* maps, int32_t* vector,
                      lockstep::Report* report) {
  static_cast<lockstep::Bench*>(bench)->Run(*given, maps, vector, *report);
}

}  // extern "C"
