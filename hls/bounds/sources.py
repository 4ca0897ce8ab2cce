"""The engine's sources as the analysis takes them: parsed by libclang, and as LLVM IR by clang.

    sources = read(SOURCES)      # .unit .loops .pragmas for libclang's view, .module for the IR of the same text

The IR is that of a copy under build/ that the chip's view is compiled from: loops with `#pragma HLS unroll` are
unrolled by clang, and functions become part of their callers, so that what one iteration does stands in one place.
Lines stay where they were: a loop of the IR is found by the line of its `for`. clang's own ideas of a processor (wider
counters, vectors, branches turned into loads of both sides) are switched off.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hls import cosim
from hls.bounds import ir
from hls.bounds.ir import BoundsError
from hls.bounds.reading import parse
from hls.lint import cpp, pragmas
from hls.lint.loops import loops

COMPILER = "clang-16"  # Debian's package of this name; its text of IR is what reading.py reads
_PASSES = (
    "-phi-node-folding-threshold=0",  # a branch stays one
    "-two-entry-phi-node-folding-threshold=0",
    "-switch-to-lookup=false",
    "-indvars-widen-indvars=false",
    "-max-dependences=0",  # what is stored is not kept for the next iteration's load, as Vitis HLS does not
    "-inline-threshold=1000000",
)
FLAGS = (cpp.STANDARD, *cpp.SYNTHESIS, "-O1", "-fno-unroll-loops", "-fno-vectorize", "-fno-slp-vectorize",
         "-fno-exceptions", "-fno-builtin", "-fno-discard-value-names", "-gline-tables-only", "-Wno-unknown-pragmas",
         "-Wno-unused-label", *(word for each in _PASSES for word in ("-mllvm", each)), "-S", "-emit-llvm")  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """A folder of C++ with engine.cpp: libclang's unit, its loops, its pragmas as (pragma, site), and its IR."""

    folder: Path
    unit: object
    loops: list
    pragmas: list
    module: ir.Module

    def pragmas_of(self, loop, name):
        """The pragmas of that name first in the loop's own body."""
        return [pragma for pragma, site in self.pragmas if pragma.name == name and site.owner == loop.cursor]


def read(folder=cosim.SOURCES):
    """Sources of `folder`. BoundsError where they do not compile or clang is missing."""
    folder = Path(folder).resolve()
    unit = cpp.parse(folder / "engine.cpp", cpp.SYNTHESIS)
    errors = [str(each) for each in unit.diagnostics if each.severity >= each.Error]
    if errors:
        raise BoundsError(f"{folder} does not compile: {errors[0]}")
    found = loops(unit, folder)
    placed = [(pragma, site) for _, pragma, site in pragmas.placed(unit, folder)]
    text = compiled(_prepared(unit, folder, found, placed))
    return Sources(folder, unit, found, placed, parse(text))


def _prepared(unit, folder, found, placed):
    """Path below `folder` → its text with what clang needs to unroll and inline."""
    unrolled = {site.owner.hash for pragma, site in placed if pragma.name == "unroll"}
    kept = {site.function.hash for pragma, site in placed if pragma.name == "inline" and "off" in pragma.words}
    edits = {}
    for loop in found:
        if loop.cursor.hash in unrolled:
            at = cpp.name_of(loop.cursor, folder), loop.cursor.extent.start.offset
            edits[at] = b'_Pragma("clang loop unroll(full)") '
    for cursor, _ in cpp.walk(unit, folder):
        if cursor.kind.name in ("FUNCTION_DECL", "CXX_METHOD") and cursor.is_definition():
            inlined = cursor.linkage.name != "EXTERNAL" or b"inline" in _head(cursor)
            if inlined and cursor.hash not in kept and not cpp.is_constexpr(cursor):
                at = cpp.name_of(cursor, folder), cursor.extent.start.offset
                edits[at] = b"__attribute__((always_inline)) "
        if cursor.kind.name == "VAR_DECL" and cursor.type.spelling.rpartition("::")[2] == "State":
            at = cpp.name_of(cursor, folder), cursor.extent.start.offset
            edits[at] = b"__attribute__((used)) "  # one structure, whatever clang could make of it
    texts = cosim.sources(folder)
    for (name, offset), text in sorted(edits.items(), reverse=True):
        texts[name] = texts[name][:offset] + text + texts[name][offset:]
    return texts


def _head(cursor):
    """Text of a function before its body."""
    text = cpp.path_of(cursor).read_bytes()[cursor.extent.start.offset : cursor.location.offset]
    return text


def compiled(texts):
    """IR of engine.cpp among the files `texts`; kept under build/ by a digest of all that makes it."""
    clang = os.environ.get("CLANG") or COMPILER
    if shutil.which(clang) is None:
        raise BoundsError(f"no {clang}: the loops' bounds are read from its IR; apt-get install {COMPILER}")
    version = subprocess.run([clang, "--version"], capture_output=True, check=False).stdout
    digest = hashlib.sha256(repr((FLAGS, version, sorted(texts.items()))).encode()).hexdigest()[:16]
    target = cosim.BUILD / f"bounds-{digest}.ll"
    if not target.exists():
        cosim.BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cosim.BUILD) as place:
            for name, text in texts.items():
                (Path(place) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(place) / name).write_bytes(text)
            _compile([clang, *FLAGS, "engine.cpp", "-o", "engine.ll"], place)
            os.replace(Path(place) / "engine.ll", target)
    return target.read_text(encoding="utf-8")


def _compile(command, place):
    made = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)
    if made.returncode:
        first = next((line for line in made.stderr.splitlines() if "error" in line), made.stderr[:200])
        raise BoundsError(f"{' '.join(command[:1])} failed on the sources: {first}")
