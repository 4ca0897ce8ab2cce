"""host/run.py with budgets that change, a stopping rule, a meter, and what it writes of them."""

import io
import json
import re
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from bench.standin import tiny
from data import datasets
from hls import golden, isa
from hls.cost import worst_case
from hls.errors import UserError
from hls.package import read
from hls.record import NO_BUDGET, Start, decode
from host import run as command
from host.board import catalog
from host.job import PACKAGES, exits_under
from host.simulation import Golden


@pytest.fixture
def path(tmp_path):
    return tiny.save(tmp_path / "tiny.npz")


def run(capsys, path, *argv, images=100):
    options = ["--package", path, "--backend", "golden", "--images", images, "--json", "-", *argv]
    code = command.main([str(word) for word in options])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, json.loads(out) if code == 0 else None, err


def records(package, count=100, **start):
    images, _ = datasets.load_sample()
    arrays = package.program, package.weights, package.tables
    start = Start(gates=1, classes=10, **start)
    return decode(golden.run(*arrays, images[:count], start), start)


# ------------------------------------------------------------------------------------------------------------ schedules
def test_a_schedule_sets_each_images_budget(capsys, path, tmp_path):
    (tmp_path / "day.txt").write_text("30 0.1k\n20 3k\nnone\n")
    code, found, err = run(capsys, path, "--schedule", tmp_path / "day.txt", "--picture", tmp_path / "a.svg")
    assert (code, err) == (0, "")
    assert found["budget"]["kind"] == "schedule"
    steps = [(step["budget"], step["images"]) for step in found["budget"]["steps"]]
    assert steps == [("0.1k", 30), ("3k", 20), ("none", 50)]
    package = tiny.package()
    expected = [
        records(package, budget_flops=100).flops[:30],
        records(package, budget_flops=3000).flops[30:50],
        records(package).flops[50:],
    ]
    assert found["flops"]["mean"] == pytest.approx(np.concatenate(expected).mean())
    root = ElementTree.parse(tmp_path / "a.svg").getroot()
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "What each image spent, one after the other" in texts and "of images, over 3 steps" in texts


def test_lines_on_standard_input(capsys, path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("0.1k\nwhat\n"))
    code, found, err = run(capsys, path, "--schedule", "-")
    assert code == 0 and found["budget"]["steps"][0]["images"] == 100
    assert err.startswith("run: standard input: ") and err.count("\n") == 1
    assert found["exits"]["tap"]["images"] == 100


def test_a_schedule_is_refused_before_anything_is_run(capsys, path, tmp_path):
    (tmp_path / "day.txt").write_text("30 3k\n1us\n")
    code, _, err = run(capsys, path, "--schedule", tmp_path / "day.txt")
    assert code == 2 and "budget 1us is below the worst case" in err
    (tmp_path / "day.txt").write_text("30 3k\nx 1us\n")
    code, _, err = run(capsys, path, "--schedule", tmp_path / "day.txt")
    assert code == 2 and "day.txt, line 2" in err and err.count("\n") == 1


def test_an_image_over_a_step_is_loud(capsys, path, tmp_path, monkeypatch):
    """An engine that ignores budgets is caught by the step's own limit."""
    (tmp_path / "day.txt").write_text("40 none\n0.1k\n")
    free = Golden.run
    monkeypatch.setattr(
        Golden,
        "run",
        lambda self, package, images, start, _: free(self, package, images, replace(start, budget_flops=NO_BUDGET)),
    )
    code, _, err = run(capsys, path, "--schedule", tmp_path / "day.txt")
    first = 40 + int(np.argmax(records(tiny.package()).flops[40:] > 100))
    assert code == 3 and f"the first is image {first} " in err


# --------------------------------------------------------------------------------------------------------------- limits
def test_a_limit_on_modelled_energy_is_kept_and_used(capsys, path):
    code, free, _ = run(capsys, path, images=1000)
    code, least, _ = run(capsys, path, "--budget", "0.1k", images=1000)
    limit = (2 * free["energy"]["mean_mj"] + least["energy"]["mean_mj"]) / 3
    code, found, err = run(capsys, path, "--limit", f"{limit * 1e3:.9f}uJ", images=1000)
    assert (code, err) == (0, "")
    kept = found["budget"]["limit"]
    assert kept["kind"] == "modelled" and kept["kept"] and kept["unit"] == "mJ an image"
    assert kept["average"] == pytest.approx(found["energy"]["mean_mj"])


