"""Equalised networks compute the same in float and use their bits, however their channels were scaled before."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from bench.published.equalise import uneven
from export import graph
from export.float_network import FloatNetwork
from export.integers.calibrate import calibrate
from export.integers.equalise import Factors, equalise, peaks, rebuild
from export.integers.integer import IntegerNetwork
from export.integers.quantize import quantize
from tests.export.random_networks import VARIANTS, folded, normalise, random_images


def prepared(name, n=24):
    """A case, its folded network, images, and those as floats."""
    case, images = VARIANTS[name], random_images(VARIANTS[name], n, 5)
    return case, folded(case), images, normalise(case, images)


def nodes_of(network, kind):
    return [node for node in graph.walk(network.nodes) if isinstance(node, kind)]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_function_in_float_is_the_same(name):
    _, network, _, x = prepared(name)
    even = equalise(network, peaks(network, [x]))
    expected, found = FloatNetwork(network)(x), FloatNetwork(even)(x)
    assert torch.equal(found.trace, expected.trace)
    for one, other in zip(found.logits, expected.logits):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3 * float(other.std()))
    weights = [
        (a.weight, b.weight) for a, b in zip(nodes_of(network, graph.Convolution), nodes_of(even, graph.Convolution))
    ]
    changed = sum(a.size for a, b in weights if not np.array_equal(a, b))  # small ones of grouped gates are not
    assert changed > sum(a.size for a, _ in weights) / 2, "nothing was equalised"


def int8_error(network, case, images, x):
    """Root mean square of the int8 logits' error, as a share of the float logits' spread."""
    network8 = quantize(network, calibrate(network, [x]), case.mean, case.std)
    found, expected = IntegerNetwork(network8)(images).logits[-1], FloatNetwork(network)(x).logits[-1]
    return float((found * network8.steps["logits"] - expected).square().mean().sqrt() / expected.std())


@pytest.mark.parametrize("n", [16, 64])
@pytest.mark.parametrize("name", ["plain", "exits alone"])  # no gates, so that no decision can flip
def test_uneven_channels_cost_nothing(name, n):
    case, network, images, x = prepared(name)
    spread = uneven(network, n)
    torch.testing.assert_close(
        FloatNetwork(spread)(x).logits[-1], FloatNetwork(network)(x).logits[-1], rtol=1e-2, atol=1e-2
    )
    even = equalise(spread, peaks(spread, [x]))
    before, after = (int8_error(one, case, images, x) for one in (spread, even))
    assert after < 0.06 < before, (before, after)


def test_what_was_scaled_before_makes_no_difference():
    """The equalised weights are those of the network that nobody scaled."""
    _, network, _, x = prepared("plain")
    spread = uneven(network, 64)
    for one, other in zip(
        nodes_of(equalise(network, peaks(network, [x])), graph.Convolution),
        nodes_of(equalise(spread, peaks(spread, [x])), graph.Convolution),
    ):
        np.testing.assert_allclose(one.weight, other.weight, rtol=1e-3, atol=1e-3 * np.abs(one.weight).max())


def test_values_and_weights_share_what_a_channel_matters():
    """By hand: two channels of values 8 and 1, read with weights 1 and 1/2: sqrt(8 / 1) and sqrt(1 / (1/16))."""
    network = hand_made(first=[8.0, 1.0], second=[1.0, 0.5])
    even = equalise(network, peaks(network, [torch.ones(1, 1, 4, 4)]))
    first, second = nodes_of(even, graph.Convolution)
    # the row is 8 · 1: shares of it are 1/8 and 1/16, so that values become sqrt(8 · 1/8) = 1 and sqrt(1/16) = 1/4
    np.testing.assert_allclose(first.weight[:, 0, 0, 0], [1, 0.25], rtol=1e-6)
    # and the sum, 8.5, of which the classifier's row is all: sqrt(8.5 / (1 / 8.5)) = 8.5
    np.testing.assert_allclose(second.weight[0, :, 0, 0], [8 / 8.5, 2 / 8.5], rtol=1e-6)
    np.testing.assert_allclose(first.bias, [0, 0])


@pytest.mark.parametrize(
    "first, second", [([8.0, 0.0], [1.0, 64.0]), ([8.0, 512.0], [1.0, 0.0])], ids=["dead", "unread"]
)
def test_a_channel_that_does_not_matter_takes_no_bits_from_others(first, second):
    network = hand_made(first, second)
    even = equalise(network, peaks(network, [torch.ones(1, 1, 4, 4)]))
    values, weights = (np.abs(node.weight).reshape(-1) for node in nodes_of(even, graph.Convolution))
    assert values[1] <= 0.011 * values[0] and weights[1] <= 0.011 * weights[0]


def hand_made(first, second):
    """1×1 convolutions 1 → 2 → 1 and a classifier, on images of 4×4."""
    image = graph.Image("image", 1, size=(4, 4), signed=True)
    one = _pointwise("one", image, np.array(first, np.float32)[:, None])
    two = _pointwise("two", one, np.array(second, np.float32)[None])
    return graph.Network("hand", [image, one, two, *_end(two)], ())


def _pointwise(name, x, weight):
    """A 1×1 convolution with a ReLU; `weight` (out, in)."""
    out, bias = len(weight), np.zeros(len(weight), np.float32)
    return graph.Convolution(name, out, x.size, x=x, weight=weight[:, :, None, None], bias=bias, stride=1, relu=True)


def _end(node):
    mean = graph.Mean("mean", node.channels, x=node)
    weight = np.ones((2, node.channels), np.float32)
    logits = graph.Linear("end", 2, x=mean, weight=weight, bias=np.zeros(2, np.float32), relu=False)
    return [mean, graph.Exit("end", 2, unit=0, body=[logits], logits=logits)]


def test_a_stage_has_one_factor_a_channel_and_a_pad_moves_them():
    _, network, _, _ = prepared("papers, deeper")
    factors = Factors(network)
    for node in nodes_of(network, graph.Convolution):
        if node.add is not None:
            assert (factors.of(node) == factors.of(node.add)).all()
    for node in nodes_of(network, graph.Pad):
        inner = slice(node.before, node.before + node.x.channels)
        assert (factors.of(node)[inner] == factors.of(node.x)).all() and len(set(factors.of(node))) == node.channels
    for node in nodes_of(network, graph.LayerGate):
        assert (factors.of(node) == factors.of(node.result)).all() and (
            factors.of(node) == factors.of(node.otherwise)
        ).all()
    assert not factors.of(network.image).any()


@dataclass(frozen=True, eq=False, repr=False)
class Square(graph.Node):
    """A kind of node that is not known to the equaliser."""

    x: graph.Node = field(kw_only=True)


def test_what_an_unknown_node_reads_keeps_its_scale():
    network = hand_made([8.0, 1.0], [1.0, 0.5])
    one = network.nodes[1]
    square = Square("square", 2, x=one, size=(4, 4))
    network = graph.Network("hand", [*network.nodes, square], ())
    assert not Factors(network).of(one).any()
    even = equalise(network, {one: np.array([8.0, 1.0]), network.nodes[2]: np.array([8.5])})
    np.testing.assert_array_equal(nodes_of(even, graph.Convolution)[0].weight, one.weight)


def test_a_rebuilt_network_is_a_copy_with_links_of_its_own():
    _, network, _, x = prepared("pooled, both masks")
    copy = rebuild(network, lambda node: {})
    olds, news = (set(graph.walk(one.nodes)) for one in (network, copy))
    assert len(olds) == len(news) and not olds & news
    assert all(source in news for node in news for source in node.inputs)
    assert torch.equal(FloatNetwork(copy)(x).logits[-1], FloatNetwork(network)(x).logits[-1])
