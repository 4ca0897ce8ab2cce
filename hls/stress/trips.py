"""How often each loop of the engine runs: counted in the running code.

    records, counts = run(program, weights, tables, images, start)   # counts: Function::Label → iterations

A copy of hls/src goes to build/, with a counter at the start of each labelled loop's body, and is built like the
co-simulation. The cycles of docs/engine.md follow the loops one to one; a test compares them with these counts. Loops
in constexpr functions run in the compiler and are left out.
"""

import ctypes
import functools

from hls import cosim
from hls.lint import cpp
from hls.lint.loops import loops
from hls.stress.builds import build

# Two libraries in one process must not share what has the same name in both: queues of two lengths, for one.
FLAGS = ("-std=c++14", "-O2", "-fPIC", "-shared", "-pthread", "-Wno-unknown-pragmas", "-fno-gnu-unique")
_EXPORTS = """\
// Counts the iterations of the engine's loops: made by hls/stress/trips.py.
#include <cstdint>

uint64_t ddi_trips[{count}];

#include "cosim.cpp"

extern "C" {{

void ddi_trips_reset() {{
  for (uint64_t& trips : ddi_trips) trips = 0;
}}

uint64_t ddi_trips_count(int32_t loop) {{ return ddi_trips[loop]; }}

int32_t ddi_trips_loops() {{ return {count}; }}

}}  // extern "C"
"""


def run(program, weights, tables, images, start, flags=(), changes=(), **options):
    """(records, {loop: iterations}) of a batch; every loop of the source is there, also with 0.

    `flags` are added to the build's, such as -DDDI_CHIP=1; `changes` of the sources are (file, text, what is put in its
    place); the rest is hls.cosim.run's. The batch runs in one thread, and the counters belong to the library: one call
    at a time. CosimError for a text that does not stand exactly once in its file.
    """
    library, names = _library(tuple(flags), tuple(changes))
    library.ddi_trips_reset()
    records = cosim.run(program, weights, tables, images, start, threads=1, library=library, **options)
    counts = dict.fromkeys(names, 0)
    for index, name in enumerate(names):
        counts[name] += library.ddi_trips_count(index)
    return records, counts


def names(flags=()):
    """Function::Label of every labelled loop that the engine has when it is built with `flags`."""
    return [name for name, *_ in _places(tuple(flags))]


@functools.cache
def _library(flags, changes=()):
    places = _places(flags)
    library = cosim.load(_build(flags, places, changes))
    library.ddi_trips_count.restype = ctypes.c_uint64
    library.ddi_trips_count.argtypes = [ctypes.c_int32]
    if library.ddi_trips_loops() != max(1, len(places)):
        raise cosim.CosimError(f"{library.ddi_trips_loops()} counters for {len(places)} loops: empty build/")
    return library, [name for name, *_ in places]


def _places(flags):
    """(name, path, offset of the body, has braces) of each labelled loop."""
    unit = cpp.parse(cpp.SOURCES / "engine.cpp", flags)
    errors = [str(each) for each in unit.diagnostics if each.severity >= each.Error]
    if errors:
        raise cosim.CosimError(f"hls/src does not compile: {errors[0]}")
    places = []
    for loop in loops(unit):
        if loop.label and not cpp.is_constexpr(loop.function):
            braces = loop.body.kind.name == "COMPOUND_STMT"
            places.append((loop.name, cpp.path_of(loop.body), loop.body.extent.start.offset, braces))
    return places


def _build(flags, places, changes=()):
    """The counting library, built unless it is there already."""
    sources = cosim.sources()
    for index, (_, path, offset, braces) in sorted(enumerate(places), key=lambda each: -each[1][2]):
        name = path.relative_to(cosim.SOURCES).as_posix()
        text, at = sources[name], offset + braces
        counted = f" ++::ddi_trips[{index}];" if braces else f"if (++::ddi_trips[{index}]) "
        sources[name] = text[:at] + counted.encode() + text[at:]
    for name, old, new in changes:
        count = sources[name].count(old.encode())
        if count != 1:
            raise cosim.CosimError(f"{old!r} stands {count} times in {name}, not once")
        sources[name] = sources[name].replace(old.encode(), new.encode())
    sources["trips.cpp"] = _EXPORTS.format(count=max(1, len(places))).encode()
    return build("trips", [cosim.compiler(), *FLAGS, *flags], sources, "trips.cpp")
