"""A graph in integers: int8 weights, 8-bit maps, int32 biases, scales as words (docs/engine.md).

    ranges = calibrate(network, batches)
    network8 = quantize(network, ranges, mean, std)     # what integer.py computes and compile/lower.py compiles

A map's values are integer · scale: uint8 after a ReLU, int8 otherwise; which maps share a scale says scales.py.
A pooled vector's unit is its map's scale / 128.
"""

import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from export import graph
from export.integers.layers8 import POOL_UNIT, ClassExit8, Convolution8, Linear8, scale_word
from export.integers.scales import groups
from hls import isa

UNSIGNED, SIGNED = 255, 127  # largest code of a map with and without ReLU; weights are in [-SIGNED, SIGNED]
VECTOR_MAX = 32767
HIDDEN_UNIT = 2.0**-15  # of an LSTM's hidden state
PREACTIVATION_UNIT = 2.0**-10
LOGIT_UNIT = 2.0**-8  # what EXIT works in, nats
BIAS_LIMIT = 2**30  # keeps accumulator + bias within int32
MAP_BIAS_LIMIT = 2 ** (isa.SUM_BITS - 2)  # of a map's, whose sums are saturated to SUM_BITS: a half for the accumulator


@dataclass(frozen=True)
class Network8:
    """A graph and the integers of its nodes.

    `numbers`: Image → table (channels, 256) int8; Convolution → Convolution8; Linear and Lstm → Linear8; Pad → the word
    that takes a code · 2^FRACTION_BITS to its scale, Concat → one a part; Affine → (biases, words); average Pool → the
    word of its windows; LayerGate → threshold of its logit, in steps of the accumulator; ClassExit → ClassExit8.
    """

    graph: graph.Network
    numbers: dict
    exit_scale: int  # word that takes logits to LOGIT_UNIT
    steps: dict  # by name, for the package's meta: a code times its step is the float value


def quantize(network, ranges, mean, std, clip="mse"):
    """A Network8 from a graph, its calibrated ranges, and the normalisation of pixels in [0, 1].

    `clip`: "mse", "max", or a percentile as a share such as 0.9999. Raises UserError.
    """
    image, table = image_table(mean, std, network.image.signed, network.image.step)
    quantizer = _Quantizer(network, _steps(network, ranges, clip) | {network.image: image})
    numbers = {network.image: table}
    for node in graph.walk(network.nodes):
        if hasattr(quantizer, node.kind):
            numbers[node] = getattr(quantizer, node.kind)(node)
    steps = {"image": image} | {node.name: step for node, step in quantizer.steps.items()}
    logit = quantizer.unit(network.exits[-1].logits)
    return Network8(network, numbers, scale_word(logit / LOGIT_UNIT), steps | {"logits": logit})


def _steps(network, ranges, clip):
    """Group → the value of one step of its codes."""
    steps, fixed, limits = {}, {}, {}
    for node, group in groups(network).items():
        for found, value in ((fixed, node.step), (limits, node.limit)):
            if value is not None:
                found[group] = value
    for node, histogram in ranges.items():
        levels = SIGNED if node.signed else UNSIGNED
        if node in fixed:
            steps[node] = fixed[node]
        elif node.size is None:  # a vector has bits enough for its largest value, and room for images not seen
            steps[node] = histogram.maximum * 1.25 / VECTOR_MAX or 1.0
        elif clip == "mse":
            steps[node] = histogram.best_clip(levels) / levels
        else:
            steps[node] = (histogram.maximum or 1.0 if clip == "max" else histogram.percentile(clip)) / levels
        if node in limits:
            steps[node] = min(steps[node], limits[node] / levels)
    return steps


