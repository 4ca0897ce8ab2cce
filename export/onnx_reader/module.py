"""A PyTorch module as a package, by torch.export and ONNX.

package = export.from_module(model, torch.zeros(1, 3, 64, 64), (images, labels), mean=(0.5,) * 3, std=(0.25,) * 3)
hls.package.write("mine.npz", package)
"""

import logging
import warnings
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import torch

from export.build import Source
from export.onnx_reader.reading import check_fits, read
from export.onnx_reader.steps import printable
from export.packing import CALIBRATION, Parts, pack
from hls.errors import UserError
from training.data import Split

OPSET = 18  # what torch's exporter writes by itself


def from_module(model, example, data, mean, std, classes=None, name=None):
    """The Package of a module in eval mode.

    `example`: (1, C, H, W) float32, an input for tracing; `data`: (images (N, H, W, C) uint8, labels (N,)), at least
    two: up to half of them, and not more than 512, calibrate, the others measure; `mean`, `std`: of the normalisation
    that the module was trained with, pixels in [0, 1], one a channel; `classes`: names. Raises UserError.
    """
    images, labels = arrays(data)
    name = name or type(model).__name__.lower()
    found = read(to_onnx(model, example), mean, std, name)
    return packaged(found, images, labels, classes, name, type(model).__name__)


def arrays(data):
    """(images, labels) of somebody's data as arrays. Raises UserError where they are of another kind."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise UserError(f"data is {type(data).__name__}, expected a pair: images (N, H, W, C) uint8 and labels (N,)")
    images, labels = (np.asarray(part) for part in data)
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) != len(labels) or len(images) < 2:
        found = f"{images.dtype} {images.shape} and {len(labels)} labels"
        raise UserError(f"data has {found}: expected uint8 images (N, H, W, C), 2 or more, and as many labels")
    return images, labels


def packaged(found, images, labels, classes, name, origin, part="given"):
    """The Package of an Imported, calibrated and measured on `arrays` as `from_module` says. Raises UserError.

    `origin`: what the package says that it was imported from; `part`: what it calls the images.
    """
    network, mean, std = found
    classes = tuple(classes or (f"class {number}" for number in range(network.classes)))
    count = min(CALIBRATION, len(images) // 2)
    parts = [(images[half], labels[half]) for half in (slice(count), slice(count, None))]
    train, rest = (Split.from_arrays(*half, mean, std, len(classes)) for half in parts)
    check_fits(network, train, classes)
    source = Source(name, "own", mean, std, classes, {"imported": origin})
    return pack(network, source, Parts(train, rest, part, count, len(rest)))


def to_onnx(model, example):
    """The ModelProto of a module. Raises UserError where torch cannot write it."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            logger.setLevel(logging.ERROR)
            program: Any = torch.onnx.export(model.eval(), (example,), dynamo=True, opset_version=OPSET, verbose=False)
            return program.model_proto
    except ImportError as error:
        raise UserError(f"torch's ONNX exporter needs {error.name}: pip install -r requirements/train.txt") from None
    except Exception as error:  # the exporter raises nearly anything
        raise UserError(f"torch cannot export the module to ONNX: {printable(error, 200)}") from None
    finally:
        logger.setLevel(level)
