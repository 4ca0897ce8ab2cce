"""Verilator's model of the RTL with the harness around it, as a shared library.

library = load(build())                # the RTL as it stands
library = load(build(FAULTS))          # with faults that `open(library, fault=1)` switches on, one at a time
"""

import ctypes
import hashlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bitstreams.lockstep import layout
from hls import cosim, isa
from hls.command import tools
from hls.errors import UserError

TOP = "maps"
REPORT_CHARACTERS = 80
# The widths of sums follow the contract's constants, which are 32 bits wide.
WARNINGS = ("-Wno-WIDTH", "-Wno-CMPCONST")
# Loops stay loops, or the C++ has a sentence for each bit of a tile; 16 times the count bounds the generated ones.
VERILATED = ("-O3", "--x-initial", "0", "--x-assign", "0", "--unroll-count", "5", *WARNINGS)
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
PROCESSES = 2
COMPILER_FLAGS = ("-std=c++17", "-O1", "-fPIC", "-w", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE=0")
MISSING = "verilator is not on PATH: it is the system's package (apt-get install verilator)"


class LockstepError(UserError):
    """Verilator is not there, or does not take the RTL."""


class Given(ctypes.Structure):
    """harness.cpp's Given."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("instruction", "lists", "active", "weights", "tables")] + [
        ("bus_low", ctypes.c_int32), ("bus_high", ctypes.c_int32), ("held", ctypes.c_int32), ("seed", ctypes.c_uint32),
        ("read_first", ctypes.c_int32), ("read_end", ctypes.c_int32)]  # fmt: skip


class Report(ctypes.Structure):
    """harness.cpp's Report."""

    _fields_ = [(name, ctypes.c_int64) for name in
                ("cycles", "model_cycles", "differing_cycles", "first_cycle", "waits")] + [
        ("what", ctypes.c_char * REPORT_CHARACTERS)]  # fmt: skip


def verilator():
    """Path of Verilator. LockstepError where there is none."""
    path = shutil.which("verilator")
    if path is None:
        raise LockstepError(MISSING)
    return path


def sources(faults=()):
    """Name → text of all of the RTL. faults: (file, text of it, text in its place): number i + 1 has the i-th.

    LockstepError for a text that does not stand exactly once in its file.
    """
    texts = layout.rtl()
    for number, (name, old, new) in enumerate(faults, 1):
        if texts[name].count(old) != 1:
            raise LockstepError(f"fault {number}: {old!r} stands {texts[name].count(old)} times in {name}, not once")
        texts[name] = texts[name].replace(old, f"(ddi::fault == {number} ? ({new}) : ({old}))")
    texts["ddi.sv"] = layout.package(texts)
    del texts[layout.COMMANDS]
    if faults:
        end = f"endmodule  // {TOP}"
        texts["ddi.sv"] = texts["ddi.sv"].replace("package ddi;", "package ddi;\n  int fault;")
        given = 'initial if (!$value$plusargs("fault=%d", ddi::fault)) ddi::fault = 0;'
        texts["maps.sv"] = texts["maps.sv"].replace(end, f"  {given}\n{end}")
    return texts


def ordered(texts):
    """The names of the files in which a tool has to read them: packages first."""
    return ["ddi.sv", *sorted(set(texts) - {"ddi.sv"})]


def build(faults=()):
    """Path of the library, built unless it is there already. LockstepError."""
    program, texts = verilator(), sources(faults)
    command = [cosim.compiler(), *COMPILER_FLAGS]
    version = tools.run([program, "--version"]).stdout + tools.run([command[0], "--version"]).stdout
    code = sorted(cosim.sources(layout.HARNESS.parent).items()), layout.header(), sorted(cosim.sources().items())
    digest = hashlib.sha256(repr((version, command, VERILATED, sorted(texts.items()), code)).encode()).hexdigest()[:16]
    return cosim.built(f"lockstep-{digest}.so", lambda target: _make(program, command, texts, target))


def _make(program, command, texts, target):
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        folder = Path(folder)
        for name, text in {**texts, "layout.hpp": layout.header()}.items():
            (folder / name).write_text(text, encoding="utf-8")
        files = [str(folder / name) for name in ordered(texts)]
        made = tools.run([program, "--cc", *VERILATED, "--Mdir", str(folder / "model"), "--top-module", TOP, *files])
        if made.returncode:
            said = [line for line in made.stderr.splitlines() if "rror" in line] or [made.stderr[:200].strip()]
            raise LockstepError(f"{program} failed: {said[0]}")
        include = Path(tools.run([program, "--getenv", "VERILATOR_ROOT"]).stdout.strip()) / "include"
        command = [*command, *(f"-I{each}" for each in (folder, folder / "model", include))]
        code = [*sorted((folder / "model").glob("*.cpp")), *(include / name for name in RUNTIME)]
        with ThreadPoolExecutor(PROCESSES) as pool:
            objects = list(pool.map(lambda path: _compiled(command, path, folder), code))
        command += [f"-I{layout.HARNESS.parent}", f"-I{cosim.SOURCES}", "-shared", "-pthread", *objects]
        cosim.compile_whole(command, layout.HARNESS, layout.HARNESS.name, target)


def _compiled(command, path, folder):
    """The object of a file of Verilator's; what runs at the start alone is compiled as it comes."""
    target = str(folder / f"{path.stem}.o")
    slow = [] if "Slow" not in path.name and "Syms" not in path.name else ["-O0"]
    made = tools.run([*command, *slow, "-c", str(path), "-o", target])
    if made.returncode:
        raise LockstepError(f"{command[0]} failed on Verilator's {path.name}: {made.stderr[:200].strip()}")
    return target


def load(path):
    """The library at `path` for ctypes."""
    library = ctypes.CDLL(str(path))
    library.ddi_lockstep_open.argtypes = [ctypes.c_int32]
    library.ddi_lockstep_open.restype = ctypes.c_void_p
    library.ddi_lockstep_close.argtypes = [ctypes.c_void_p]
    library.ddi_lockstep_close.restype = None
    pointers = [ctypes.c_void_p] * 4
    library.ddi_lockstep_run.argtypes = [ctypes.c_void_p, *pointers]
    library.ddi_lockstep_run.restype = None
    return library


LISTS = (isa.MASKS - 1, isa.MAX_CHANNELS)  # shape of the masks' lists
