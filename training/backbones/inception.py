"""InceptionV3 for images of 32×32 (Szegedy et al., CVPR 2016, Table 1), as class-specific early exits are put on it.

backbone = inception(classes=10)                  # 3, 1, 4, 1 and 2 blocks
backbone = inception(blocks=(1, 0, 0), width=0.125)   # a small one: blocks before, between and behind the reductions

The blocks are those of the paper. The stem has its convolutions too, but at stride 1, with padding and without its two
pools, so that an image of 32×32 gives the blocks maps of 32, 16 and 8 as one of 299×299 gives them 35, 17 and 8.
Likewise the reductions are padded. Weights are as many as in the original, and so are the 159 layers on the longest
path (input, convolutions, batch norms, ReLUs, pools, concatenations), but for those two pools.
"""

import math
from typing import Any

from torch import cat, nn
from torch.nn import functional

from hls import cost
from training.backbones.backbone import Backbone, Head

STEM = ((32, 3), (32, 3), (64, 3), (80, 1), (192, 3))  # outputs and kernels
POOLED = (32, 64, 64)  # outputs of the pooled branch in the blocks at full size
SEVENS = (128, 160, 160, 192)  # channels within the branches of 1×7 and 7×1 kernels
MAX, AVERAGE = "max", "average"  # a pool that begins a branch


