"""The engine under a sanitizer, in a process of its own: every buffer exactly as large as the case says.

    driver = Driver(bases, sanitizer="address")
    for outcome in driver.run(cases): ...

A case is a base program with changes. What the sanitizer finds ends the process; `Crash` says in which case, and why.
"""

import os
import struct
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hls import cosim, isa, record
from hls.pool import CHARGE_BYTES
from hls.stress.builds import build

SOURCE = Path(__file__).with_name("fuzz_driver.cpp")
SANITIZERS = {
    "address": ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
    "thread": ("-fsanitize=thread",),
    "none": (),
}
FLAGS = ("-std=c++14", "-O1", "-g1", "-pthread", "-Wno-unknown-pragmas")
_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1", "TSAN_OPTIONS": "halt_on_error=1"}
UNTOUCHED = 0x5A  # results that the engine has not written
_TOO_MANY_MAPS = 1 << 22  # words of map memory, 256 MB; what a case gives beyond it must be refused
_BUFFERS = ("program", "weights", "tables", "images", "maps", "results")


class Crash(Exception):
    """A sanitizer stopped the engine: in which case, what the cases before gave, and the report's first lines."""

    def __init__(self, outcomes, report):
        super().__init__(report)
        self.case, self.outcomes = len(outcomes), outcomes


@dataclass
class Base:
    """A program with its data, as hls.cosim.run takes them; `images` (N, H, W, C) uint8."""

    program: np.ndarray
    weights: np.ndarray
    tables: np.ndarray
    images: np.ndarray
    start: object


@dataclass
class Case:
    """Base number `base` behind `before` instructions, cut or extended to `instructions`, with rows replaced.

    `scalars` overrides start parameters by the name of their port. No buffer is larger than the base's, so that a
    parameter may say less than there is, and never more.
    """

    base: int
    start: object
    before: int = 0
    instructions: int | None = None
    patches: dict = field(default_factory=dict)  # pc → (INSTRUCTION_WORDS,) int32
    scalars: dict = field(default_factory=dict)
    images: int = 1
    path: tuple = ()  # (pc, in a classifier?) of the instructions up to the one that the case is about


def scalars(case, bases):
    """Start parameters of a case by the name of their port."""
    base = bases[case.base]
    values = record.scalars(case.start, program(case, bases), base.weights, base.tables, base.images)
    return {**values, "images_count": case.images, **case.scalars}


def program(case, bases):
    """The program that a case runs, (n, INSTRUCTION_WORDS) int32."""
    given = bases[case.base].program
    length = case.before + len(given) if case.instructions is None else case.instructions
    words = np.zeros((max(length, case.before + len(given)), isa.INSTRUCTION_WORDS), np.int32)
    words[case.before : case.before + len(given)] = given
    words = words[:length]
    for pc, row in case.patches.items():
        words[pc] = row
    return words


class Driver:
    """Owns the file of bases; each `run` is one process."""

    def __init__(self, bases, sanitizer="address", flags=(), threads=0):
        # threads: 0 calls ddi_engine, more cut the images over engines as hls.cosim.run does
        self.bases, self.threads = bases, threads
        command = [cosim.compiler(), *FLAGS, *SANITIZERS[sanitizer], *flags]
        sources = {**cosim.sources(), SOURCE.name: SOURCE.read_bytes()}
        self.path = build(f"driver-{sanitizer}", command, sources, SOURCE.name)
        ports = [(kind == "memory", name) for name, (kind, _) in isa.PORTS.items()]
        self.scalars = [name for is_memory, name in ports if not is_memory]
        self.head = _numbers(len(ports), *(number for port in ports for number in self._argument(*port)))

    def _argument(self, is_memory, name):
        """(1, which buffer) or (0, which scalar) of a port; the weights' ports share their bytes."""
        if not is_memory:
            return 0, self.scalars.index(name)
        known = "weights" if name.startswith("weights") else name
        if known not in _BUFFERS:
            raise cosim.CosimError(f"the fuzzer does not know the memory port {name}: teach {__name__} its size")
        return 1, _BUFFERS.index(known)

    def run(self, cases):
        """(return value, records (images, words) int32, or None where nothing was written) of each case."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "bases"
            file.write_bytes(self.head + _numbers(len(self.bases)) + b"".join(map(_base_bytes, self.bases)))
            environment = {**os.environ, **_OPTIONS}
            result = subprocess.run(
                [str(self.path), str(file), str(self.threads)], input=b"".join(map(self._case_bytes, cases)),
                capture_output=True, check=False, env=environment,
            )  # fmt: skip
        outcomes = list(self._outcomes(result.stdout, cases))
        if result.returncode or len(outcomes) != len(cases):
            lines = result.stderr.decode(errors="replace").strip().splitlines()
            raise Crash(outcomes, " / ".join(lines[:6]) or f"exit code {result.returncode}")
        return outcomes

    def _case_bytes(self, case):
        values = scalars(case, self.bases)
        records = _record_words(values) * max(0, values["images_count"]) * 4
        length = len(program(case, self.bases))
        maps = isa.TILE**2 * (values["map_words"] if 0 <= values["map_words"] < _TOO_MANY_MAPS else 0)
        maps += CHARGE_BYTES * (values["pool"] - 1 if 1 <= values["pool"] <= isa.MAX_POOL else 0)  # all of them 0
        head = _numbers(case.base, case.before, length, maps, records, len(case.patches))
        patches = b"".join(_numbers(pc) + np.asarray(row, np.int32).tobytes() for pc, row in case.patches.items())
        return head + patches + _numbers(*(values[name] for name in self.scalars))

    def _outcomes(self, data, cases):
        at = 0
        for case in cases:
            if at + 16 > len(data):
                return
            returned, size = struct.unpack_from("<qq", data, at)
            raw = np.frombuffer(data, np.uint8, size, at + 16)
            at += 16 + size
            words = _record_words(scalars(case, self.bases))
            written = size and not (raw == UNTOUCHED).all()
            yield returned & 0xFFFFFFFF, raw.view(np.int32).reshape(-1, words) if written else None


def _record_words(values):
    """Words of a record; none where the start parameters are refused anyway."""
    gates, classes = values["gates"], values["classes"]
    fits = 0 <= gates <= isa.MAX_GATES and 1 <= classes <= isa.MAX_CLASSES
    return record.words(gates, classes) if fits else 0


def _numbers(*values):
    """int64, modulo 2^64."""
    return b"".join(struct.pack("<Q", int(value) & (2**64 - 1)) for value in values)


def _base_bytes(base):
    """A base's memories; the images have room up to a whole word of their port, as the contract says."""
    parts = [np.ascontiguousarray(each).tobytes() for each in (base.program, base.weights, base.tables, base.images)]
    parts[3] += bytes(-len(parts[3]) % (int(isa.PORTS["images"][1]) // 8))
    return b"".join(_numbers(len(part)) + part for part in parts)
