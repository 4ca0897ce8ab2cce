"""Runs: resume bit for bit, frozen parts, requirements, files written whole, bad input in one line."""

import json
import math
import warnings

import numpy as np
import pytest
import torch

from hls.errors import UserError
from tests.training import toys
from training import __main__ as command
from training import bases, checkpoint, phases, recipe
from training.loop import Trainer

RECIPES = sorted(bases.RECIPES.glob("*.toml"))
SHORT = [
    toys.phase("backbone", 5, train=["backbone"], gated=False, exits=False, drop=0.5, units=[1, 1]),
    toys.phase("gates", 4, train=["layer_gates", "channel_gates"], terms={"cost": {"target": 0.4}}),
    toys.phase("both", 4, modes=[0.4, 0.4], train=["backbone"]),
    toys.phase("joint", 5, terms={"classification": {}, "distillation": {}, "need": {}}, prune=True),
    toys.phase("exits", 4, train=["exits"], side=12),
]


def tiny(phases=SHORT, **values):
    return toys.plan(phases, **{"batch": 8, "validate_every": 3, "checkpoint_every": 2, "average": 0.9} | values)


@pytest.fixture(scope="module")
def splits():
    return [toys.noise(n, seed=n) for n in (40, 16, 17)]


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
    run.finish()
    return run


@pytest.mark.parametrize("stop", [1, 4, 7, 11, 17, 20])
def test_resume_is_bit_for_bit(whole, splits, tmp_path, stop, monkeypatch):
    """Interrupted after any step, in any phase, a run ends with the bits of one that never stopped."""
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
    second.finish()
    assert torch.equal(weights(whole), weights(second))
    assert (whole.folder / "metrics.jsonl").read_text() == (second.folder / "metrics.jsonl").read_text()


def test_a_torn_line_of_metrics_is_left_out(splits, tmp_path):
    """As a full disk or a cut of the power leaves it."""
    plan = tiny([toys.phase("joint", 6)])
    first = trainer(splits, tmp_path / "run", plan)
    first.run(minutes=1e-9)
    metrics = first.folder / "metrics.jsonl"
    metrics.write_bytes(b'{"phase": 0, "step": 0, "loss": 1.0}\n{"phase": 0, "st\xc3')
    second = trainer(splits, tmp_path / "run", plan)
    second.resume(checkpoint.read_checkpoint(second.checkpoint_path, plan))
    assert metrics.read_text() == '{"phase": 0, "step": 0, "loss": 1.0}\n'
    assert second.run()


def test_a_finished_model_is_nothing_to_resume(splits, tmp_path):
    plan = tiny([toys.phase("joint", 1)])
    run = trainer(splits, tmp_path / "run", plan)
    run.run()
    run.finish()
    with pytest.raises(checkpoint.CheckpointError, match="is a finished model, nothing to go on from"):
        checkpoint.read_checkpoint(run.folder / "model.pt", plan)


ALIKE = [toys.phase("exits", 4, train=["exits"]), toys.phase(steps=3), toys.phase("exits", 5, train=["exits"])]


