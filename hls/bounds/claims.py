"""Are the dependence pragmas true? The co-simulation in the chip's form, watched for what they say never happens.

    python -m hls.bounds.claims            # random programs; exit code 1 and a line for each claim that is broken
    records = run(program, weights, tables, images, start)    # ClaimError for a broken one

`#pragma HLS dependence` with `false`, or with a `distance`, is a claim on the loop that it stands in (dependences.py).
A pipeline keeps the order of iterations that are further apart than it is deep. So a claim is broken by two iterations
that are closer than the loop's depth of hls/isa.toml, by any where the model has none, and by closer ones than the
distance that it names. A copy of hls/src is built without optimisation, in which clang calls claims.hpp at every load
and store; loops with claims say when they run and when an iteration starts.
"""

import ctypes
import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hls import cosim, isa
from hls.bounds.sources import COMPILER
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from hls.errors import UserError
from hls.lint import cpp, pragmas
from hls.lint.loops import loops
from hls.stress.builds import build
from hls.stress.random_programs import random_program

RUNTIME = Path(__file__).with_name("claims.hpp")
FORM = ("-DDDI_CHIP", "-DDDI_SIDE_BY_SIDE", "-DDDI_QUEUE_SCALE=4096")  # processes one after the other: their own loops
FLAGS = ("--driver-mode=g++", "-std=c++14", "-O0", "-fPIC", "-shared", "-pthread", "-Wno-everything", *FORM,
         "-fsanitize-coverage=func,inline-8bit-counters,trace-loads,trace-stores")  # fmt: skip
DIRECTIONS = ("RAW", "WAR", "WAW")
ANY = 1 << 60  # iterations of a loop without a modelled depth
_SIZES = (1, 2, 4, 8, 16)
_MAIN = """\
#include "cosim.cpp"

namespace ddi_claims {{
Entry* entries = nullptr;
int64_t iteration = 0;
Broken broken[{count}];
}}  // namespace ddi_claims

extern "C" {{
void __sanitizer_cov_8bit_counters_init(void*, void*) {{}}
{hooks}
const int64_t* ddi_claims_broken(int32_t claim) {{ return &ddi_claims::broken[claim].count; }}
void ddi_claims_reset() {{
  for (ddi_claims::Broken& each : ddi_claims::broken) each = ddi_claims::Broken();
}}
}}
"""
_HOOK = """\
__attribute__((no_sanitize("coverage")))
void __sanitizer_cov_{kind}{size}(void* at) {{ ddi_claims::Watch(at, {size}, {writes}); }}"""


class ClaimError(UserError):
    """A dependence pragma says that something never happens, and it did."""


@dataclass(frozen=True)
class Claim:
    """One direction of one pragma: in `loop`, of `variable`, between iterations closer than `window` or within one."""

    loop: str
    variable: str
    inter: bool
    direction: str
    window: int


def found(folder=cosim.SOURCES):
    """(loop of the sources, Claim) of every dependence pragma of the chip's form."""
    unit = cpp.parse(Path(folder).resolve() / "engine.cpp", FORM)
    depths = {str(loop["name"]): int(loop["depth"]) for loop in isa.LOOPS}
    by_cursor = {loop.cursor.hash: loop for loop in loops(unit, Path(folder).resolve())}
    result = []
    for _, pragma, site in pragmas.placed(unit, Path(folder).resolve()):
        loop = by_cursor.get(site.owner.hash)
        words = {*pragma.words, *(pragma.text(key) for key in ("type", "direction", "dependent", "class"))}
        distance = int(pragma.text("distance") or 0)
        if pragma.name != "dependence" or loop is None or not ("false" in words or distance):
            continue
        window = distance if "false" not in words else depths.get(loop.name, ANY)
        for direction in [each for each in DIRECTIONS if each in words] or DIRECTIONS:
            claim = Claim(loop.name, pragma.text("variable"), "intra" not in words, direction, window)
            result.append((loop, claim))
    return result


def run(program, weights, tables, images, start, folder=cosim.SOURCES, **options):
    """The records of a batch, as hls.cosim.run gives them. ClaimError names each claim that the batch breaks."""
    library, claims = _library(Path(folder))
    library.ddi_claims_reset()
    records = cosim.run(program, weights, tables, images, start, threads=1, library=library, **options)
    sentences = [_sentence(claim, library.ddi_claims_broken(number)) for number, claim in enumerate(claims)]
    if any(sentences):
        raise ClaimError("; ".join(filter(None, sentences)))
    return records


def _sentence(claim, broken):
    count, apart, byte = broken[0], broken[1], broken[2]
    if count == 0:
        return ""
    where = f"{claim.loop}: {claim.variable} is claimed to have no {claim.direction}"
    return f"{where}, and had {count}, the first of byte {byte}, {apart} iterations apart"


@functools.cache
def _library(folder):
    placed = found(folder)
    library = cosim.load(_build(folder, placed))
    library.ddi_claims_broken.restype = ctypes.POINTER(ctypes.c_int64)
    library.ddi_claims_broken.argtypes = [ctypes.c_int32]
    return library, [claim for _, claim in placed]


def _build(folder, placed):
    """The watched library, built unless it is there already."""
    texts, edits = cosim.sources(folder), {}
    for number, (loop, claim) in enumerate(placed):
        name = cpp.name_of(loop.cursor, folder.resolve())
        first, last, body = loop.cursor.extent.start, loop.cursor.extent.end, loop.body.extent.start
        entry = f"::ddi_claims::k{claim.direction.title()}, INT64_C({claim.window})"
        inter = str(claim.inter).lower()
        opening = f"const ::ddi_claims::Entry claim{number}({number}, {claim.variable}, {inter}, {entry}); "
        edits.setdefault((name, first.offset), ["{ "]).append(opening)
        edits[name, body.offset + 1] = [" ++::ddi_claims::iteration;"]
        edits[name, last.offset] = [" }"]
    for (name, offset), parts in sorted(edits.items(), reverse=True):
        texts[name] = texts[name][:offset] + "".join(parts).encode() + texts[name][offset:]
    for name in {name for name, _ in edits}:
        texts[name] = b"#include <claims.hpp>\n" + texts[name]
    hooks = [_HOOK.format(kind=kind, size=size, writes=str(kind == "store").lower())
             for kind in ("load", "store") for size in _SIZES]  # fmt: skip
    main = _MAIN.format(count=max(1, len(placed)), hooks="\n".join(hooks))
    texts["watched.cpp"] = b"#include <claims.hpp>\n" + main.encode()
    command = [os.environ.get("CLANG") or COMPILER, *FLAGS, f"-isystem{RUNTIME.parent}"]
    texts["claims.txt"] = RUNTIME.read_bytes()  # of the build's digest
    return build("claims", command, texts, "watched.cpp")


def main(argv=None):
    """Exit code 0, or 1 with a line for each broken claim."""
    parser = Parser(prog="python -m hls.bounds.claims", description=__doc__.split("\n\n")[0])
    parser.add_argument("--programs", type=Whole(1), default=20, help="random programs (default: 20)")
    parser.add_argument("--seed", type=Whole(0), default=1)
    arguments = parser.parse_args(argv)
    return guarded("hls.bounds.claims", lambda: _watch(arguments))


def _watch(arguments):
    broken = 0
    for number in range(arguments.programs):
        try:
            run(*random_program(np.random.default_rng([arguments.seed, number])))
        except ClaimError as error:
            broken += 1
            print(f"error: program {number}: {error}", file=sys.stderr)
    print(f"{len(found())} claims, {arguments.programs} random programs (seed {arguments.seed}), {broken} break one")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
