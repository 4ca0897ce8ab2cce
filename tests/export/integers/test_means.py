"""Channels of the integer network are right on average, and one whose bias was off is set right, either way."""

from dataclasses import replace

import numpy as np
import pytest

from export.float_network import FloatNetwork
from export.graph import Convolution, walk
from export.integers import means
from export.integers.integer import IntegerNetwork
from export.integers.layers8 import scale_word, word_value
from export.integers.means import keep_means
from export.integers.scales import groups
from tests.export.random_networks import clipped

CASES = ["plain", "papers, projected", "convolution channels", "pooled, both masks", "mixed"]


class Sums(IntegerNetwork):
    """`found`: Convolution → mean of its channels' sums, in codes."""

    def scaled(self, node, sums):
        y = super().scaled(node, sums)
        self.found = getattr(self, "found", {})
        self.found[node] = (y[self.kept] if self.kept.any() else y).double().mean((0, 2, 3)).numpy()
        return y


def errors(network8, images, x):
    """Convolution → (channels,) integer means less float ones in codes, and the codes of one step of its biases."""
    floats = means._Means(network8.graph)
    forced = {gate: decision.keep for gate, decision in floats(x).decisions.items()}
    integers, group = Sums(network8, forced=forced), groups(network8.graph)
    integers(images)
    return {
        node: (
            integers.found[node] - floats.means[node] / network8.steps[group[node].name],
            word_value(network8.numbers[node].scale),
        )
        for node in integers.found
    }


@pytest.mark.parametrize("name", CASES)
def test_every_channel_is_right_on_average(name):
    network8, images, x = clipped(name, 24, 7)
    before, after = errors(network8, images, x), errors(keep_means(network8, images, x), images, x)
    assert set(after) == {node for node in walk(network8.graph.nodes) if isinstance(node, Convolution)}
    for node, (error, step) in after.items():
        assert (np.abs(error) <= step / 2 + 0.1).all(), node  # 0.1: which way results are rounded has changed
    assert max(np.abs(error).max() for error, _ in before.values()) > 0.3


@pytest.mark.parametrize("shift", [-3, 3])
def test_a_bias_that_is_off_is_set_right(shift):
    network8, images, x = clipped("plain", 24, 7)
    right, numbers = keep_means(network8, images, x), dict(network8.numbers)
    for node, layer in numbers.items():
        if isinstance(node, Convolution):
            steps = np.divide(shift, word_value(layer.scale), out=np.zeros(len(layer.scale)), where=layer.scale != 0)
            numbers[node] = replace(layer, bias=(layer.bias + np.round(steps)).astype(np.int32))
    found = keep_means(replace(network8, numbers=numbers), images, x)
    for node, layer in right.numbers.items():
        if isinstance(node, Convolution):
            codes = (found.numbers[node].bias - layer.bias) * word_value(layer.scale)
            assert np.abs(codes).max() < 0.1


def test_weights_whose_steps_a_file_fixes_keep_their_biases():
    network8, images, x = clipped("plain", 24, 7)
    graph, numbers = network8.graph, dict(network8.numbers)
    first, other = [node for node in walk(graph.nodes) if isinstance(node, Convolution)][:2]
    object.__setattr__(first, "unit", np.ones(first.channels, np.float32))
    found = keep_means(replace(network8, numbers=numbers), images, x).numbers
    assert (found[first].bias == numbers[first].bias).all() and (found[other].bias != numbers[other].bias).any()


def test_the_floats_are_not_touched():
    network8, images, x = clipped("mixed", 24, 7)
    before = FloatNetwork(network8.graph)(x).logits[-1]
    numbers = {node: getattr(layer, "bias", None) for node, layer in network8.numbers.items()}
    keep_means(network8, images, x)
    assert (FloatNetwork(network8.graph)(x).logits[-1] == before).all()
    assert all(getattr(layer, "bias", None) is numbers[node] for node, layer in network8.numbers.items())


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.37, 3e-5, 40000.0])
def test_a_words_value_is_the_ratio_that_it_was_made_of(ratio):
    assert word_value(scale_word(ratio)) == pytest.approx(ratio, rel=2**-15)
    assert word_value([scale_word(ratio) - 2**31]) == pytest.approx([-ratio], rel=2**-15)
