"""A network in floating point as a package: equalised, calibrated, quantised, corrected, compiled, measured.

package = pack(network, source, Parts(train, test, "test"))
"""

from dataclasses import dataclass

import torch

from export.build import build
from export.calibrate import calibrate
from export.correct import correct
from export.equalise import equalise, peaks
from export.measure import measure
from export.quantize import quantize
from training.data import Split

CORRECTION = 256  # training images to correct the gates on, all at once in memory


@dataclass(frozen=True)
class Parts:
    """Images to calibrate on, and others to measure on."""

    train: Split
    held_out: Split
    name: str  # of the second: validation, test
    calibration: int = 512  # training images, at most
    images: int = 1000  # of the second, at most


def pack(network, source, parts):
    """The Package of a graph; its images are normalised as the Source says. Raises UserError."""
    train = parts.train
    for split in (train, parts.held_out):
        split.mean, split.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (source.mean, source.std))
    seen = [images for images, _ in train.plain_batches(64, min(parts.calibration, len(train)))]
    even = equalise(network, peaks(network, seen))
    quantised = quantize(even, calibrate(even, seen), source.mean, source.std)
    if network.gates:
        pixels = train.images[: min(parts.calibration, CORRECTION)]
        quantised = correct(quantised, pixels.permute(0, 2, 3, 1).contiguous().numpy(), train.normalise(pixels))
    draft = build(quantised, source, {})
    return build(quantised, source, *measure(quantised, draft, parts.held_out, parts.images, parts.name, train))
