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


class Imported(NamedTuple):
    """A network, and the normalisation of its pixels, one number a channel."""

    network: graph.Network
    mean: tuple
    std: tuple


def read(source, mean, std, name=None):
    """The Imported of a file's path or a ModelProto. Raises UserError."""
    model = load(source) if isinstance(source, (str, Path)) else checked(source)
    steps = read_steps(model)
    image = steps.all[0]
    if len(mean) != image.channels or len(std) != image.channels:
        found = f"{image.channels} channels, the images {len(mean)}"
        raise UserError(f"the model's input has {found}: give data, --mean and --std of as many")
    image.shift, image.scale = np.array(mean, np.float64), np.array(std, np.float64)
    steps = simplify(steps)
    image = steps.all[0]
    network = emit(steps, name or (Path(source).stem if isinstance(source, (str, Path)) else "network"))
    return Imported(network, tuple(image.shift.tolist()), tuple(image.scale.tolist()))


def input_of(path):
    """(channels, (height, width)) of a file's input. Raises UserError."""
    image = read_steps(load(path)).all[0]
    return image.channels, image.size


def check_fits(network, split, classes):
    """UserError where a network takes other images than a split's, or tells other classes apart."""
    image = network.image
    if (image.channels, *image.size) != (split.channels, *split.size):
        takes, found = (f"{c}×{h}×{w}" for c, h, w in ((image.channels, *image.size), (split.channels, *split.size)))
        raise UserError(f"{network.name} takes images of {takes}, the data has {found}: give data of that size")
    if network.classes != len(classes):
        found = f"{network.name} has {network.classes} classes, the data {len(classes)}"
        raise UserError(f"{found}: give the data that it was trained on")
