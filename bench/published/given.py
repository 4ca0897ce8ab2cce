"""Networks that somebody trained, from files that are given: ONNX, or the weights of a plain ResNet for CIFAR.

    for trained in read_all(["resnet20.th", "mlperf_resnet8.onnx"], classes=10): trained.model, trained.name

Weights are written as ONNX by torch first, so that ONNX Runtime and the engine read one file. A file does not say how
its pixels were normalised: of the usual ways (training/published/readings.py) the one is taken that knows the training
images best.
"""

import re
from pathlib import Path
from typing import NamedTuple

import onnx
import torch

from bench.networks.onnx_writer import run_onnx
from export.onnx_reader.files import load
from export.onnx_reader.module import to_onnx
from hls.errors import UserError
from training import published
from training.published import readings


class Trained(NamedTuple):
    """A file's network, and the (height, width) of its images."""

    name: str
    model: onnx.ModelProto
    size: tuple


def read_all(paths, classes):
    """The Trained of every file. UserError for one that is neither."""
    return [_read(Path(path), classes) for path in paths]


def _read(path, classes):
    if path.suffix == ".onnx":
        model = load(path)
    else:
        found = re.match(r"resnet-?\d+", path.stem.lower())
        if not found:
            raise UserError(f"{path}: expected FILE.onnx, or weights called after their network, as resnet20.th")
        model = to_onnx(published.load(path, found[0], classes), torch.zeros(1, 3, 32, 32))
    weights = {tensor.name for tensor in model.graph.initializer}
    image = next(value for value in model.graph.input if value.name not in weights)
    height, width = (dim.dim_value for dim in image.type.tensor_type.shape.dim[-2:])
    return Trained(path.stem, model, (height, width))


def normalisation(model, split, dataset):
    """(mean, std) under which a model knows the training images of a split best: the data set's own, or a usual one."""

    def logits(x):
        return torch.from_numpy(run_onnx(model, x.contiguous().numpy()))

    ways = [(dataset.mean, dataset.std), *readings.STATISTICS.values()]
    return max(ways, key=lambda way: readings.known(logits, split, *way))  # the first of several
