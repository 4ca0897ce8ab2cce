"""Phases as data: learning rates, units left out, requirements; recipes that cannot be followed."""

import numpy as np
import pytest
import torch

from hls.errors import UserError
from tests.training import toys
from training import phases, recipe
from training.backbones.resnet import resnet
from training.loop import Trainer

PLACES = resnet(units=(4, 4, 4)).places((32, 32))
STARTS = {0, 4, 8}


def phase(**values):
    return phases.Phase(**toys.phase(**values))


def test_learning_rates():
    cosine = phase(steps=100, lr=0.1, warmup=10)
    assert phases.learning_rate(cosine, 0) == pytest.approx(0.01)
    assert phases.learning_rate(cosine, 10) == pytest.approx(0.1)
    assert phases.learning_rate(cosine, 99) < 1e-4
    step = phase(steps=100, lr=0.1, schedule="step")
    assert [phases.learning_rate(step, i) for i in (0, 49, 50, 75)] == pytest.approx([0.1, 0.1, 0.01, 0.001])
    line = phase(steps=100, lr=0.1, schedule="linear")
    assert [phases.learning_rate(line, i) for i in (0, 50, 99)] == pytest.approx([0.1, 0.05, 0.001])
    assert phases.learning_rate(phase(steps=100, lr=0.1, schedule="constant"), 99) == 0.1


def test_a_phase_names_how_many_units_take_part():
    out = phases.left_out(phase(units=(1, 2, 4)), PLACES, np.random.default_rng(0))
    assert out == {1, 2, 3, 5, 6}  # the first of each stage, evenly to the last


def test_stochastic_depth_leaves_out_late_units_more_often_and_no_stages_start():
    counts, chance = np.zeros(12), phase(drop=0.6)
    for seed in range(2000):
        for unit in phases.left_out(chance, PLACES, np.random.default_rng(seed)):
            counts[unit] += 1
    expected = np.where(np.isin(np.arange(12), list(STARTS)), 0, 0.6 * np.arange(1, 13) / 12)
    assert np.abs(counts / 2000 - expected).max() < 0.04


def test_modes_draw_base_whole_and_what_lies_between():
    """Of 3,000 images a half skips every unit, a third runs them all, the rest anything; channels stay the gates'."""
    forced = phases.drawn(phase(modes=(0.5, 1 / 3)), 3000, np.random.default_rng(0))
    keep = torch.stack([forced(unit, "layer", torch.zeros(3000, 1))[:, 0] for unit in range(8)], 1).float()
    runs = keep.sum(1)
    assert abs((runs == 0).float().mean() - 0.5) < 0.04 and abs((runs == 8).float().mean() - 1 / 3) < 0.04
    between = runs[(runs > 0) & (runs < 8)]
    assert abs(len(between) / 3000 - 1 / 6 * 7 / 9) < 0.03 and abs(between.mean() - 4) < 0.3
    assert forced(0, "hidden", torch.zeros(3000, 4)) is None
    assert phases.drawn(phase(), 3000, np.random.default_rng(0)) is None


