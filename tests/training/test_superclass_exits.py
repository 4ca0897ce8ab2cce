"""Exits for superclasses: a network of CIFAR-100's 20 coarse labels, from the archive to `host/run.py --class-exit`."""

import json
import pickle

import numpy as np
import pytest

from data import sets
from export.__main__ import main as export
from host.run import main as run
from training.__main__ import main as train

COUNTS = {"train": 800, "test": 400}
RECIPE = """
name = "coarse"
dataset = "cifar100-superclasses"
batch = 100
validation = 200
[network]
backbone = { kind = "resnet", units = [1, 1, 1] }
[[phases]]
name = "all"
steps = 3
lr = 0.02
terms.classification = {}
"""
TREES = "trees"


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A CIFAR-100 of noise, in which the trees alone are green."""
    rng = np.random.default_rng(0)
    for split, count in COUNTS.items():
        monkeypatch.setitem(sets.SPLIT_SIZES, ("cifar100", split), count)
        coarse = np.arange(count) % 20
        rows = rng.integers(60, 120, (count, 3, 1024), dtype=np.uint8)
        rows[coarse == sets.DATASETS["cifar100-superclasses"].classes.index(TREES), 1] += 120
        batch = {b"data": rows.reshape(count, -1), b"fine_labels": list(range(100)) * (count // 100)}
        (tmp_path / split).write_bytes(pickle.dumps(batch | {b"coarse_labels": coarse.tolist()}))
    return tmp_path


def test_a_superclass_stops_early_on_the_engine(archive, tmp_path):
    recipe, out, data = tmp_path / "coarse.toml", tmp_path / "run", ["--data", str(archive)]
    recipe.write_text(RECIPE)
    assert train([str(recipe), "--out", str(out), *data]) == 0
    classes, package = str(out / "classes.pt"), str(out / "coarse.npz")
    assert train(["class-exits", str(out / "model.pt"), "--class", TREES, "--kp", "off", *data, "-o", classes]) == 0
    assert export([classes, "-o", package, "--images", "100", "--calibration", "100", *data]) == 0
    figures = {}
    for name, options in (("with", ["--class-exit", TREES]), ("without", [])):
        path = tmp_path / f"{name}.json"
        assert run(["--package", package, *data, "--json", str(path), *options]) == 0
        figures[name] = json.loads(path.read_text())
    told = figures["with"]["class_exit"]
    assert told["class"] == TREES and told["stopped_share"] > 0.9 and told["precision"] > 0.9
    assert told["cycles"]["class"] < 0.9 * figures["without"]["cycles"]["mean"] < told["cycles"]["others"]
