"""Backbones of any shape, layer by layer as a recipe lists them: what python -m training dynamic writes.

    backbone = layered(classes=10, in_channels=3, name="net", stem=[…], units=[[…], …], head=[…])

Each list holds layers in order, a table each: `op`, what it reads, its numbers. Layer 0 is what the list is given, the
first layer is 1; `x` is the layer before where it is not said.

    { op = "convolution", channels = 16, kernel = 3, stride = 2, relu = true, add = 2 }
    { op = "affine", relu = true }                     # each channel times a number plus a number
    { op = "concat", parts = [1, 3] }
    { op = "slice", before = 16, channels = 8 }        # some channels, and how many stand before them
    { op = "pool", kernel = 3, stride = 2, padding = 1, average = false }
    { op = "pad", before = 8, channels = 32, stride = 2 }
    { op = "view", rows = -1, columns = -1 }           # cut off, or zeros, at the bottom and the right
    { op = "mean" }, { op = "flatten", side = [4, 4] }, { op = "linear", channels = 10, relu = false }

A `limit` cuts values off, as ReLU6 does. Convolutions have a bias and no batch norm.
"""

from math import prod

import torch
from torch import nn
from torch.nn import functional

from hls import cost
from training.backbones.backbone import Backbone
from training.backbones.listing import VECTORS, cut_of, read, size_of, width_of
from training.units import PadShortcut