def test_requirements():
    wanted = phase(require={"accuracy": [0.6, 1.0], "dead_layer_gates": [0.0, 0.25]})
    phases.check(wanted, {"accuracy": 0.7, "dead_layer_gates": 0.25})
    with pytest.raises(phases.PhaseError, match=r"joint ended with accuracy 0.598, its recipe requires 0.6 … 1.0"):
        phases.check(wanted, {"accuracy": 0.598, "dead_layer_gates": 0.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batches": 128}, "unknown key 'batches' in recipe"),
        ({"dataset": "mnist"}, "dataset = 'mnist': expected one of"),
        ({"batch": "many"}, "batch = 'many' in recipe: expected int"),
        ({"average": 1.0}, "average = 1.0: expected 0 or more and below 1"),
        ({"batch": 1}, "batch = 1: expected 2 or more"),
        ({"seed": -3}, "seed = -3: expected 0 or more"),
        ({"crop_pad": -1}, "crop_pad = -1: expected 0 or more"),
        ({"validate_every": 0}, "validate_every = 0: expected 1 or more"),
        ({"checkpoint_every": -5}, "checkpoint_every = -5: expected 1 or more"),
        ({"momentum": 5.0}, "momentum = 5.0: expected 0 or more and below 1"),
        ({"weight_decay": float("nan")}, "weight_decay = nan: expected 0 or more"),
        ({"phases": [toys.phase(warmup=-3)]}, "warmup = -3 in phase joint: expected 0 or more"),
        ({"phases": [toys.phase(bias_lr=float("inf"))]}, "bias_lr = inf in phase joint: expected 0 or more"),
        ({"phases": []}, r"a recipe needs \[\[phases\]\]"),
        ({"phases": [toys.phase(train=["all"])]}, "train = 'all' in phase joint"),
        ({"phases": [toys.phase(modes=[0.6, 0.6])]}, "modes = .* in phase joint: expected two chances"),
        ({"phases": [toys.phase(modes=["a", "b"])]}, "modes = .* in phase joint: expected two chances"),
        ({"phases": [toys.phase(modes=[float("nan"), 0.2])]}, "modes = .* in phase joint: expected two chances"),
        (
            {"phases": [toys.phase(units=[1.5, 2])]},
            r"units = .* in phase joint: expected a whole number for each stage",
        ),
        (
            {"phases": [toys.phase(units=["a", 1])]},
            r"units = .* in phase joint: expected a whole number for each stage",
        ),
        ({"phases": [toys.phase(train=[])]}, r"train = \[\] in phase joint: expected one or more of backbone"),
        ({"phases": [toys.phase(require={"accuracy": ["a", "b"]})]}, "require.accuracy = .* expected .least, most."),
        ({"phases": [toys.phase(require={"accuracy": [1.5, 2]})]}, "require.accuracy = .* the least from 0 to 1"),
        ({"phases": [toys.phase(require={"share": [float("nan"), 1]})]}, "require.share = .* expected .least, most."),
        ({"phases": [toys.phase(schedule="fast")]}, "schedule = 'fast' in phase joint"),
        ({"phases": [toys.phase(steps=0)]}, "phase joint: expected at least one step"),
        ({"phases": [toys.phase(lr=float("nan"))]}, "phase joint: expected at least one step, a learning rate above 0"),
        ({"phases": [toys.phase(drop=1.0)]}, "drop = 1.0 in phase joint"),
        ({"phases": [toys.phase(require={"speed": [0, 1]})]}, "require = 'speed' in phase joint"),
        ({"phases": [toys.phase(require={"share": [0.6, 0.4]})]}, r"require.share = \[0.6, 0.4\] in phase joint"),
        ({"phases": [toys.phase(terms={"luck": {}})]}, "unknown term 'luck'"),
        ({"phases": [{"name": "joint", "steps": 1}]}, "lacks 'lr'"),
    ],
)
def test_impossible_recipes_are_named(change, message):
    values = toys.plan([toys.phase()]).to_dict() | change
    with pytest.raises(UserError, match=message):
        recipe.from_dict(values)


@pytest.mark.parametrize(
    ("change", "network", "message"),
    [
        ({"units": [1]}, {}, r"units = \[1\] in phase joint: expected a number for each of 2 stages"),
        ({"units": [1, 1, 1]}, {}, r"units = \[1, 1, 1\] in phase joint: expected a number for each of 2 stages"),
        ({"train": ["exits"]}, {"exits": {}}, "phase joint trains exits: the network has nothing of it"),
        ({"require": {"varying_channels": [0.4, 1]}, "gated": False}, {}, "require.varying_channels in phase joint"),
        ({"require": {"dead_layer_gates": [0, 1]}}, {"layer_gates": {}}, "require.dead_layer_gates in phase joint"),
        ({"side": 2}, {}, "phase joint: the network cannot run images of 2 × 2 .*set its side"),
    ],
)
def test_what_a_network_has_not_got_is_named_before_the_first_step(change, network, message, tmp_path):
    plan = toys.plan([toys.phase(), toys.phase(**change)], {"backbone": toys.SHALLOW, **toys.GATES, **network})
    with pytest.raises(phases.PhaseError, match=message):
        Trainer(plan, [toys.stripes(32)] * 3, tmp_path, "cpu", quiet=True)
    assert not list(tmp_path.iterdir())


def test_gates_that_were_pruned_away_meet_no_requirement():
    with pytest.raises(phases.PhaseError, match="joint ended without gates that varying_channels is counted of"):
        phases.check(phase(require={"varying_channels": [0.4, 1.0]}), {"varying_channels": None})


def test_a_recipe_survives_its_way_through_a_checkpoint():
    plan = toys.plan([toys.phase(train=["exits"], units=[1, 2], require={"share": [0, 1]})])
    assert recipe.from_dict(plan.to_dict()) == plan
