"""Energy: integrals and statistics against known ones, intervals that hold the truth, the model and its fit."""

import json
import time
from dataclasses import replace
from math import sqrt
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import power
from hls import golden, isa
from hls.errors import UserError
from hls.record import decode
from host.board import catalog
from host.energy.fit import fit, main, read_coefficients, write_coefficients
from host.energy.gauge import COUNTERS
from host.energy.measure import FIRST, Repetition, _mean, estimate, integral, measure, student_t
from host.energy.model import INSTRUCTION_BYTES, MAC_BLOCK_RAM, modelled, worst_case
from host.meters.calibration import UNCALIBRATED, Calibration
from host.meters.open import open_meter
from host.meters.trace import Trace
from tests.host import tiny
from tests.host.standin_meter import LineMeter, noisy_idle

BOARD = catalog.read()


def sampled(watt, end_s=10.0, rate_hz=200, lost=()):
    """The Trace of `watt(times)` from 0 to end_s, without the samples numbered in `lost`."""
    times = np.delete(np.arange(0, end_s, 1 / rate_hz), lost)
    power_w = watt(times)
    return Trace(times, np.full(len(times), 12.0), power_w / 12, power_w, times.copy(), 0.0)


# ------------------------------------------------------------------------------------------------------------ integrals
@given(st.floats(0.1, 4), st.floats(5, 9.9), st.floats(-3, 3), st.floats(0, 5))
def test_straight_lines_are_integrated_exactly(start_s, end_s, slope, offset):
    trace = sampled(lambda times: offset + slope * times, lost=np.arange(300, 400, 3))
    exact = offset * (end_s - start_s) + slope * (end_s**2 - start_s**2) / 2
    assert integral(trace, start_s, end_s) == pytest.approx(exact, abs=1e-9)


@given(st.floats(0, 9), st.floats(0, 9), st.floats(0, 9))
def test_integrals_add_up(one, two, three):
    trace = sampled(lambda times: 2 + np.sin(5 * times))
    low, middle, high = sorted((one, two, three))
    whole = integral(trace, low, high)
    assert integral(trace, low, middle) + integral(trace, middle, high) == pytest.approx(whole, abs=1e-9)


# ----------------------------------------------------------------------------------------------------------- statistics
@pytest.mark.parametrize(
    ("freedom", "value"),
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (7, 2.3646), (10, 2.2281), (30, 2.0423), (1e9, 1.95996)],
)
def test_student_t_is_the_table_s(freedom, value):
    assert student_t(freedom) == pytest.approx(value, rel=2e-3)
    assert student_t(freedom + 0.9) == student_t(freedom)  # down: the wider interval


def test_no_freedom_is_refused():
    with pytest.raises(ValueError, match="1 degree of freedom"):
        student_t(0.5)


def test_neighbours_that_are_alike_know_less():
    random = np.random.default_rng(8)
    noise = random.normal(size=200)
    slow = np.convolve(random.normal(size=219), np.ones(20), "valid") / sqrt(20)
    assert _mean(noise)[1] == pytest.approx(noise.std(ddof=1) / sqrt(200), rel=1e-9)
    assert _mean(slow)[1] > 2 * slow.std(ddof=1) / sqrt(200)


def test_a_drift_of_idle_is_taken_out():
    """A ramp of a watt in ten seconds under three loops of a watt, exactly."""
    loops = [(1.0, 2.0), (4.0, 5.0), (7.0, 8.0)]

    def watt(times):
        inside = sum((start <= times) & (times < end) for start, end in loops)
        return 2.5 + 0.1 * times + inside

    repetitions = [Repetition(start - 0.6, start, end, end + 0.6, 100) for start, end in loops]
    meter = SimpleNamespace(name="m", kind="measured", calibration=None)
    energy = estimate(sampled(watt), repetitions, 1, meter)
    assert energy.joule_per_image == pytest.approx(0.01, rel=1e-2)  # trapezoids at the loops' edges
    assert energy.idle_watt == pytest.approx(2.5 + 0.1 * 4.5, abs=1e-3)
    assert any("idle power drifted" in warning for warning in energy.warnings)


