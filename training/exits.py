"""RADI's branch classifiers (Wang et al., JSTSP 2020, Fig. 5 and section IV-A): where they sit and what they are.

Two per stage, after about 1/4 and 3/4 of its blocks. Early maps are large and fine, so early branches pool hard before
their first convolution: the pooled map is also all that must be kept while the network goes on.
"""

import math

from torch import nn
from torch.nn import functional

from hls import cost

# Per stage: the first max pooling (kernel = stride), then convolutions' output channels; 2×2 pooling between them.
BRANCHES = ((4, (32, 64)), (2, (64,)), (2, (128,)))


def positions(blocks_per_stage):
    """0-based blocks of a stage after which a branch sits: about 1/4 and 3/4 of its depth, rounded half up."""
    return sorted({max(1, math.floor(blocks_per_stage * share + 0.5)) - 1 for share in (0.25, 0.75)})


class ExitBranch(nn.Module):
    """max pool → (3×3 convolution, batch norm, ReLU, 2×2 max pool)* → global average pool → fully connected."""

    def __init__(self, in_channels, stage, classes):
        super().__init__()
        self.pool, widths = BRANCHES[stage]
        self.convs, self.bns = nn.ModuleList(), nn.ModuleList()
        for channels in widths:
            self.convs.append(nn.Conv2d(in_channels, channels, 3, 1, 1, bias=False))
            self.bns.append(nn.BatchNorm2d(channels))
            in_channels = channels
        self.linear = nn.Linear(in_channels, classes)
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.get_parameter("weight"))

    def keep(self, x):
        """What is kept of a block's output (N, C, H, W) when the branch is passed: (N, C, H/pool, W/pool)."""
        return functional.max_pool2d(x, self.pool)

    def forward(self, x):
        """A block's output (N, C, H, W) → (N, classes) logits."""
        x = self.keep(x)
        for i, (conv, bn) in enumerate(zip(self.convs, self.bns)):
            x = functional.relu(bn(conv(functional.max_pool2d(x, 2) if i else x)))
        return self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))

    def flops(self, height, width):
        """FLOPs of the branch for a block's output of `height` × `width`."""
        height, width, total = height // self.pool, width // self.pool, 0
        for i, conv in enumerate(self.convs):
            height, width = (height // 2, width // 2) if i else (height, width)
            total += cost.conv_flops(height, width, conv.in_channels, conv.out_channels, 3)
        return total + cost.fc_flops(self.linear.in_features, self.linear.out_features)
