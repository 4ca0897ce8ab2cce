"""The float network against the integers, layer by layer, on the same images with the same decisions.

    found = compare(network8, pixels, normalised)      # Comparison: a Layer each, decisions, logits

`cosine`, errors and saturation are between the two networks, so that errors of layers before are among them. Whether a
layer keeps its bound (export/check/bounds.py) is asked of itself alone: it is computed in float on what the integer
network gave to it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from export import graph
from export.check.bounds import bound_of
from export.float_network import FloatNetwork
from export.integers.integer import IntegerNetwork
from export.integers.layers8 import POOL_UNIT
from export.integers.quantize import HIDDEN_UNIT
from export.integers.scales import groups

BATCH = 8  # images at once: the values of all float layers are kept
GATES = graph.LayerGate, graph.ChannelGate, graph.Exit


@dataclass
class Layer:
    """Sums over images and pixels, an entry a channel; errors in steps of the layer's codes."""

    name: str
    kind: str
    step: float  # the value of one
    products: np.ndarray = field(repr=False)  # (3, C): of float and float, integer and integer, float and integer
    largest: np.ndarray = field(repr=False)  # (C,) the largest error
    saturated: np.ndarray = field(repr=False)  # (C,) values at an end of the codes
    beyond: np.ndarray = field(repr=False)  # (C,) values further from their own layer in float than its bound
    excess: np.ndarray = field(repr=False)  # (C,) the most that one was further
    count: int = 0  # values of a channel

    @property
    def cosine(self):
        """Between all values of the two; 1 where both are 0."""
        return _cosine(self.products.sum(1))

    def cosines(self):
        """(C,) of each channel."""
        return np.array([_cosine(column) for column in self.products.T])

    @property
    def saturation(self):
        """The share of saturated values."""
        return float(self.saturated.sum() / max(self.count * len(self.saturated), 1))


def _cosine(products):
    one, other, both = products
    return float(both / np.sqrt(one * other)) if one > 0 and other > 0 else float(one == other)


@dataclass
class Comparison:
    """What came of all images; logits (N, classes) are of the end, in float values."""

    layers: list
    logits: tuple  # float network, integer network
    labels: tuple  # (exits, N) each
    flips: list  # a dict a gate: name, kind, asked, share of decisions that differ where both ask


def compare(network8, pixels, normalised):
    """The Comparison on (N, H, W, C) uint8 images and the same as (N, C, H, W) float32."""
    watching, outputs = _Watching(network8), ([], [])
    for at in range(0, len(pixels), BATCH):
        part = slice(at, at + BATCH)
        for kept, out in zip(outputs, watching.run(pixels[part], normalised[part])):
            kept.append(out)
    step = watching.step(network8.graph.exits[-1].logits)
    logits = [torch.cat([out.logits[-1] for out in kept]).double().numpy() for kept in outputs]
    labels = tuple(
        np.stack([torch.cat(exits).argmax(1).numpy() for exits in zip(*(out.logits for out in kept))])
        for kept in outputs
    )
    return Comparison(list(watching.layers.values()), (logits[0], logits[1] * step), labels, _flips(network8, *outputs))


def _flips(network8, floats, integers):
    """Decisions that differ, where both networks ask for them."""
    found = []
    for node in graph.walk(network8.graph.nodes):
        if not isinstance(node, GATES[:2]):
            continue
        pairs = [(one.decisions[node], other.decisions[node]) for one, other in zip(floats, integers)]
        asked = torch.cat([one.asked & other.asked for one, other in pairs])
        differ = torch.cat([one.keep != other.keep for one, other in pairs])[asked]
        share = float(differ.double().mean()) if differ.numel() else 0.0
        kind = "layer" if isinstance(node, graph.LayerGate) else "channel"
        found.append({"name": node.name, "kind": kind, "asked": int(asked.sum()), "share": share})
    return found


