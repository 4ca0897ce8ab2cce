"""What DenseNets are made of (Huang et al., CVPR 2017, section 3): dense layers, transitions, a stem and a head.

    unit = DenseUnit(24, growth=12, closed="repeat")
    y = unit.run(x)                             # x (N, 24, H, W) → (N, 36, H, W): x, and 12 channels behind it
    y = unit.skip(x)                            # the same shape: in place of the new channels what `closed` says

A dense layer's output is what it adds to the channels before it, so Eq. 3 of Wang et al. (JSTSP 2020) reads here
new = G · C(x) + (1 - G) · S. S is what the layer before gave ("repeat": JSTSP, Fig. 3), or zeros ("zeros": the ICCV
submission, section 3.1.3). It stands in for a skipped layer, and channel by channel for skipped channels.
"""

import torch
from torch import nn
from torch.nn import functional

from hls import cost

BOTTLENECK = 4  # channels between a layer's two convolutions, in growths (Huang et al., "DenseNet-B")
CLOSED = ("repeat", "zeros")


class Stand(nn.Module):
    """Puts behind a map what stands for new channels that were not computed."""

    def __init__(self, growth, closed):
        super().__init__()
        self.growth, self.closed = growth, closed

    def new(self, x):
        """(N, C, H, W) → (N, growth, H, W)."""
        last = x[:, -self.growth :]
        return last if self.closed == "repeat" else torch.zeros_like(last)

    def forward(self, x):
        """(N, C, H, W) → (N, C + growth, H, W)."""
        return torch.cat([x, self.new(x)], 1)


