"""A bus that keeps the chip's loops waiting: the same records in more cycles, and stops by lost time that replay.

pytest --cosim tests/hls/stress/test_bus.py
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from hls import cosim, golden, isa, schedule
from hls.program import decode as fields
from hls.program import encode
from hls.record import NO_BUDGET, Start, agreed, decode, stops
from hls.stress import trips
from hls.stress.random_programs import random_program
from tests.hls.extremes import EXTREMES

CHIP = ("-DDDI_CHIP=1",)
MAPS = "RunMaps::MapCycles"
PLANNED = {loop["name"] for loop in isa.LOOPS}


@pytest.mark.cosim
@pytest.mark.parametrize("bus", [(1, 1), (20, 80), (3, 300)])
def test_latencies_change_no_record(bus):
    cases = [random_program(np.random.default_rng(seed)) for seed in range(30)] + [extreme() for extreme in EXTREMES]
    waited = 0
    for case in cases:
        case = (*case[:-1], replace(case[-1], budget_cycles=NO_BUDGET))
        prompt, late = (trips.run(*case, flags=CHIP, bus=bus) for bus in ((0, 0), bus))
        assert np.array_equal(agreed(late[0]), agreed(prompt[0]))
        assert np.array_equal(agreed(late[0]), cosim.run(*case)) and (stops(late[0]) == -1).all()
        assert all(late[1][name] == prompt[1][name] for name in PLANNED if name != MAPS)
        waited += late[1][MAPS] - prompt[1][MAPS]
    assert waited > 0


@pytest.mark.cosim
def test_a_stop_by_lost_time_is_replayed():
    """Budgets that the model's cycles just stay within, and those of a late bus do not."""
    late = 0
    for seed in range(200):
        *data, start = random_program(np.random.default_rng(seed))
        free = replace(start, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET, pool=1, floor_flops=0, floor_cycles=0)
        whole = decode(golden.run(*data, free), free)
        if whole.status.any():
            continue
        tight = replace(free, budget_cycles=int(whole.cycles.max()))
        records = cosim.run(*data, tight, shape="chip", bus=(50, 90))
        assert np.array_equal(agreed(records), golden.run(*data, tight, stops=stops(records)))
        found = decode(records, tight)
        stopped = found.reason == isa.REASON_TIME
        assert ((found.stop_pc >= 0) == stopped).all() and (found.stalls[stopped] > 0).all()
        assert (found.cycles <= tight.budget_cycles).all()
        late += np.count_nonzero(stopped)
    assert late > 3


@pytest.mark.cosim
def test_an_image_without_an_exit_is_never_late():
    """It has no result to stop with: a bus makes no image fail."""
    *data, start = random_program(np.random.default_rng(0))
    free = replace(start, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET, pool=1, floor_flops=0, floor_cycles=0)
    data[0] = data[0][data[0][:, 0] != isa.TAP]
    prompt = cosim.run(*data, free, shape="chip")
    tight = replace(free, budget_cycles=int(decode(prompt, free).cycles.max()))
    late = cosim.run(*data, tight, shape="chip", bus=(300, 300))
    assert decode(late, tight).stalls.sum() > 0
    assert np.array_equal(agreed(late), golden.run(*data, tight))


@pytest.mark.cosim
def test_counters_of_a_layer_by_hand():
    """One CONV of 3 × 3 on two tiles, four to two channels: 2 · 4 · 3 cycles with products."""
    program = np.stack([
        encode(isa.IMAGE, output=0, channels=4, height=8, width=16, weights=0),
        encode(isa.CONV, flags=isa.FLAG_IN_SIGNED, input=0, output=64, identity=64, in_channels=4, out_channels=2,
               height=8, width=16, kernel=3, stride=1, in_mask=0, out_mask=0, weights=1024, table=0, pool=0),
        encode(isa.EXIT, exit=0, input=0, classes=2, scale=1),
    ])  # fmt: skip
    rng = np.random.default_rng(1)
    weights = rng.integers(-127, 128, 1024 + 2 * 40, dtype=np.int8)
    tables = np.tile(np.array([1 | 16 << 16, 1 | 8 << 16], np.int32), 3)
    images = rng.integers(0, 256, (1, 8, 16, 4), dtype=np.uint8)
    start = Start(gates=0, classes=2)
    for bus in ((0, 0), (60, 60)):
        records, counts = trips.run(program, weights, tables, images, start, flags=CHIP, bus=bus)
        found = decode(records, start)
        assert found.status[0] == isa.STATUS_OK and found.array_busy[0] == 2 * 4 * 3
        # four reads a window, and a word written for each tile of each channel
        assert found.port_idle[0] == isa.MAP_READS * counts[MAPS] - 2 * 4 * 4 - 2 * 2
        if bus == (0, 0):
            planned, prompt = schedule.conv_plan(fields(program[1]), 4, 2).cycles, counts[MAPS]
            assert found.stalls[0] == 0 and prompt <= planned
        else:
            assert found.stalls[0] == counts[MAPS] - planned >= 60 - (planned - prompt)


