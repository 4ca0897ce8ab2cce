"""Sweeps: the same rows by any number of workers, after a kill, by a search; one line for what cannot be followed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from training import __main__ as command
from training import estimate, recipe
from training.bases import RECIPES
from training.sweep import grid
from training.sweep.point import train_point
from training.sweep.rows import Rows
from training.sweep.search import search

ROOT = Path(__file__).resolve().parents[3]
RECIPE = """
name = "tiny"
dataset = "noise"
batch = 8
crop_pad = 1
images = { size = [8, 8], fit = "none" }
network.backbone = { kind = "resnet", units = [1, 1], width = 0.25 }
[[phases]]
name = "all"
steps = 3
lr = 0.1
terms.classification = {}
"""
GRID = 'base = "tiny.toml"\n[axes]\nseed = [1, 2]\n"phases.all.lr" = [0.1, 0.01]\n'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A recipe, a grid of four points, and noise to learn."""
    root, rng = tmp_path_factory.mktemp("sweep"), np.random.default_rng(0)
    (root / "tiny.toml").write_text(RECIPE)
    (root / "grid.toml").write_text(GRID)
    np.savez(root / "noise.npz", images=rng.integers(0, 256, (60, 8, 8, 3), np.uint8), labels=np.arange(60) % 3)
    return root


def line(folder, out, *options):
    """The command, behind `python -m training`."""
    given = ["sweep", str(folder / "grid.toml"), "--data", str(folder / "noise.npz"), "--out", str(out)]
    return [*given, "--device", "cpu", *options]


def started(folder, out, *options):
    """The command in a process of its own."""
    whole = [sys.executable, "-m", "training", *line(folder, out, *options)]
    return subprocess.Popen(whole, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def rows(out):
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def one(folder, tmp_path_factory):
    """The sweep by one worker."""
    out = tmp_path_factory.mktemp("one")
    assert command.main(line(folder, out)) == 0
    return out


def test_rows_stand_in_the_grid_s_order_and_are_those_of_the_recipes(one, folder):
    found = rows(one)
    assert [row["axes"] for row in found] == [
        {"seed": seed, "phases.all.lr": lr} for seed in (1, 2) for lr in (0.1, 0.01)
    ]
    assert len({json.dumps(row["test"]) + row["key"] for row in found}) == 4
    metrics = json.loads((one / found[3]["key"] / "metrics.json").read_text())
    assert found[3]["test"] == metrics["test"] and found[3]["validation"] == metrics["validation"]
    assert metrics["seed"] == 2


def test_two_workers_give_the_same_rows_after_a_kill_and_train_nothing_twice(one, folder, tmp_path, capsys):
    out = tmp_path / "two"
    process = started(folder, out)
    deadline = time.monotonic() + 500
    while not (out / "rows.jsonl").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=600)
    kept = rows(out)
    assert kept
    written = {row["key"]: os.stat(out / row["key"] / "model.pt").st_mtime_ns for row in kept}
    assert command.main(line(folder, out, "--workers", "2")) == 0
    text, error = capsys.readouterr()
    assert f"trained {4 - len(kept)} points, {len(kept)} were there" in text and "point" in error
    assert {key: os.stat(out / key / "model.pt").st_mtime_ns for key in written} == written
    assert (out / "rows.jsonl").read_bytes() == (one / "rows.jsonl").read_bytes()


# --------------------------------------------------------------------------------------------------- without workers
class Here:
    """Trains points in this process, and remembers which."""

    def __init__(self, folder, out):
        self.folder, self.trained, self.rows = folder, [], Rows(out / "rows.jsonl")
        self.out = out

    def __call__(self, points):
        self.rows.expect(points)
        for point in points:
            if point not in self.rows:
                self.trained.append(point.key)
                figures = train_point(point.values, self.out / point.key, str(self.folder / "noise.npz"))
                self.rows.add(point, figures)
        return [self.rows.of(point) for point in points]


SEARCH = """
base = "tiny.toml"
axes.seed = [1, 2]
[search]
trials = 3
together = 2
[search.axes]
"phases.all.lr" = { low = 0.001, high = 0.5, log = true }
batch = { any = [8, 4] }
"""


def test_a_search_goes_on_from_its_rows_and_tries_the_same(folder, tmp_path):
    (folder / "search.toml").write_text(SEARCH)
    wanted = grid.read(folder / "search.toml")
    whole = Here(folder, tmp_path)
    best = search(wanted, whole)
    assert len(whole.trained) == 6 and set(best) == {"phases.all.lr", "batch"}
    text = (tmp_path / "rows.jsonl").read_text()
    mean = {}
    for row in rows(tmp_path):
        mean.setdefault(row["axes"]["phases.all.lr"], []).append(row["validation"]["accuracy"])
    assert np.mean(mean[best["phases.all.lr"]]) == max(map(np.mean, mean.values()))
    (tmp_path / "rows.jsonl").write_text("".join(text.splitlines(keepends=True)[:3]))
    again = Here(folder, tmp_path)
    assert search(wanted, again) == best and again.trained == whole.trained[3:]
    assert (tmp_path / "rows.jsonl").read_text() == text


def test_a_phase_that_misses_its_end_is_a_row(folder, tmp_path):
    (folder / "bad.toml").write_text('base = "tiny.toml"\nset.phases.all.require.accuracy = [1.0, 1.0]\n')
    (point,) = grid.read(folder / "bad.toml").points()
    found = train_point(point.values, tmp_path / "point", str(folder / "noise.npz"))
    assert set(found) == {"failed"} and "phase all ended with accuracy" in found["failed"]


