"""What else a file could mean: other statistics of pixels, another place of a shortcut's zeros, another padding.

    for text in doubts(backbone, split, mean, std): print(text)       # nothing where the network knows its images

A network that is read otherwise than it was trained runs without an error and is wrong. Training images tell: it has
seen them, so that with the right reading most are right. Each other reading is tried on the first of them.
"""

import copy

import torch
from torch.nn import functional

from training.backbones.backbone import Backbone
from training.data import per_channel
from training.units import PadShortcut

IMAGES = 256  # training images to try a reading on
KNOWN, HALF = 0.9, 0.5  # a network that is right on so many is read well; one on fewer than half is not
BETTER = 0.08  # by which another reading must be right more often to be told
STATISTICS = {  # mean and std of pixels in [0, 1], as networks are often trained with
    "those of ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "pixels in -1 … 1": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "pixels in 0 … 1": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "pixels in 0 … 255": ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)),
}


def out_of_range(mean, std):
    """A sentence on statistics that pixels in [0, 1] cannot have, or ""."""
    if min(mean) >= 0 and max(mean) <= 1 and max(std) <= 1:
        return ""
    given = f"--mean {numbers(mean)} --std {numbers(std)} are out of range for pixels in [0, 1]"
    if min(mean) < 0 or max(mean) > 255 or max(std) > 255:
        return f"{given}: expected a mean from 0 to 1 and a std up to 1"
    return f"{given}: of pixels in 0 … 255 they are {options(*([x / 255 for x in values] for values in (mean, std)))}"


def doubts(backbone, split, mean, std, statistics=None):
    """Sentences on how well `backbone` knows the training images of `split`, and which other reading does better.

    `backbone`: a Backbone, or any other function from normalised images to logits, which is tried as it is.
    `mean` and `std` are those given, `statistics` the data set's own (mean, std), to be tried as well.
    """
    as_given = known(backbone, split, mean, std)
    if as_given >= KNOWN:
        return []
    tried = [(options(*values), backbone, *values) for values in _statistics(mean, std, statistics)]
    tried += [(text, other, mean, std) for text, other in _structures(backbone)]
    shares = [(known(other, split, *values), text) for text, other, *values in tried]
    share, text = max(shares, key=lambda item: item[0])  # the first of several
    low = f"{as_given:.1%} of {min(IMAGES, len(split))} training images are right in float"
    if share >= as_given + BETTER:
        return [f"{low}, and {share:.1%} with {text}"]
    few = f"{low}, few for images that a network has learnt: check --mean, --std, --dataset and the file"
    return [few] if as_given < HALF else []


@torch.no_grad()
def known(backbone, split, mean, std):
    """The share of the split's first images that a backbone classifies rightly under given statistics."""
    pixels, labels = split.images[:IMAGES].float() / 255, split.labels[:IMAGES]
    mean, std = per_channel(mean), per_channel(std)
    return float((backbone((pixels - mean) / std).argmax(1) == labels).double().mean())


def _statistics(mean, std, own):
    """Other (mean, std) of as many channels, those that are likeliest first."""
    scaled = [tuple(tuple(x / 255 for x in values) for values in (mean, std))] if out_of_range(mean, std) else []
    usual = [*scaled, *([own] if own else []), *STATISTICS.values()]
    return [values for values in usual if len(values[0]) == len(mean) and values != (tuple(mean), tuple(std))]


def _structures(backbone):
    """(what to do, a backbone like it) for each other meaning of the same weights."""
    if not isinstance(backbone, Backbone):
        return
    padded = [unit for unit in backbone.units if isinstance(unit.shortcut, PadShortcut)]
    if padded:
        behind = padded[0].shortcut.before == 0
        other = copy.deepcopy(backbone)
        for unit in other.units:
            if isinstance(unit.shortcut, PadShortcut):
                shortcut = unit.shortcut
                unit.shortcut = PadShortcut(unit.in_channels, unit.out_channels, shortcut.stride, None if behind else 0)
        yield f"--shortcut {'pad' if behind else 'behind'}", other
    other = copy.deepcopy(backbone)
    for unit in other.units:
        if unit.stride == 2:
            unit.conv1 = _SamePadding(unit.conv1)
    yield (
        (
            "zeros behind alone at stride 2 (TensorFlow's SAME), which the engine does not have: train it on with "
            "init = FILE in a recipe"
        ),
        other,
    )


class _SamePadding(torch.nn.Module):
    """A 3×3 convolution of stride 2, padded as TensorFlow does: an even side by (0, 1), an odd one by (1, 1)."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        """(N, C, H, W) → (N, out, H/2, W/2)."""
        rows, columns = (side % 2 for side in x.shape[2:])
        return functional.conv2d(functional.pad(x, (columns, 1, rows, 1)), self.conv.weight, None, 2)


def options(mean, std):
    """Statistics as options of the command line."""
    return f"--mean {numbers(mean)} --std {numbers(std)}"


def numbers(values):
    """(0.5, 0.25) as 0.5,0.25."""
    return ",".join(f"{value:.4g}" for value in values)
