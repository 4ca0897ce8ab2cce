"""Runs: resume bit for bit, a frozen backbone, files written whole, bad input in one line."""

import json

import numpy as np
import pytest
import torch

from training import __main__ as command
from training import checkpoint, recipe
from training.data import Split
from training.loop import Trainer

RECIPES = sorted(recipe.Path(recipe.__file__).parent.glob("recipes/*.toml"))
TINY = """
name = "tiny"
dataset = "cifar10"
batch = 8
validate_every = 3
checkpoint_every = 2
precision = "float32"
[network]
depth = 8
"""
STAGES = [("backbone", 5), ("gates", 4), ("joint", 5), ("exits", 4)]


def tiny(steps=STAGES, **network):
    stages = [{"kind": kind, "steps": n, "lr": 0.05, "target": 0.5, "alpha": 0.1, "gain": 1.0} for kind, n in steps]
    values = recipe.tomllib.loads(TINY)
    return recipe.from_dict(values | {"stages": stages, "network": values["network"] | network})


@pytest.fixture(scope="module")
def splits():
    rng = np.random.default_rng(0)
    parts = [(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n)) for n in (40, 16, 16)]
    return [Split.from_arrays(*part, (0.5,) * 3, (0.25,) * 3) for part in parts]


def weights(trainer):
    return torch.cat([value.double().flatten() for value in trainer.model.state_dict().values()])


def trainer(splits, folder, plan=None):
    folder.mkdir(exist_ok=True)
    return Trainer(plan or tiny(), splits, folder, "cpu")


@pytest.fixture(scope="module")
def whole(splits, tmp_path_factory):
    """A run that never stopped."""
    run = trainer(splits, tmp_path_factory.mktemp("whole"))
    assert run.run()
    return run


@pytest.mark.parametrize("stop", [1, 7, 16])
def test_resume_is_bit_for_bit(whole, splits, tmp_path, stop, monkeypatch):
    """Interrupted after any step, in any stage, a run ends with the bits of one that never stopped."""
    first = trainer(splits, tmp_path / "part")
    step, taken = first._train_step, []

    def interrupted(*arguments):
        if len(taken) == stop:
            raise KeyboardInterrupt
        taken.append(1)
        return step(*arguments)

    monkeypatch.setattr(first, "_train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = trainer(splits, tmp_path / "part")
    second.resume(checkpoint.read_checkpoint(second.checkpoint_path, second.recipe))
    assert second.run()
    assert torch.equal(weights(whole), weights(second))
    assert (whole.folder / "metrics.jsonl").read_text() == (second.folder / "metrics.jsonl").read_text()


def test_gates_stage_leaves_the_backbone_as_it_is(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([("gates", 4)]))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all("gates" in name for name in changed), sorted(changed)


def test_gates_stage_ends_when_nothing_is_skipped(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([("gates", 60)], gate_bias=8.0))
    assert run.run()
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] < 40


def test_minutes_stop_and_chain(splits, tmp_path):
    run = trainer(splits, tmp_path)
    calls = 0
    while not run.run(minutes=1e-6):
        state = checkpoint.read_checkpoint(run.checkpoint_path, run.recipe)
        run = trainer(splits, tmp_path)
        run.resume(state)
        calls += 1
        assert calls < 50
    assert calls > 5


def test_finish_writes_model_and_metrics(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([("exits", 2)]))
    run.run()
    metrics = run.finish()
    state = checkpoint.read_checkpoint(tmp_path / "model.pt")
    assert recipe.from_dict(state["recipe"]) == run.recipe
    assert state["metrics"]["test"] == metrics["test"] == json.loads((tmp_path / "metrics.json").read_text())["test"]
    assert len(metrics["test"]["accuracy"]) == len(run.model.exits) + 1
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_trains_in_bfloat16(splits, tmp_path):
    plan = recipe.from_dict(tiny().to_dict() | {"precision": "auto"})
    moved = [Split(*(tensor.cuda() for tensor in vars(part).values())) for part in splits]
    run = Trainer(plan, moved, tmp_path, "cuda")
    assert run.dtype == torch.bfloat16
    assert run.run()