def test_a_limit_that_cannot_be_kept_is_one_line(capsys, path):
    code, _, err = run(capsys, path, "--limit", "0.000001uJ", images=1000)
    assert code == 2 and "cannot be kept" in err and err.count("\n") == 1


class Meter:
    """2.5 W at all times; a hundredth of a second passes between two looks."""

    kind, name = "measured", "a meter in software"
    calibration = None

    def __init__(self):
        self.now, self.started, self.closed = 0.0, 0, 0

    def start(self):
        self.started += 1

    def check(self):
        pass

    def latest(self):
        self.now += 0.01
        return self.now, 2.5

    def stop_thread(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed += 1


@pytest.fixture
def meter(monkeypatch):
    meter = Meter()
    monkeypatch.setattr(command, "open_meter", lambda text: meter)
    return meter


@pytest.fixture
def measured(monkeypatch):
    """host.energy.measure, answered; what it was asked is kept."""
    asked = {}

    def measure(meter, run_batch, images, **options):
        asked.update(images=images, records=run_batch())
        trace = SimpleNamespace(csv=lambda: "time_s\n")
        values = {"repetitions": 8, "batches": 96, "idle_watt": 2.0, "running_watt": 0.5, "warnings": ("warm up",)}
        numbers = {"joule_per_image": 0.8e-3, "standard_error": 1e-5, "interval95": (0.78e-3, 0.82e-3)}
        return SimpleNamespace(kind="measured", meter=meter.name, trace=trace, **values, **numbers)

    monkeypatch.setattr("host.energy.gauge.measure", measure)
    return asked


def test_a_meter_measures_and_says_how_sure_it_is(capsys, path, meter, measured, tmp_path):
    files = ["--trace", tmp_path / "a.csv", "--picture", tmp_path / "a.svg"]
    code, found, _ = run(capsys, path, "--meter", "serial:x", *files, images=20)
    assert code == 0 and found["energy"]["kind"] == "measured"
    assert found["energy"]["mean_mj"] == pytest.approx(0.8) and found["energy"]["interval95_mj"] == pytest.approx(
        [0.78, 0.82]
    )
    assert measured["images"] == 20 and len(measured["records"]) == 20 and meter.closed == 1
    svg = (tmp_path / "a.svg").read_text()
    assert (tmp_path / "a.csv").exists() and "Energy above idle (measured)" in svg and "; modelled: " in svg
    command.main(["--package", path, "--backend", "golden", "--images", "20", "--meter", "serial:x"])
    out = capsys.readouterr().out
    assert "energy (measured)" in out and "95% within 0.78 … 0.82 mJ" in out and "warm up" in out
    assert "energy (modelled)" in out and "mJ an image, above idle" in out


def test_a_limit_follows_the_meter(capsys, path, meter, measured):
    code, found, err = run(capsys, path, "--limit", "2.9W", "--meter", "serial:x", "--watch", images=400)
    assert code == 0 and found["budget"]["limit"]["kind"] == "measured"
    assert found["budget"]["limit"]["average"] == pytest.approx(2.5) and found["budget"]["limit"]["unit"] == "W"
    assert "2.50 W (measured)" in err and "400 of 400 images" in err
    code, _, err = run(capsys, path, "--limit", "2.4W", "--meter", "serial:x", images=400)
    assert code == 2 and "takes about 2.5 W of power" in err


@pytest.mark.parametrize("lost", [UserError("the meter is gone"), KeyboardInterrupt()], ids=["lost", "interrupted"])
def test_a_meter_that_is_lost_takes_no_figure_with_it(capsys, path, meter, monkeypatch, tmp_path, lost):
    def measure(*_, **__):
        raise lost

    monkeypatch.setattr("host.energy.gauge.measure", measure)
    meter.kept = lambda: SimpleNamespace(csv=lambda: "time_s\n1\n")
    files = ["--trace", tmp_path / "a.csv", "--json", tmp_path / "a.json"]
    code, out, err = run_table(capsys, path, "--meter", "serial:x", *files)
    found = json.loads((tmp_path / "a.json").read_text())
    reason = str(lost) or "interrupted while the energy was measured: it is modelled instead"
    assert code == 2 and err == f"run: {reason}\n" and found["failure"] == reason
    assert "accuracy" in out and "energy (modelled)" in out and found["energy"]["kind"].startswith("modelled")
    assert (tmp_path / "a.csv").read_text() == "time_s\n1\n" and meter.closed == 1


def test_a_port_that_cannot_be_given_back_is_told_after_the_result(capsys, path, meter, measured, monkeypatch):
    def stuck(*_):
        raise UserError("its port does not answer: unplug the meter")

    monkeypatch.setattr(Meter, "__exit__", stuck)
    code, out, err = run_table(capsys, path, "--meter", "serial:x")
    assert code == 2 and err == "run: its port does not answer: unplug the meter\n" and "energy (measured)" in out


def run_table(capsys, path, *argv):
    """(exit code, standard output, standard error) of a run that prints its table."""
    options = ["--package", path, "--backend", "golden", "--images", 20, *argv]
    code = command.main([str(word) for word in options])
    return code, *capsys.readouterr()


def test_modelled_energy_is_named_so(capsys, path):
    code, found, _ = run(capsys, path)
    assert code == 0 and found["energy"]["kind"] == "modelled" and found["energy"]["source"]
    assert found["energy"]["min_mj"] <= found["energy"]["mean_mj"] <= found["energy"]["max_mj"]
    command.main(["--package", path, "--backend", "golden", "--images", "20"])
    assert "energy (modelled)" in capsys.readouterr().out


def test_a_board_without_a_model_has_no_energy(capsys, path, monkeypatch):
    plain = replace(catalog.read(), energy=None)
    monkeypatch.setattr(catalog, "read", lambda name: plain)
    code, found, _ = run(capsys, path)
    assert code == 0 and found["energy"] is None
    code, _, err = run(capsys, path, "--limit", "1mJ")
    assert code == 2 and "energy" in err and err.count("\n") == 1


def test_a_budget_of_energy(capsys, path, tmp_path):
    code, _, err = run(capsys, path, "--budget", "1nJ")
    least = err.split("--budget ")[1].strip()
    code, found, err = run(capsys, path, "--budget", least, "--picture", tmp_path / "a.svg")
    assert (code, err) == (0, "") and found["budget"]["kind"] == "energy"
    assert found["flops"]["max"] <= found["budget"]["flops"] and found["cycles"]["max"] <= found["budget"]["cycles"]
    assert "energy, modelled" in (tmp_path / "a.svg").read_text()
    command.main(["--package", path, "--backend", "golden", "--images", "20", "--budget", least])
    assert f"{least} an image" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------------------------- rules
def test_entropy_stops_at_the_first_exit_under_it(capsys, path):
    package = tiny.package()
    entropies = records(package, budget_flops=100).entropy
    threshold = float(np.median(entropies))
    code, found, _ = run(capsys, path, "--entropy", f"{threshold:.5f}")
    value = round(float(f"{threshold:.5f}") * 65536)
    expected = records(package, rule=isa.RULE_ENTROPY, threshold=value)
    assert code == 0 and found["rule"] == {"name": "ENTROPY", "threshold": value / 65536, "average": None}
    assert found["reasons"]["RULE"] == (expected.reason == isa.REASON_RULE).sum() > 0
    assert found["exits"]["tap"]["images"] == (expected.exit == 0).sum()
    command.main(["--package", path, "--backend", "golden", "--images", "20", "--entropy", "0.5"])
    assert "entropy under 0.5 nats" in capsys.readouterr().out


def test_a_budget_is_checked_against_the_worst_case_under_the_rule(capsys, path):
    """Under a rule the first classifier is run on the way, so that the end costs more."""
    package = tiny.package()
    worst = worst_case(package.program, isa.RULE_ENTROPY)
    assert [item["flops"] for item in exits_under(package, isa.RULE_ENTROPY)] == [item.flops for item in worst]
    assert exits_under(package, isa.RULE_NONE) == package.exits
    real = read(PACKAGES / "cifar10.npz")
    assert exits_under(real, isa.RULE_ENTROPY)[-1]["flops"] > real.exits[-1]["flops"]
    for item in worst:
        code, found, _ = run(capsys, path, "--entropy", "0.0001", "--budget", f"{item.flops / 1000:.3f}k")
        assert code == 0 and found["flops"]["max"] <= item.flops
    assert found["exits"]["end"]["images"] == 100  # the last budget is enough for the end, whatever the gates do


# -------------------------------------------------------------------------------------------------------------- a board
class Measuring(Golden):
    """The golden model as if it were a board that measures."""

    name, title, version = "pynq", "a board in software", "test"
    clock_hz = 100_000_000
    measured_cycles, busy_share = None, None

    def run(self, package, images, start, history=None):
        self.measured_cycles, self.busy_share = np.full(len(images), 1e5), 0.9
        return super().run(package, images, start, history)


def test_measured_cycles_stand_beside_modelled_ones(capsys, path, monkeypatch, tmp_path):
    monkeypatch.setattr("host.backends.choose", lambda *_: Measuring())
    code, found, _ = run(capsys, path, "--picture", tmp_path / "a.svg", images=300)
    assert "Time, mean (measured)" in (tmp_path / "a.svg").read_text()
    assert code == 0 and found["cycles"]["kind"] == "modelled" and found["cycles_measured"]["kind"] == "measured"
    assert found["cycles_measured"]["mean"] == 1e5 and found["time_measured_ms"]["mean"] == pytest.approx(1.0)
    assert found["busy_share"] == pytest.approx(0.9) and found["flops"]["kind"] == "measured"
    command.main(["--package", path, "--backend", "auto", "--images", "20"])
    out = capsys.readouterr().out
    assert "cycles (measured)  mean 100,000" in out and "cycles (modelled)" in out and "run in" in out
    assert "the engine ran 90% of the time" in out and "thread" not in out


@pytest.mark.parametrize(
    ("cycles", "budget", "words"),
    [
        ([9e4] * 300, "1ms", "kept by the board's timer too: a start took 90.0% of it at most, by its mean"),
        ([9e4] * 280 + [1.2e5] * 20, "1ms", "NOT kept by the board's timer: 20 images .*, up to 120.0% of it"),
        ([1.2e5] * 300, "500M", None),  # of FLOPs: no business of the timer's
        ([1.2e5] * 300, "none", None),
    ],
)
def test_the_hardwares_counter_says_whether_time_was_kept(capsys, path, monkeypatch, tmp_path, cycles, budget, words):
    """A bus that stalls makes a start longer than the schedule by which the engine keeps the budget."""

    class Stalled(Measuring):
        at = 0

        def run(self, package, images, start, history=None):
            records = super().run(package, images, start, history)
            self.measured_cycles = np.array(cycles[self.at : self.at + len(images)])
            self.at += len(images)
            return records

    monkeypatch.setattr("host.backends.choose", lambda *_: Stalled())
    picture = tmp_path / "a.svg"
    code, found, _ = run(capsys, path, "--budget", budget, "--picture", picture, images=300)
    hardware = found["budget"]["hardware"]
    assert code == 0 and (hardware is None) == (words is None)
    if words is None:
        return
    over = sum(value > 1e5 for value in cycles)
    assert hardware == {
        "kept": not over,
        "images_over": over,
        "most": pytest.approx(max(cycles) / 1e5),
        "kind": "measured",
    }
    assert ("own timer; all by modelled cycles" in picture.read_text()) == bool(over)
    assert command.main(["--package", path, "--backend", "auto", "--images", "300", "--budget", budget]) == 0
    assert re.search(words, capsys.readouterr().out)


def test_without_a_counter_nothing_is_said_of_it(capsys, path):
    code, found, _ = run(capsys, path, "--budget", "1ms", images=20)
    assert code == 0 and found["budget"]["hardware"] is None


def test_a_budget_of_time_is_one_of_the_boards_own_clock(capsys, path, monkeypatch):
    """Not of the clock that its data file aims at: a slower board has fewer cycles in a millisecond."""
    monkeypatch.setattr("host.backends.choose", lambda *_: Measuring())
    code, found, _ = run(capsys, path, "--budget", "50us")
    assert code == 0 and found["budget"]["cycles"] == 5000
    assert found["time_ms"]["clock_mhz"] == 100 and found["time_ms"]["clock_kind"] == "measured"
    least = tiny.package().exits[0]["cycles"]
    aimed = least / catalog.read().clock_hz * 1e6 + 0.01  # enough at the clock aimed at, not at the board's
    code, _, err = run(capsys, path, "--budget", f"{aimed:.3f}us")
    assert code == 2 and "at 100 MHz: the smallest that works" in err


def test_other_boards(capsys, path):
    names = [name for name in json.loads(catalog.FILE.read_text()) if name != catalog.DEFAULT]
    for name in names:
        code, found, _ = run(capsys, path, "--board", name)
        assert code == 0 and found["time_ms"]["board"] == name
    code, _, err = run(capsys, path, "--board", "nexys")
    assert code == 2 and "unknown board 'nexys'" in err


def test_a_rate_paces_the_images(capsys, path, monkeypatch):
    slept = []
    monkeypatch.setattr("host.batches.time.sleep", slept.append)
    code, _, _ = run(capsys, path, "--rate", "1000", images=300)
    assert code == 0 and len(slept) == 2 and 0 < slept[0] <= 0.256
