"""Rounded weights and cut values shift what a channel is on average: take that out of its bias.

    network8 = keep_means(network8, images, normalised)     # training images, as uint8 and as floats

The float network tells what each channel of a convolution is on average before its ReLU. The integer one then runs
layer by layer; where a layer's mean differs, its bias takes the difference, so that the next layer reads maps that are
right on average. This is bias correction as in Nagel et al. 2019 ("Data-Free Quantization through Weight Equalization
and Bias Correction", section 4.2 and appendix D), by images in place of batch norms. Both decide as the floats do.
"""

from dataclasses import replace

import numpy as np

from export.float_network import FloatNetwork
from export.integers.integer import IntegerNetwork
from export.integers.layers8 import word_value
from export.integers.quantize import MAP_BIAS_LIMIT
from export.integers.scales import groups


def keep_means(network8, images, normalised):
    """A Network8 whose convolutions are right on average; those whose weights' steps a file fixes stay as they are.

    `images` (N, H, W, C) uint8, `normalised` the same as (N, C, H, W) float32.
    """
    floats = _Means(network8.graph)
    decisions = floats(normalised).decisions
    integers = _Shifted(network8, floats.means, {gate: decision.keep for gate, decision in decisions.items()})
    integers(images)
    return replace(network8, numbers=integers.numbers)


class _Means(FloatNetwork):
    """`means`: Convolution → (out,) of its sums before the ReLU, over pixels and the images that run it."""

    def __init__(self, network):
        super().__init__(network)
        self.means = {}

    def sums(self, node):
        """Those of the network, seen."""
        found = super().sums(node)
        self.means[node] = _mean(found, self.kept)
        return found


class _Shifted(IntegerNetwork):
    """Has `numbers` of its own, whose biases it moves as it runs."""

    def __init__(self, network8, means, forced):
        super().__init__(network8, forced=forced)
        self.numbers, self.means = dict(network8.numbers), means
        self.steps, self.group = network8.steps, groups(network8.graph)

    def sums(self, node):
        """Exact accumulators; the layer's bias is now such that its mean is the float network's."""
        found, conv = super().sums(node), self.numbers[node]
        if node.unit is None:
            value = word_value(conv.scale)  # of one step of the bias, in codes
            error = _mean(self.scaled(node, found), self.kept) - self.means[node] / self.steps[self.group[node].name]
            steps = np.round(np.divide(error, value, out=np.zeros_like(error), where=value > 0))
            bias = np.clip(conv.bias - steps, -MAP_BIAS_LIMIT, MAP_BIAS_LIMIT).astype(np.int32)
            self.numbers[node] = replace(conv, bias=bias, moved=bias - conv.bias)
        return found


def _mean(maps, kept):
    """(C,) float64: means of (N, C, H, W) over pixels and the images kept, or over all where none is."""
    return (maps[kept] if kept.any() else maps).double().mean((0, 2, 3)).numpy()