# ------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_committed_recipes_are_valid(path):
    plan = recipe.read(path)
    assert plan.name == path.stem
    assert [stage.kind for stage in plan.stages] == ["backbone", "gates", "joint", "exits"]


def test_paper_recipe_has_the_papers_hyperparameters():
    plan = recipe.read(RECIPES[0].with_name("resnet74-ddi-cifar10.toml"))
    iadi = [stage for stage in plan.stages if stage.kind in ("gates", "joint")]
    assert (plan.batch, plan.momentum, plan.weight_decay) == (128, 0.9, 1e-4)
    assert sum(stage.steps for stage in iadi) == plan.stages[-1].steps == 50_000
    assert {(stage.lr, stage.alpha, stage.gain) for stage in plan.stages[1:]} == {(0.05, 2e-4, 0.0)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batches": 128}, "unknown key 'batches' in recipe"),
        ({"dataset": "mnist"}, "dataset = 'mnist': expected one of"),
        ({"batch": "many"}, "batch = 'many' in recipe: expected int"),
        ({"network": {"depth": 8, "width": 2}}, "unknown key 'width' in"),
        ({"stages": []}, "at least one step"),
        ({"stages": [{"kind": "warm", "steps": 1, "lr": 0.1}]}, "kind = 'warm'"),
        ({"stages": [{"kind": "joint", "steps": 1}]}, "lacks 'lr'"),
    ],
)
def test_impossible_recipes_are_named(change, message):
    with pytest.raises(recipe.RecipeError, match=message.replace("[", r"\[")):
        recipe.from_dict({**recipe.tomllib.loads(TINY), "stages": tiny().to_dict()["stages"], **change})


def run_command(capsys, *arguments):
    code = command.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.err.strip()


def test_command_names_what_is_missing(tmp_path, capsys):
    good = tmp_path / "tiny.toml"
    good.write_text(TINY + '[[stages]]\nkind = "backbone"\nsteps = 1\nlr = 0.1\n')
    out = tmp_path / "run"
    cases = [
        (("nowhere.toml",), "no recipe nowhere.toml"),
        ((good, "--data", tmp_path / "empty", "--out", out), "no folder"),
        ((good, "--resume", "--out", out), "no checkpoint"),
    ]
    for arguments, message in cases:
        code, error = run_command(capsys, *arguments)
        assert code == 2 and message in error and "\n" not in error, error
        assert not out.exists()


def test_command_refuses_foreign_and_damaged_checkpoints(splits, tmp_path, capsys, monkeypatch):
    good = tmp_path / "tiny.toml"
    good.write_text(TINY + '[[stages]]\nkind = "backbone"\nsteps = 1\nlr = 0.1\n')
    out = tmp_path / "run"
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    assert run_command(capsys, good, "--out", out)[0] == 0
    code, error = run_command(capsys, good, "--out", out)
    assert code == 2 and "already holds a run" in error
    other = tmp_path / "other.toml"
    other.write_text(good.read_text().replace("steps = 1", "steps = 2"))
    code, error = run_command(capsys, other, "--out", out, "--resume")
    assert code == 2 and "made by another recipe" in error
    (out / "checkpoint.pt").write_bytes((out / "checkpoint.pt").read_bytes()[:1000])
    code, error = run_command(capsys, good, "--out", out, "--resume")
    assert code == 2 and "is damaged" in error and "\n" not in error


def test_interrupt_is_one_line_and_leaves_a_checkpoint(splits, tmp_path, capsys, monkeypatch):
    good = tmp_path / "tiny.toml"
    good.write_text(TINY + '[[stages]]\nkind = "backbone"\nsteps = 3\nlr = 0.1\n')
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    monkeypatch.setattr(Trainer, "_train_step", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    code, error = run_command(capsys, good, "--out", tmp_path / "run")
    assert code == 2 and error.splitlines()[-1] == "interrupted: go on with the same command and --resume"
    monkeypatch.undo()
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    assert run_command(capsys, good, "--out", tmp_path / "run", "--resume")[0] == 0
