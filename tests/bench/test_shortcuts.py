"""Small changes of a short run: each is the plain run in all but what its name says."""

import dataclasses

import pytest

from bench.gates import shortcuts
from tests.training import toys
from training.recipe import read

CHANGES = sorted(path for path in shortcuts.QUICK.glob("*.toml") if path.stem != "plain")


@pytest.mark.parametrize("path", CHANGES, ids=lambda path: path.stem)
def test_a_change_is_one_change(path):
    """As many steps at the same rates, and just one key of the recipe or of its phases that differs."""
    plan, plain = read(path), read(shortcuts.QUICK / "plain.toml")
    assert [(phase.steps, phase.lr) for phase in plan.phases] == [(phase.steps, phase.lr) for phase in plain.phases]
    values, base = (flat(dataclasses.asdict(recipe)) for recipe in (plan, plain))
    changed = {key for key in values if values[key] != base.get(key)} - {"name"}
    taught = {"exits", "teacher"} & {*path.stem.split("_")}  # and what teaches them
    assert len(changed) == (2 if taught else 1), changed
    assert plan.name == path.stem


def flat(recipe):
    """Keys of a recipe, of its network, and of all phases together."""
    found = {**recipe, **{f"network.{key}": value for key, value in recipe["network"].items()}}
    for key in recipe["phases"][0]:
        found[f"phase.{key}"] = [phase[key] for phase in recipe["phases"]]
    return {key: value for key, value in found.items() if key not in ("network", "phases")}


def test_a_run_is_followed_to_its_end():
    plan = toys.plan([toys.phase("first", 2, gated=False), toys.phase("rest", 2, gated=False)], batch=8)
    figures, minutes = shortcuts.follow(plan, [toys.noise(n, seed=n) for n in (40, 16, 17)])
    assert figures["images"] == 16 and minutes > 0
