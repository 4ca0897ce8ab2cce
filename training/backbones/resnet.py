"""ResNets for small images: stages of 16, 32 and 64 channels (He et al. 2016, section 4.2).

backbone = resnet(depth=20)                # 3 units a stage
backbone = resnet(depth=21)                # the same, projections counted: 21 convolutions
backbone = resnet(units=(2, 4, 6))         # as many as wanted
"""

import math

from torch import nn

from training.backbones.backbone import Backbone, Head, Stem
from training.units import ResidualUnit

PROJECTED = 21  # a depth that counts projections


def resnet(classes=10, depth=None, units=(), width=1.0, shortcut="pad", in_channels=3):
    """A Backbone of ResidualUnits, of `depth` 6n + 2 or with a number of `units` a stage.

    ResNet-21 is the baseline of class-specific exits, which stand behind its 21 convolutions (Bonato and Bouganis 2021,
    section 4.1): those of ResNet-20 and two projections.
    Units begin as identities, but for the first of a stage: a phase can add them to what others have learnt. Raises
    ValueError, its message one line.
    """
    if (depth is None) == (not units):
        raise ValueError("a ResNet needs either its depth (20, 74 …) or its units a stage ([3, 3, 3])")
    projected = depth == PROJECTED
    if projected:
        depth, shortcut = PROJECTED - 1, "conv"
    if depth is not None:
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"ResNet depth {depth}: expected 6n + 2 with n ≥ 1 (14, 20, 26, 38, 74, 110 …) or 21")
        units = ((depth - 2) // 6,) * 3
    if not 1 <= len(units) <= 4 or min(units) < 1:
        raise ValueError(f"units {units}: expected at least one unit for each of 1 to 4 stages")
    if not 1 / 16 <= width < math.inf:
        raise ValueError(f"width {width}: expected a factor of 16 channels, at least one of them")
    widths = [round(16 * width) << stage for stage in range(len(units))]
    members, channels = [], widths[0]
    for stage, count in enumerate(units):
        for number in range(count):
            stride = 2 if stage and not number else 1
            members.append(ResidualUnit(channels, widths[stage], stride, shortcut))
            if number:
                nn.init.zeros_(members[-1].bn2.weight)
            channels = widths[stage]
    name = f"resnet{PROJECTED if projected else 2 * sum(units) + 2}"
    return Backbone(Stem(in_channels, widths[0]), members, Head(channels, classes), name)
