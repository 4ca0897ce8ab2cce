"""Build the C++ engine as a shared library and call it.

    python -m hls.cosim            # build it and print where it is and how large the engine's memories are

The library goes to build/, or to the user's cache where the checkout is read-only, under a name made of the sources,
the compiler, its flags and the processor, so that it is built once for each of them. Its SHA-256 stands beside it: one
that is damaged is built anew. $CXX names another compiler.
"""

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from hls import isa
from hls.command import outputs, places, tools
from hls.command.entry import guarded
from hls.errors import UserError
from hls.pool import fresh
from hls.record import scalars, words

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "hls" / "src"
BUILD = ROOT / "build"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")
# g++ takes half of the width that a processor with AVX-512 has: requantising gains a tenth of a network by the whole.
VECTORS = ("-mprefer-vector-width=512",) if platform.machine() in ("x86_64", "AMD64") else ()
FLAGS = ("-std=c++14", "-O3", "-march=native", *VECTORS, "-fPIC", "-shared", "-pthread", *WARNINGS)
# CONV's main loop in an order for this machine's caches, or cycle by cycle as the chip runs it.
SHAPES: dict[str, tuple[str, ...]] = {"cpu": FLAGS, "chip": (*FLAGS, "-DDDI_CHIP")}

_TYPES = {32: ctypes.c_int32, 64: ctypes.c_uint64}
_SCALARS = {name: _TYPES[int(bits)] for name, (kind, bits) in isa.PORTS.items() if kind == "scalar"}


class _Start(ctypes.Structure):
    """isa.hpp's Start."""

    _fields_ = list(_SCALARS.items())


class CosimError(UserError):
    """The engine could not be built, or refused to start."""


def compiler():
    """Path of the C++ compiler: $CXX, or g++. CosimError when there is none."""
    name = os.environ.get("CXX") or "g++"
    path = shutil.which(name)
    if path is None:
        raise CosimError(f"no C++ compiler {name!r}: install g++ (apt-get install g++) or set $CXX")
    return path


