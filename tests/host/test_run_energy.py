"""host/run.py and host/sweep.py with a meter, from the samples to fitted coefficients; power while it runs."""

import functools
import json
from dataclasses import replace

import numpy as np
import pytest

from bench import power
from bench.standin import tiny
from bench.standin.meter import LineMeter
from data import datasets
from hls import isa
from hls.record import decode
from host import sweep
from host.board import catalog
from host.budgets import budget
from host.energy import fit, gauge
from host.energy.measure import measure
from host.energy.model import modelled
from host.simulation import Golden
from tests.host.test_run_options import run

SLOWER = 2000  # the simulated board runs so many times as long as the schedule says, so that few batches fill a loop


class World(power.World):
    """A board without drift whose batches take a watt above idle, for as long as their cycles say."""

    def __init__(self, seed=5):
        super().__init__(np.random.default_rng(seed))
        quiet = {"drift": 0.0, "slow_w": 0.0, "wave": 0.0, "gap_s": 0.0, "extra": 1.0}
        self.__dict__.update(quiet)

    def ran(self, cycles):
        """A batch of so many cycles."""
        self.batch_s = cycles * SLOWER / catalog.read().clock_hz
        self.run_batch()

    def watt(self, times):
        """True power (N,): the base class takes all batches as long as the last one."""
        starts, ends = np.array(self.batches).T
        index = np.searchsorted(starts, times, side="right") - 1
        return self.idle + self.extra * ((index >= 0) & (times < ends[index]))


class Meter(power.SimulatedMeter):
    """Of the world, nearly without noise."""

    kind = "measured"

    def __init__(self, world):
        super().__init__(world)
        self._noise, self._lost, self._gain, self._period = 1e-3, 0.0, 1.0, 0.005


@pytest.fixture
def world(monkeypatch):
    """host/run.py's meter and backend on simulated time."""
    world, golden = World(), Golden.run

    def ran(self, package, images, start, *history):
        records = golden(self, package, images, start, *history)
        world.ran(decode(records, start).cycles.sum())
        return records

    monkeypatch.setattr(Golden, "run", ran)
    monkeypatch.setattr("host.run.open_meter", lambda text: Meter(world))
    monkeypatch.setattr("host.sweep.open_meter", lambda text: Meter(world))
    monkeypatch.setattr(gauge, "measure", functools.partial(measure, clock=world))
    return world


def save(folder):
    """Packages whose counters differ: few classes and many."""
    return [tiny.save(folder / f"{classes}.npz", classes=classes) for classes in (10, 90)]


def test_from_measured_runs_to_a_budget_of_fitted_energy(capsys, tmp_path, world):
    paths, files = save(tmp_path), []
    for path, asked in ((paths[0], "0.1k"), (paths[0], "none"), (paths[1], "none"), (paths[1], "1k")):
        files.append(tmp_path / f"run{len(files)}.json")
        code, found, err = run(capsys, path, "--meter", "serial:x", "--budget", asked, images=20)
        assert (code, err) == (0, "")
        files[-1].write_text(json.dumps(found))
        assert found["energy"]["kind"] == "measured" and found["energy"]["modelled"]["kind"] == "modelled"
        assert found["energy"]["counters"]["instructions"] == found["instructions"]["mean"]
        expected = found["cycles"]["mean"] * SLOWER / catalog.read().clock_hz * 1e3  # mJ, of a watt
        assert found["energy"]["mean_mj"] == pytest.approx(expected, rel=0.05)
    fitted = tmp_path / "energy.json"
    assert fit.main([*map(str, files), "-o", str(fitted)]) == 0
    assert capsys.readouterr().out.count("fitted") == len(files)
    code, found, err = run(capsys, paths[0], "--meter", "serial:x", "--energy", fitted, images=20)
    beside = found["energy"]["modelled"]
    assert beside["mean_mj"] == pytest.approx(found["energy"]["mean_mj"], rel=0.05) and "fitted" in beside["source"]
    code, free, _ = run(capsys, paths[0], "--energy", fitted, images=20)
    assert free["energy"]["mean_mj"] == pytest.approx(beside["mean_mj"]) and "fitted" in free["energy"]["source"]
    _, _, err = run(capsys, paths[0], "--energy", fitted, "--budget", "1nJ")
    least = err.split("--budget ")[1].strip()
    _, _, err = run(capsys, paths[0], "--budget", "1nJ")
    assert least != err.split("--budget ")[1].strip()  # a budget of energy is one of the coefficients given
    code, found, _ = run(capsys, paths[0], "--energy", fitted, "--budget", least)
    assert code == 0 and found["energy"]["max_mj"] <= budget.parse(least).amount * 1e-9


