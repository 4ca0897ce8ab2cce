"""One image of a package: the chip's loops run as often as the schedule says, and its cycles follow from them."""

import numpy as np
import pytest

from bench.networks.walk import Walker
from bench.packages import PACKAGES
from data.datasets import load_sample
from hls import isa, schedule
from hls.package import read
from hls.record import Start, decode
from hls.stress import trips

CHIP = ("-DDDI_CHIP=1",)


def executed(package, trace):
    """(Step, its loops) of an image that decided as `trace` says and stopped at the network's own exit."""
    walker = Walker(package.program)
    steps = walker.steps(lambda gate: trace[gate] != isa.TRACE_SKIPPED, lambda gate, channels: int(trace[gate]))
    masks = {}
    for step in steps:
        fields = step.fields
        counts = masks.get(fields.get("in_mask", fields.get("mask"))), masks.get(fields.get("out_mask"))
        yield step, schedule.loops(fields, *counts)
        if fields["opcode"] == isa.GATE_CHANNEL:
            masks[fields["mask"]] = int(trace[fields["gate"]])


@pytest.mark.cosim
def test_an_image_of_the_package_runs_as_priced():
    package = read(PACKAGES / "fashion-mnist.npz")
    start = Start(package.gates, package.classes, map_words=package.map_words)
    images = load_sample()[0][:1]
    records, counts = trips.run(package.program, package.weights, package.tables, images, start, flags=CHIP)
    found = decode(records, start)
    assert found.status[0] == isa.STATUS_OK and found.reason[0] == isa.REASON_END
    expected, cycles = dict.fromkeys((loop["name"] for loop in isa.LOOPS), 0), 0
    for step, loops in executed(package, found.trace[0]):
        cycles += isa.FETCH if step.pc < isa.CODE_STORE else isa.FETCH_FAR
        for name, (repeated, entries, ii, depth) in loops.items():
            expected[name] += repeated
            cycles += repeated * ii + entries * depth
    maps = "RunMaps::MapCycles"  # ends when all is written, which is never later than planned
    assert {name: counts[name] for name in expected if name != maps} == {
        name: count for name, count in expected.items() if name != maps
    }
    assert 0.995 * expected[maps] < counts[maps] <= expected[maps]
    assert found.cycles[0] == cycles
    skipped = np.count_nonzero(found.trace[0] == isa.TRACE_SKIPPED)
    assert skipped and 0 < found.channels_run[0] < sum(gate["channels"] for gate in package.meta["gates"])
