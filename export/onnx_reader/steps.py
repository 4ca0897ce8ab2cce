"""What an ONNX file becomes first: a list of steps, few kinds of them, with numpy weights.

    Step("conv", "layer1.0.conv1", [x], 16, (32, 32), weight=…, bias=…)
    raise unsupported(node, "groups 32", "groups 1")

A step is its own output, a map (channels and size) or a vector (channels). Kinds: image, conv, affine, cut, grid, add,
concat, max, average, view, thin, mean, flatten, linear. `cut` and `grid` mostly end as a property of what they follow.
"""

from dataclasses import dataclass, field
from math import inf

import numpy as np

from hls.errors import UserError


@dataclass(eq=False)
class Step:
    """One operation; simplify.py changes steps in place."""

    kind: str
    name: str
    inputs: list
    channels: int
    size: tuple | None = None  # of a map
    label: str = ""  # the node that it comes from, for messages
    weight: np.ndarray | None = None  # conv (out, in, k, k), linear (out, in); float64
    bias: np.ndarray | None = None
    unit: np.ndarray | None = None  # (out,) one step of quantised weights
    scale: np.ndarray | None = None  # affine, (channels,); image: std
    shift: np.ndarray | None = None  # affine, (channels,); image: mean
    stride: int = 1
    before: int = 0  # thin: channels of zeros in front; the rest of those that are new come behind
    window: "Window | None" = None  # of pools
    low: float = -inf  # what values are cut at, behind all else
    high: float = inf
    grid: "Grid | None" = None  # what codes the file gives its values
    order: np.ndarray | None = None  # flatten: where each entry of the file's vector stands in ours

    @property
    def is_cut(self):
        """Whether values are cut, at either end."""
        return self.low > -inf or self.high < inf


@dataclass(frozen=True)
class Grid:
    """Codes of a QuantizeLinear: the value of one step, and of the lowest and the highest code."""

    step: float
    low: float
    high: float


@dataclass(frozen=True)
class Window:
    """Of a pool: (height, width) of kernel and stride, (top, left, bottom, right) padding, whether that is counted."""

    kernel: tuple
    stride: tuple
    pads: tuple = (0, 0, 0, 0)
    counted: bool = False


@dataclass
class Steps:
    """Steps in order, the image first; `last` is the output, `limits` those of an image of whole numbers."""

    all: list = field(default_factory=list)
    last: Step | None = None
    limits: tuple | None = None

    def add(self, step):
        """Append a step; the step."""
        self.all.append(step)
        return step


def printable(text, most=60):
    """Somebody's text as a part of one line."""
    text = "".join(c if c.isprintable() else "?" for c in str(text).splitlines()[0] if c) if str(text) else "''"
    return text if len(text) <= most else text[: most - 1] + "…"


def label(node):
    """An ONNX node by name and operator."""
    name = node.name or next(iter(node.output), "")
    return f"{printable(name or 'a node')} ({printable(node.op_type)})"


def unsupported(where, found, nearest):
    """The UserError for something that the engine does not do; `where` is a node or its label."""
    where = where if isinstance(where, str) else label(where)
    return UserError(f"{where}: {found} is not supported: the nearest that is: {nearest}")