@pytest.mark.parametrize("draws", [120])
def test_the_interval_holds_the_truth_as_often_as_it_says(draws):
    """bench/power.py runs 1,000; here fewer, within what chance allows (the binomial's, at one in ten thousand)."""
    inside, widths = power.coverage(draws, seed=11)
    spread = NormalDist().inv_cdf(1 - 0.5e-4) * sqrt(0.95 * 0.05 / draws)
    assert abs(inside / draws - 0.95) <= spread
    assert np.median(widths) < 0.05


def test_the_error_asked_for_is_reached():
    for asked in (0.02, 0.004):
        world = power.World(np.random.default_rng(5))
        world.extra = 0.15
        energy = measure(
            power.SimulatedMeter(world), world.run_batch, 256, clock=world, relative_error=asked, max_s=900
        )
        assert energy.standard_error <= asked * energy.joule_per_image and energy.repetitions >= FIRST


def test_an_error_that_cannot_be_reached_is_said():
    world = power.World(np.random.default_rng(5))
    world.extra = 0.15
    energy = measure(power.SimulatedMeter(world), world.run_batch, 256, clock=world, relative_error=1e-4, max_s=30)
    assert any("after all the time given, 0.01% asked" in warning for warning in energy.warnings)
    assert world.monotonic() < 1000 + 45


# ------------------------------------------------------------------------------------------------------------- measured
def test_the_whole_way_on_a_pseudo_terminal(tmp_path):
    """A meter that plays a watt more while batches run: half a millijoule an image, through the serial line."""
    running = []

    def watt(time_s):
        return noisy_idle(time_s) + (1.0 if running else 0.0)

    def run_batch():
        running.append(1)
        time.sleep(0.05)
        running.clear()

    with LineMeter(rate_hz=400, watt=watt) as device, open_meter(device.address) as meter:
        energy = measure(meter, run_batch, 100, idle_s=0.16, max_s=4.0, relative_error=0.2)
        assert meter._thread is None
    low, high = energy.interval95
    assert low < energy.joule_per_image < high and energy.kind == "measured"
    assert energy.joule_per_image == pytest.approx(0.5e-3, rel=0.25)  # the machine may be busy
    assert energy.idle_watt == pytest.approx(2.57, rel=0.05)
    assert energy.gain_uncertainty == UNCALIBRATED
    assert (high - low) / energy.joule_per_image > 2 * 1.9 * UNCALIBRATED
    assert any("not calibrated" in warning for warning in energy.warnings)
    assert "mJ an image above idle, 95 % interval" in str(energy) and "\n" not in str(energy)
    energy.trace.write_csv(tmp_path / "trace.csv")
    assert len((tmp_path / "trace.csv").read_text().splitlines()) == len(energy.trace.time_s) + 1


class Known(power.SimulatedMeter):
    """A simulated meter without noise, loss or error."""

    def __init__(self, world, **change):
        super().__init__(world)
        self._noise, self._lost, self._gain, self._period = 0.0, 0.0, 1.0, 0.005
        self.calibration = Calibration(1.0, 0.0, 1.0, 1e-6, 5)
        self.__dict__.update(change)


def quiet_world(**change):
    """A World without drift, wave or gaps."""
    world = power.World(np.random.default_rng(3))
    world.__dict__.update({"drift": 0.0, "slow_w": 0.0, "wave": 0.0, "gap_s": 0.0, **change})
    return world


def test_lost_repetitions_are_left_out_and_said():
    world = quiet_world()

    class Gappy(Known):
        def so_far(self):
            trace = super().so_far()
            start = 1000 + 0.4 * (world.now - 1000)
            keep = (trace.time_s < start) | (trace.time_s > start + 0.5)
            arrays = (getattr(trace, name)[keep] for name in ("time_s", "volt", "ampere", "watt", "device_s"))
            return Trace(*arrays)

    energy = measure(Gappy(world), world.run_batch, 256, clock=world)
    assert any("repetitions left out for lost samples" in warning for warning in energy.warnings)
    assert energy.joule_per_image == pytest.approx(world.extra * world.batch_s / 256, rel=0.03)