@pytest.mark.parametrize("stop", [2, 5, 9])
def test_two_phases_of_one_name_are_told_apart_on_resume(splits, tmp_path, stop):
    """The second of them goes on where it stood, and metrics of both are kept."""
    whole, part = (trainer(splits, tmp_path / name, tiny(ALIKE)) for name in ("whole", "part"))
    assert whole.run()
    step, taken = part._train_step, []

    def interrupted(*arguments):
        if len(taken) == stop:
            raise KeyboardInterrupt
        taken.append(1)
        return step(*arguments)

    part._train_step = interrupted
    with pytest.raises(KeyboardInterrupt):
        part.run()
    again = trainer(splits, tmp_path / "part", tiny(ALIKE))
    again.resume(checkpoint.read_checkpoint(again.checkpoint_path, again.recipe))
    assert again.run() and torch.equal(weights(whole), weights(again))
    records = [json.loads(line) for line in (tmp_path / "part" / "metrics.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in (whole.folder / "metrics.jsonl").read_text().splitlines()] == records
    assert {(record["phase"], record["name"]) for record in records} == {(0, "exits"), (1, "joint"), (2, "exits")}


@pytest.mark.parametrize("side", [0, 8, 32])
def test_a_phase_of_another_size_counts_its_costs_at_that_size(tmp_path, side):
    """Everything runs, so that the share of the full network's FLOPs is 1, whatever the size of the images."""
    splits = [toys.noise(n, 16, seed=n) for n in (16, 8, 8)]
    plan = tiny([toys.phase(steps=2, side=side, gated=False, exits=False)], network={"backbone": toys.SHALLOW})
    run = trainer(splits, tmp_path, plan)
    assert run.run()
    records = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    shares = [record.get("share", record.get("validation", {}).get("share")) for record in records]
    assert shares == pytest.approx([1.0] * len(shares), rel=1e-4) and len(shares) == 2
    ratio = run.full_flops(plan.phases[0]) / run.model.backbone.cost((16, 16))
    assert ratio == pytest.approx({0: 1, 8: 0.25, 32: 4}[side], rel=1e-3)


@pytest.mark.parametrize("classes", [2, 3, 20])
def test_as_many_classes_as_the_data_has(tmp_path, classes):
    splits = [toys.noise(n, 12, classes, seed=n) for n in (24, 8, 8)]
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=2)]))
    assert run.run()
    run.finish()
    model = checkpoint.load_model(checkpoint.read_checkpoint(tmp_path / "model.pt"), classes, 3, (12, 12))
    assert model(splits[2].normalise(splits[2].images)).logits[-1].shape == (8, classes)


@pytest.mark.parametrize("change", ["meta", "quantised", "no recipe", "numpy"])
def test_our_own_checkpoints_are_read_as_carefully(whole, tmp_path, change):
    """Tensors without numbers are named; a number of NumPy's beside them is no damage."""
    state = torch.load(whole.folder / "model.pt", weights_only=True)
    name = "backbone.stem.conv.weight"
    if change == "meta":
        state["model"][name] = state["model"][name].to("meta")
    elif change == "quantised":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state["model"][name] = torch.quantize_per_tensor(state["model"][name], 0.01, 0, torch.qint8)
    elif change == "no recipe":
        del state["recipe"]
    else:
        state["metrics"]["best"] = np.float64(0.9)
    torch.save(state, tmp_path / "model.pt")
    if change == "numpy":
        assert checkpoint.read_checkpoint(tmp_path / "model.pt")["metrics"]["best"] == 0.9
        return
    expected = {"meta": f"{name} is on the meta device", "quantised": f"{name} is quantised"}
    with pytest.raises(
        checkpoint.CheckpointError, match=expected.get(change, "is not of python -m training")
    ) as raised:
        checkpoint.read_checkpoint(tmp_path / "model.pt")
    assert "\n" not in str(raised.value)


def test_a_model_file_gives_the_model_back(whole, splits):
    state = checkpoint.read_checkpoint(whole.folder / "model.pt")
    part = splits[2]
    model = checkpoint.load_model(state, part.classes, part.channels, part.size)
    images = part.normalise(part.images)
    with torch.no_grad():
        expected = whole.model.eval()(images)
        assert torch.equal(model(images).logits[-1], expected.logits[-1])
    assert recipe.from_dict(state["recipe"]) == whole.recipe
    written = json.loads((whole.folder / "metrics.json").read_text())
    assert written["test"] == state["metrics"]["test"] and written["test"]["images"] == 17
    assert not list(whole.folder.glob("*.partial"))


def test_seeds_reproduce_and_differ(whole, splits, tmp_path):
    again, other = (trainer(splits, tmp_path / str(seed), tiny(seed=seed)) for seed in (1, 2))
    assert again.run() and other.run()
    assert torch.equal(weights(again), weights(whole)) and not torch.equal(weights(other), weights(whole))


@pytest.mark.parametrize("average", [0.0, 0.9])
@pytest.mark.parametrize("part", ["layer_gates", "exits", "backbone"])
def test_what_is_frozen_stays_as_it_is(splits, tmp_path, part, average):
    """Weights and statistics, also where those of what learns are renewed for the averaged weights."""
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=3, train=[part])], average=average))
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.run()
    changed = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith(part) for name in changed), sorted(changed)


