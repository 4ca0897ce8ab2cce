"""Plain CIFAR ResNets by depth: three stages of 16, 32 and 64 channels (He et al. 2016, section 4.2).

    ResNet(depth=20)(images)   # (N, 3, 32, 32) float → (N, 10) logits

Module names are the field's usual ones (`conv1, bn1, layer1.0.conv1 … linear`), so published checkpoints load as they
are.
"""

import torch
from torch import nn
from torch.nn import functional

STAGE_CHANNELS = (16, 32, 64)
SHORTCUTS = ("pad", "conv")


class PadShortcut(nn.Module):
    """Identity across a change of shape: every second pixel, zero channels on both sides (option A of He et al.)."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.stride = stride
        self.pad = (out_channels - in_channels) // 2

    def forward(self, x):
        """(N, C, H, W) → (N, C + 2·pad, H/stride, W/stride)."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; `gateable` where a skipped channel can pass the identity unchanged."""

    def __init__(self, in_channels, channels, stride, shortcut):
        super().__init__()
        self.in_channels, self.channels, self.stride = in_channels, channels, stride
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.gateable = True
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != channels:
            if shortcut == "pad":
                self.shortcut = PadShortcut(in_channels, channels, stride)
            else:
                self.gateable = False  # a projected shortcut is not the identity that Eq. 1 and 2 fall back to
                self.shortcut = nn.Sequential(
                    nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
                )

    def forward(self, x, channel_keep=None):
        """(N, C, H, W) → (N, channels, H/stride, W/stride), and the shortcut's output.

        `channel_keep` (N, channels) of 0/1 drops the first convolution's maps, so that the second never reads them.
        """
        y = functional.relu(self.bn1(self.conv1(x)))
        if channel_keep is not None:
            y = y * channel_keep[:, :, None, None]
        identity = self.shortcut(x)
        return functional.relu(self.bn2(self.conv2(y)) + identity), identity


class ResNet(nn.Module):
    """The static backbone; `stages()` gives its blocks stage by stage."""

    def __init__(self, depth, classes=10, shortcut="pad"):
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"ResNet depth {depth}: expected 6n + 2 with n ≥ 1 (14, 20, 26, 38, 74, 110 …)")
        if shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut {shortcut!r}: expected one of {', '.join(SHORTCUTS)}")
        self.depth, self.classes, self.shortcut = depth, classes, shortcut
        self.conv1 = nn.Conv2d(3, STAGE_CHANNELS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(STAGE_CHANNELS[0])
        in_channels = STAGE_CHANNELS[0]
        for i, channels in enumerate(STAGE_CHANNELS):
            blocks = []
            for j in range((depth - 2) // 6):
                blocks.append(BasicBlock(in_channels, channels, 2 if i and not j else 1, shortcut))
                in_channels = channels
            setattr(self, f"layer{i + 1}", nn.Sequential(*blocks))
        self.linear = nn.Linear(in_channels, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def stages(self):
        """The three stages, each a Sequential of BasicBlocks."""
        return self.layer1, self.layer2, self.layer3

    def blocks(self):
        """Every BasicBlock in order."""
        return [block for stage in self.stages() for block in stage]

    def stem(self, x):
        """(N, 3, 32, 32) normalised images → (N, 16, 32, 32)."""
        return functional.relu(self.bn1(self.conv1(x)))

    def head(self, x):
        """(N, 64, 8, 8) → (N, classes) logits."""
        return self.linear(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1))

    def forward(self, x):
        """(N, 3, 32, 32) normalised images → (N, classes) logits."""
        x = self.stem(x)
        for block in self.blocks():
            x, _ = block(x)
        return self.head(x)
