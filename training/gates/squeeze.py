"""Squeeze-and-excitation between the two convolutions of an ACS gate (Zou et al. 2023, section 3.2; Hu et al. 2018).

    block = Squeeze(channels=32)
    y = block(x)             # (N, 32, H, W), each channel times a factor of the image's own between 0 and 1

The engine multiplies maps by numbers that are in the program: its AFFINE takes a table of constants. A network with
this block is trained and measured here, and not exported.
"""

import torch
from torch import nn
from torch.nn import functional

from hls import cost
from hls.errors import UserError

REDUCTION = 4


class Squeeze(nn.Module):
    """Global pool → linear → ReLU → linear → sigmoid, a factor for each channel."""

    def __init__(self, channels, reduction=REDUCTION):
        super().__init__()
        hidden = max(1, channels // reduction)
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)

    def forward(self, x):
        """(N, C, H, W) → the same shape."""
        factors = torch.sigmoid(self.fc2(functional.relu(self.fc1(x.mean((2, 3))))))
        return x * factors[:, :, None, None]

    def cost(self):
        """FLOPs of the two layers."""
        hidden, channels = self.fc1.weight.shape
        return cost.fc_flops(channels, hidden) + cost.fc_flops(hidden, channels)

    def refuse(self):
        """Raises UserError: it cannot be lowered."""
        raise UserError(
            "squeeze-and-excitation multiplies channels by what it computes for the image, and the engine's AFFINE by "
            "constants alone: train with squeeze = false in [network.channel_gates], or run this network in PyTorch"
        )
