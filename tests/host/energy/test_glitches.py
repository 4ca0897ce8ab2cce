"""Samples that cannot be are left out and counted, and too many of them refuse the measurement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import power
from hls.errors import UserError
from host.board import catalog
from host.energy.gauge import batch_gauge
from host.energy.measure import measure
from host.meters.calibration import Calibration
from host.meters.plausible import ALONE, Supply, plausible, supply_of
from host.meters.recorded import read_csv
from host.meters.trace import Collector

ZEDBOARD = supply_of(catalog.read())


class Glitching(power.SimulatedMeter):
    """A simulated meter without noise or loss, whose amperes go through `change(times, amperes, busy)`."""

    def __init__(self, world, change, period_s=0.005):
        super().__init__(world)
        self._noise, self._lost, self._gain, self._period = 2e-3, 0.0, 1.0, period_s
        self.calibration = Calibration(1.0, 0.0, 1.0, 1e-3, 5)
        self._change, self._count = change, 0

    def _glitched(self, ampere):
        index = self._count + np.arange(len(ampere))
        self._count += len(ampere)
        return self._change(index, ampere, ampere * 12 > self._world.idle + 0.5 * self._world.extra)


def world():
    """A board that takes 2.54 mJ an image above idle."""
    found = power.World(np.random.default_rng(3))
    found.__dict__.update({"drift": 0.0, "slow_w": 0.0, "wave": 0.0, "gap_s": 0.0, "extra": 1.0})
    found.batch_s, found.asked = 0.65, 0.01
    found.joule_per_image = found.extra * found.batch_s / power.IMAGES
    return found


def measured(change, **options):
    board = world()
    meter = Glitching(board, change, **options)
    meter.supply = ZEDBOARD
    return board, measure(meter, board.run_batch, power.IMAGES, clock=board, relative_error=0.01)


def every(count, where=None, value=0.0):
    """Each `count`-th sample, or of those where the board is busy, is `value` A."""

    def change(index, ampere, busy):
        hit = index % count == 0
        return np.where(hit & busy if where else hit, value, ampere)

    return change


@pytest.mark.parametrize(
    "change",
    [every(30), every(25, where="busy"), every(200, value=8.0), every(40, value=-0.2), every(50, value=50.0)],
    ids=["zeros", "zeros while busy", "8 A once a second", "negative", "more than the sensor sees"],
)
def test_a_few_are_left_out_and_counted(change):
    board, energy = measured(change)
    low, high = energy.interval95
    assert low <= board.joule_per_image <= high
    assert energy.joule_per_image == pytest.approx(board.joule_per_image, rel=0.01)
    assert any("samples left out that cannot be" in warning for warning in energy.warnings)


@pytest.mark.parametrize("change", [every(9), every(9, where="busy"), every(9, value=8.0)])
def test_too_many_refuse_the_measurement(change):
    with pytest.raises(UserError, match=r"\d+ of \d+ samples cannot be .*12 V"):
        measured(change)


def test_nothing_is_left_out_of_a_good_trace():
    _, energy = measured(lambda index, ampere, busy: ampere)
    assert energy.trace.seen is None and not any("left out" in warning for warning in energy.warnings)


def test_a_slow_instrument_takes_longer_loops():
    """One sample a second: a right energy, in some minutes, said before."""
    said, board = [], world()
    meter = Glitching(board, lambda index, ampere, busy: ampere, period_s=1.0)
    energy = measure(meter, board.run_batch, power.IMAGES, clock=board, tell=said.append)
    assert energy.joule_per_image == pytest.approx(board.joule_per_image, rel=0.02)
    assert len(said) == 1 and "1 samples a second are few: measuring takes about 10 minutes" in said[0]
    assert board.now - 1000 < 15 * 60


# --------------------------------------------------------------------------------------------------------------- which
def load(count, random):
    """Amperes (count,) of a board: idle, work, and batches with gaps between them."""
    work = (np.arange(count) // 40) % 2 == 1
    gap = np.arange(count) % 13 == 0
    return 0.21 + 0.08 * (work & ~gap) + random.normal(0, 1e-3, count)


@given(st.integers(0, 2**32), st.integers(60, 400))
def test_a_load_that_changes_is_no_fault(seed, count):
    ampere = load(count, np.random.default_rng(seed))
    assert plausible(np.full(count, 12.0), ampere, ZEDBOARD).all()


@given(st.integers(0, 2**32), st.sampled_from([0.0, -0.1, 0.001, 0.6, 2.0, 8.0, 9.0]))
def test_what_stands_alone_is_found_and_nothing_else(seed, value):
    random = np.random.default_rng(seed)
    ampere, at = load(400, random), np.arange(7, 390, 29)
    ampere[at] = value
    assert np.flatnonzero(~plausible(np.full(400, 12.0), ampere, ZEDBOARD)).tolist() == at.tolist()


@pytest.mark.parametrize(("length", "left"), [(1, 1), (ALONE, ALONE), (ALONE + 1, 0), (30, 0)])
def test_a_peak_that_lasts_is_the_loads(length, left):
    ampere = load(2000, np.random.default_rng(1))
    ampere[500 : 500 + length] = 0.9
    assert (~plausible(np.full(2000, 12.0), ampere)).sum() == left


@pytest.mark.parametrize(("volt", "fine"), [(12.4, True), (9.0, True), (0.0, False), (5.0, False), (24.0, False)])
def test_volts_are_the_boards(volt, fine):
    ampere = load(100, np.random.default_rng(2))
    volts = np.full(100, 12.0)
    volts[50] = volt
    assert plausible(volts, ampere, ZEDBOARD)[50] == fine == plausible(volts, ampere)[50]


def test_a_meter_in_another_supply_is_refused():
    collector = Collector()
    for index in range(100):
        collector.add(index / 100, 5.0, 0.5 + index % 3 / 100)
    with pytest.raises(UserError, match=r"100 of 100 samples cannot be .*5 V.*the board's supply is 12 V"):
        collector.trace("m", supply=ZEDBOARD)
    assert collector.trace("m", supply=Supply()).seen is None


def test_all_that_was_seen_is_written(tmp_path):
    collector = Collector()
    for index, ampere in enumerate(every(25)(np.arange(200), load(200, np.random.default_rng(3)), None)):
        collector.add(index / 100, 12.0, ampere)
    trace = collector.trace("m")
    assert len(trace.time_s) == 192
    trace.write_csv(tmp_path / "t.csv")
    assert len(read_csv(tmp_path / "t.csv").time_s) == 200


def test_a_spike_does_not_reach_what_keeps_a_limit():
    """Between two batches: the middle one of the newest samples counts."""
    board = world()
    meter = Glitching(board, lambda index, ampere, busy: ampere)
    collector, gauge = meter._collector, batch_gauge(meter, catalog.read())
    for batch in range(20):
        for step in range(10):
            collector.add(batch + step / 10, 12.0, 8.0 if step == 9 and batch % 2 else 0.2 + step * 1e-4)
        found = gauge(1, None, 1.0)
        assert found is None or found[0] / found[1] == pytest.approx(2.4, rel=0.01)
