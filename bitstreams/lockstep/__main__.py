"""CONV's loop as RTL, cycle by cycle beside the C++, on random layers.

    python -m bitstreams.lockstep                     # 100 layers; needs Verilator
    python -m bitstreams.lockstep --layers 3 --seed 7
    python -m bitstreams.lockstep --map               # and yosys: what the chip's cells come to

A layer is run with a bus that never waits, with one of random latencies, with gates that hold the streams back, or with
both. Its name, its cycles and what differs are printed; the exit code is 1 where anything does.
"""

import argparse
import sys

import numpy as np

from bitstreams.lockstep import build
from bitstreams.lockstep.compare import Bench
from bitstreams.lockstep.layers import random_layer
from bitstreams.lockstep.mapped import mapped
from bitstreams.open_hls import rtl
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded

CYCLES = 4000  # of a layer, at most
LATENCIES = (20, 80)  # cycles until a burst comes
HELD = 70  # per cent
# How the streams are late: (latencies of the bus, held).
WAYS = {"prompt": ((0, 0), 0), "late": (LATENCIES, 0), "held": ((0, 0), HELD), "both": (LATENCIES, HELD)}


def compared(bench, count, seed, cycles=CYCLES):
    """(way, Layer, Result) of `count` random layers of at most so many cycles, the ways in turn."""
    for index in range(count):
        name = list(WAYS)[index % len(WAYS)]
        layer = random_layer(np.random.default_rng([seed, index]), cycles)
        bus, held = WAYS[name]
        yield name, layer, bench.run(layer, bus, held, seed=index + 1)


def main(argv=None):
    """Exit code 0, 1 where something differs, or 2 with a line where a tool is missing."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=Whole(1), default=100, help="random layers (default: %(default)s)")
    parser.add_argument("--seed", type=Whole(0), default=1, help="of the layers (default: %(default)s)")
    parser.add_argument("--map", action="store_true", help="map the RTL with yosys too, which takes minutes")
    arguments = parser.parse_args(argv)
    return guarded("bitstreams.lockstep", lambda: _show(arguments), "interrupted")


def _show(arguments):
    worst = 0
    with Bench(build.build()) as bench:
        for name, layer, result in compared(bench, arguments.layers, arguments.seed):
            said = (
                "same"
                if result.same
                else f"{result.differing_cycles} cycles differ, the first {result.first}: "
                f"{result.what}; {result.differing_words} words differ"
            )
            print(f"{layer.name}, {name}: {result.cycles:,} cycles, {said}", flush=True)
            worst = worst or int(not result.same)
    if arguments.map:
        _show_mapped()
    return worst


def _show_mapped():
    program = rtl.find()["yosys"]
    if program is None:
        print("not mapped: " + rtl.missing({"yosys": None})[0])
        return
    found = mapped(program)
    print(", ".join(f"{found[name]:,} {name.upper()}" for name in rtl.RESOURCES))
    print(f"longest way {found['period_ns']} ns: {found['way']}")


if __name__ == "__main__":
    sys.exit(main())