def sources(folder=SOURCES):
    """The C++ under `folder`: path below it, with "/" → bytes."""
    paths = sorted(Path(folder).rglob("*.[ch]pp"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def build(flags=FLAGS):
    """Path of the shared library, built from hls/src unless it is there already. CosimError if that fails."""
    command = [compiler(), *flags]
    return built(
        f"cosim-{_digest(command)}.so",
        lambda target: compile_whole(command, SOURCES / "cosim.cpp", "hls/src/cosim.cpp", target),
    )


def built(name, make):
    """Path of the build `name`, as it was made; `make(path)` makes it where it is not there, or damaged."""
    if is_whole(BUILD / name):
        return BUILD / name
    target = places.build(BUILD) / name
    with _alone(target):
        if not is_whole(target):
            make(target)
    return target


def is_whole(path):
    """Whether the build at `path` is there with the bytes that it was made of: their SHA-256 stands beside it."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == _beside(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False


def _beside(path):
    return path.with_name(f"{path.name}.sha256")


@contextlib.contextmanager
def _alone(path):
    """Wait for another process that makes the build at `path`: what two need at once is made once."""
    with _beside(path).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if not path.exists():  # it failed, and leaves nothing behind
                _beside(path).unlink(missing_ok=True)


def compile_whole(command, source, name, target):
    """Make `target` of `source` by `command`, whole or not at all. CosimError, by `name`, if it does not compile."""
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        partial = Path(folder) / target.name
        result = tools.run([*command, str(source), "-o", str(partial)])
        if result.returncode or not partial.exists():
            said = [line for line in result.stderr.splitlines() if "error" in line] or [result.stderr[:200].strip()]
            what = said[0] or f"exit code {result.returncode} and no file"
            raise CosimError(f"{' '.join(command)} failed on {name}: {what}")
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        os.replace(partial, target)  # also when two processes build at once
    outputs.write(_beside(target), digest + "\n")


def run(
    program, weights, tables, images, start, threads=1, forget=0, shape="cpu", library=None, history=None, bus=(0, 0)
):
    """Run a batch on the engine and return its records, (N, words) int32.

    program: (n, INSTRUCTION_WORDS) int32. weights: (bytes,) int8. tables: (words,) int32. images: (N, H, W, C) uint8.
    start: hls.record.Start. threads: images are split over so many engines; the records are the same for any number.
    forget: byte that fills tile and vector memory before each image; results that depend on it come from a program that
    reads what it did not write. shape: of CONV's main loop, one of SHAPES; the records are the same. library: of
    `load`, in place of that shape's. history: of the pool (hls/pool.py), brought up to date; a fresh one without. bus:
    least and most cycles until a burst's first word or a table's row comes, in the chip's shape, where they change how
    long its loops take, and by a budget in cycles where an image stops (docs/engine.md, Lost time); one call at a time.
    CosimError for BAD_START or arrays of another kind.
    """
    program = _aligned(_array("program", program, np.int32, 2))
    weights = _aligned(_array("weights", weights, np.int8, 1))
    tables = _aligned(_array("tables", tables, np.int32, 1))
    images = _array("images", images, np.uint8, 4)
    if program.shape[1] != isa.INSTRUCTION_WORDS:
        raise CosimError(f"an instruction has {isa.INSTRUCTION_WORDS} words, program has {program.shape[1]}")
    width = words(_within(start.gates, isa.MAX_GATES), _within(start.classes, isa.MAX_CLASSES))
    records = np.zeros((len(images), width), np.int32)
    values = _fitting(scalars(start, program, weights, tables, images))
    charges = _history(start, history)
    library = _library(shape) if library is None else library
    pointers = (array.ctypes.data for array in (program, weights, tables, images, charges, records))
    with _bus(library, bus):
        status = library.ddi_cosim(*pointers, ctypes.byref(_Start(**values)), int(threads), int(forget))
    if status != isa.STATUS_OK:
        what = f"{len(program)} instructions, {len(images)} images, {start}"
        raise CosimError(f"the engine refused to start (BAD_START): {what}")
    if history is not None:
        history[:] = charges
    return records


@contextlib.contextmanager
def _bus(library, bus):
    """The library with these latencies of its bus; as it was afterwards."""
    if bus == (0, 0):
        yield
        return
    low, high = bus
    if not 0 <= low <= high:
        raise CosimError(f"bus is {bus}, expected two rising numbers of cycles")
    library.ddi_set_bus(low, high)
    try:
        yield
    finally:
        library.ddi_set_bus(0, 0)


def _history(start, history):
    """The pool's charges in memory of their own, so that a failed start leaves `history` as it was."""
    size = _within(start.pool, isa.MAX_POOL)
    if history is None:
        return fresh(start) if 1 < size == start.pool else np.zeros((0, 2), np.int64)
    if history.shape != (max(size - 1, 0), 2) or history.dtype != np.int64:
        raise CosimError(f"history is {history.dtype} {history.shape}, expected int64 {(size - 1, 2)} (BAD_START)")
    return history.copy()


def state_bytes():
    """Bytes of the engine's memories on the chip."""
    return _library("chip").ddi_state_bytes()


@functools.lru_cache(maxsize=len(SHAPES))
def _library(shape):
    return load(build(SHAPES[shape]))


def load(path):
    """The library at `path` for ctypes, its contract checked. A call releases the interpreter's lock."""
    library = ctypes.CDLL(str(path))
    library.ddi_isa_hash.restype = ctypes.c_char_p
    library.ddi_state_bytes.restype = ctypes.c_int64
    library.ddi_cosim.restype = ctypes.c_int32
    library.ddi_set_bus.argtypes = [ctypes.c_int32, ctypes.c_int32]
    library.ddi_set_bus.restype = None
    pointers = [ctypes.c_void_p] * 6
    library.ddi_cosim.argtypes = [*pointers, ctypes.POINTER(_Start), ctypes.c_int32, ctypes.c_int32]
    found = library.ddi_isa_hash().decode()
    if found != isa.HASH:
        raise CosimError(f"{path} is for contract {found}, this is {isa.HASH}: run python -m hls.generate")
    return library


def _digest(command):
    """Hexadecimal digest of the sources, the command, the compiler's version and the processor's flags."""
    digest = hashlib.sha256()
    for name, text in sources().items():
        digest.update(name.encode() + b"\0" + text)
    version = tools.run([command[0], "--version"]).stdout
    digest.update(repr(command).encode() + version.encode() + _processor().encode())
    return digest.hexdigest()[:16]


def _processor():
    """What -march=native depends on: the processor's name and flags where Linux tells, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.machine() + platform.processor()
    wanted = ("model name", "flags", "Features")
    return platform.machine() + "".join(sorted({line for line in lines if line.startswith(wanted)}))


def _array(name, value, dtype, dimensions):
    array = np.asarray(value)
    if array.dtype != dtype or array.ndim != dimensions:
        expected = f"{np.dtype(dtype).name} with {dimensions} dimensions"
        raise CosimError(f"{name} is {array.dtype} {array.shape}, expected {expected}")
    return np.ascontiguousarray(array)


def _aligned(array):
    """`array`, copied if it does not start on a word of its ports."""
    return array if array.ctypes.data % isa.PORT_BYTES == 0 else array.copy()


def _within(value, high):
    """A size to allocate; the engine refuses what lies outside."""
    return min(max(int(value), 0), high)


def _fitting(values):
    """The scalars as whole numbers. ctypes cuts what does not fit; here it is an error."""
    for name, kind in _SCALARS.items():
        bits = 8 * ctypes.sizeof(kind)
        low, high = (0, 2**64) if kind is ctypes.c_uint64 else (-(2**31), 2**31)
        if not low <= values[name] < high:
            raise CosimError(f"start parameter {name} = {values[name]} does not fit {bits} bits")
    return {name: int(value) for name, value in values.items()}


def main():
    """Exit code 0, or 2 with one line when the engine cannot be built."""
    return guarded("error", _show)


def _show():
    print(f"{build()}: {state_bytes()} bytes of engine memory")
    return 0


if __name__ == "__main__":
    sys.exit(main())
