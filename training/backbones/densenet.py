"""DenseNets with bottlenecks and compression (Huang et al., CVPR 2017, Table 1 and section 4.2).

backbone = densenet(depth=100)                      # three blocks of 16 layers, growth 12, for 32×32
backbone = densenet(depth=201, classes=1000)        # blocks of 6, 12, 48 and 32, growth 32, ImageNet's stem
backbone = densenet(blocks=(2, 2), growth=4)        # as wanted

The papers' names: -76, -82, -88 and -100 have growth 12 (Wang et al., JSTSP 2020, section IV-A), like -46, -58 and -64
of the ICCV submission. -41 and -53 are those of Zou et al. 2023, section 4.1.2: growth 32, blocks of 6 or 8 layers, and
(as their FLOPs say) ImageNet's stem on images of 32×32. -121 and -201 are ImageNet's.
"""

from training.backbones.backbone import Backbone
from training.backbones.dense import DenseUnit, ImageNetStem, NormHead, PlainStem, Transition

STEMS = {"cifar": PlainStem, "imagenet": ImageNetStem}
NAMED = {41: (6, 6, 6), 53: (8, 8, 8), 121: (6, 12, 24, 16), 201: (6, 12, 48, 32)}  # growth 32, ImageNet's stem


def densenet(classes=10, depth=None, blocks=(), growth=None, stem="", closed="repeat", in_channels=3):
    """A Backbone of DenseUnits and Transitions, of a `depth` or with so many layers a block.

    `stem`: cifar or imagenet; `closed`: what stands for a skipped layer (dense.py). Raises ValueError.
    """
    if (depth is None) == (not blocks):
        raise ValueError("a DenseNet needs either its depth (41, 100, 121 …) or its layers a block ([16, 16, 16])")
    large = depth in NAMED
    blocks = tuple(blocks) or NAMED.get(depth) or _three(depth)
    if not 1 <= len(blocks) <= 4 or min(blocks) < 1:
        raise ValueError(f"blocks {blocks}: expected at least one layer for each of 1 to 4 blocks")
    growth = growth or (32 if large else 12)
    stem = stem or ("imagenet" if large else "cifar")
    if stem not in STEMS:
        raise ValueError(f"stem {stem!r}: expected one of {', '.join(STEMS)}")
    members, channels = [], 2 * growth
    begin = STEMS[stem](in_channels, channels)
    for number, count in enumerate(blocks):
        if number:
            members.append(Transition(channels, channels // 2))
            channels //= 2
        for layer in range(count):
            members.append(DenseUnit(channels, growth, closed, first=layer == 0))
            channels += growth
    name = f"densenet{depth or 2 * sum(blocks) + len(blocks) + 1}"
    return Backbone(begin, members, NormHead(channels, classes), name)


def _three(depth):
    """Three blocks of as many layers, each of two convolutions."""
    if depth < 10 or (depth - 4) % 6:
        known = ", ".join(map(str, NAMED))
        raise ValueError(f"DenseNet depth {depth}: expected 6n + 4 (40, 76, 82, 88, 100 …) or one of {known}")
    return ((depth - 4) // 6,) * 3
