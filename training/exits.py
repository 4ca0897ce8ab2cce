"""RADI's exits (Wang et al., JSTSP 2020, Fig. 5 and section IV-A): where they sit and what their classifiers are.

    for index in positions(backbone.places((32, 32))): Branch(channels, stage, classes)

Two a stage, after about 1/4 and 3/4 of its units. Early maps are large and fine, so early branches pool hard before
their first convolution: the pooled map is also all that must be kept while the network goes on.
"""

import math
from itertools import groupby

from torch import nn
from torch.nn import functional

from hls import cost

# Per stage: the first max pooling (kernel = stride), then convolutions' output channels; 2×2 pooling between them.
BRANCHES = ((4, (32, 64)), (2, (64,)), (2, (128,)))


def positions(places):
    """Units after which a branch sits: about 1/4 and 3/4 of each stage's depth, rounded half up; not the last unit."""
    found, start = set(), 0
    for _, members in groupby(places, key=lambda place: place.stage):
        count = len(list(members))
        found |= {start + max(1, math.floor(count * share + 0.5)) - 1 for share in (0.25, 0.75)}
        start += count
    return sorted(found - {len(places) - 1})


def imagenet_positions(places):
    """The three of DenseNet-201 on ImageNet: half of the first stage, 1/4 of the second, 3/4 of the third.

    The paper has them in the first dense block and "the remaining two", of four; here in the first three, so that each
    is well before the end. A transition counts as the first unit of its stage. Raises ValueError for fewer stages.
    """
    stages = [list(members) for _, members in groupby(range(len(places)), key=lambda i: places[i].stage)]
    if len(stages) < 3:
        raise ValueError(f"exits as on ImageNet need three stages, the network has {len(stages)}")
    return [
        members[max(1, math.floor(len(members) * share + 0.5)) - 1] for members, share in zip(stages, (0.5, 0.25, 0.75))
    ]


def fits(size, channels, stage, row_bytes):
    """Whether a Branch has pixels left behind a map of `size`, and rows of weights of at most `row_bytes` on it."""
    pool, widths = BRANCHES[min(stage, len(BRANCHES) - 1)]
    smallest = pool << len(widths) - 1
    return min(size) >= smallest and 9 * max(channels, *widths) <= row_bytes


class Branch(nn.Module):
    """max pool → (3×3 convolution, batch norm, ReLU, 2×2 max pool between)* → global average pool → linear."""

    def __init__(self, in_channels, stage, classes):
        super().__init__()
        self.pool, widths = BRANCHES[min(stage, len(BRANCHES) - 1)]
        self.convs, self.bns = nn.ModuleList(), nn.ModuleList()
        for channels in widths:
            self.convs.append(nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False))
            self.bns.append(nn.BatchNorm2d(channels))
            in_channels = channels
        self.linear = nn.Linear(in_channels, classes)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.get_parameter("weight"))

    def forward(self, x):
        """A unit's output (N, C, H, W) → (N, classes) logits."""
        x = functional.max_pool2d(x, self.pool)
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):
            x = functional.relu(bn(conv(functional.max_pool2d(x, 2) if i else x)))
        return self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))

    def cost(self, size):
        """FLOPs of the branch for a unit's output of `size` (height, width)."""
        (height, width), total = (side // self.pool for side in size), 0
        for i, conv in enumerate(self.convs):
            height, width = (height // 2, width // 2) if i else (height, width)
            total += cost.conv_flops(height, width, conv.in_channels, conv.out_channels, 3)
        return total + cost.fc_flops(self.linear.in_features, self.linear.out_features)

    def lower(self, graph, x):
        """`forward` as nodes; what is kept of the unit's output is the first pool."""
        x = graph.pool(x, self.pool)
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):
            x = graph.convolution(graph.pool(x, 2) if i else x, conv, bn, relu=True)
        return graph.linear(graph.mean(x), self.linear)