class Line(nn.Module):
    """Each channel times its `weight` plus its `bias`."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        """(N, C, H, W)."""
        return x * self.weight[:, None, None] + self.bias[:, None, None]


def _cut(y, layer):
    if layer.limit is None:
        return functional.relu(y) if layer.relu else y
    return y.clamp(0 if layer.relu else -layer.limit, layer.limit)


class Layers(nn.Module):
    """A list of layers as one module; the last one is its output. Raises ValueError, its message one line.

    `cut`: how the values of the input are cut, (whether none is negative, limit); `cuts` has that of every layer.
    """

    def __init__(self, listed, in_channels, cut=(False, None)):
        super().__init__()
        self.in_channels, self.layers, self.cuts = in_channels, read(listed), [cut]
        widths, members = [in_channels], []
        for layer in self.layers:
            inputs = widths[layer.x] if not layer.parts else sum(widths[part] for part in layer.parts)
            widths.append(width_of(layer, inputs))
            members.append(_module(layer, inputs))
            self.cuts.append(cut_of(layer, self.cuts))
        self.members = nn.ModuleList(members)  # an empty one where there are no numbers to learn
        self.widths, self.out_channels = widths, widths[-1]
        self._check()

    def _check(self):
        """Raises ValueError for maps that do not go together."""
        vectors = set()
        for number, layer in enumerate(self.layers, 1):
            if layer.op in VECTORS:
                vectors.add(number)
            if (layer.op == "linear") != (layer.x in vectors) or vectors & {*layer.parts, layer.add}:
                raise ValueError(f"layer {number}, {layer.op}, reads {'a vector' if layer.x in vectors else 'a map'}")
            if layer.op == "slice" and layer.before + layer.channels > self.widths[layer.x]:
                raise ValueError(
                    f"layer {number} takes {layer.channels} channels behind {layer.before} of {self.widths[layer.x]}"
                )
            if layer.add is not None and self.widths[layer.add] != self.widths[number]:
                widths = self.widths[layer.add], self.widths[number]
                raise ValueError(f"layer {number} adds {widths[0]} channels to {widths[1]}: expected as many")

    def forward(self, x, closed=None):
        """(N, in_channels, H, W) → the output; `closed`: layer → what closes channels of what it gave."""
        values = [x]
        for number, (layer, member) in enumerate(zip(self.layers, self.members), 1):
            y = self._step(layer, member, values)
            values.append(closed[number](y) if closed and number in closed else y)
        return values[-1]

    def _step(self, layer, member, values):
        x = values[layer.x]
        if layer.op in ("convolution", "linear", "affine"):
            y = member(x)
            return _cut(y if layer.add is None else y + values[layer.add], layer)
        if layer.op == "concat":
            return torch.cat([values[part] for part in layer.parts], 1)
        if layer.op == "slice":
            return x[:, layer.before : layer.before + layer.channels]
        if layer.op == "pool" and layer.average:
            return functional.avg_pool2d(x, layer.kernel, layer.stride, layer.padding, count_include_pad=False)
        if layer.op == "pool":
            return functional.max_pool2d(x, layer.kernel, layer.stride, layer.padding)
        if layer.op == "pad":
            behind = layer.channels - x.shape[1] - layer.before
            return functional.pad(x[:, :, :: layer.stride, :: layer.stride], (0, 0, 0, 0, layer.before, behind))
        if layer.op == "view":
            return functional.pad(x, (0, layer.columns, 0, layer.rows))
        return x.mean((2, 3)) if layer.op == "mean" else x.flatten(1)

    def sizes(self, size):
        """(height, width) of every layer's map for an input of `size`, that among them; None for vectors."""
        found = [tuple(size)]
        for layer in self.layers:
            found.append(size_of(layer, found[layer.x]))
        return found

    def output_size(self, size):
        """(height, width) of the output for an input of `size`."""
        return self.sizes(size)[-1]

    def cost(self, size, active=None):
        """FLOPs for an input of `size`; `active`: layer → channels of what it gave that are kept, (N,) or a number."""
        sizes, counts, total = self.sizes(size), {**dict(enumerate(self.widths)), **(active or {})}, 0
        for number, layer in enumerate(self.layers, 1):
            if layer.op == "convolution":
                total = total + cost.conv_flops(*sizes[number], counts[layer.x], counts[number], layer.kernel)
            elif layer.op == "linear":
                total += cost.fc_flops(self.widths[layer.x], layer.channels)
            elif layer.op == "flatten":
                total += cost.flatten_flops(self.widths[layer.x], prod(layer.side))
        return total

    def lower(self, graph, x):
        """`forward` as nodes."""
        return self.nodes(graph, x)

    def nodes(self, graph, x, masks=None, given=None):
        """As nodes. `masks`: layer → the mask of what it gives; `given`: layer → a node that is there already."""
        masks, values = masks or {}, [x]
        for number, (layer, member) in enumerate(zip(self.layers, self.members), 1):
            made = (given or {}).get(number)
            values.append(made or self._lower_step(graph, layer, member, values, masks, number))
        return values[-1]

    def _lower_step(self, graph, layer, member, values, masks, number):
        x, cut = values[layer.x], {"relu": layer.relu, "limit": layer.limit}
        if layer.op == "convolution":
            add = None if layer.add is None else values[layer.add]
            both = {"in_mask": masks.get(layer.x), "out_mask": masks.get(number)}
            return graph.convolution(x, member, add=add, **both, **cut)
        if layer.op == "affine":
            return graph.affine(x, member, **cut)
        if layer.op == "linear":
            return graph.linear(x, member, relu=layer.relu)
        if layer.op == "concat":
            return graph.concat([values[part] for part in layer.parts])
        if layer.op == "slice":
            return graph.channels(x, layer.before, layer.channels)
        if layer.op == "pool":
            return graph.pool(x, layer.kernel, layer.stride, layer.padding, layer.average)
        if layer.op == "pad":
            return graph.pad(x, layer.before, layer.channels - x.channels - layer.before, layer.stride)
        if layer.op == "view":
            return graph.view(x, layer.rows, layer.columns)
        return graph.mean(x) if layer.op == "mean" else graph.flatten(x)


