"""The operations of a network, with as many channels as really ran: every part is asked by its own lowering.

    for operation, ran in operations(out.parts): ...      # ran (N,) of 0/1, or None where it ran for every image

Parts are what a forward pass went through (training/dynamic.py notes them). They lower themselves to a graph that keeps
no weights and notes what the engine would do; so a new kind of unit or gate needs nothing here.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from hls.errors import UserError

STEM, LAYER, CHANNEL, UNIT, SKIPPED, HEAD = "stem", "layer gate", "channel gate", "unit", "skip", "head"  # roles


class Part(NamedTuple):
    """What a forward pass went through for some of a batch's images."""

    role: str
    module: Any
    ran: Any = None  # (N,) of 0/1, differentiable in training; None: for every image
    active: Any = None  # of a unit: mask → (N,) open channels
    image: tuple = ()  # of the stem: channels, height, width


@dataclass(frozen=True)
class Operation:
    """One instruction of the engine: its kind, as in lowercase in hls/isa.toml, and what its cost depends on."""

    kind: str
    inputs: int  # channels of a map, or words of a vector
    outputs: int
    size: tuple = (1, 1)  # (height, width) of its input
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    adds: bool = False  # a map to the sum
    active_in: Any = None  # (N,) channels that are read; None: all
    active_out: Any = None  # (N,) that are computed

    @property
    def output_size(self):
        """(height, width) of its output."""
        return tuple((side + 2 * self.padding - self.kernel) // self.stride + 1 for side in self.size)


def full(operation):
    """The same with all channels active."""
    return replace(operation, active_in=None, active_out=None)


@dataclass(eq=False)
class _Value:
    """A map, or a vector (`size` None); `pooled`: its mean is there, or comes with the map at no cycle."""

    channels: int
    size: tuple | None = None
    pooled: bool = False


@dataclass(frozen=True)
class Mask:
    """Channels that are open: (N,)."""

    count: Any


class Counter:
    """training.lowering.Graph for single parts: notes an Operation for each instruction."""

    def __init__(self):
        self.found = []

    def _note(self, kind, x, outputs, size=None, pooled=False, **fields):
        self.found.append(Operation(kind, x.channels, outputs, x.size or (1, 1), **fields))
        return _Value(outputs, size, pooled)

    def image(self, channels, size):
        """IMAGE."""
        x = _Value(channels, tuple(size))
        return self._note("image", x, channels, x.size)

    def convolution(
        self, x, conv, bn=None, relu=True, add=None, in_mask=None, out_mask=None, over=None, part=None, limit=None
    ):
        """CONV."""
        outputs = conv.out_channels if part is None else len(part[0])
        active = {"active_in": in_mask and in_mask.count, "active_out": out_mask and out_mask.count}
        kernel, stride, padding = conv.kernel_size[0], conv.stride[0], conv.padding[0]
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in x.size)
        fields = {"kernel": kernel, "stride": stride, "padding": padding, "adds": add is not None}
        return self._note("conv", x, outputs, size, True, **fields, **active)

    def affine(self, x, line=None, relu=True, limit=None):
        """AFFINE."""
        return self._note("affine", x, x.channels, x.size, True)

    def zeros(self, x):
        """AFFINE."""
        return self.affine(x)

    def channels(self, x, first, count):
        """Nothing: a place."""
        return _Value(count, x.size)

    def concat(self, parts):
        """Nothing: a place."""
        parts = tuple(parts)
        return _Value(sum(part.channels for part in parts), parts[0].size)

    def view(self, x, rows, columns):
        """Nothing: a place."""
        return _Value(x.channels, (x.size[0] + rows, x.size[1] + columns))

    def flatten(self, x):
        """Not counted."""
        raise UserError("the cycles and the energy of a flattened map are not counted: give a cost in FLOPs")

    def pad(self, x, before, after, stride):
        """AFFINE."""
        size = tuple(-(-side // stride) for side in x.size)
        return self._note("affine", x, before + x.channels + after, size, True, stride=stride)

    def pool(self, x, kernel, stride=None, padding=0, average=False):
        """POOL."""
        stride = stride or kernel
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in x.size)
        return self._note("pool", x, x.channels, size, kernel=kernel, stride=stride, padding=padding)

    def mean(self, x):
        """GLOBAL_POOL, unless what wrote the map has pooled it."""
        if not x.pooled:
            self._note("global_pool", x, x.channels)
        x.pooled = True
        return _Value(x.channels)

    def linear(self, v, fc, before=None, after=None, shift=None, relu=False, inputs=None, outputs=None):
        """FC."""
        return self._note("fc", v, fc.out_features if outputs is None else len(outputs))

    def lstm(self, v, cell, state=None):
        """LSTM."""
        return self._note("lstm", v, cell.hidden_size)

    def decide(self, role, logits):
        """GATE_LAYER or GATE_CHANNEL."""
        self._note("gate_layer" if role == LAYER else "gate_channel", logits, logits.channels)


def operations(parts, gates=True):
    """(Operation, ran) of all `parts` in order; without `gates` those of the static network."""
    counter, x, gated, state, listed = Counter(), None, False, {}, []
    for part in parts:
        before = len(counter.found)
        if part.role in (LAYER, CHANNEL):
            if not gates:
                continue
            pooled = counter.mean(x)
            listed += [(operation, None) for operation in counter.found[before:]]
            before = len(counter.found)
            logits, state[part.role] = part.module.lower(counter, x, pooled, state.get(part.role))
            counter.decide(part.role, logits)
            gated = gated or part.role == LAYER
        elif part.role in (UNIT, SKIPPED):
            x, gated = _unit(counter, part, x, gated, gates, listed), False
            continue
        else:
            x = _end(counter, part, x)
        listed += [(operation, part.ran) for operation in counter.found[before:]]
    return listed


def _unit(counter, part, x, gated, gates, listed):
    """A unit's operations: what stands there when it is skipped, for all images, and what runs."""
    before, unit, left_out = len(counter.found), part.module, part.role == SKIPPED and gates
    identity = unit.lower_skip(counter, x) if gated or left_out else None
    listed += [(operation, None) for operation in counter.found[before:]]
    before = len(counter.found)
    if left_out:
        return unit.lower_join(counter, x, identity)
    masks = {name: Mask(count) for name, count in (part.active or {}).items()}
    y = unit.lower(counter, x, masks, identity)
    listed += [(operation, part.ran) for operation in counter.found[before:]]
    return unit.lower_join(counter, x, y)


def _end(counter, part, x):
    """The stem with the image before it, or the head with EXIT behind it."""
    if part.role == STEM:
        channels, *size = part.image
        return part.module.lower(counter, counter.image(channels, size))
    logits = part.module.lower(counter, x)
    counter._note("exit", logits, logits.channels)
    return logits
