"""The straight line on the committed packages: what DESIGN and README promise, on trained networks and real images."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.packages import fingerprint
from bench.rows import latest
from data.datasets import load_sample
from hls import cosim, golden
from hls.package import read
from hls.record import decode
from training import recipe
from training.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted((ROOT / "packages").glob("*.npz"))
IDS = [path.stem for path in PACKAGES]
BUDGETS = 20
RECIPES = ROOT / "training" / "recipes"


@pytest.fixture(params=PACKAGES, ids=IDS, scope="module")
def path(request):
    return request.param


@pytest.fixture(scope="module")
def package(path):
    return read(path)


def start(package, budget=None, **options):
    budgets = {} if budget is None else {"budget_flops": int(budget)}
    return package.start(**budgets, **options)


def run(engine, package, images, begin, **options):
    return engine.run(package.program, package.weights, package.tables, images, begin, **options)


def images(count):
    """Fashion-MNIST test images: what the default package was made for, and something to chew on for the others."""
    return load_sample()[0][:count]


def test_there_are_packages():
    assert "fashion-mnist" in IDS


@pytest.mark.cosim
def test_no_image_spends_more_than_its_budget(package):
    costs = [entry["flops"] for entry in package.exits]
    for budget in np.linspace(min(costs), max(costs), BUDGETS).astype(np.int64):
        begin = start(package, budget)
        results = decode(run(cosim, package, images(60), begin, threads=2), begin)
        assert (results.status == 0).all()
        assert (results.flops <= budget).all(), budget
        assert (results.exit >= 0).all()


@pytest.mark.cosim
def test_golden_and_engine_agree_bit_for_bit(package):
    """Whole records: logits, exit, trace, counters; no budget, one that cuts, and a stopping rule."""
    costs = [entry["flops"] for entry in package.exits]
    for begin in [start(package), start(package, np.mean(costs)), start(package, rule=2, threshold=40000)]:
        shown = images(10)
        assert np.array_equal(run(golden, package, shown, begin), run(cosim, package, shown, begin))


@pytest.mark.cosim
@pytest.mark.parametrize("budget", ["smallest", "none"])
def test_the_engine_gives_the_committed_figures(budget):
    """On 1,000 of the 10,000 images behind the rows: accuracy within three standard errors, costs within 3 %."""
    package, rows = read(ROOT / "packages" / "fashion-mnist.npz"), latest()
    least = min(entry["flops"] for entry in package.exits)
    begin, at = (start(package, least), f"{least / 1e6:.1f}M") if budget == "smallest" else (start(package), "none")
    pictures, labels = load_sample()
    results = decode(run(cosim, package, pictures, begin, threads=2), begin)
    expected = {name: rows[f"fashion-mnist.{name}@{at}"]["value"] for name in ("accuracy", "flops", "cycles")}
    error = (expected["accuracy"] * (1 - expected["accuracy"]) / len(labels)) ** 0.5
    assert (results.label == labels).mean() == pytest.approx(expected["accuracy"], abs=3 * error)
    assert results.flops.mean() == pytest.approx(expected["flops"], rel=0.03)
    assert results.cycles.mean() == pytest.approx(expected["cycles"], rel=0.03)


def test_committed_figures_are_of_the_committed_packages(path):
    """The rows behind the README are of these very files, and hold what is promised."""
    rows, sha256 = latest(), fingerprint(path.stem)
    over, differ = rows[f"{path.stem}.over_budget"], rows[f"{path.stem}.flops_differ"]
    assert {row["package"] for name, row in rows.items() if name.startswith(f"{path.stem}.")} == {sha256}
    assert (over["value"], differ["value"]) == (0, 0)
    assert over["n"] >= BUDGETS * 1000 and differ["n"] == 10_000
    assert abs(rows[f"{path.stem}.int8_minus_float"]["value"]) <= 0.3


def test_recipe_and_metrics_travel_with_a_package(package):
    training = package.meta["training"]
    assert training["recipe"]["seed"] == training["metrics"]["seed"]
    assert training["metrics"]["test"]["images"] == 10_000


@pytest.mark.cosim
def test_the_main_command_as_a_user_types_it(tmp_path):
    command = [sys.executable, "host/run.py", "--budget", "74M", "--images", "50", "--json", str(tmp_path / "a.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "accuracy" in done.stdout and (tmp_path / "a.json").exists()


def test_checkpoints_are_those_of_the_packages(path, package):
    """A package can be exported again: its checkpoint is there, with the same recipe and metrics."""
    state = read_checkpoint(ROOT / "packages" / "checkpoints" / f"{path.stem}.pt")
    assert recipe.from_dict(state["recipe"]) == recipe.from_dict(package.meta["training"]["recipe"])
    assert recipe.from_dict(state["recipe"]) == recipe.read(RECIPES / f"{state['recipe']['name']}.toml")
    assert state["metrics"]["test"] == package.meta["training"]["metrics"]["test"]
