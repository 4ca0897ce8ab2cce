"""Ways to train gates: each follows what a run has done, and gives a network that can be compared."""

import pytest

from bench.gates import trials
from tests.training import toys
from training.checkpoint import read_checkpoint
from training.loop import Trainer
from training.recipe import from_dict

WAYS = sorted(trials.WAYS.glob("*.toml"))


@pytest.fixture(scope="module")
def splits():
    return [toys.noise(n, seed=n) for n in (40, 16, 17)]


@pytest.fixture(scope="module")
def state(splits, tmp_path_factory):
    """A run whose backbone is trained, and which would go on."""
    folder = tmp_path_factory.mktemp("run")
    phases = [toys.phase("backbone", 2, train=["backbone"], gated=False), toys.phase("gates", 5)]
    trainer = Trainer(toys.plan(phases, batch=8), splits, folder, "cpu")
    trainer._run_phase(float("inf"))
    trainer._end_phase()
    return read_checkpoint(folder / "checkpoint.pt")


@pytest.mark.parametrize("path", WAYS, ids=lambda path: path.stem)
def test_a_way_takes_the_place_of_what_has_not_begun(path, state):
    plan = trials.way(from_dict(state["recipe"]), state, path)
    assert plan.phases[0].name == "backbone" and plan.phases[1].name != "gates"
    assert sum(phase.steps for phase in plan.phases[1:]) == 704  # all ways train for as long


def test_a_way_is_followed_from_the_trained_backbone_on(state, splits, tmp_path):
    path = tmp_path / "short.toml"
    path.write_text('[[phases]]\nname = "short"\nsteps = 2\nlr = 1e-9\nterms.need = {}\ntrain = ["layer_gates"]\n')
    model, seconds = trials.follow(trials.way(from_dict(state["recipe"]), state, path), state, splits)
    assert seconds > 0
    name = "backbone.head.linear.weight"
    assert (model.state_dict()[name] == state["model"][name]).all()
