"""CONV's loop as RTL beside the C++, cycle by cycle: rows of layers, of faults that must be seen, and of yosys.

    python -m bench lockstep                  # needs Verilator; some minutes, more where there is a yosys

`lockstep.X.modelled` is what hls/estimate has for the units that the RTL has: with the process that fetches, AFFINE and
POOL, the second copy of the masks and the vector memory, which the RTL lacks.
"""

from dataclasses import dataclass

from bitstreams.lockstep import build
from bitstreams.lockstep.__main__ import compared
from bitstreams.lockstep.compare import Bench
from bitstreams.lockstep.faults import FAULTS
from bitstreams.lockstep.mapped import mapped
from bitstreams.open_hls import rtl
from hls.estimate.resources import estimate

LAYERS, SEED = 120, 2
FAULT_LAYERS = 12  # in one of which each fault must show
UNITS = ("chip/array", "chip/layer", "masks", "tile_memory")


@dataclass
class Count:
    """What the layers came to, added up."""

    layers: int = 0
    cycles: int = 0
    differing_cycles: int = 0
    differing_words: int = 0
    gap: int = 0  # cycles by which the RTL and the C++ are not done at once
    waits: int = 0
    over_plan: int = 0

    def add(self, name, layer, result):
        self.layers += 1
        self.cycles += result.model_cycles
        self.differing_cycles += result.differing_cycles
        self.differing_words += result.differing_words
        self.gap += abs(result.cycles - result.model_cycles)
        self.waits += result.waits
        self.over_plan += name == "prompt" and result.cycles > layer.cycles


def run(rows, folders, options):
    """Add the rows; LockstepError without Verilator. One build has all faults in it, at first none is switched on."""
    library, count = build.build(FAULTS), Count()
    with Bench(library) as bench:
        for each in compared(bench, LAYERS, SEED):
            count.add(*each)
    figures = {
        "layers": (count.layers, "layers"),
        "cycles": (count.cycles, "cycles"),
        "differing_cycles": (count.differing_cycles + count.gap, "cycles"),
        "differing_words": (count.differing_words, "words"),
        "held_cycles": (count.waits, "cycles"),
        "over_plan": (count.over_plan, "layers"),
    }
    for name, (value, unit) in figures.items():
        rows.add(f"lockstep.{name}", value, unit, "simulated", n=count.layers)
    rows.add("lockstep.faults_seen", faults_seen(library), "faults", "count", n=len(FAULTS), target=len(FAULTS))
    program = rtl.find()["yosys"]
    if program is None:
        print(f"no rows of what it takes: {rtl.missing({'yosys': None})[0]}")
        return
    add_mapped(rows, mapped(program))


def faults_seen(library):
    """In how many of the faults the comparison sees a difference."""
    seen = 0
    for number in range(1, len(FAULTS) + 1):
        with Bench(library, number) as bench:
            seen += any(not result.same for *_, result in compared(bench, FAULT_LAYERS, SEED))
    return seen


def add_mapped(rows, found):
    """Rows of what yosys made of it, and of what is estimated."""
    use = estimate().use
    for name in rtl.RESOURCES:
        rows.add(f"lockstep.{name}", found[name], "", "estimated", n=1)
        rows.add(f"lockstep.{name}.modelled", sum(use[unit].get(name, 0) for unit in UNITS), "", "modelled", n=1,
                 note=", ".join(UNITS))  # fmt: skip
    rows.add("lockstep.period_ns", found["period_ns"], "ns", "estimated", n=1, note=found["way"])