class _Quantizer:
    """One method a kind of node that has numbers."""

    def __init__(self, network, steps):
        self.steps, self.group, self.readers = steps, groups(network), graph.readers_of(network.nodes)
        self.logits = network.exits[-1].logits
        self.cells = {}  # Cell → its Linear8

    def unit(self, node):
        """The value of one step of a node's codes."""
        if isinstance(node, (graph.Mean, graph.Flatten)):
            return self.unit(node.x) / POOL_UNIT
        if isinstance(node, graph.Join):  # a number an entry
            return np.concatenate([np.full(part.channels, self.unit(part)) for part in node.parts])
        return HIDDEN_UNIT if isinstance(node, graph.Lstm) else self.steps[self.group[node]]

    def convolution(self, node):
        """A Convolution8."""
        add = {} if node.add is None else {"identity": self.unit(node.add), "identity_signed": node.add.signed}
        return convolution(node, self.unit(node.x), self.unit(node), node.x.signed, node.relu, **add)

    def pad(self, node):
        """The word from scale to scale."""
        return scale_word(self.unit(node.x) / self.unit(node) / 2**isa.FRACTION_BITS)

    def affine(self, node):
        """Biases in steps of a code · 2^FRACTION_BITS, and words with a sign."""
        ratio = node.scale.astype(np.float64) * self.unit(node.x) / self.unit(node) / 2**isa.FRACTION_BITS
        shift = node.shift.astype(np.float64) / self.unit(node)
        least = np.abs(shift) / MAP_BIAS_LIMIT  # a channel that is all but constant keeps its constant
        ratio = np.where(np.abs(ratio) < least, np.where(ratio < 0, -least, least), ratio)
        bias = np.round(shift / np.where(ratio == 0, 1.0, ratio)).astype(np.int32)
        return bias, _words(np.abs(ratio)) | np.where(ratio < 0, np.int32(-(2**31)), 0)

    def concat(self, node):
        """The words from scale to scale."""
        return _words([self.unit(part) / self.unit(node) / 2**isa.FRACTION_BITS for part in node.parts])

    def pool(self, node):
        """The word that takes a window's sum to its average; 0 for a maximum."""
        return scale_word(1 / node.kernel**2) if node.average else 0

    def linear(self, node):
        """A Linear8; gates read bare accumulators."""
        gates = graph.LayerGate, graph.ChannelGate
        bare = not node.relu and node.step is None and all(isinstance(reader, gates) for reader in self.readers[node])
        return linear(node, self.unit(node.x), None if bare else self.unit(node), node.relu)

    def lstm(self, node):
        """Rows jointly over inputs and hidden state, each times the unit of what it multiplies; one for a cell."""
        if node.cell not in self.cells:
            parts = node.cell.weight_input * float(self.unit(node.x)), node.cell.weight_hidden * HIDDEN_UNIT
            rows, unit, bias = _rows(np.concatenate(parts, 1).astype(np.float64), node.cell.bias)
            self.cells[node.cell] = Linear8(rows, bias, unit, _words(unit / PREACTIVATION_UNIT))
        return self.cells[node.cell]

    def layergate(self, node):
        """The threshold, before it is corrected."""
        return 0

    def classexit(self, node):
        """The first score that stops, less one; and the layer that makes logits of a score."""
        step, target = self.unit(node.x), np.arange(node.channels)[:, None] == node.target
        answer = SimpleNamespace(weight=target * 1.0, bias=np.where(target[:, 0], 0.0, node.others))
        return ClassExit8(math.ceil(node.threshold / step) - 1, linear(answer, step, self.unit(self.logits)))


def image_table(mean, std, signed=True, step=None):
    """The scale of normalised pixels, and (channels, 256) int8: the code of every pixel value.

    Codes are bytes of uint8 where the map is not `signed`. `step`: the scale, where it is fixed.
    """
    pixels = np.arange(256) / 255
    values = (pixels - np.asarray(mean, np.float64)[:, None]) / np.asarray(std, np.float64)[:, None]
    low, high = (-SIGNED, SIGNED) if signed else (0, UNSIGNED)
    scale = step or float(np.abs(values).max() / high)
    return scale, np.clip(np.round(values / scale), low, high).astype(np.int16).astype(np.int8)


def convolution(conv, scale_in, scale_out, in_signed=False, relu=True, identity=None, identity_signed=False):
    """A Convolution8 from a node's weights and the scales of the maps it reads, writes and adds."""
    weight, fixed = conv.weight.reshape(len(conv.weight), -1).astype(np.float64) * scale_in, _fixed(conv, scale_in)
    rows, unit, bias = _rows(weight, conv.bias, fixed, MAP_BIAS_LIMIT)
    words = _words(unit / scale_out)
    identity_scale = 0 if identity is None else scale_word(identity / scale_out)
    weight = rows.reshape(conv.weight.shape)
    return Convolution8(weight, bias, words, conv.stride, in_signed, relu, identity_scale, identity_signed)


def linear(layer, unit_in, unit_out=None, relu=False):
    """A Linear8 whose output is in `unit_out`, or the bare accumulator, each row in its own unit."""
    rows, unit, bias = _rows(layer.weight.astype(np.float64) * unit_in, layer.bias, _fixed(layer, unit_in))
    return Linear8(rows, bias, unit, None if unit_out is None else _words(unit / unit_out), relu)


def _fixed(layer, unit_in):
    """(out,) accumulator units that the source of a layer fixes, or 0."""
    unit = getattr(layer, "unit", None)
    return 0.0 if unit is None else unit.astype(np.float64) * unit_in


def _rows(weight, bias, fixed=0.0, limit=BIAS_LIMIT):
    """Weights (out, n) in real units per input code → int8 rows, (out,) accumulator units, int32 biases.

    A unit is `fixed` where that holds the weights and the bias, else the smallest that does.
    """
    bias = bias.astype(np.float64)
    unit = np.maximum(np.abs(weight).max(1) / SIGNED, np.abs(bias) / limit)
    unit = np.where(fixed * (1 + 1e-6) >= unit, fixed, unit)
    divisor = np.where(unit == 0, 1.0, unit)  # a row of zeros stays one
    rows = np.clip(np.round(weight / divisor[:, None]), -SIGNED, SIGNED).astype(np.int8)
    return rows, unit, np.clip(np.round(bias / divisor), -limit, limit).astype(np.int32)


def _words(ratios):
    return np.array([scale_word(float(ratio)) for ratio in ratios], np.int64).astype(np.int32)
