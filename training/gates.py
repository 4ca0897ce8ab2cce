"""Gates: features in, keep decisions out (Wang et al., JSTSP 2020, Fig. 2).

G^L, one per network with a 1×1 convolution per block: global pool → 1×1 conv → LSTM (10 hidden) → linear → sigmoid.
G^C, one per block: 3×3 convolution with stride 2 → global pool → fully connected c×k → sigmoid.
A decision is 1 where the logit is positive. In training its gradient is the sigmoid's (straight-through), or the
sigmoid itself is used ("soft"); at test it is always hard.
"""

import torch
from torch import nn
from torch.nn import functional

from hls import cost

HIDDEN = 10
MODES = ("straight_through", "soft")


def decide(logits, training, mode):
    """Keep decisions of the shape of `logits`: exactly 0 or 1 at test, differentiable in training."""
    hard = (logits > 0).to(logits.dtype)
    if not training:
        return hard
    soft = torch.sigmoid(logits)
    return soft if mode == "soft" else hard + (soft - soft.detach())  # the bracket is exactly 0


class LayerGates(nn.Module):
    """G^L for all blocks: the LSTM sees every block's input in turn, skipped or not."""

    def __init__(self, block_channels, bias=1.0):
        super().__init__()
        self.embed = nn.ModuleList(nn.Conv2d(channels, HIDDEN, 1) for channels in block_channels)
        self.lstm = nn.LSTMCell(HIDDEN, HIDDEN)
        self.linear = nn.Linear(HIDDEN, 1)
        nn.init.normal_(self.linear.weight, std=0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, i, x, state):
        """Block `i`'s input (N, C, H, W) and the LSTM state → logits (N,), new state (hidden, cell), (N, 10) each."""
        features = self.embed[i](functional.adaptive_avg_pool2d(x, 1)).flatten(1)  # (N, 10)
        state = self.lstm(features, state)
        return self.linear(state[0]).squeeze(1), state

    def flops(self, i):
        """FLOPs of block `i`'s decision."""
        channels = self.embed[i].in_channels
        return cost.fc_flops(channels, HIDDEN) + cost.lstm_flops(HIDDEN, HIDDEN) + cost.fc_flops(HIDDEN, 1)


class ChannelGate(nn.Module):
    """G^C of one block: which of the block's `out_channels` to run."""

    def __init__(self, in_channels, out_channels, bias=1.0):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 3, 2, 1, bias=False)
        self.bn = nn.BatchNorm2d(in_channels)
        self.fc = nn.Linear(in_channels, out_channels)
        nn.init.kaiming_normal_(self.conv.weight)
        nn.init.normal_(self.fc.weight, std=0.5 / in_channels**0.5)
        nn.init.constant_(self.fc.bias, bias)

    def forward(self, x):
        """The block's input (N, C, H, W) → logits (N, out_channels)."""
        features = functional.relu(self.bn(self.conv(x)))  # (N, C, H/2, W/2)
        return self.fc(functional.adaptive_avg_pool2d(features, 1).flatten(1))

    def flops(self, height, width):
        """FLOPs of one decision for an input of `height` × `width`."""
        channels, half_height, half_width = self.conv.in_channels, (height + 1) // 2, (width + 1) // 2
        convolution = cost.conv_flops(half_height, half_width, channels, channels, 3)
        return convolution + cost.fc_flops(channels, self.fc.out_features)
