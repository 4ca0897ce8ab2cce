"""Channels of one map share a scale: give each a range that uses it, and what reads them the inverse.

    network = equalise(network, peaks(network, batches))      # the same function in float, better in int8

A channel's values are divided by a factor, and what reads them multiplies its weights by it: a ReLU between lets it
pass. With a the largest value of a channel and w its largest weight, as a share of what its reader's row sums, the
factor sqrt(a / w) makes both sqrt(a · w): what a channel matters, half of it in either. This is Nagel et al. 2019
("Data-Free Quantization through Weight Equalization", section 4.1), with values in place of the first layer's weights,
which have a scale a channel here, as in Xiao et al. 2023 ("SmoothQuant", Eq. 4, α = 1/2).

Channels that are added, pooled, padded or passed on by a skip have one factor together (`Factors`). The image keeps 1,
and so does what is read by a kind of node that is not known here, what is cut at a value, and what has steps that are
given (ReLU6, quantised files).
"""

from dataclasses import fields, replace

import numpy as np
import torch

from export import graph
from export.float_network import FloatNetwork

LEAST = 0.01  # share of a row that a channel gets which is never active, or never read


class Factors:
    """Numbers of factors, one a channel of each map and pooled vector; factor 0 is always 1."""

    def __init__(self, network):
        self.parent, self.numbers = [0], {}  # number → another of the same factor; node → (channels,) numbers
        for node in graph.walk(network.nodes):
            given = node.limit is not None or getattr(node, "unit", None) is not None
            given = given or (node.step is not None and node.size is not None)
            place = self._unknown if given else getattr(self, f"_{node.kind}", self._unknown)
            self.numbers[node] = place(node)

    def of(self, node):
        """(channels,) int: the number of each channel's factor."""
        return np.array([self._root(number) for number in self.numbers[node]])

    def _convolution(self, node):
        own = self._new(node.channels)
        if node.under is not None:
            self._unite(own, self.numbers[node.under])
        return own

    def _pad(self, node):
        own, x = self._new(node.channels), self.numbers[node.x]
        self._unite(own[node.before : node.before + len(x)], x)
        return own

    def _pool(self, node):
        return self.numbers[node.x]

    _mean = _pool

    def _slice(self, node):
        return self.numbers[node.x][node.first : node.first + node.channels]

    def _layergate(self, node):
        self._unite(self.numbers[node.otherwise], self.numbers[node.result])
        return self.numbers[node.otherwise]

    def _linear(self, node):
        return [0] * node.channels  # a vector has 16 bits

    _image = _channelgate = _exit = _classexit = _linear

    def _join(self, node):
        return [number for part in node.parts for number in self.numbers[part]]

    def _unknown(self, node):
        for source in node.inputs:
            self._unite([0] * source.channels, self.numbers[source])
        return [0] * node.channels

    def _new(self, count):
        first = len(self.parent)
        self.parent += range(first, first + count)
        return list(range(first, first + count))

    def _root(self, number):
        while self.parent[number] != number:
            number = self.parent[number]
        return number

    def _unite(self, some, others):
        for one, other in zip(some, others):
            low, high = sorted((self._root(one), self._root(other)))
            self.parent[high] = low


def peaks(network, batches):
    """Node → (channels,) the largest absolute value of each channel of a map, over batches of normalised images."""
    found = {}

    def observe(node, values):
        if isinstance(node, (graph.Convolution, graph.Pad)):
            largest = _by_channel(values.abs() if node.signed else values).double().numpy()
            found[node] = np.maximum(found.get(node, 0), largest)

    run = FloatNetwork(network, observe)
    for images in batches:
        run(images)
    return found


def _by_channel(values):
    """(C,) the largest values of (N, C, H, W); with channels last in memory over images first, where rows are long."""
    if not values.is_contiguous(memory_format=torch.channels_last):
        return values.amax((0, 2, 3))
    rows = values.permute(0, 2, 3, 1).flatten(1)  # (N, H · W · C)
    return rows.amax(0).view(-1, values.shape[1]).amax(0)


def equalise(network, found):
    """The Network with equalised channels; `found`: what `peaks` gives."""
    factors = Factors(network)
    values = np.zeros(len(factors.parent))  # factor → the largest value of its channels
    for node, largest in found.items():
        np.maximum.at(values, factors.of(node), largest)
    weights = np.zeros(len(factors.parent))  # factor → the largest share of a row that its channels' weights are
    scores = {leave.x for leave in network.class_exits}  # what is added behind leaves the rest of the network as it is
    for node in graph.walk(network.nodes):
        if isinstance(node, (graph.Convolution, graph.Linear)) and node not in scores:
            numbers = factors.of(node.x)
            largest = np.abs(node.weight.astype(np.float64)).reshape(*node.weight.shape[:2], -1).max(2)  # (out, in)
            row = (largest * np.where(numbers == 0, 1, values[numbers])).max(1, keepdims=True)
            shares = np.divide(largest, row, out=np.zeros_like(largest), where=row > 0).max(0)
            np.maximum.at(weights, numbers, shares)
    scale = _scales(values, weights)
    return rebuild(network, lambda node: _scaled(node, factors, scale))


def _scales(values, weights):
    """(factors,) float64: sqrt(a / w); where only one of them is known, what makes it LEAST."""
    scale = np.ones(len(values))
    both, alone, unread = (values > 0) & (weights > 0), (values == 0) & (weights > 0), (values > 0) & (weights == 0)
    scale[both] = np.sqrt(values[both] / weights[both])
    scale[alone], scale[unread] = LEAST / weights[alone], values[unread] / LEAST
    scale[0] = 1
    return scale


def _scaled(node, factors, scale):
    """New weights of a node, by field."""
    if not isinstance(node, (graph.Convolution, graph.Linear)):
        return {}
    inputs, outputs = scale[factors.of(node.x)], scale[factors.of(node)]
    shape = (-1, *[1] * (node.weight.ndim - 1))
    weight = node.weight * inputs.reshape(1, *shape[:-1]) / outputs.reshape(shape)
    return {"weight": weight.astype(np.float32), "bias": (node.bias / outputs).astype(np.float32)}


def _holds_nodes(value):
    return isinstance(value, (graph.Node, list)) or (
        isinstance(value, tuple) and any(isinstance(one, graph.Node) for one in value)
    )


def rebuild(network, change):
    """A copy of a Network, each node with the fields that `change(node)` gives."""
    made = {}

    def copied(value):
        if isinstance(value, (list, tuple)):
            return type(value)(copied(node) for node in value)
        if value not in made:
            given = {item.name: getattr(value, item.name) for item in fields(value)}
            links = {name: copied(one) for name, one in given.items() if _holds_nodes(one)}
            made[value] = replace(value, **(links | change(value)))
        return made[value]

    return replace(network, nodes=copied(network.nodes))
