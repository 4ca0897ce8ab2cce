"""ACS-GN and ACS-DG, adaptive channel skipping (Zou et al. 2023, sections 3.1 and 3.2, Fig. 2d and e).

    gate = AcsGate(channels=64, outputs=64)                                   # ACS-GN
    gate = AcsGate(channels=64, outputs=64, groups="dynamic", squeeze=True)   # ACS: GN and DG together
    logits, state = gate(x, pooled, state)                                    # (N, 64)

1×1 bottleneck → 3×3 convolution with stride 2 → 3×3 convolution → global pool → linear, a batch norm and a ReLU behind
each convolution. A channel is kept where sigmoid(output) is above a threshold α: the larger, the more is skipped. The
logits here are less by log(α / (1 - α)), so that they are positive there.
"""

import math

import torch
from torch import nn
from torch.nn import functional

from hls import cost
from training.gates import grouped
from training.gates.grouped import GroupedConvolution
from training.gates.squeeze import Squeeze


class AcsGate(nn.Module):
    """One unit's gate. `width`: channels of the bottleneck, a power of two; 0: the largest within half the inputs."""

    def __init__(self, channels, outputs, bias=1.0, threshold=0.5, width=0, groups=1, squeeze=False):
        super().__init__()
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}: expected a share between 0 and 1")
        grouped.check(groups)
        width = width or 1 << max(1, channels // 2).bit_length() - 1
        fixed = grouped.fixed(groups)
        self.register_buffer("offset", torch.full((outputs,), -math.log(threshold / (1 - threshold))))
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = GroupedConvolution(width, 2, fixed), nn.BatchNorm2d(width)
        self.squeeze = Squeeze(width) if squeeze else None
        self.conv3, self.bn3 = GroupedConvolution(width, 1, fixed), nn.BatchNorm2d(width)
        self.linear = nn.Linear(width, outputs)
        nn.init.kaiming_normal_(self.conv1.weight)
        nn.init.normal_(self.linear.weight, std=0.5 / width**0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x, pooled, state):
        """The unit's input (N, C, H, W) → logits (N, outputs), the state as it was."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))  # (N, width, H/2, W/2)
        y = y if self.squeeze is None else self.squeeze(y)
        y = functional.relu(self.bn3(self.conv3(y)))
        return self.linear(y.mean((2, 3))) + self.offset, state

    def cost(self, size):
        """FLOPs of one decision for an input of `size` (height, width)."""
        small = [(side + 1) // 2 for side in size]
        width, channels = self.conv1.weight.shape[:2]
        total = cost.conv_flops(*size, channels, width, 1) + cost.fc_flops(width, self.linear.out_features)
        total = total + self.conv2.cost(small) + self.conv3.cost(small)
        return total if self.squeeze is None else total + self.squeeze.cost()

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes, with channels in the order of their groups. Raises UserError with a squeeze."""
        if self.squeeze is not None:
            self.squeeze.refuse()
        first, second = self.conv2.split(), self.conv3.split()
        before, between = self.conv2.order(first), self.conv2.order(second, first)
        every = list(range(self.conv1.in_channels))
        y = graph.convolution(x, self.conv1, self.bn1, relu=True, part=(before, every))
        y = self.conv2.lower(graph, y, before, between, self.bn2)
        behind = self.conv3.order(second)
        y = self.conv3.lower(graph, y, between, behind, self.bn3)
        return graph.linear(graph.mean(y), self.linear, shift=self.offset, inputs=behind), state


def acs_gates(members, bias=1.0, threshold=0.5, width=0, groups=1, squeeze=False):
    """One for each of `members`, (input channels, outputs)."""
    return [AcsGate(channels, outputs, bias, threshold, width, groups, squeeze) for channels, outputs in members]