class Convolution(nn.Module):
    """Convolution, batch norm, ReLU, with the padding that keeps the size."""

    def __init__(self, inputs, outputs, kernel, stride=1):
        super().__init__()
        kernel = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = tuple(side // 2 for side in kernel)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)
        self.outputs = outputs

    def forward(self, x):
        """(N, inputs, H, W) → (N, outputs, H/stride, W/stride)."""
        return functional.relu(self.bn(self.conv(x)))

    def cost(self, size):
        """FLOPs for an input of `size`."""
        (height, width), (tall, wide) = self.output_size(size), self.conv.kernel_size
        return cost.conv_flops(height, width, self.conv.in_channels, self.outputs, 1) * tall * wide

    def output_size(self, size):
        """(height, width) of the output."""
        return tuple(-(-side // self.conv.stride[0]) for side in size)

    def lower(self, graph, x):
        """`forward` as a node."""
        return graph.convolution(x, self.conv, self.bn, relu=True)


class Pooling(nn.Module):
    """A 3×3 pool with padding 1, in which pixels outside the map do not count."""

    def __init__(self, outputs, kind, stride):
        super().__init__()
        self.outputs, self.kind, self.stride = outputs, kind, stride

    def forward(self, x):
        """(N, C, H, W) → (N, C, H/stride, W/stride)."""
        if self.kind == MAX:
            return functional.max_pool2d(x, 3, self.stride, 1)
        return functional.avg_pool2d(x, 3, self.stride, 1, count_include_pad=False)

    def cost(self, size):
        """Nothing is multiplied."""
        return 0

    def output_size(self, size):
        """(height, width) of the output."""
        return tuple(-(-side // self.stride) for side in size)

    def lower(self, graph, x):
        """`forward` as a node."""
        return graph.pool(x, 3, self.stride, 1, average=self.kind == AVERAGE)


class Chain(nn.Module):
    """Parts one behind the other: the branch of a block."""

    parts: Any  # an nn.ModuleList

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.outputs = parts[-1].outputs

    def forward(self, x):
        """(N, C, H, W) → (N, outputs, H', W')."""
        for part in self.parts:
            x = part(x)
        return x

    def cost(self, size):
        """FLOPs for an input of `size`."""
        total = 0
        for part in self.parts:
            total, size = total + part.cost(size), part.output_size(size)
        return total

    def output_size(self, size):
        """(height, width) of the output."""
        for part in self.parts:
            size = part.output_size(size)
        return size

    def lower(self, graph, x):
        """`forward` as nodes."""
        for part in self.parts:
            x = part.lower(graph, x)
        return x


class Fork(nn.Module):
    """Branches side by side on the same map, their channels one behind the other."""

    branches: Any  # an nn.ModuleList

    def __init__(self, branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.outputs = sum(branch.outputs for branch in branches)

    def forward(self, x):
        """(N, C, H, W) → (N, outputs, H', W')."""
        return cat([branch(x) for branch in self.branches], 1)

    def cost(self, size):
        """FLOPs for an input of `size`."""
        return sum(branch.cost(size) for branch in self.branches)

    def output_size(self, size):
        """(height, width) of the output."""
        return self.branches[0].output_size(size)

    def lower(self, graph, x):
        """`forward` as nodes."""
        return graph.concat([branch.lower(graph, x) for branch in self.branches])


class InceptionUnit(Fork):
    """A block as a unit of a backbone; it always runs, for it has no identity."""

    skippable = False

    def __init__(self, in_channels, branches):
        super().__init__(branches)
        self.in_channels, self.out_channels, self.masks = in_channels, self.outputs, {}

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, H', W')."""
        return self.forward(x)

    skip = run

    def cost(self, size, active=None):
        """FLOPs for an input of `size`."""
        return super().cost(size)

    def lower(self, graph, x, masks=None, skipped=None):
        """`run` as nodes."""
        return super().lower(graph, x)

    def lower_join(self, graph, x, y):
        """The branches together are the output."""
        return y


def inception(classes=10, blocks=(3, 4, 2), width=1.0, in_channels=3):
    """A Backbone of InceptionUnits; `blocks`: how many stand before, between and behind the two reductions.

    `width` multiplies all channels. Raises ValueError.
    """
    if len(blocks) != 3 or min(blocks) < 0 or blocks[0] < 1:
        raise ValueError(f"blocks {blocks}: expected three numbers, the first at least 1 (3, 4 and 2 in the paper)")
    if not 0 < width <= 1:
        raise ValueError(f"width {width}: expected a share above 0 and at most 1")
    make = _Maker(width)
    stem, channels = [], in_channels
    for outputs, kernel in STEM:
        stem.append(make.convolution(channels, outputs, kernel))
        channels = stem[-1].outputs
    units = []
    kinds = [*(("full", pooled) for pooled in (*POOLED, *[64] * blocks[0])[: blocks[0]])]
    kinds += [("first_reduction", 0), *(("half", within) for within in (*SEVENS, *[192] * blocks[1])[: blocks[1]])]
    kinds += [("second_reduction", 0)] * (blocks[1] + blocks[2] > 0) + [("quarter", 0)] * blocks[2]
    for kind, option in kinds:
        units.append(InceptionUnit(channels, getattr(make, kind)(channels, option)))
        channels = units[-1].out_channels
    return Backbone(Chain(stem), units, Head(channels, classes), "inceptionv3")


class _Maker:
    """Branches of each kind of block; a branch is a list of (outputs, kernel) or (outputs, kernel, stride)."""

    def __init__(self, width):
        self.width = width

    def convolution(self, inputs, outputs, kernel, stride=1):
        """A Convolution of the scaled width."""
        return Convolution(inputs, max(1, math.ceil(outputs * self.width)), kernel, stride)

    def branch(self, channels, *steps):
        """A Chain on `channels`: of a pool's kind, perhaps, and convolutions."""
        parts = []
        for step in steps:
            if step[0] in (MAX, AVERAGE):
                parts.append(Pooling(channels, *step))
            else:
                parts.append(self.convolution(channels, *step))
            channels = parts[-1].outputs
        return Chain(parts)

    def full(self, channels, pooled):
        """Figure 5 of the paper: 1×1; 1×1 and 5×5; 1×1 and two 3×3; pool and 1×1."""
        return [
            self.branch(channels, (64, 1)),
            self.branch(channels, (48, 1), (64, 5)),
            self.branch(channels, (64, 1), (96, 3), (96, 3)),
            self.branch(channels, (AVERAGE, 1), (pooled, 1)),
        ]

    def first_reduction(self, channels, _):
        """To half the size: 3×3 at stride 2; 1×1, 3×3 and 3×3 at stride 2; pool."""
        return [
            self.branch(channels, (384, 3, 2)),
            self.branch(channels, (64, 1), (96, 3), (96, 3, 2)),
            self.branch(channels, (MAX, 2)),
        ]

    def half(self, channels, within):
        """Figure 6: 1×1; one and two pairs of 1×7 and 7×1; pool and 1×1."""
        row, column = (1, 7), (7, 1)
        return [
            self.branch(channels, (192, 1)),
            self.branch(channels, (within, 1), (within, row), (192, column)),
            self.branch(channels, (within, 1), (within, column), (within, row), (within, column), (192, row)),
            self.branch(channels, (AVERAGE, 1), (192, 1)),
        ]

    def second_reduction(self, channels, _):
        """To a quarter: 1×1 and 3×3 at stride 2; 1×1, 1×7, 7×1 and 3×3 at stride 2; pool."""
        return [
            self.branch(channels, (192, 1), (320, 3, 2)),
            self.branch(channels, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
            self.branch(channels, (MAX, 2)),
        ]

    def quarter(self, channels, _):
        """Figure 7: 1×1; 1×1 and a pair side by side; 1×1, 3×3 and a pair side by side; pool and 1×1."""
        return [
            self.branch(channels, (320, 1)),
            self._split(self.branch(channels, (384, 1))),
            self._split(self.branch(channels, (448, 1), (384, 3))),
            self.branch(channels, (AVERAGE, 1), (192, 1)),
        ]

    def _split(self, chain):
        pair = [self.convolution(chain.outputs, 384, kernel) for kernel in ((1, 3), (3, 1))]
        return Chain([*chain.parts, Fork(pair)])