class LayerUnit(Layers):
    """A unit of layers. Where its last layer adds what the unit is given, a skip passes that on, at no cost.

    Masks: `hidden` drops channels between two convolutions, of which the second alone reads the first;
    `residual` leaves channels of the sum as what is added has them.
    """

    def __init__(self, listed, in_channels, cut=(False, None)):
        super().__init__(listed, in_channels, cut)
        last, count = self.layers[-1], len(self.layers)
        reads = [number for layer in self.layers for number in layer.reads]
        self.passed = None  # the number of the layer that a skip passes on: 0, or a pad of it
        if last.op == "convolution" and last.add is not None and self.cuts[-1] == cut:  # else none stands for the other
            added = self.layers[last.add - 1] if last.add else None
            free = added is None or (added.op == "pad" and added.x == 0 and reads.count(last.add) == 1)
            self.passed = last.add if free else None
        self.skippable = self.passed is not None
        pad = self.layers[self.passed - 1] if self.passed else None
        self.stride = pad.stride if pad else 1  # of what a skip passes on
        self.shortcut = PadShortcut(in_channels, pad.channels, pad.stride, pad.before) if pad else nn.Sequential()
        self.numbers = {"residual": count} if self.skippable else {}  # mask → layer
        convolutions = [layer for layer in self.layers if layer.op == "convolution" and layer.x]
        inner = [layer.x for layer in convolutions if reads.count(layer.x) == 1 and self._is_plain(layer.x)]
        self.numbers = ({"hidden": inner[-1]} if inner else {}) | self.numbers
        self.masks = {name: self.widths[number] for name, number in self.numbers.items()}

    def _is_plain(self, number):
        layer = self.layers[number - 1]
        return layer.op == "convolution" and layer.add is None

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, …); `keep`: mask → (N, channels) of 0/1."""
        keep, closed = keep or {}, {}
        if "hidden" in keep:
            closed[self.numbers["hidden"]] = lambda y: y * keep["hidden"][:, :, None, None].to(y.dtype)
        if "residual" in keep:
            mask, passed = keep["residual"][:, :, None, None].to(x.dtype), self.skip(x)
            closed[self.numbers["residual"]] = lambda y: mask * y + (1 - mask) * passed
        return self(x, closed)

    def skip(self, x):
        """What a skipped unit passes on."""
        if not self.skippable:
            raise ValueError("a unit that adds nothing which it is given cannot be skipped")
        return self.shortcut(x)

    def cost(self, size, active=None):
        """FLOPs for an input of `size`; `active`: mask → kept channels, a number or (N,)."""
        return super().cost(size, {self.numbers[name]: count for name, count in (active or {}).items()})

    def lower(self, graph, x, masks=None, skipped=None):
        """`run` as nodes; `skipped`: what `lower_skip` gave, where it was called."""
        given = {self.passed: skipped} if self.passed and skipped is not None else {}
        return self.nodes(graph, x, {self.numbers[name]: mask for name, mask in (masks or {}).items()}, given)

    def lower_skip(self, graph, x):
        """What is passed on as nodes."""
        return self._lower_step(graph, self.layers[self.passed - 1], None, [x], {}, 0) if self.passed else x

    def lower_join(self, graph, x, y):
        """What ran or was passed on, as it is."""
        return y


def layered(classes=10, in_channels=3, name="", stem=(), units=(), head=()):
    """A Backbone of lists of layers. Raises ValueError, its message one line."""
    if not (name and stem and units and head):
        raise ValueError("expected a name, and layers of stem, units and head")
    first, members = Layers(stem, in_channels), []
    x = first
    for listed in units:
        members.append(LayerUnit(listed, x.out_channels, x.cuts[-1]))
        x = members[-1]
    end = Layers(head, x.out_channels)
    if end.layers[-1].op not in VECTORS or end.out_channels != classes:
        raise ValueError(f"the head ends in {end.out_channels} values, the data has {classes} classes")
    return Backbone(first, members, end, name)


def _module(layer, inputs):
    if layer.op == "convolution":
        return nn.Conv2d(inputs, layer.channels, layer.kernel, layer.stride, layer.kernel // 2)
    if layer.op == "linear":
        return nn.Linear(inputs, layer.channels)
    return Line(inputs) if layer.op == "affine" else nn.Sequential()