def test_the_average_is_what_is_evaluated_and_kept(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=3)], average=0.5))
    name, seen = "backbone.head.linear.weight", []
    update = run.average.update
    seen.append(run.model.state_dict()[name].clone())

    def recorded():
        seen.append(run.model.state_dict()[name].clone())
        update()

    run.average.update = recorded
    run.run()
    expected = seen[0]
    for value in seen[1:]:
        expected = 0.5 * expected + 0.5 * value
    assert torch.allclose(run.model.state_dict()[name], expected, atol=1e-6)


def test_phases_that_have_not_begun_may_change(whole, splits, tmp_path):
    """A run stops behind its second phase, and others come into the recipe: it ends as if they had been there."""
    short, plan = tiny(SHORT[:2]), tiny()
    first = trainer(splits, tmp_path / "part", short)
    assert first.run()
    second = trainer(splits, tmp_path / "part", plan)
    second.resume(checkpoint.read_checkpoint(second.checkpoint_path, plan))
    assert second.run()
    assert torch.equal(weights(whole), weights(second))
    for other in (tiny([SHORT[0], toys.phase("gates", 3), *SHORT[2:]]), tiny(SHORT[:1]), tiny(seed=2)):
        with pytest.raises(checkpoint.CheckpointError, match="made by another recipe"):
            checkpoint.read_checkpoint(tmp_path / "part" / "checkpoint.pt", other)


def test_an_unfinished_run_gives_its_averaged_weights(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=6)], average=0.9))
    run._end_phase = lambda: (_ for _ in ()).throw(KeyboardInterrupt)  # before the averages are kept for good
    with pytest.raises(KeyboardInterrupt):
        run.run()
    state = checkpoint.read_checkpoint(run.checkpoint_path)
    model = checkpoint.load_model(state, run.train.classes, run.train.channels, run.train.size)
    name = "backbone.head.linear.weight"
    assert torch.equal(model.state_dict()[name], state["average"][name])
    assert not torch.equal(state["average"][name], state["model"][name])


def test_a_phase_of_modes_tells_of_both_ends(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=3, modes=[0.5, 0.5])]))
    run.run()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    figures = lines[-1]["validation"]
    for name, keep in (("bare", 0.0), ("full", 1.0)):
        forced = phases.extremes(run.recipe.phases[0])[name]
        assert (forced(1, "layer", torch.ones(2, 1)) == keep).all() and forced(1, "hidden", torch.ones(2, 1)) is None
        model, hits = run.model.eval(), []
        with torch.no_grad():
            for images, labels in run.validation.plain_batches(100):
                out = model(images, forced=forced)
                hits += (out.logits[-1].argmax(1) == labels).tolist()
        assert figures[f"accuracy_{name}"] == round(sum(hits) / len(hits), 4)


def test_minutes_stop_and_chain(splits, tmp_path):
    run, calls = trainer(splits, tmp_path), 0
    while not run.run(minutes=1e-6):
        state = checkpoint.read_checkpoint(run.checkpoint_path, run.recipe)
        run = trainer(splits, tmp_path)
        run.resume(state)
        calls += 1
        assert calls < 50
    assert calls > 5


def test_a_phase_that_misses_its_end_is_an_error_and_its_checkpoint_is_kept(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=2, require={"accuracy": [0.99, 1.0]})]))
    with pytest.raises(phases.PhaseError, match="joint ended with accuracy"):
        run.run()
    state = checkpoint.read_checkpoint(run.checkpoint_path, run.recipe)
    assert (state["phase"], state["step"]) == (0, 2)


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_good_checkpoint(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=60, lr=1e6)]))
    with pytest.raises(
        phases.PhaseError, match=r"joint diverged by step [0-9]+: lower its lr.* good checkpoint is kept"
    ):
        run.run()
    state = checkpoint.read_checkpoint(run.checkpoint_path, run.recipe)
    assert all(math.isfinite(value.double().sum()) for value in state["model"].values())