def test_rows_of_another_grid_are_kept_behind(tmp_path):
    points = [grid.Point("r", {"seed": n}, {}, f"key{n}") for n in range(3)]
    first = Rows(tmp_path / "rows.jsonl")
    first.expect(points[2:])
    first.add(points[2], {"test": 2})
    second = Rows(tmp_path / "rows.jsonl")
    second.expect(points[:2])
    second.add(points[1], {"test": 1})
    second.add(points[0], {"test": 0})
    assert [row["test"] for row in rows(tmp_path)] == [0, 1, 2] and points[2] in second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base = ", "is not TOML"),
        ("", "base = None: expected the path"),
        ('base = "none.toml"', "no recipe"),
        ('base = ["tiny.toml", "tiny.toml"]', "one recipe twice"),
        ('base = "tiny.toml"\naxis.seed = [1]', "unknown key 'axis'"),
        ('base = "tiny.toml"\naxes.seed = 1', "axes.seed = 1: expected a list"),
        ('base = "tiny.toml"\naxes.seed = [1, 1]', "each once"),
        ('base = "tiny.toml"\naxes.sed = [1]', "unknown key 'sed'"),
        ('base = "tiny.toml"\naxes.seed = [-1]', "tiny at {'seed': -1}: seed = -1"),
        ('base = "tiny.toml"\naxes.network.backbone.depth = [9]', "tiny at .*depth 9|needs either"),
        ('base = "tiny.toml"\naxes.name = ["a"]', "no axis over the name"),
        ('base = "tiny.toml"\nsearch.trials = 3', "lacks axes"),
        ('base = "tiny.toml"\n[search.axes]\nseed = { low = 3, high = 1 }', "low < high"),
        ('base = "tiny.toml"\n[search]\ntrials = 0\naxes.seed = { low = 1, high = 3 }', "search.trials = 0"),
        ('base = "tiny.toml"\n[search.axes]\nseed = { lo = 3, high = 1 }', "seed"),
    ],
)
def test_a_bad_grid_is_one_line(folder, tmp_path, capsys, text, message):
    path = folder / "wrong.toml"
    path.write_text(text)
    assert command.main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and not (tmp_path / "out").exists()
    assert re.search(message, error), error


def test_other_bad_input_is_one_line(folder, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text("{}\n")
    assert command.main(["sweep", str(folder / "grid.toml"), "--out", str(tmp_path)]) == 2
    assert "line 1 is no row of a sweep" in capsys.readouterr().err
    assert command.main(["sweep", str(tmp_path / "none.toml")]) == 2
    assert "cannot read the grid" in capsys.readouterr().err


def test_a_sweep_without_a_folder_is_kept_under_its_grids_name(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "grid").mkdir(parents=True)
    (tmp_path / "runs" / "grid" / "rows.jsonl").write_text("{}\n")
    assert command.main(["sweep", str(folder / "grid.toml")]) == 2
    assert "runs/grid/rows.jsonl: line 1 is no row of a sweep" in capsys.readouterr().err


def test_paths_that_share_an_axis_get_the_same_value(folder, tmp_path):
    text = (
        folder / "tiny.toml"
    ).read_text() + '[[phases]]\nname = "more"\nsteps = 2\nlr = 0.5\nterms.classification = {}\n'
    (tmp_path / "two.toml").write_text(text)
    (tmp_path / "grid.toml").write_text('base = "two.toml"\n[axes]\n"phases.all.lr + phases.more.lr" = [0.2, 0.3]\n')
    points = grid.read(tmp_path / "grid.toml").points()
    assert [[phase["lr"] for phase in point.values["phases"]] for point in points] == [[0.2, 0.2], [0.3, 0.3]]
    assert [point.axes for point in points] == [{"phases.all.lr + phases.more.lr": lr} for lr in (0.2, 0.3)]


def test_an_estimate_counts_points_and_trains_nothing(folder, tmp_path, capsys):
    """Twice the steps take twice as long; at half the rate everything does."""
    (tmp_path / "tiny.toml").write_text((folder / "tiny.toml").read_text())
    (tmp_path / "grid.toml").write_text(
        'base = "tiny.toml"\n[axes]\nseed = [1, 2]\n"phases.all.steps" = [30000, 60000]\n'
    )

    def hours(*options):
        before = set(tmp_path.iterdir())
        assert command.main(["sweep", str(tmp_path / "grid.toml"), "--estimate", *options]) == 0
        assert set(tmp_path.iterdir()) == before
        (found,) = re.findall(r"tiny +4 points +([\d.]+) hours", capsys.readouterr().out)
        return float(found)

    plan = recipe.read(tmp_path / "tiny.toml")
    one = estimate.modelled(plan, estimate.built(plan), 1e-5) / 3600  # of three steps
    assert hours("--rate", "1e-5") == pytest.approx(one / 3 * 2 * 90_000, rel=0.01)
    assert hours("--rate", "2e-5") == pytest.approx(one / 3 * 90_000, rel=0.01)


GRIDS = sorted((RECIPES / "papers" / "grids").glob("*.toml"))


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_the_papers_grids_can_be_followed(path):
    points = grid.read(path).points()
    assert len(points) == len({point.key for point in points}) >= 9
