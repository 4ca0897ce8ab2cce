// Co-simulation: the engine as a shared library for hls/cosim.py. Nothing here is synthesised.
//
// A batch is cut into one run of images for each thread; each thread has an engine of its own (DDI_STATE). An image's
// record depends on that image alone, so the records are those of one engine: after the first image that failed, the
// others of the batch are rewritten as not run, whichever thread had them.
#include <cstring>
#include <thread>
#include <vector>

#include "engine.cpp"

namespace {

int32_t HeaderWord(const int64_t* record, int32_t word) {
  return int32_t(uint32_t(uint64_t(record[word / 2]) >> (word % 2 * 32)));
}

void SetImage(int64_t* record, int32_t image) {
  static_assert(ddi::isa::kRecordStatus == 0 && ddi::isa::kRecordImage == 1, "the first word of the port holds both");
  record[0] = ddi::PairWords(HeaderWord(record, ddi::isa::kRecordStatus), image);
}

}  // namespace

extern "C" {

const char* ddi_isa_hash() { return ddi::isa::kHash; }

// Of the chip's shape: how long bursts take to come, at least and at most. For all threads; not while one runs.
void ddi_set_bus(int32_t low, int32_t high) { ddi::SetBus(low, high); }

int64_t ddi_state_bytes() { return int64_t(sizeof(ddi::State)); }

// As ddi_engine, over `threads` threads; memories start every image filled with the byte `forget`. With a pool the
// images run one after the other, whatever the threads; its charges come from `history` and go back there.
int32_t ddi_cosim(const int64_t* program, const int64_t* weights, const int64_t* tables, const uint8_t* images,
                  int64_t* history, int64_t* results, const ddi::Start* given, int32_t threads, int32_t forget) {
  using namespace ddi;
  const Start start = *given;
  if (!StartIsGood(start)) return isa::kStatusBadStart;
  const int64_t stride = RecordBeats(start);
  const size_t image_bytes = size_t(start.image_bytes);
  const size_t charge_bytes = size_t(start.pool - 1) * 2 * sizeof(int64_t);
  const size_t map_bytes = size_t(start.map_words) * kTilePixels;
  auto run = [&](int32_t first, int32_t count) {
    SetForgetByte(forget);
    StartBus();
    std::vector<int64_t> maps((map_bytes + charge_bytes) / sizeof(int64_t) + 1);
    int64_t* charges = maps.data() + map_bytes / sizeof(int64_t);
    if (charge_bytes > 0) std::memcpy(charges, history, charge_bytes);
    // Image by image where there is map memory, so that each starts with what `forget` says.
    Start part = start;
    part.images_count = start.map_words > 0 ? 1 : count;
    std::vector<int64_t> pixels(size_t(part.images_count) * image_bytes / sizeof(int64_t) + 1);
    for (int32_t i = 0; i < count; i += part.images_count) {
      int64_t* records = results + (first + i) * stride;
      std::memcpy(pixels.data(), images + size_t(first + i) * image_bytes, size_t(part.images_count) * image_bytes);
      std::memset(maps.data(), forget, map_bytes);
      const int32_t status =
          RunBatch(program, weights, weights, weights, tables, pixels.data(), maps.data(), records, part);
      if (status != isa::kStatusOk) return status;
      if (part.images_count == 1 && HeaderWord(records, isa::kRecordStatus) != isa::kStatusOk)
        break;  // the others are not run
    }
    for (int32_t i = 0; i < count; ++i) SetImage(results + (first + i) * stride, first + i);
    if (charge_bytes > 0) std::memcpy(history, charges, charge_bytes);
    return isa::kStatusOk;
  };
  const int32_t most = start.pool > 1 ? 1 : threads;
  const int32_t parts = most < 1 ? 1 : most < start.images_count ? most : start.images_count;
  std::vector<std::thread> workers;
  for (int32_t part = 1; part < parts; ++part) {
    const int32_t first = int32_t(int64_t(start.images_count) * part / parts);
    const int32_t end = int32_t(int64_t(start.images_count) * (part + 1) / parts);
    workers.emplace_back(run, first, end - first);
  }
  const int32_t status = run(0, start.images_count / parts);
  for (std::thread& worker : workers) worker.join();
  bool failed = false;
  for (int32_t image = 0; image < start.images_count && status == isa::kStatusOk; ++image) {
    int64_t* record = results + image * stride;
    if (failed) WriteNotRun(image, start, record);
    failed = failed || HeaderWord(record, isa::kRecordStatus) != isa::kStatusOk;
  }
  return status;
}

}  // extern "C"
