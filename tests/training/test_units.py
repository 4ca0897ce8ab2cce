"""Units and backbones: what they compute, what they pass when skipped, what they cost."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hls import cost
from training.backbones.resnet import resnet
from training.units import PadShortcut, ResidualUnit

# DESIGN: 2 × MACs of convolutions and fully connected layers of the plain networks.
MEGAFLOPS = {14: 52.8, 20: 81.1, 26: 109.4, 38: 166.0, 74: 335.9}


def maps(channels, size=8, n=3, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("depth", MEGAFLOPS)
def test_flops_of_plain_networks(depth):
    assert resnet(depth=depth).cost((32, 32)) / 1e6 == pytest.approx(MEGAFLOPS[depth], abs=0.05)


@given(st.integers(8, 40), st.integers(8, 40), st.sampled_from([1, 3]))
def test_flops_are_the_multiplications_that_run(height, width, channels):
    """Every convolution and linear layer, counted from the shapes it saw; sizes follow from the data."""
    model, counted = resnet(units=(1, 1, 1), in_channels=channels).eval(), []

    def count(module, inputs, output):
        weights = module.weight[0].numel() if isinstance(module, torch.nn.Conv2d) else module.in_features
        counted.append(2 * output[0].numel() * weights)

    for module in model.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(count)
    model(torch.zeros(1, channels, height, width))
    assert model.cost((height, width)) == sum(counted)


def test_an_image_of_twice_the_side_costs_four_times_as_much():
    model = resnet(depth=20)
    assert model.cost((64, 64)) / model.cost((32, 32)) == pytest.approx(4, rel=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
def test_hidden_channels_that_are_dropped_change_nothing(stride):
    unit = ResidualUnit(8, 8 * stride, stride).eval()
    keep = (torch.arange(8 * stride) % 2).float().expand(3, -1)
    before = unit.run(maps(8), {"hidden": keep})
    with torch.no_grad():
        unit.conv1.weight[::2] += 1
        unit.conv2.weight[:, ::2] += 1
    assert torch.equal(unit.run(maps(8), {"hidden": keep}), before)
    assert not torch.equal(unit.run(maps(8)), before)


def test_residual_channels_that_are_dropped_pass_the_identity():
    unit, x = ResidualUnit(8, 16, 2).eval(), maps(8)
    keep = torch.arange(16) % 3 == 0
    y = unit.run(x, {"residual": keep.float().expand(3, -1)})
    assert torch.equal(y[:, ~keep], unit.skip(x)[:, ~keep])
    assert torch.equal(y[:, keep], unit.run(x)[:, keep])


def test_cost_counts_active_channels():
    unit = ResidualUnit(16, 16)
    full = unit.cost((32, 32))
    assert unit.cost((32, 32), {"hidden": 4}) == full / 4
    assert unit.cost((32, 32), {"hidden": 4, "residual": 8}) == full / 4 * (1 + 0.5) / 2
    assert unit.cost((32, 32), {"hidden": torch.tensor([0.0, 16.0])}).tolist() == [0, full]


def test_shortcuts():
    x = maps(3)
    padded = PadShortcut(3, 8, 2)(x)
    assert torch.equal(padded[:, 2:5], x[:, :, ::2, ::2]) and padded.abs().sum() == padded[:, 2:5].abs().sum()
    projected = ResidualUnit(8, 16, 2, "conv")
    assert not projected.skippable and "residual" not in projected.masks
    assert projected.cost((8, 8)) - ResidualUnit(8, 16, 2).cost((8, 8)) == cost.conv_flops(4, 4, 8, 16, 1)


def test_units_begin_as_identities():
    """A phase can add units to a network that has learnt without them."""
    shallow, deep = resnet(units=(1, 1)), resnet(units=(3, 2))
    index = {0: 0, 3: 1}
    for deep_unit, unit in index.items():
        deep.units[deep_unit] = shallow.units[unit]
    deep.stem, deep.head = shallow.stem, shallow.head
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(deep.eval()(images), shallow.eval()(images), atol=1e-6)


def test_places():
    places = resnet(units=(2, 1, 2)).places((20, 28))
    assert [(place.stage, place.size) for place in places] == [
        (0, (20, 28)), (0, (20, 28)), (1, (20, 28)), (2, (10, 14)), (2, (5, 7))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 22}, "ResNet depth 22: expected 6n"),
        ({"depth": 7}, "ResNet depth 7: expected 6n"),
        ({}, "either its depth"),
        ({"depth": 20, "units": [1, 1]}, "either its depth"),
        ({"units": [1, 0]}, "at least one unit"),
        ({"depth": 20, "shortcut": "zero"}, "shortcut 'zero'"),
    ],
)
def test_impossible_networks_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        resnet(**options)
