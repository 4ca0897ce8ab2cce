// Co-simulation: the engine as a shared library for hls/cosim.py. Nothing here is synthesised.
//
// A batch is cut into one run of images for each thread; each thread has an engine of its own (DDI_STATE). An image's
// record depends on that image alone, so the records are those of one engine: after the first image that failed, the
// others of the batch are rewritten as not run, whichever thread had them.
#include <cstring>
#include <thread>
#include <vector>

#include "engine.cpp"

extern "C" {

const char* ddi_isa_hash() { return ddi::isa::kHash; }

int64_t ddi_state_bytes() { return int64_t(sizeof(ddi::State)); }

// As ddi_engine, over `threads` threads; memories start every image filled with the byte `forget`.
int32_t ddi_cosim(const int32_t* program, const int64_t* weights, const int64_t* tables, const uint8_t* images,
                  int32_t* results, int32_t instructions, int32_t weight_bytes, int32_t table_words, int32_t map_words,
                  int32_t images_count, int32_t image_bytes, int32_t gates, int32_t classes, uint64_t budget_flops,
                  uint64_t budget_cycles, int32_t rule, int32_t threshold, int32_t target_class, int32_t threads,
                  int32_t forget) {
  using namespace ddi;
  const Start start = {instructions, weight_bytes, table_words,   map_words, images_count, image_bytes, gates,
                       classes,      budget_flops, budget_cycles, rule,      threshold,    target_class};
  if (!StartIsGood(start)) return isa::kStatusBadStart;
  const int64_t stride = RecordWords(start);
  auto run = [&](int32_t first, int32_t count) {
    SetForgetByte(forget);
    std::vector<int64_t> maps(size_t(map_words) * kTilePixels / sizeof(int64_t) + 1);
    int32_t* records = results + first * stride;
    // Image by image where there is map memory, so that each starts with what `forget` says.
    const int32_t at_once = map_words > 0 ? 1 : count;
    std::vector<int64_t> pixels(size_t(at_once) * size_t(image_bytes) / sizeof(int64_t) + 1);
    for (int32_t i = 0; i < count; i += at_once) {
      std::memcpy(pixels.data(), images + int64_t(first + i) * image_bytes, size_t(at_once) * size_t(image_bytes));
      std::memset(maps.data(), forget, maps.size() * sizeof(int64_t));
      ddi_engine(program, weights, weights, weights, tables, pixels.data(), maps.data(), records + i * stride,
                 instructions, weight_bytes, table_words, map_words, at_once, image_bytes, gates, classes, budget_flops,
                 budget_cycles, rule, threshold, target_class);
    }
    for (int32_t i = 0; i < count; ++i) records[i * stride + isa::kRecordImage] = first + i;
  };
  const int32_t parts = threads < 1 ? 1 : threads < images_count ? threads : images_count;
  std::vector<std::thread> workers;
  for (int32_t part = 1; part < parts; ++part) {
    const int32_t first = int32_t(int64_t(images_count) * part / parts);
    const int32_t end = int32_t(int64_t(images_count) * (part + 1) / parts);
    workers.emplace_back(run, first, end - first);
  }
  run(0, images_count / parts);
  for (std::thread& worker : workers) worker.join();
  bool failed = false;
  for (int32_t image = 0; image < images_count; ++image) {
    if (failed) WriteNotRun(image, start, results + image * stride);
    failed = failed || results[image * stride + isa::kRecordStatus] != isa::kStatusOk;
  }
  return isa::kStatusOk;
}

}  // extern "C"
