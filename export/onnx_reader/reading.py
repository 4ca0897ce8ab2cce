"""An ONNX file, or a model in memory, as a network that can be calibrated, quantised and compiled.

    found = read("model.onnx", mean, std)     # Imported(network, mean, std)

`mean` and `std` are how the file's input was normalised, pixels in [0, 1]; what the graph itself does to its input
before anything else is added to them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from export import graph
from export.onnx_reader.emit import emit
from export.onnx_reader.files import checked, load
from export.onnx_reader.operators import read_steps
from export.onnx_reader.simplify import simplify
from hls.errors import UserError

WHOLE = 0.02  # how far a number may be from a whole one: --std is written with few digits


class Imported(NamedTuple):
    """A network, and the normalisation of its pixels, one number a channel."""

    network: graph.Network
    mean: tuple
    std: tuple


class Opened:
    """A file's path or a ModelProto, read once: its input is known before the normalisation. Raises UserError."""

    def __init__(self, source, name=None):
        is_file = isinstance(source, (str, Path))
        self.name = name or (Path(source).stem if is_file else "network")
        self._steps = read_steps(load(source) if is_file else checked(source))
        self.channels, self.size = self._steps.all[0].channels, self._steps.all[0].size

    def network(self, mean, std):
        """The Imported, once: its steps are changed on the way. Raises UserError."""
        if len(mean) != self.channels or len(std) != self.channels:
            found = f"{self.channels} channels, the images {len(mean)}"
            raise UserError(f"the model's input has {found}: give data, --mean and --std of as many")
        if not (np.isfinite((mean, std)).all() and min(std) > 0):
            raise UserError(f"mean {tuple(mean)} and std {tuple(std)}: expected finite numbers, those of std above 0")
        if self._steps.limits:
            _check_whole(self._steps.limits, mean, std)
        image, steps = self._steps.all[0], self._steps
        image.shift, image.scale = np.array(mean, np.float64), np.array(std, np.float64)
        steps = simplify(steps)
        image = steps.all[0]
        return Imported(emit(steps, self.name), tuple(image.shift.tolist()), tuple(image.scale.tolist()))


def _check_whole(limits, mean, std):
    """UserError where an input of whole numbers would be given others, or those beyond its limits."""
    values = (np.arange(256)[:, None] / 255 - mean) / std  # (256, channels): of every pixel
    odd = np.abs(values - values.round()).max() > WHOLE
    if odd or values.min() < limits[0] - WHOLE or values.max() > limits[1] + WHOLE:
        found = f"{values.min():.4g} to {values.max():.4g}" + (", not all of them whole" if odd else "")
        raise UserError(
            f"the model's input is of whole numbers from {limits[0]} to {limits[1]}, --mean and --std give it {found}: "
            f"give --mean 0 and --std {1 / 255:.8f} for the bytes of pixels, one number a channel"
        )


def read(source, mean, std, name=None):
    """The Imported of a file's path or a ModelProto. Raises UserError."""
    return Opened(source, name).network(mean, std)


def check_fits(network, split, classes):
    """UserError where a network takes other images than a split's, or tells other classes apart."""
    image = network.image
    if (image.channels, *image.size) != (split.channels, *split.size):
        takes, found = (f"{c}×{h}×{w}" for c, h, w in ((image.channels, *image.size), (split.channels, *split.size)))
        raise UserError(f"{network.name} takes images of {takes}, the data has {found}: give data of that size")
    if network.classes != len(classes):
        found = f"{network.name} has {network.classes} classes, the data {len(classes)}"
        raise UserError(f"{found}: give the data that it was trained on")
