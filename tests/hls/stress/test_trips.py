"""Iterations of the engine's loops, counted in the running code and compared with numbers made by hand.

pytest --cosim tests/hls/stress/test_trips.py
"""

from dataclasses import replace

import numpy as np
import pytest

from hls import cosim, golden, isa, schedule
from hls.lint import loops
from hls.lint.cpp import SOURCES, parse
from hls.program import decode, encode
from hls.record import NO_BUDGET, Start, agreed
from hls.stress import trips
from hls.stress.random_programs import random_program

HALF = 16 << 16 | 32768
CHIP = ("-DDDI_CHIP=1",)


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


# Iterations of an image, by the build. A processor looks up 9 rows of five channels, and pools 2 · 2 tiles of each. On
# the chip the tables of five channels come 8 bytes a cycle; five channels are two groups of IMAGE_LANES, which take 9
# rows of two tiles each, 4 bytes a cycle and one more; a tile takes 8 cycles in the pool's drain, before the first come
# 1 for its window and 1 to add it, and what the last gives leaves after a delay. The plan has one cycle more.
MADE_BY_HAND = {
    (): {"RunImage::ImageRows": 5 * 9, "PoolChannel::PoolTiles": 5 * 4},
    CHIP: {
        "LoadImageTables::LoadTables": 5 * 256 // isa.PORT_BYTES,
        "LoadPixels::ImageBeats": 2 * (9 * 2) * (2 * 5 + 1),
        "RunMaps::MapCycles": 1 + 1 + 5 * 4 * 8 + isa.WRITE_DELAY,
    },
}


@pytest.mark.cosim
@pytest.mark.parametrize("flags", MADE_BY_HAND)
def test_counts_are_those_made_by_hand(flags):
    records, counts = trips.run(*small_case(), flags=flags)
    assert np.array_equal(agreed(records), cosim.run(*small_case()))
    for name, count in MADE_BY_HAND[flags].items():
        assert counts[name] == 2 * count, name
    assert counts["RunExit::LargestLogit"] == 2 * 3
    assert counts["RunBatch::Images"] == 2
    assert counts["WriteRecord::WriteTail"] == 2 * 2  # two words a cycle
    assert counts["WriteHeader::WriteHeaderBeats"] == 2 * isa.RECORD_HEADER // 2
    assert counts["RunLstm::LstmUnits"] == 0


@pytest.mark.cosim
def test_counters_start_again_and_follow_the_sizes():
    for channels, height, width in ((1, 3, 17), (7, 8, 8)):
        _, counts = trips.run(*small_case(channels, height, width, classes=1, images=3))
        tiles = -(-height // 8) * -(-width // 8)
        assert counts["PoolChannel::PoolTiles"] == 3 * channels * tiles
        _, counts = trips.run(*small_case(channels, height, width, classes=1, images=3), flags=CHIP)
        assert counts["RunMaps::MapCycles"] == 3 * (8 * channels * tiles + 2 + isa.WRITE_DELAY)


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


MAPS = "RunMaps::MapCycles"  # ends when all is written: never later than planned, and seldom much sooner


def executed_loops(case, monkeypatch):
    """Iterations that hls.schedule says of each loop, over the instructions that the golden model executes."""
    total = dict.fromkeys((loop["name"] for loop in isa.LOOPS), 0)

    def note(words, active_in=None, active_out=None, pc=0):
        for name, (count, *_) in schedule.loops(decode(words), active_in, active_out).items():
            total[name] += count
        return price(words, active_in, active_out, pc)

    price = golden.model.instruction_cost
    with monkeypatch.context() as patch:
        patch.setattr(golden.model, "instruction_cost", note)
        records = golden.run(*case)
    return records, total


@pytest.mark.cosim
def test_the_schedule_s_loops_run_as_often_as_it_says(monkeypatch):
    """Whole random programs without a budget, so that everything priced is executed."""
    totals, ran, compared = dict.fromkeys((loop["name"] for loop in isa.LOOPS), 0), 0, 0
    for seed in range(150):
        *data, start = random_program(np.random.default_rng(seed))
        case = (*data, replace(start, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET))
        expected_records, expected = executed_loops(case, monkeypatch)
        records, counts = trips.run(*case, flags=CHIP)
        if (records[:, 0] != isa.STATUS_OK).any():
            continue  # what failed was priced, and not executed
        assert np.array_equal(agreed(records), expected_records)
        assert {name: counts[name] for name in expected if name != MAPS} == without(expected, MAPS), f"seed {seed}"
        assert counts[MAPS] <= expected[MAPS], f"seed {seed}"
        totals = {name: totals[name] + count for name, count in expected.items()}
        ran, compared = ran + counts[MAPS], compared + 1
    assert all(totals.values()) and compared > 100, (compared, totals)
    assert ran > 0.99 * totals[MAPS]


def without(counts, name):
    return {other: count for other, count in counts.items() if other != name}
