"""A network in floating point as a package: equalised, calibrated, quantised, corrected, compiled, measured.

package = pack(network, source, Parts(train, test, "test"))
"""

import math
from dataclasses import dataclass

from export.build import build, for_class
from export.integers.calibrate import calibrate
from export.integers.correct import correct
from export.integers.equalise import equalise, peaks
from export.integers.means import keep_means
from export.integers.quantize import quantize
from export.measure import measure
from training.data import Split

CALIBRATION = 512  # training images, or all where there are fewer
THOROUGH, SMALL = 2048, 32 * 32  # of networks that were trained here, where an image has no more pixels
CORRECTION = 256  # training images to correct on, all at once in memory,
PIXELS, FEWEST = 2**18, 16  # and fewer where together they have more pixels, but so many
MEASURED = 1000  # of the others


@dataclass(frozen=True)
class Parts:
    """Images to calibrate on, and others to measure on."""

    train: Split
    held_out: Split
    name: str  # of the second: validation, test
    calibration: int = CALIBRATION  # training images, at most
    images: int = MEASURED  # of the second, at most

    def normalise_by(self, source):
        """Both parts as the network of a Source had its images."""
        for split in (self.train, self.held_out):
            split.normalise_by(source.mean, source.std)


def thorough(train):
    """Images that a network that was trained here is calibrated on: with fewer, int8 lost more (docs/decisions.md)."""
    return THOROUGH if math.prod(train.size) <= SMALL else CALIBRATION


def pack(network, source, parts, class_exits=None):
    """The Package of a graph; its images are normalised as the Source says. Raises UserError.

    `class_exits`: how those of the graph were chosen, by class.
    """
    parts.normalise_by(source)
    network8 = in_integers(network, source, parts)
    plain = for_class(network8)
    draft = build(plain, source, {})
    measured = measure(plain, draft, parts.held_out, parts.images, parts.name, parts.train)
    return build(network8, source, *measured, class_exits)


def in_integers(network, source, parts, even=True):
    """The graph equalised (unless not `even`), calibrated, quantised and corrected, on the training part."""
    train = parts.train
    seen = [images for images, _ in train.plain_batches(64, min(parts.calibration, len(train)))]
    network = equalise(network, peaks(network, seen)) if even else network
    network8 = quantize(network, calibrate(network, seen), source.mean, source.std)
    pixels = train.images[: min(parts.calibration, CORRECTION, max(PIXELS // math.prod(train.size), FEWEST))]
    both = pixels.permute(0, 2, 3, 1).contiguous().numpy(), train.normalise(pixels)
    network8 = keep_means(network8, *both)
    return correct(network8, *both) if network.gates else network8