def eight_at_once(threshold):
    """Two CONVs of one channel into eight of a 4 × 4 map, a group each; of none where the gate's threshold is high."""
    conv = partial(
        encode, isa.CONV, flags=isa.FLAG_IN_SIGNED, input=0, output=64, identity=0, in_channels=1, out_channels=8,
        height=4, width=4, kernel=1, stride=1, in_mask=1, out_mask=0, weights=256)  # fmt: skip
    program = np.stack([
        encode(isa.IMAGE, output=0, channels=1, height=4, width=4, weights=0),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=1, height=4, width=4, scale=1),
        encode(isa.GATE_CHANNEL, input=0, channels=1, threshold=threshold, mask=1, gate=-1),
        conv(table=0, pool=0),
        conv(table=2 * 9, pool=8),
        encode(isa.EXIT, exit=0, input=0, classes=16, scale=1),
    ])  # fmt: skip
    rng = np.random.default_rng(2)
    weights = rng.integers(-127, 128, 256 + 8 * 16, dtype=np.int8)
    rows = [[(1, 0), *((10 * sign * bias, 1) for bias in range(1, 9))] for sign in (1, -1)]
    images = rng.integers(0, 256, (6, 4, 4, 1), dtype=np.uint8)
    return program, weights, np.array(rows, np.int32).ravel(), images, Start(gates=0, classes=16)


@pytest.mark.cosim
@pytest.mark.parametrize(("threshold", "inputs"), [(-(2**31), 1), (2**31 - 1, 0)])
def test_a_group_s_drain_waits_for_its_last_bias(threshold, inputs):
    """The rows of a table come one by one, and a bus may break off between any two of them."""
    case = eight_at_once(threshold)
    pooling, conv = (fields(case[0][pc]) for pc in (1, 3))
    planned = schedule.map_plan(pooling).cycles + 2 * schedule.conv_plan(conv, inputs, 8).cycles
    expected = golden.run(*case)
    for bus in ((0, 0), (0, 60)):
        records, counts = trips.run(*case, flags=CHIP, bus=bus)
        assert np.array_equal(agreed(records), expected)
        assert (counts[MAPS] <= len(case[3]) * planned) == (bus == (0, 0))


@pytest.mark.cosim
def test_a_layer_waits_for_the_bus_once():
    """An AFFINE takes a row of the table every 8 cycles, so 10 must be on their way at 80 cycles of latency."""
    program = np.stack([
        encode(isa.IMAGE, output=0, channels=1, height=8, width=8, weights=0),
        encode(isa.AFFINE, flags=isa.FLAG_IN_SIGNED, input=0, output=64, in_channels=1, out_channels=48, height=8,
               width=8, stride=1, channel_offset=7, table=0, pool=0, pool_scale=1),
        encode(isa.EXIT, exit=0, input=0, classes=48, scale=1),
    ])  # fmt: skip
    rng = np.random.default_rng(5)
    weights, images = rng.integers(-128, 128, 256, dtype=np.int8), rng.integers(0, 256, (2, 8, 8, 1), dtype=np.uint8)
    tables = np.array([(100 * channel, 1) for channel in range(48)], np.int32).ravel()
    case = program, weights, tables, images, Start(gates=0, classes=48)
    trips_of = {}
    for latency in (0, 80):
        records, counts = trips.run(*case, flags=CHIP, bus=(latency, latency))
        assert np.array_equal(agreed(records), golden.run(*case))
        trips_of[latency] = counts[MAPS]
    assert trips_of[80] - trips_of[0] == len(images) * 80


@pytest.mark.cosim
@pytest.mark.parametrize("bus", [(-1, 3), (4, 3)])
def test_a_bus_that_cannot_be_is_refused(bus):
    with pytest.raises(cosim.CosimError, match="two rising numbers"):
        cosim.run(*random_program(np.random.default_rng(0)), bus=bus)
