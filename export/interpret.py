"""Run a graph on a batch: every body for all images, then the results of those that take it. What a node computes is

a subclass's matter, one method a kind of node (export/float_network.py, export/integers/integer.py):

    out = FloatNetwork(network)(images)      # out.logits, out.trace, out.decisions
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch.nn import functional

from export.graph import readers_of
from hls import isa


class Decision(NamedTuple):
    """What one gate decided."""

    logits: torch.Tensor  # (N, outputs), floats or accumulators
    keep: torch.Tensor  # (N, outputs) bool
    asked: torch.Tensor  # (N,) bool: the images for which it is asked at all


@dataclass
class Output:
    """Logits of every exit, the network's own last, and what the gates decided; N images."""

    trace: torch.Tensor  # (N, gates) int64, as in the engine's record: active channels, or isa.TRACE_SKIPPED
    logits: list = field(default_factory=list)  # of (N, classes)
    class_logits: list = field(default_factory=list)  # of (N, classes), one a class exit
    decisions: dict = field(default_factory=dict)  # gate node → Decision


class Interpreter:
    """`observe(node, values)` sees what each node gives to the images that run it; `forced`: gate node → keep."""

    def __init__(self, network, observe=None, forced=None):
        self.network, self.observe, self.forced = network, observe, forced or {}
        self.last = {}  # node → the nodes that nobody reads behind it
        for node, readers in readers_of(network.nodes).items():
            self.last.setdefault(readers[-1], []).append(node)

    @torch.no_grad()
    def __call__(self, images):
        """A batch of what `image` takes → Output."""
        self.values, self.kept = {}, torch.ones(len(images), dtype=torch.bool)
        self.out = Output(torch.full((len(images), len(self.network.gates)), isa.TRACE_SKIPPED))
        self.images = images
        self._run(self.network.nodes)
        return self.out

    def _run(self, nodes):
        for node in nodes:
            values = getattr(self, node.kind)(node)
            self.values[node] = values
            if self.observe:  # no range may stay unknown, so an image that nobody runs is seen by all
                some = self.kept.any() and not self.kept.all()
                self.observe(node, values[self.kept] if some else values)
            for forgotten in self.last.get(node, ()):
                del self.values[forgotten]

    def threshold(self, gate):
        """A gate keeps what is above it."""
        return 0

    def _decide(self, node, logits):
        keep = self.forced.get(node, logits > self.threshold(node))
        self.out.decisions[node] = Decision(logits, keep, self.kept)
        return keep

    def layergate(self, node):
        """Both sides, each for its images."""
        keep = self._decide(node, self.values[node.logit])[:, 0]
        outer, trace = self.kept, self.out.trace[:, node.gate]
        trace[:] = node.channels
        self.kept = outer & keep
        self._run(node.body)
        self.kept = outer
        trace[~keep] = isa.TRACE_SKIPPED
        return torch.where(keep[:, None, None, None], self.values[node.result], self.values[node.otherwise])

    def channelgate(self, node):
        """The mask (N, channels) bool."""
        keep = self._decide(node, self.values[node.x])
        if node.gate >= 0:
            self.out.trace[:, node.gate] = keep.sum(1)
        return keep

    def exit(self, node):
        """Its classifier runs for all images."""
        self._run(node.body)
        self.out.logits.append(self.values[node.logits])
        return self.values[node.logits]

    def answer(self, node, score):
        """The logits (N, classes) of a class exit whose score (N, 1) is known: a subclass's matter."""
        raise NotImplementedError

    def classexit(self, node):
        """Its logits (N, classes); its decision says who stops there."""
        score = self.values[node.x]
        keep = self._decide(node, score)[:, 0]
        self.out.trace[:, node.gate] = torch.where(keep, 0, isa.TRACE_SKIPPED)
        self.out.class_logits.append(self.answer(node, score))
        return self.out.class_logits[-1]

    def join(self, node):
        """(N, channels)."""
        return torch.cat([self.values[part] for part in node.parts], 1)

    def slice(self, node):
        """(N, channels, H, W)."""
        return self.values[node.x][:, node.first : node.first + node.channels]

    def read(self, node, mask):
        """A map (N, C, H, W), its channels that the mask closes 0."""
        values = self.values[node]
        return values if mask is None else values * self.values[mask][:, :, None, None]

    def write(self, node, values):
        """What a convolution leaves: the channels that its mask closes are those of the map under it, or 0."""
        if node.out_mask is None:
            return values
        closed = torch.zeros((), dtype=values.dtype) if node.under is None else self.values[node.under]
        return torch.where(self.values[node.out_mask][:, :, None, None], values, closed)


def framed(x, size):
    """Maps (N, C, H, W) at another size: cut off, or with zeros, at the bottom and the right."""
    return functional.pad(x, (0, size[1] - x.shape[3], 0, size[0] - x.shape[2]))