class _Watching:
    """Runs both networks on a batch and sums up what each layer shows."""

    def __init__(self, network8):
        self.network8, self.group, self.layers = network8, groups(network8.graph), {}
        self.alone = FloatNetwork(network8.graph)  # for one layer at a time, on the integers' inputs
        self.alone.values = {}
        self.floats = {}

    def run(self, pixels, normalised):
        """(float Output, integer Output), each by its own decisions; layers are compared by the float ones."""
        self.floats = {}
        wanted = FloatNetwork(self.network8.graph, self.floats.__setitem__)(normalised)
        forced = {gate: decision.keep for gate, decision in wanted.decisions.items()}
        self.integers = IntegerNetwork(self.network8, self._compare, forced)
        self.images = normalised
        found = self.integers(pixels)
        return wanted, IntegerNetwork(self.network8)(pixels) if forced else found

    def step(self, node):
        """The value of one step of a node's codes: a number, or (C,) of a layer that a gate reads."""
        if isinstance(node, (graph.Mean, graph.Flatten)):
            return self.step(node.x) / POOL_UNIT
        if isinstance(node, graph.Lstm):
            return HIDDEN_UNIT
        if isinstance(node, graph.Linear) and self.network8.numbers[node].scale is None:
            return self.network8.numbers[node].unit
        return self.network8.steps[self.group[node].name]

    def _compare(self, node, values):
        if isinstance(node, GATES):
            return
        step = np.broadcast_to(np.asarray(self.step(node), float), (node.channels,))
        if node not in self.layers:
            self.layers[node] = Layer(node.name, node.kind, float(step.max()), *_zeros(node.channels))
        layer, divisor = self.layers[node], _by_channel(np.where(step == 0, np.inf, step), values)
        codes, float_codes = values.double(), self.floats[node].double() / divisor
        axes = [axis for axis in range(values.ndim) if axis != 1]
        for row, product in zip(layer.products, (float_codes**2, codes**2, float_codes * codes)):
            row += product.sum(axes).numpy()
        layer.largest = np.maximum(layer.largest, (codes - float_codes).abs().amax(axes).numpy())
        ends = self._is_end(node, codes)
        layer.saturated += ends.sum(axes).numpy()
        layer.count += values.numel() // node.channels
        self._check_bound(node, layer, divisor)

    def _check_bound(self, node, layer, divisor):
        """The layer by itself, for all images of the batch; a value at an end of the codes may have been cut off."""
        run = self.integers
        bound = bound_of(run, node, self.step)
        if bound is None:
            return
        inputs = [x for x in node.inputs if not isinstance(x, graph.ChannelGate)]
        self.alone.values = {
            x: (run.values[x].double() * _by_channel(self.step(x), run.values[x])).float() for x in inputs
        }
        self.alone.values |= {x: run.values[x] for x in node.inputs if isinstance(x, graph.ChannelGate)}
        self.alone.images = self.images
        codes = run.values[node].double()
        errors = (codes - getattr(self.alone, node.kind)(node).double() / divisor).abs()
        over = torch.where(self._is_end(node, codes), 0.0, errors - bound).clamp(min=0)
        axes = [axis for axis in range(codes.ndim) if axis != 1]
        layer.beyond += (over > 0).sum(axes).numpy()
        layer.excess = np.maximum(layer.excess, over.amax(axes).numpy())

    def _is_end(self, node, codes):
        """Where codes are the largest or the smallest that there are; 0 is no end of a ReLU's, an image has none."""
        low, high = (-128, 127) if node.signed else (-1, 255)
        if node.size is None:
            bare = isinstance(node, graph.Linear) and self.network8.numbers[node].scale is None
            high = (2**31 if bare else 2**15) - 1
            low = -high - 1
        is_cut = (codes <= low) | (codes >= high)
        return is_cut & (not isinstance(node, graph.Image))


def _zeros(channels):
    return np.zeros((3, channels)), *(np.zeros(channels) for _ in range(4))


def _by_channel(step, values):
    """A step, or one a channel, as values (N, C, …) take it."""
    step = torch.as_tensor(np.array(step, float))
    return step.view(-1, *[1] * (values.ndim - 2)) if step.ndim else step
