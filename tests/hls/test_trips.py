"""Iterations of the engine's loops, counted in the running code and compared with numbers made by hand.

pytest --cosim tests/hls/test_trips.py
"""

import numpy as np
import pytest

from hls import cosim, isa, loops, trips
from hls.cpp import SOURCES, parse
from hls.program import encode
from hls.record import Start
from tests.hls.random_programs import random_program

HALF = 16 << 16 | 32768


def small_case(channels=5, height=9, width=11, classes=3, images=2):
    """IMAGE, GLOBAL_POOL and EXIT."""
    program = np.stack([
        encode(isa.IMAGE, output=0, channels=channels, height=height, width=width, weights=0),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=channels, height=height,
               width=width, scale=HALF),
        encode(isa.EXIT, exit=0, input=0, classes=classes, scale=HALF),
    ])  # fmt: skip
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (images, height, width, channels), dtype=np.uint8)
    weights = rng.integers(-128, 128, 256 * channels, dtype=np.int8)
    return program, weights, np.zeros(0, np.int32), pixels, Start(gates=0, classes=classes)


@pytest.mark.cosim
@pytest.mark.parametrize("flags", [(), ("-DDDI_CHIP=1",)])
def test_counts_are_those_made_by_hand(flags):
    records, counts = trips.run(*small_case(), flags=flags)
    assert np.array_equal(records, cosim.run(*small_case()))
    assert counts["RunGlobalPool::GlobalTiles"] == 2 * 5 * (2 * 2)
    assert counts["RunExit::LargestLogit"] == 2 * 3
    assert counts["ddi_engine::Images"] == 2
    assert counts["WriteRecord::WriteLogits"] == 2 * 3
    assert counts["RunLstm::LstmUnits"] == 0
    tables = sum(count for name, count in counts.items() if name.endswith("::LoadTables"))
    assert tables == 2 * 5 * 256 // isa.PORT_BYTES


@pytest.mark.cosim
def test_counters_start_again_and_follow_the_sizes():
    for channels, height, width in ((1, 3, 17), (7, 8, 8)):
        _, counts = trips.run(*small_case(channels, height, width, classes=1, images=3))
        tiles = -(-height // 8) * -(-width // 8)
        assert counts["RunGlobalPool::GlobalTiles"] == 3 * channels * tiles


@pytest.mark.cosim
def test_every_loop_of_the_source_is_counted_and_changes_nothing():
    labels = {loop.name for loop in loops.loops(parse(SOURCES / "engine.cpp"))}
    reached = set()
    for seed in range(40):
        case = random_program(np.random.default_rng(seed))
        records, counts = trips.run(*case)
        assert np.array_equal(records, cosim.run(*case))
        assert set(counts) == labels
        reached |= {name for name, count in counts.items() if count}
    print(f"{len(reached)} of {len(labels)} loops reached; not: {sorted(labels - reached)}")
    assert len(reached) > 0.8 * len(labels)
