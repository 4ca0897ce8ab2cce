"""After correction the integer gates are right on average, and decide like the float ones at least as often."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export import fold, integer, quantize
from export.calibrate import calibrate
from export.correct import correct
from tests.export.random_networks import MEAN, STD, VARIANTS, network_of, normalise, random_images, random_model


def prepared(variant):
    """Folded network, its Network8 before correction, images."""
    network, images = fold.fold(random_model(network_of(variant))), random_images(48, 11)
    return quantize.quantize(network, calibrate(network, [normalise(images)]), MEAN, STD), images


def mean_error(network8, block, images):
    """(channels,) mean difference of the first channel gate's logits, integer less float, in float units."""
    found = (
        integer.channel_logits(block, integer.stem(network8, images)).double().numpy() * block.channel_gate.linear.unit
    )
    x = torch.relu(fold.convolve(normalise(images), network8.shape.stem))
    return found.mean(0) - fold.channel_logits(block.shape, 0, x, torch.ones(len(x), dtype=torch.bool)).numpy().mean(0)


def test_mean_error_of_a_gate_is_gone():
    network8, images = prepared(VARIANTS[4])
    block = network8.blocks[0]
    linear = replace(block.channel_gate.linear, bias=block.channel_gate.linear.bias + 1_000_000)
    block = replace(block, channel_gate=replace(block.channel_gate, linear=linear))
    network8 = replace(network8, blocks=(block, *network8.blocks[1:]))
    after = correct(network8, images, normalise(images))
    steps = linear.unit * 2
    assert (np.abs(mean_error(network8, block, images)) > 100_000 * steps).all()
    assert (np.abs(mean_error(after, after.blocks[0], images)) <= steps + 1e-6).all()


@pytest.mark.parametrize("variant", VARIANTS[:6], ids=str)
def test_decisions_are_no_worse(variant):
    network8, images = prepared(variant)
    expected = fold.forward(network8.shape, normalise(images)).trace()
    before, after = (
        integer.IntegerNetwork(network)(images).trace()
        for network in (network8, correct(network8, images, normalise(images)))
    )
    assert (after != expected).float().mean() <= (before != expected).float().mean() + 0.05
    if variant[1]:
        assert any(block.threshold for block in correct(network8, images, normalise(images)).blocks)


def test_a_network_without_gates_is_left_alone():
    network8, images = prepared(VARIANTS[7])
    assert correct(network8, images, normalise(images)) is network8