def test_a_run_that_diverges_at_once_claims_no_checkpoint(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=60, lr=1e30)]))
    with pytest.raises(phases.PhaseError, match=r"joint diverged by step 2: .* no checkpoint was written yet"):
        run.run()
    assert not run.checkpoint_path.exists()


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(splits, tmp_path, monkeypatch):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=2)]))
    run.save()
    before = run.checkpoint_path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"checkpoint.pt cannot be written .No space left on device"):
        run.save()
    assert run.checkpoint_path.read_bytes() == before and not list(tmp_path.glob("*.partial"))


def test_metrics_on_a_full_disk_are_one_line_that_names_them_and_the_checkpoint_is_kept(splits, tmp_path):
    run = trainer(splits, tmp_path, tiny([toys.phase(steps=2)]))
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"metrics.jsonl cannot be written .No space left on device.: make room"):
        run.run()
    assert checkpoint.read_checkpoint(run.checkpoint_path, run.recipe)["step"] == 2


# ------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_committed_recipes_can_be_followed(path):
    plan = recipe.read(path)
    assert plan.name == path.stem
    plan.network.build(10, 3, (32, 32))


TINY = """
name = "tiny"
dataset = "cifar10"
batch = 8
[network]
backbone = { kind = "resnet", units = [1, 1] }
[[phases]]
name = "backbone"
steps = 3
lr = 0.1
terms.classification = {}
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def run_command(capsys, *arguments):
    code = command.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.err.strip()


def test_command_names_what_is_missing(good, tmp_path, capsys):
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


@pytest.mark.parametrize(
    ("found", "given", "message"),
    [
        ("batch = 8", "batch = 41", "batch = 41 is more than the 40 training images"),
        ("crop_pad = 0", "crop_pad = 16", "crop_pad = 16: expected less than a side of the images, 16 × 16"),
    ],
)
def test_a_recipe_that_the_images_do_not_allow_is_one_line(
    found, given, message, good, splits, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    good.write_text(f"{given}\n" + good.read_text().replace(f"{found}\n", ""))
    code, error = run_command(capsys, good, "--out", tmp_path / "run")
    assert code == 2 and message in error and "\n" not in error
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


@pytest.mark.parametrize("device", ["tpu", "meta", "cuda:99"])
def test_a_device_that_is_not_here_is_one_line(device, good, capsys):
    with pytest.raises(SystemExit):
        command.main([str(good), "--device", device])
    error = capsys.readouterr().err
    assert f"'{device}' is not on this machine" in error and error.count("\n") == 1


def test_command_refuses_foreign_and_damaged_checkpoints(good, splits, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    assert run_command(capsys, good, "--out", out)[0] == 0
    code, error = run_command(capsys, good, "--out", out)
    assert code == 2 and "already holds a run" in error
    other = tmp_path / "other.toml"
    other.write_text(good.read_text().replace("steps = 3", "steps = 2"))
    code, error = run_command(capsys, other, "--out", out, "--resume")
    assert code == 2 and "made by another recipe" in error
    (out / "checkpoint.pt").write_bytes((out / "checkpoint.pt").read_bytes()[:1000])
    code, error = run_command(capsys, good, "--out", out, "--resume")
    assert code == 2 and "is damaged" in error and "\n" not in error


def test_an_interrupt_before_the_first_step_has_written_nothing(good, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.Split, "load", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    code, error = run_command(capsys, good, "--out", tmp_path / "run")
    assert code == 2 and error.splitlines()[-1] == "training: interrupted: nothing was written"


def test_interrupt_is_one_line_and_leaves_a_checkpoint(good, splits, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    monkeypatch.setattr(Trainer, "_train_step", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    code, error = run_command(capsys, good, "--out", tmp_path / "run")
    assert code == 2 and error.splitlines()[-1] == "training: interrupted: go on with the same command and --resume"
    monkeypatch.undo()
    monkeypatch.setattr(command.Split, "load", lambda *arguments: splits)
    assert run_command(capsys, good, "--out", tmp_path / "run", "--resume")[0] == 0
