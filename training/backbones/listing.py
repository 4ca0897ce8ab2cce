"""Layers as a recipe lists them: what each may say, and what follows from it: channels, sizes, how values are cut.

for layer in read([{"op": "convolution", "channels": 16, "kernel": 3}, …]): ...
"""

from dataclasses import dataclass, fields
from math import prod
from typing import Any

from hls import isa

VECTORS = ("mean", "flatten", "linear")  # layers that give vectors
LIMITS = {"channels": (0, 8192), "kernel": (1, isa.MAX_KERNEL), "stride": (1, 8), "padding": (0, isa.MAX_KERNEL)}
LIMITS |= {"before": (0, 8192), "rows": (-256, 256), "columns": (-256, 256)}
OPS = ("convolution", "affine", "concat", "slice", "pool", "pad", "view", *VECTORS)


@dataclass(frozen=True)
class Layer:
    """One layer of a list; numbers that its `op` has not stay as they are here."""

    op: str
    x: int | None = None  # number of the layer that it reads; None: the one before
    add: int | None = None
    parts: tuple = ()
    channels: int = 0
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    average: bool = False
    before: int = 0
    rows: int = 0
    columns: int = 0
    side: tuple = ()  # height and width that a flatten was made for
    relu: bool = False
    limit: float | None = None

    @property
    def reads(self):
        """Numbers of all layers that it reads."""
        return self.parts or tuple(number for number in (self.x, self.add) if number is not None)


def read(listed):
    """Layers of tables, every `x` filled in. Raises ValueError."""
    known, found = {field.name for field in fields(Layer)}, []
    for number, values in enumerate(listed, 1):
        if not isinstance(values, dict):
            raise ValueError(f"layer {number} is {values!r}: expected a table")
        unknown = sorted(set(values) - known)
        if unknown or values.get("op") not in OPS:
            what = f"key {unknown[0]!r}" if unknown else f"op {values.get('op')!r}"
            raise ValueError(f"layer {number} has the unknown {what}: expected {', '.join(sorted(OPS))}")
        lists = {key: tuple(values.get(key, ())) for key in ("parts", "side")}
        given: dict[str, Any] = {"x": (*lists["parts"], number - 1)[0], **values, **lists}
        layer = Layer(**given)
        if not all(isinstance(read, int) and 0 <= read < number for read in (layer.x, *layer.reads)):
            raise ValueError(f"layer {number} reads {layer.reads}: expected layers before it, from 0 on")
        for name, (low, high) in LIMITS.items():
            if not low <= getattr(layer, name) <= high:
                raise ValueError(f"layer {number} has {name} = {getattr(layer, name)}: expected {low} to {high}")
        found.append(layer)
    if not found:
        raise ValueError("a list without layers: expected at least one")
    return found


def width_of(layer, inputs):
    """Channels of what a layer gives, for those that it reads."""
    if layer.op in ("convolution", "linear", "pad", "slice"):
        return layer.channels
    return inputs * prod(layer.side) if layer.op == "flatten" else inputs


def cut_of(layer, cuts):
    """(Whether no value is negative, limit) of what a layer gives; `cuts` are those of the layers before it."""
    if layer.op in ("pool", "pad", "slice", "view"):
        return cuts[layer.x]
    if layer.op == "concat":
        limits = {cuts[part][1] for part in layer.parts}
        return all(cuts[part][0] for part in layer.parts), limits.pop() if len(limits) == 1 else None
    return layer.relu, layer.limit


def size_of(layer, size):
    """(height, width) of what a layer gives for a map of `size`; None for a vector."""
    if layer.op in VECTORS:
        return None
    if layer.op == "pool":
        return tuple((n + 2 * layer.padding - layer.kernel) // layer.stride + 1 for n in size)
    if layer.op == "view":
        return size[0] + layer.rows, size[1] + layer.columns
    return tuple(-(-n // layer.stride) for n in size)