def test_a_meter_without_samples_of_the_runs():
    world = quiet_world()

    class Deaf(Known):
        def so_far(self):
            trace = super().so_far()
            return trace.between(0, trace.time_s[0] + 1.0)

    with pytest.raises(UserError, match="repetitions lack samples"):
        measure(Deaf(world), world.run_batch, 256, clock=world)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"images": 0}, "0 images"),
        ({"relative_error": 0.0}, "expected 1 or more, and 0 to 1"),
        ({"idle_s": 0.0}, "idle phase is too short"),
        ({"max_s": 0.5}, "are too short: a repetition takes"),
    ],
)
def test_what_cannot_be_measured(options, expected):
    world = quiet_world()
    with pytest.raises(UserError, match=expected):
        measure(Known(world), world.run_batch, **{"images": 256, "clock": world, **options})


def test_running_that_is_no_more_than_idle():
    world = quiet_world(extra=0.0)
    with pytest.raises(UserError, match="not to be told apart"):
        measure(Known(world, _noise=0.01), world.run_batch, 256, clock=world)


def test_a_batch_that_fails_ends_the_sampling():
    def broken():
        raise RuntimeError("board")

    with LineMeter() as device, open_meter(device.address) as meter:
        with pytest.raises(RuntimeError, match="board"):
            measure(meter, broken, 1)
        assert meter._thread is None


# ------------------------------------------------------------------------------------------------------------- modelled
def results(images=30, budget=None):
    """Results of the tiny package."""
    package = tiny.package()
    start = package.start(**({} if budget is None else {"budget_flops": budget}))
    pixels = np.random.default_rng(1).integers(0, 256, (images, *package.image_shape), dtype=np.uint8)
    return decode(golden.run(package.program, package.weights, package.tables, pixels, start), start)


def test_the_model_is_equation_6_on_the_counters():
    found, record, e = modelled(results(), BOARD), results(), BOARD.energy
    assert found.kind == "modelled" and "not calibrated" in found.source
    macs, weights = record.flops[3] / 2, record.weight_bytes[3]
    expected = macs * (e.mac + e.register) + (macs * MAC_BLOCK_RAM + weights) * e.block_ram
    expected += (weights + INSTRUCTION_BYTES * record.instructions[3]) * e.ddr
    expected += e.static * record.cycles[3] / BOARD.clock_hz
    assert found.joule[3] == pytest.approx(expected, rel=1e-12)
    assert sum(found.levels.values()) == pytest.approx(found.joule)
    assert found.joule_per_image == pytest.approx(found.joule.mean())
    assert found.above_static == pytest.approx(found.joule - found.levels["static"])
    assert (found.joule <= worst_case(record.flops, record.cycles, BOARD)).all()


def test_a_mac_reads_what_the_schedule_reads():
    """By hand, 3 × 3 from 4 to 8 channels: windows of four reads of 64 pixels, and eight lanes of 8 bytes a cycle.

    16 × 16 pixels: 4 tiles by 4 groups of two channels. 4 × 4: one part, one group of eight.
    """
    for side, steps in ((16, 4 * 4), (4, 1)):
        windows, macs = steps * 4, side**2 * 9 * 4 * 8
        assert windows * (4 * 64 + 3 * 8 * 8) / macs == pytest.approx(MAC_BLOCK_RAM)


def test_every_level_says_where_it_comes_from():
    for level in ("mac", "register", "block_ram", "ddr", "static"):
        assert f"{level}: " in BOARD.energy.source
    assert "Horowitz" in BOARD.energy.source and BOARD.energy.ddr > BOARD.energy.block_ram


def runs(board, seeds, noise=0.0, random=None):
    """Measured runs on a board whose true coefficients are known: (Results-like, J above idle, its error)."""
    for seed in seeds:
        draw = np.random.default_rng(seed)
        record = SimpleNamespace(
            flops=draw.integers(10**7, 3 * 10**8, 5),
            cycles=draw.integers(10**4, 10**6, 5),
            weight_bytes=draw.integers(10**4, 10**6, 5),
            instructions=draw.integers(50, 500, 5),
        )
        joule = modelled(record, board).joule_per_image
        yield record, joule * (1 + (random.normal(0, noise) if random else 0)), max(noise, 1e-3) * joule


