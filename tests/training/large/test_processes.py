"""Several processes by torchrun: one's gradients, one's files, a resumed run, one line when one of them fails."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data.formats.png import write_png
from tests.training.large import gradients
from training import recipe
from training.checkpoint import read_checkpoint
from training.large import processes

ROOT = Path(__file__).resolve().parents[3]
RECIPE = """
name = "standin"
dataset = "imagenet"
batch = 8
crop_pad = 0
bf16 = true
checkpoint_every = 2
images = { size = [16, 16], stream = true, val_is_test = true, validation = 0.2 }
[network]
backbone = { kind = "densenet", blocks = [2, 2], growth = 4 }
layer_gates = { kind = "recurrent" }
channel_gates = { kind = "light", masks = ["new"] }
[[phases]]
name = "backbone"
steps = 3
lr = 0.05
gated = false
train = ["backbone"]
terms.classification = {}
[[phases]]
name = "joint"
steps = 3
lr = 0.05
terms = { classification = {}, signed_cost = { weight = 0.01 } }
"""


def torchrun(*line, many=2):
    """(exit code, standard output, standard error) of a command in `many` processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(many)]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *map(str, line)], cwd=ROOT, capture_output=True, text=True, timeout=600, env=variables
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stand-in for ImageNet's folder, and a recipe for it."""
    root, rng = tmp_path_factory.mktemp("standin"), np.random.default_rng(1)
    for part, count in (("train", 15), ("val", 2)):
        for label in range(3):
            (root / "imagenet" / part / f"n0000000{label}").mkdir(parents=True)
            for number in range(count):
                pixels = (rng.integers(0, 60, (20, 24, 3)) + 60 * label).astype(np.uint8)
                (root / "imagenet" / part / f"n0000000{label}" / f"{number}.png").write_bytes(write_png(pixels))
    (root / "standin.toml").write_text(RECIPE)
    return root


def train(folder, out, *options, many=2):
    line = "-m", "training", folder / "standin.toml", "--data", folder / "imagenet", "--out", out, "--device", "cpu"
    return torchrun(*line, *options, many=many)


# ---------------------------------------------------------------------------------------------------- gradients
@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Gradients of two processes."""
    out = tmp_path_factory.mktemp("gradients") / "out.pt"
    code, _, error = torchrun("-m", "tests.training.large.gradients", out)
    assert code == 0, error
    return torch.load(out)


def assert_close(found, expected):
    assert set(found) == set(expected) and len(found) > 1
    for name, value in expected.items():
        assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), name


def test_gradients_are_those_of_one_process(shared, tmp_path):
    assert_close(shared["frozen"], gradients.gradients(gradients.trainer("frozen", tmp_path)))


def test_gradients_are_the_mean_over_the_shares(shared, tmp_path):
    """Where batch norms and gates look at a whole share, one process gives the same, share by share."""
    found = []
    for rank in range(2):
        run = gradients.trainer("gated", tmp_path)
        run.train.share = rank, 2
        found.append(gradients.gradients(run))
    names = {*found[0], *found[1]}
    zero = {name: torch.zeros_like(value) for one in found for name, value in one.items()}
    mean = {name: (found[0].get(name, zero[name]) + found[1].get(name, zero[name])) / 2 for name in names}
    assert_close(shared["gated"], mean)


# --------------------------------------------------------------------------------------------------------- runs
def test_a_run_stops_goes_on_and_the_first_process_alone_writes(folder, tmp_path):
    out = tmp_path / "run"
    code, text, error = train(folder, out, "--minutes", "1e-9")
    assert code == 0, error
    assert text.count("go on with --resume") == 1 and (out / "checkpoint.pt").exists()
    plan = recipe.read(folder / "standin.toml")
    assert read_checkpoint(out / "checkpoint.pt", plan)["step"] == 1
    code, text, error = train(folder, out, "--resume")
    assert code == 0, error
    assert text.count("wrote ") == 1 and text.count("test: ") == 1
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.pt", "metrics.json", "metrics.jsonl", "model.pt"]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    steps = [(line["phase"], line["step"]) for line in lines if "validation" not in line]
    assert steps == [(0, 3), (1, 3)]
    state = read_checkpoint(out / "model.pt")
    assert state["metrics"]["test"]["images"] == 6 and state["data"]["classes"] == tuple(
        f"n0000000{i}" for i in range(3)
    )
    assert all(value.dtype != torch.bfloat16 and torch.isfinite(value).all() for value in state["model"].values())


def own_lines(error):
    return [line for line in error.splitlines() if re.match(r"\r?(\x1b\[K)?training: ", line)]


def test_one_process_that_fails_ends_all_with_one_line(folder, tmp_path):
    code, _, error = torchrun("-m", "tests.training.large.damaged", folder, tmp_path / "run")
    assert code != 0
    (line,) = own_lines(error)
    assert line.endswith("training: 1.png is damaged on purpose: save it again")
    assert "Connection closed" not in error and "RuntimeError" not in error


def test_what_all_find_wrong_is_said_once(folder, tmp_path):
    code, _, error = train(folder, tmp_path / "run", many=3)
    assert code != 0 and not (tmp_path / "run" / "checkpoint.pt").exists()
    (line,) = own_lines(error)
    assert "batch = 8 for 3 processes: expected a multiple" in line


def test_one_process_is_the_first_of_one():
    assert processes.place() == (0, 1) and processes.leads() and processes.device_of("cuda") == "cuda"
    assert processes.first(lambda: 3) == 3 and processes.anywhere(True) and not processes.anywhere(False)
    assert processes.mean({"a": 2.0}) == {"a": 2.0} and processes.together("cpu", lambda: 7) == 7
