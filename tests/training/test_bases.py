"""Recipes that change a base: what is merged, what takes its place, what is refused in one line."""

import pytest

from training import recipe
from training.bases import RecipeError, merged, nested, read_values

BASE = """
name = "base"
dataset = "cifar10"
[network]
backbone = { kind = "resnet", depth = 14 }
layer_gates = { kind = "pooled", rate = 0.3 }
exits = { after = "radi" }
[[phases]]
name = "backbone"
steps = 10
lr = 0.1
terms.classification = {}
[[phases]]
name = "joint"
steps = 20
lr = 0.05
terms.classification = {}
terms.signed_cost = { target = 0.4, weight = 2e-4 }
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.toml").write_text(BASE)
    return tmp_path


def child(folder, text, name="child", base="base.toml"):
    path = folder / f"{name}.toml"
    path.write_text(f'base = "{base}"\n{text}')
    return path


def test_what_a_recipe_does_not_name_is_its_base_s(folder):
    plan = recipe.read(child(folder, 'name = "child"\nseed = 7\nphases.joint.terms.signed_cost.target = 0.6'))
    assert (plan.name, plan.seed, plan.dataset) == ("child", 7, "cifar10")
    joint = plan.phases[1]
    assert (joint.name, joint.steps, joint.terms["signed_cost"]) == ("joint", 20, {"target": 0.6, "weight": 2e-4})
    assert plan.phases[0] == recipe.read(folder / "base.toml").phases[0]


def test_another_kind_or_an_empty_table_takes_the_place(folder):
    text = 'network.layer_gates = { kind = "recurrent" }\nnetwork.exits = {}\nnetwork.backbone.depth = 20'
    network = recipe.read(child(folder, text)).network
    assert network.layer_gates == {"kind": "recurrent"} and network.exits == {}
    assert network.backbone == {"kind": "resnet", "depth": 20}


def test_phases_are_changed_added_and_taken_away_by_name(folder):
    text = "phases.backbone = {}\n[phases.exits]\nsteps = 5\nlr = 0.01\nterms.classification = { exits = 1.0 }"
    plan = recipe.read(child(folder, text))
    assert [(phase.name, phase.steps) for phase in plan.phases] == [("joint", 20), ("exits", 5)]


def test_phases_in_full_take_the_place(folder):
    text = '[[phases]]\nname = "only"\nsteps = 1\nlr = 0.1\nterms.classification = {}'
    assert [phase.name for phase in recipe.read(child(folder, text)).phases] == ["only"]


def test_a_base_has_a_base_of_its_own_in_its_own_folder(folder):
    (folder / "deep").mkdir()
    child(folder, "seed = 2\nbatch = 64", "middle")
    plan = recipe.read(child(folder / "deep", "seed = 3", base="../middle.toml"))
    assert (plan.seed, plan.batch, plan.name) == (3, 64, "base")


def test_what_was_read_is_not_changed(folder):
    values = read_values(folder / "base.toml")
    merged(values, nested({"phases.joint.lr": 9.0, "network.backbone.depth": 8}))
    assert values == read_values(folder / "base.toml")


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        ("", "nowhere.toml", "no recipe .*nowhere.toml"),
        ("", "child.toml", "is a base of itself"),
        ("seed = ", "base.toml", "is not TOML"),
        ("phases.joint = 3", "base.toml", "phases.joint = 3: expected a table"),
        ("[phases.jiont]\nlr = 0.1", "base.toml", "lacks 'steps'"),
        ("sed = 1", "base.toml", "unknown key 'sed'"),
    ],
)
def test_a_base_that_cannot_be_followed_is_one_line(folder, text, base, message):
    with pytest.raises(RecipeError, match=message) as error:
        recipe.read(child(folder, text, base=base))
    assert "\n" not in str(error.value) and "child.toml" in str(error.value)


def test_dotted_keys_are_paths():
    assert nested({"a.b": 1, "a.c": 2, "d": {"e.f": 3}}) == {"a": {"b": 1, "c": 2}, "d": {"e": {"f": 3}}}
    for values in ({"a": 1, "a.b": 2}, {"a.b": 1, "a": 2}, {"a.b": 1, "a.b.c": 2}):
        with pytest.raises(RecipeError, match=r"given twice|leads through"):
            nested(values)
