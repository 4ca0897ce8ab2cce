// Runs the engine on cases from standard input, with every buffer exactly as large as the case says: built under a
// sanitizer by driver.py, so that the first access outside ends it.
//
//     driver BASES THREADS < cases > results       THREADS 0: ddi_engine itself; else ddi_cosim over so many threads
//
// All numbers are int64 unless said otherwise. BASES: the number of arguments, then for each whether it is a memory (1)
// or a scalar (0), and which one; the number of bases, then each one's program, weights, tables and images as bytes and
// data. A case: base, instructions before the base's program, instructions in all, bytes of maps and of results, the
// number of patches, then each patch's place and words, then the scalars, as many as there are. A result: the engine's
// return value, the bytes of results, and these.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "cosim.cpp"

namespace {

constexpr size_t kInstructionBytes = ddi::isa::kInstructionWords * sizeof(int32_t);
enum Memory { kProgram, kWeights, kTables, kImages, kMaps, kResults, kMemories };

// On the heap, so that a sanitizer sees the byte before the first and the byte after the last.
struct Buffer {
  std::unique_ptr<uint8_t[]> data;
  size_t size;
};

Buffer MakeBuffer(int64_t size, uint8_t fill) {
  Buffer buffer = {std::unique_ptr<uint8_t[]>(new uint8_t[size_t(size)]), size_t(size)};
  std::memset(buffer.data.get(), fill, buffer.size);
  return buffer;
}

// An argument of the engine, whatever its type.
struct Argument {
  uint8_t* memory;
  int64_t number;

  template <typename T>
  operator T*() const {
    return reinterpret_cast<T*>(memory);
  }

  template <typename T, typename = typename std::enable_if<std::is_integral<T>::value>::type>
  operator T() const {
    return T(number);
  }
};

template <typename Result, typename... Parameters, size_t... kIndex>
int64_t Call(Result (*engine)(Parameters...), const std::vector<Argument>& arguments, std::index_sequence<kIndex...>) {
  if (arguments.size() != sizeof...(Parameters)) {
    std::fprintf(stderr, "%zu arguments for an engine that takes %zu\n", arguments.size(), sizeof...(Parameters));
    std::exit(3);
  }
  return int64_t(engine(arguments[kIndex]...));
}

template <typename Result, typename... Parameters>
int64_t Call(Result (*engine)(Parameters...), const std::vector<Argument>& arguments) {
  return Call(engine, arguments, std::index_sequence_for<Parameters...>());
}

template <size_t... kIndex>
ddi::Start MakeStart(const std::vector<int64_t>& number, std::index_sequence<kIndex...>) {
  return ddi::Start{Argument{nullptr, number[kIndex]}...};
}

bool ReadBytes(std::FILE* file, void* to, size_t size) { return std::fread(to, 1, size, file) == size; }

int64_t ReadNumber(std::FILE* file) {
  int64_t number = 0;
  if (!ReadBytes(file, &number, sizeof(number))) {
    std::fprintf(stderr, "the input is cut off\n");
    std::exit(3);
  }
  return number;
}

std::vector<Buffer> ReadBase(std::FILE* file) {
  std::vector<Buffer> base;
  for (int memory = kProgram; memory <= kImages; ++memory) {
    base.push_back(MakeBuffer(ReadNumber(file), 0));
    ReadBytes(file, base.back().data.get(), base.back().size);
  }
  return base;
}

// The base's program behind `before` instructions, cut or filled up with END to `instructions`, then patched.
Buffer ReadProgram(const Buffer& base, int64_t before, int64_t instructions, int64_t patches) {
  Buffer program = MakeBuffer(instructions * int64_t(kInstructionBytes), 0);
  const size_t start = size_t(before) * kInstructionBytes;
  if (start < program.size) {
    const size_t room = program.size - start;
    std::memcpy(program.data.get() + start, base.data.get(), room < base.size ? room : base.size);
  }
  for (int64_t patch = 0; patch < patches; ++patch) {
    const size_t at = size_t(ReadNumber(stdin)) * kInstructionBytes;
    uint8_t words[kInstructionBytes];
    if (!ReadBytes(stdin, words, sizeof(words)) || at + sizeof(words) > program.size) std::exit(3);
    std::memcpy(program.data.get() + at, words, sizeof(words));
  }
  return program;
}

}  // namespace

int main(int count, char** words) {
  std::FILE* file = count == 3 ? std::fopen(words[1], "rb") : nullptr;
  if (file == nullptr) return 3;
  const int64_t threads = std::atoi(words[2]);
  std::vector<std::pair<int64_t, int64_t>> parameters;
  int64_t scalars = 0;
  for (int64_t left = ReadNumber(file); left > 0; --left) {
    const int64_t is_memory = ReadNumber(file);
    parameters.emplace_back(is_memory, ReadNumber(file));
    scalars += is_memory == 0;
  }
  std::vector<std::vector<Buffer>> bases;
  for (int64_t left = ReadNumber(file); left > 0; --left) bases.push_back(ReadBase(file));
  std::fclose(file);

  int64_t base = 0;
  while (ReadBytes(stdin, &base, sizeof(base))) {
    const int64_t before = ReadNumber(stdin), instructions = ReadNumber(stdin);
    Buffer maps = MakeBuffer(ReadNumber(stdin), 0);
    Buffer results = MakeBuffer(ReadNumber(stdin), 0x5A);
    const int64_t patches = ReadNumber(stdin);
    const std::vector<Buffer>& given = bases[size_t(base)];
    Buffer program = ReadProgram(given[kProgram], before, instructions, patches);
    uint8_t* const memory[kMemories] = {program.data.get(),        given[kWeights].data.get(),
                                        given[kTables].data.get(), given[kImages].data.get(),
                                        maps.data.get(),           results.data.get()};
    std::vector<int64_t> number;
    for (int64_t left = scalars; left > 0; --left) number.push_back(ReadNumber(stdin));
    std::vector<Argument> arguments;
    for (const auto& parameter : parameters) {
      const size_t which = size_t(parameter.second);
      arguments.push_back(parameter.first != 0 ? Argument{memory[which], 0} : Argument{nullptr, number[which]});
    }
    int64_t returned = 0;
    if (threads == 0) {
      returned = Call(ddi_engine, arguments);
    } else {
      const ddi::Start start = MakeStart(number, std::make_index_sequence<ddi::kStartFields>());
      const Argument in[] = {{memory[kProgram], 0}, {memory[kWeights], 0}, {memory[kTables], 0}, {memory[kImages], 0}};
      const Argument out = {memory[kResults], 0};
      returned = ddi_cosim(in[0], in[1], in[2], in[3], nullptr, out, &start, int32_t(threads), 0);  // pools of one
    }
    const int64_t head[2] = {returned, int64_t(results.size)};
    std::fwrite(head, sizeof(head), 1, stdout);
    std::fwrite(results.data.get(), 1, results.size, stdout);
    std::fflush(stdout);
  }
  return 0;
}
