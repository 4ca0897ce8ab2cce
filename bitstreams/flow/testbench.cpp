// Test bench: the engine against golden vectors, for C simulation and C/RTL co-simulation.
//
//   testbench FOLDER      FOLDER is what bitstreams/vectors.py wrote: a .bin for each memory port, results.expected.bin,
//                         and scalars.txt with a line "name value" for each scalar port
//
// Two calls: a start with nothing in it, which must answer BAD_START and write no result, as a driver asks an engine for
// its contract; then the batch, whose records must be the golden model's. Exit code 0, or 1 with the first difference.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "engine_call.hpp"

namespace {

typedef std::vector<uint64_t> Words;  // 64 bits each, so that every port's type is aligned

constexpr uint64_t kUnwritten = 0xA5A5A5A5A5A5A5A5u;  // in the results before the batch
const char kResults[] = "results";
const char kStatus[] = "expected_status";

std::vector<char> ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "%s cannot be read: make the vectors anew (python -m bitstreams.vectors)\n", path.c_str());
    std::exit(1);
  }
  return std::vector<char>(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

class Vectors {
 public:
  explicit Vectors(const std::string& folder) {
    for (const char* name : kMemories) {
      const std::vector<char> bytes = ReadBytes(folder + "/" + name + ".bin");
      Words& words = memories_[name];
      words.assign((bytes.size() + 7) / 8, 0);
      for (size_t i = 0; i < bytes.size(); ++i) words[i / 8] |= uint64_t(uint8_t(bytes[i])) << (8 * (i % 8));
    }
    std::ifstream file(folder + "/scalars.txt");
    std::string name;
    uint64_t value = 0;
    while (file >> name >> value) scalars_[name] = value;
  }

  template <typename Type>
  Type* Memory(const char* name) {
    return reinterpret_cast<Type*>(memories_.at(name).data());
  }

  size_t Bytes(const char* name) const { return memories_.at(name).size() * sizeof(uint64_t); }

  uint64_t Scalar(const char* name) const { return empty_ ? 0 : scalars_.at(name); }

  void SetEmpty(bool empty) { empty_ = empty; }

  Words& Results() { return memories_.at(kResults); }

 private:
  std::map<std::string, Words> memories_;
  std::map<std::string, uint64_t> scalars_;
  bool empty_ = false;
};

bool Answers(const char* what, uint64_t answer, uint64_t status) {
  if (uint32_t(answer) != uint32_t(status)) {
    std::printf("%s: status %u, expected %u\n", what, unsigned(uint32_t(answer)), unsigned(status));
    return false;
  }
  if (kReturnsHash && uint32_t(answer >> 32) != kHashHigh) {
    std::printf("%s: contract %08x, expected %08x\n", what, unsigned(answer >> 32), unsigned(kHashHigh));
    return false;
  }
  return true;
}

bool EmptyStartIsRefused(Vectors& vectors, uint64_t bad_start) {
  const Words before(vectors.Results().size(), kUnwritten);
  vectors.Results() = before;
  vectors.SetEmpty(true);
  const uint64_t answer = CallEngine(vectors);
  vectors.SetEmpty(false);
  if (vectors.Results() != before) {
    std::printf("empty start: the engine wrote results\n");
    return false;
  }
  return Answers("empty start", answer, bad_start);
}

bool BatchIsRight(Vectors& vectors, const std::vector<char>& expected) {
  const uint64_t answer = CallEngine(vectors);
  if (!Answers("batch", answer, vectors.Scalar(kStatus))) return false;
  const int32_t* found = reinterpret_cast<const int32_t*>(vectors.Results().data());
  const int32_t* wanted = reinterpret_cast<const int32_t*>(expected.data());
  const int64_t words = int64_t(expected.size() / sizeof(int32_t));
  const int64_t record = int64_t(vectors.Scalar("record_words"));
  const int64_t first = int64_t(vectors.Scalar("first_measured")), last = int64_t(vectors.Scalar("last_measured"));
  for (int64_t i = 0; i < words; ++i) {
    const bool is_measured = i % record >= first && i % record <= last;  // the engine's own counters
    if (!is_measured && found[i] != wanted[i]) {
      std::printf("image %lld, word %lld of its record: %d, expected %d\n", (long long)(i / record),
                  (long long)(i % record), int(found[i]), int(wanted[i]));
      return false;
    }
  }
  std::printf("%lld records are the golden model's\n", (long long)(words / record));
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "testbench: expected one argument, the folder of the vectors\n");
    return 1;
  }
  const std::string folder = argv[1];
  Vectors vectors(folder);
  const std::vector<char> expected = ReadBytes(folder + "/results.expected.bin");
  const bool good =
      EmptyStartIsRefused(vectors, vectors.Scalar("bad_start_status")) && BatchIsRight(vectors, expected);
  std::printf("%s\n", good ? "PASS" : "FAIL");
  return good ? 0 : 1;
}
