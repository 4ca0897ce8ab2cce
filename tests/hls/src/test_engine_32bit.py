"""The engine's source on 32-bit machines, as a board's processor and the engine's own words are: the same bits.

    pytest --cosim tests/hls/src/test_engine_32bit.py        # apt-get install g++-arm-linux-gnueabihf qemu-user

A small program is built around hls/src/cosim.cpp; it reads calls of ddi_engine from its input, port by port in the
contract's order, and writes their results. The expected records are the 64-bit co-simulation's.
"""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data import datasets
from hls import cosim, isa
from hls.package import read
from hls.pool import fresh
from hls.record import Start, scalars, words
from hls.stress.random_programs import mutate, random_program

pytestmark = pytest.mark.cosim
PACKAGES = cosim.ROOT / "packages"
# Compiler and its flags, what runs the program, what to install. One is enough, and Debian's two exclude each other; a
# board's own comes first.
MACHINES = (
    (("arm-linux-gnueabihf-g++", "-static"), ("qemu-arm",), "g++-arm-linux-gnueabihf qemu-user"),
    (("g++", "-m32"), (), "g++-multilib"),
)
WARNINGS = tuple(flag for flag in cosim.WARNINGS if flag != "-Werror")  # 32 bits have warnings of their own
DRIVER = """
#include "cosim.cpp"
#include <cstdio>
#include <cstdlib>

// An argument of the engine, whatever its type is.
struct Memory {
  std::vector<char> bytes;
  template <typename T> operator T*() { return reinterpret_cast<T*>(bytes.data()); }
};
struct Scalar {
  uint64_t value;
  template <typename T> operator T() const { return T(value); }
};

static uint64_t Word() {
  uint64_t word = 0;
  if (std::fread(&word, 8, 1, stdin) != 1) std::exit(0);
  return word;
}
static Scalar ReadScalar() { return Scalar{Word()}; }
static Memory ReadMemory() {
  Memory memory;
  memory.bytes.resize(Word());
  if (!memory.bytes.empty() && std::fread(memory.bytes.data(), memory.bytes.size(), 1, stdin) != 1) std::exit(1);
  return memory;
}

int main() {
  static_assert(sizeof(void*) == 4, "this is the 32-bit build");
  for (;;) {
%s
    ddi_engine(%s);
    std::fwrite(results.bytes.data(), results.bytes.size(), 1, stdout);
    std::fflush(stdout);
  }
}
"""


def driver_source():
    """The program's text, from the contract's ports."""
    kinds = {name: str(kind).capitalize() for name, (kind, _) in isa.PORTS.items()}
    reads = [f"    {kind} {name} = Read{kind}();" for name, kind in kinds.items()]
    return DRIVER % ("\n".join(reads), ", ".join(isa.PORTS))


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """The command that runs the build of the first machine that can be built for; skips where there is none."""
    folder, missing = tmp_path_factory.mktemp("machine"), []
    (folder / "empty.cpp").write_text("#include <thread>\n#include <vector>\nint main() { return 0; }\n")
    for compiler, runner, install in MACHINES:
        if all(map(shutil.which, (compiler[0], *runner))) and not _compile(compiler, folder / "empty.cpp").returncode:
            break
        missing.append(install)
    else:
        pytest.skip(f"nothing here builds for 32 bits: apt-get install {', or '.join(missing)}")
    (folder / "driver.cpp").write_text(driver_source())
    result = _compile([*compiler, "-std=c++14", "-O1", "-pthread", *WARNINGS], folder / "driver.cpp")
    assert result.returncode == 0, result.stderr[-2000:]
    return [*runner, str(folder / "driver")]


def _compile(command, source):
    built = [*command, f"-I{cosim.SOURCES}", str(source), "-o", str(source.with_suffix(""))]
    return subprocess.run(built, capture_output=True, text=True, check=False)


def run(command, calls):
    """Records of each call (program, weights, tables, images, start) by the 32-bit build."""
    stream = b"".join(value for call in calls for value in _arguments(*call))
    result = subprocess.run(command, input=stream, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    found, at = [], 0
    for _, _, _, images, start in calls:
        shape = len(images), words(start.gates, start.classes)
        found.append(np.frombuffer(result.stdout, np.int32, shape[0] * shape[1], at).reshape(shape))
        at += 4 * shape[0] * shape[1]
    assert at == len(result.stdout)
    return found


def _arguments(program, weights, tables, images, start):
    """The call as the program reads it: each memory with its length, each scalar as 64 bits."""
    results = np.zeros((len(images), words(start.gates, start.classes)), np.int32)
    maps = np.zeros((start.map_words, isa.TILE**2), np.uint8).tobytes() + fresh(start).tobytes()
    memory = {"program": program, "tables": tables, "images": images, "results": results}
    memory["maps"] = np.frombuffer(maps, np.uint8)
    memory |= {f"weights{bus}": weights for bus in range(3)}
    values = scalars(start, program, weights, tables, images)
    for name, (kind, bits) in isa.PORTS.items():
        if kind == "memory":
            data = np.ascontiguousarray(memory[name]).tobytes()
            data += bytes(-len(data) % (int(bits) // 8) if name != "results" else 0)  # the engine reads whole words
            yield struct.pack("<Q", len(data)) + data
        else:
            yield struct.pack("<q", values[name])


def test_random_and_broken_programs_give_the_same_records(machine):
    calls = [random_program(np.random.default_rng(seed)) for seed in range(150)]
    broken = [random_program(np.random.default_rng(seed)) for seed in range(150, 250)]
    calls += [(mutate(call[0], np.random.default_rng(seed)), *call[1:]) for seed, call in enumerate(broken)]
    found = run(machine, calls)
    statuses = set()
    for number, (call, records) in enumerate(zip(calls, found)):
        assert np.array_equal(records, cosim.run(*call)), f"call {number}"
        statuses |= set(records[:, 0].tolist())
    assert isa.STATUS_OK in statuses and len(statuses) > 5


@pytest.mark.parametrize("path", sorted(PACKAGES.glob("*.npz")), ids=lambda path: Path(path).stem)
@pytest.mark.parametrize("share", [0.4, 2.0])
def test_a_real_package_gives_the_same_records(machine, path, share):
    package = read(path)
    images = datasets.load_sample()[0][:3]
    if images.shape[1:] != package.image_shape:
        pytest.skip(f"{path.name} takes images of {package.image_shape}")
    budget = int(max(item["flops"] for item in package.exits) * share)
    start = Start(package.gates, package.classes, budget, map_words=package.map_words)
    call = package.program, package.weights, package.tables, images, start
    (found,) = run(machine, [call])
    assert np.array_equal(found, cosim.run(*call)) and set(found[:, 0]) == {isa.STATUS_OK}
