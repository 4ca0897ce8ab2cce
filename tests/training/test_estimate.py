"""The papers' recipes: each loads, builds its network, and tells what it costs."""

import pytest

from training import __main__ as command
from training import estimate, recipe
from training.bases import RECIPES

PAPERS = sorted(path for path in (RECIPES / "papers").rglob("*.toml") if path.parent.name != "grids")


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_paper_s_recipe_tells_what_it_costs(path):
    plan = recipe.read(path)
    assert plan.name == path.stem
    model, size = estimate.built(plan), estimate.outline(plan)[2]
    own, full = float(model.backbone.cost(size)), estimate.flops(model, size)
    dynamic = bool(plan.network.layer_gates or plan.network.channel_gates or plan.network.exits)
    assert own < full if dynamic else own == full
    assert sum(value.numel() for value in model.parameters()) > 50_000
    assert estimate.modelled(plan, model, 10.0) > 0


def test_gates_of_iadi_cost_what_the_paper_says():
    """JSTSP IV-B: 11 % of the network for gates by convolutions, 0.04 % for the RNN's; its G^C is 12.5 % of a unit."""
    for name, least, most in (("resnet74-channels-cnn", 0.1, 0.13), ("resnet74-layers", 0.0001, 0.001)):
        model = estimate.built(recipe.read(RECIPES / "papers" / "iadi" / f"{name}.toml"))
        assert least < estimate.flops(model, (32, 32)) / float(model.backbone.cost((32, 32))) - 1 < most


def test_names_are_apart():
    assert len({path.stem for path in PAPERS}) == len(PAPERS) > 70


def test_hours_are_three_passes_of_every_image(capsys):
    path = RECIPES / "papers" / "static" / "resnet14.toml"
    plan = recipe.read(path)
    model = estimate.built(plan)
    expected = 3 * 64000 * 128 * float(model.backbone.cost((32, 32))) / 5e12
    assert estimate.modelled(plan, model, 5.0) == pytest.approx(expected)
    assert command.main(["estimate", str(path), "--rate", "5"]) == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[0] == "resnet14" and float(line[-1]) == pytest.approx(expected / 3600, abs=0.005)


def test_weights_that_are_not_drawn_cost_the_same():
    plan = recipe.read(RECIPES / "papers" / "acs" / "cifar10" / "resnet38-acs.toml")
    drawn = plan.network.build(10).eval()
    assert estimate.flops(estimate.built(plan), (32, 32)) == estimate.flops(drawn, (32, 32))


def test_bad_input_is_one_line(capsys):
    assert command.main(["estimate", "nowhere.toml"]) == 2
    error = capsys.readouterr().err
    assert "no recipe nowhere.toml" in error and error.count("\n") == 1
