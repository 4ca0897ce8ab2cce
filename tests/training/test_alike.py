"""Static networks that the packages are compared with: as many steps on as many images, at about the same FLOPs."""

from pathlib import Path

import pytest

from training import recipe

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "training" / "recipes"
PAIRS = [
    (RECIPES / "resnet8-cifar10.toml", RECIPES / "resnet24-ddi-cifar10.toml"),
    (RECIPES / "resnet8-fashion-mnist.toml", RECIPES / "resnet74-ddi-fashion-mnist.toml"),
]
SAME = ("name", "steps", "lr", "schedule", "warmup", "side")


@pytest.mark.parametrize("static, dynamic", PAIRS)
def test_a_static_network_is_trained_alike(static, dynamic):
    plain, gated = recipe.read(static), recipe.read(dynamic)
    for name in ("dataset", "seed", "batch", "momentum", "weight_decay", "average", "crop_pad", "flip", "validation"):
        assert getattr(plain, name) == getattr(gated, name)
    assert not (plain.network.layer_gates or plain.network.channel_gates or plain.network.exits)
    assert [[getattr(p, key) for key in SAME] for p in plain.phases] == [
        [getattr(p, key) for key in SAME] for p in gated.phases
    ]
    smoothing = [[p.terms["classification"].get("smoothing") for p in plan.phases] for plan in (plain, gated)]
    assert smoothing[0] == smoothing[1]
