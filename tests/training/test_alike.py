"""Static networks that the packages are compared with: as many steps on as many images, at about the same FLOPs."""

from pathlib import Path

import pytest

from training import recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "training" / "recipes"
PAIRS = [
    (RECIPES / "resnet8-cifar10.toml", RECIPES / "resnet24-ddi-cifar10.toml"),
    (RECIPES / "resnet12-cifar10.toml", RECIPES / "resnet24-ddi-cifar10.toml"),
    (RECIPES / "resnet8-fashion-mnist.toml", RECIPES / "resnet74-ddi-fashion-mnist.toml"),
]
SAME = ("name", "steps", "lr", "schedule", "warmup", "side")


@pytest.mark.parametrize("static, dynamic", PAIRS)
def test_a_static_network_is_trained_alike(static, dynamic):
    """The same images, teacher and phases; a static network may have a phase more."""
    plain, gated = recipe.read(static), recipe.read(dynamic)
    for name in ("dataset", "seed", "batch", "momentum", "weight_decay", "average", "crop_pad", "flip", "validation"):
        assert getattr(plain, name) == getattr(gated, name)
    assert plain.teacher == gated.teacher
    assert not (plain.network.layer_gates or plain.network.channel_gates or plain.network.exits)
    both = [[[getattr(p, key) for key in SAME] for p in plan.phases] for plan in (plain, gated)]
    assert both[0][: len(both[1])] == both[1]
    for p, q in zip(plain.phases, gated.phases, strict=False):
        assert p.terms["teacher"]["weight"] == q.terms["teacher"]["weight"]
        assert p.terms["classification"]["weight"] == q.terms["classification"]["weight"]