class DenseUnit(nn.Module):
    """batch norm, ReLU, 1×1 convolution, batch norm, ReLU, 3×3 convolution; its input and these channels go on.

    Masks: `new` closes output channels of the layer, `hidden` those between its convolutions. With "repeat" the `first`
    layer of a block has no layer before it that a skip could repeat.
    """

    def __init__(self, in_channels, growth, closed="repeat", first=False):
        super().__init__()
        if closed not in CLOSED:
            raise ValueError(f"closed {closed!r}: expected one of {', '.join(CLOSED)}")
        if in_channels < growth:
            raise ValueError(f"a growth of {growth} on {in_channels} channels: expected at most as many")
        hidden = BOTTLENECK * growth
        self.in_channels, self.out_channels, self.stride, self.growth = in_channels, in_channels + growth, 1, growth
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, hidden, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, growth, 3, 1, 1, bias=False)
        self.shortcut = Stand(growth, closed)
        self.skippable = closed == "zeros" or not first
        self.masks = {"new": growth, "hidden": hidden}

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, H, W); `keep`: mask → (N, channels) of 0/1."""
        keep = {name: mask[:, :, None, None].to(x.dtype) for name, mask in (keep or {}).items()}
        y = functional.relu(self.bn2(self.conv1(functional.relu(self.bn1(x)))))
        y = self.conv2(y * keep["hidden"] if "hidden" in keep else y)
        if "new" in keep:
            y = keep["new"] * y + (1 - keep["new"]) * self.shortcut.new(x)
        return torch.cat([x, y], 1)

    def skip(self, x):
        """What a skipped layer passes on, of the same shape."""
        return self.shortcut(x)

    def cost(self, size, active=None):
        """FLOPs for an input of `size` (height, width); `active`: mask → kept channels, a number or (N,)."""
        active = active or {}
        hidden = active.get("hidden", self.masks["hidden"])
        first = cost.conv_flops(*size, self.in_channels, hidden, 1)
        return first + cost.conv_flops(*size, hidden, active.get("new", self.growth), 3)

    def output_size(self, size):
        """(height, width) of the output: that of the input."""
        return tuple(size)

    def lower(self, graph, x, masks, skipped=None):
        """The new channels as nodes; `masks`: mask → a mask node; `skipped`: what `lower_skip` gave, if called."""
        hidden, new = masks.get("hidden"), masks.get("new")
        over = skipped if skipped is not None or new is None else self.lower_skip(graph, x)
        y = graph.convolution(graph.affine(x, self.bn1), self.conv1, self.bn2, relu=True, out_mask=hidden)
        return graph.convolution(y, self.conv2, relu=False, in_mask=hidden, out_mask=new, over=over)

    def lower_skip(self, graph, x):
        """What stands for the new channels, as nodes."""
        last = graph.channels(x, self.in_channels - self.growth, self.growth)
        return graph.affine(last, relu=False) if self.shortcut.closed == "repeat" else graph.zeros(last)

    def lower_join(self, graph, x, y):
        """The input, and the new channels behind it."""
        return graph.concat((x, y))


class Transition(nn.Module):
    """Between two blocks: batch norm, ReLU, 1×1 convolution to fewer channels, 2×2 average pool. Always runs."""

    skippable = False

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.in_channels, self.out_channels, self.stride, self.masks = in_channels, out_channels, 2, {}
        self.bn = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, H/2, W/2), odd sides rounded down."""
        return functional.avg_pool2d(self.conv(functional.relu(self.bn(x))), 2)

    skip = run

    def cost(self, size, active=None):
        """FLOPs for an input of `size`."""
        return cost.conv_flops(*size, self.in_channels, self.out_channels, 1)

    def output_size(self, size):
        """(height, width) of the output."""
        return tuple(side // 2 for side in size)

    def lower(self, graph, x, masks, skipped=None):
        """`run` as nodes."""
        y = graph.convolution(graph.affine(x, self.bn), self.conv, relu=False)
        return graph.pool(y, 2, average=True)

    def lower_join(self, graph, x, y):
        """The pooled map is the output."""
        return y


class PlainStem(nn.Module):
    """For images of 32×32: one 3×3 convolution; what follows begins with a batch norm."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)

    def forward(self, x):
        """Normalised images (N, in_channels, H, W) → (N, out_channels, H, W)."""
        return self.conv(x)

    def cost(self, size):
        """FLOPs for an image of `size`."""
        return cost.conv_flops(*size, self.conv.in_channels, self.conv.out_channels, 3)

    def output_size(self, size):
        """(height, width) of the output."""
        return tuple(size)

    def lower(self, graph, x):
        """`forward` as a node."""
        return graph.convolution(x, self.conv, relu=False)


class ImageNetStem(nn.Module):
    """For images of 224×224: 7×7 convolution at stride 2, batch norm, ReLU, 3×3 max pool at stride 2."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 7, 2, 3, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        """Normalised images (N, in_channels, H, W) → (N, out_channels, H/4, W/4)."""
        return functional.max_pool2d(functional.relu(self.bn(self.conv(x))), 3, 2, 1)

    def cost(self, size):
        """FLOPs for an image of `size`."""
        return cost.conv_flops(*_halved(size), self.conv.in_channels, self.conv.out_channels, 7)

    def output_size(self, size):
        """(height, width) of the output."""
        return _halved(_halved(size))

    def lower(self, graph, x):
        """`forward` as nodes."""
        return graph.pool(graph.convolution(x, self.conv, self.bn, relu=True), 3, 2, 1)


def _halved(size):
    return tuple((side + 1) // 2 for side in size)


class NormHead(nn.Module):
    """Batch norm and ReLU, global average pool, a linear layer."""

    def __init__(self, channels, classes):
        super().__init__()
        self.bn, self.linear = nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x):
        """(N, C, H, W) → (N, classes) logits."""
        return self.linear(functional.relu(self.bn(x)).mean((2, 3)))

    def cost(self, size):
        """FLOPs, whatever the map's size."""
        return cost.fc_flops(self.linear.in_features, self.linear.out_features)

    def lower(self, graph, x):
        """`forward` as nodes."""
        return graph.linear(graph.mean(graph.affine(x, self.bn)), self.linear)