def test_coefficients_are_fitted_to_measurements(tmp_path):
    e = BOARD.energy
    scaled = {"mac": e.mac * 2.5, "register": e.register * 2.5, "block_ram": e.block_ram * 0.5, "ddr": e.ddr * 0.5}
    true = replace(BOARD, energy=replace(e, **scaled, static=0.31))
    found = fit(list(runs(true, range(6))), BOARD)
    for name in catalog.LEVELS:
        assert getattr(found, name) == pytest.approx(getattr(true.energy, name), rel=1e-6)
    assert "fitted to 6 measured runs" in found.kind
    write_coefficients(tmp_path / "e.json", found)
    assert read_coefficients(tmp_path / "e.json") == found
    record = next(runs(true, [9]))[0]
    again = modelled(record, BOARD, found)
    assert again.joule == pytest.approx(modelled(record, true).joule)
    assert (again.above_idle == again.joule).all()  # of figures above idle it was made
    plain = modelled(record, BOARD)
    assert (plain.above_idle == plain.above_static).all()


def test_a_fit_of_noisy_runs_has_no_energy_below_zero():
    true = replace(BOARD, energy=replace(BOARD.energy, ddr=0.0, block_ram=0.0))
    found = fit(list(runs(true, range(8), 0.05, np.random.default_rng(2))), BOARD)
    assert all(getattr(found, name) >= 0 for name in catalog.LEVELS)
    assert found.mac == pytest.approx(true.energy.mac, rel=0.3)


def test_runs_that_fit_nothing():
    few = list(runs(BOARD, range(2)))
    with pytest.raises(UserError, match="2 measured runs, expected 3"):
        fit(few, BOARD)
    with pytest.raises(UserError, match="too alike"):
        fit([few[0]] * 5, BOARD)


@pytest.mark.parametrize(
    "text", [None, "{", "[]", '{"mac": 1}', '{"mac": -1, "register": 1, "kind": "", "source": ""}']
)
def test_damaged_coefficients(tmp_path, text):
    if text is not None:
        (tmp_path / "e.json").write_text(text)
    with pytest.raises(UserError, match="has no energy coefficients") as error:
        read_coefficients(tmp_path / "e.json")
    assert "\n" not in str(error.value)


def written(folder, board, seeds, **change):
    """Files as host/run.py writes them of measured runs; `change` replaces keys of their energy."""
    for seed, (record, joule, error) in zip(seeds, runs(board, seeds)):
        energy = {"kind": "measured", "mean_mj": 1e3 * joule, "standard_error_mj": 1e3 * error}
        energy["counters"] = {name: float(np.mean(getattr(record, name))) for name in COUNTERS}
        path = folder / f"{seed}.json"
        path.write_text(json.dumps({"energy": energy | change}))
        yield str(path)


def test_the_command_fits_files_of_runs(tmp_path, capsys):
    true = replace(BOARD, energy=replace(BOARD.energy, static=0.4))
    paths = list(written(tmp_path, true, range(5)))
    assert main([*paths, "-o", str(tmp_path / "e.json")]) == 0
    assert read_coefficients(tmp_path / "e.json").static == pytest.approx(0.4, rel=1e-6)
    assert capsys.readouterr().out.count("fitted") == 5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kind": "modelled"}, "has an energy of the kind modelled, expected measured"),
        ({"mean_mj": "x"}, "is no result of a measured run"),
        ({"counters": {}}, "is no result of a measured run (KeyError 'flops')"),
    ],
)
def test_the_command_refuses_other_files(tmp_path, capsys, change, expected):
    assert main([*written(tmp_path, BOARD, [1], **change), "-o", str(tmp_path / "e.json")]) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1 and not (tmp_path / "e.json").exists()


def test_a_board_without_coefficients():
    with pytest.raises(UserError, match=r"no \[energy\] coefficients"):
        modelled(results(1), replace(BOARD, energy=None))


@pytest.mark.parametrize("change", ['"watt": -1', '"watt": "x"', '"wat": 1'])
def test_damaged_energy_in_the_list_of_boards(tmp_path, change):
    text = catalog.FILE.read_text().replace('"watt": 0.15', change)
    (tmp_path / "boards.json").write_text(text)
    with pytest.raises(UserError, match="board zedboard is not as expected"):
        catalog.read(path=tmp_path / "boards.json")


def test_fewer_flops_take_less_energy():
    """The point of it all: what is skipped is not spent."""
    full, cut = results(), results(budget=min(item["flops"] for item in tiny.package().exits))
    assert (cut.flops <= full.flops).all()
    assert modelled(cut, BOARD).joule_per_image < modelled(full, BOARD).joule_per_image
    assert isa.FETCH * full.instructions.max() <= full.cycles.max()