def test_modelled_energy_is_of_the_images_that_were_measured(capsys, tmp_path, world, monkeypatch):
    monkeypatch.setattr(gauge, "MEASURED", 8)
    (tmp_path / "day.txt").write_text("10 none\n0.1k\n")
    path = save(tmp_path)[0]
    code, found, _ = run(capsys, path, "--meter", "serial:x", "--schedule", tmp_path / "day.txt", images=20)
    package = tiny.package()
    start = package.start(budget_flops=100)
    results = decode(Golden(1).run(package, datasets.load_sample()[0][:8], start), start)
    expected = modelled(results, catalog.read()).above_idle * 1e3
    assert code == 0 and found["energy"]["modelled"]["mean_mj"] == pytest.approx(expected.mean())
    assert found["energy"]["counters"]["flops"] == results.flops.mean() != found["flops"]["mean"]


def test_a_batch_that_fails_while_it_is_measured_is_told(capsys, tmp_path, world, monkeypatch):
    golden, calls = Golden.run, []

    def fails(self, package, images, start, *history):
        records = golden(self, package, images, start, *history)
        calls.append(1)
        if len(calls) > 1:
            records[3, isa.RECORD.index("status")] = isa.STATUS_BAD_START
        return records

    monkeypatch.setattr(Golden, "run", fails)
    code, _, err = run(capsys, save(tmp_path)[0], "--meter", "serial:x", images=20)
    assert code == 2 and "image 3: BAD_START" in err and err.count("\n") == 1


@pytest.mark.parametrize("text", [None, "{", '{"mac": -1}'])
def test_coefficients_that_cannot_be_read(capsys, tmp_path, text):
    file = tmp_path / "energy.json"
    if text is not None:
        file.write_text(text)
    code, _, err = run(capsys, save(tmp_path)[0], "--energy", file)
    assert code == 2 and "has no energy coefficients" in err and err.count("\n") == 1


def test_a_sweep_takes_them_and_does_not_mix_them_with_others(capsys, tmp_path, world):
    path, file, out = save(tmp_path)[0], tmp_path / "energy.json", tmp_path / "sweep"
    mine = replace(catalog.read().energy, static=0.0, mac=1e-9, kind="mine", source="mine")
    fit.write_coefficients(file, mine)
    options = ["--package", path, "--backend", "golden", "--images", "20", "--budgets", "none", "--out", str(out)]
    assert sweep.main([*options, "--energy", str(file)]) == 0
    assert json.loads((out / "budget-none.json").read_text())["energy"]["source"] == "mine"
    assert sweep.main(options) == 2 and "with other energy: give another --out" in capsys.readouterr().err
    assert sweep.main([*options[:-1], f"{out}2", "--meter", "serial:x"]) == 0
    text = capsys.readouterr().out
    assert "energy (measured)" in text and "(modelled " in text
    assert "grey: modelled" in (tmp_path / "sweep2" / "sweep.svg").read_text()


# ----------------------------------------------------------------------------------------------------- while it goes on
def test_watch_shows_the_power_that_a_meter_sees_now(capsys, tmp_path, monkeypatch):
    """Through a serial line: the power changes while images run, and the lines with it."""
    looks = []

    def watt(time_s):
        return 2.0 + len(looks) + 0.004 * ((time_s * 7919.0) % 1)

    golden = Golden.run

    def slower(self, package, images, start, *history):
        before = device.sent
        looks.append(1)
        device.wait(before + 8)
        return golden(self, package, images, start, *history)

    monkeypatch.setattr(Golden, "run", slower)
    monkeypatch.setattr("host.views.live.LINE_S", 0.0)
    monkeypatch.setattr(gauge, "energy", lambda *_: (None, None))
    with Counted(rate_hz=400, watt=watt) as device:
        code, _, err = run(capsys, save(tmp_path)[0], "--meter", device.address, "--watch", images=192)
    assert code == 0 and len(looks) == 3
    shown = [float(line.split(" W (measured)")[0].split()[-1]) for line in err.splitlines()]
    assert shown == pytest.approx([3, 4, 5], abs=0.05)


class Counted(LineMeter):
    """Counts the lines sent, so that a test waits for no longer than it takes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.sent = 0

    def _write(self, data):
        super()._write(data)
        self.sent += 1

    def wait(self, count):
        while self.sent < count:
            self._stop.wait(0.002)
