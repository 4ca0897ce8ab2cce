"""ONNX files of the shapes that people bring, imported and run on the engine, against ONNX Runtime on the same file.

    python -m bench imports                             # on the embedded sample, half of it to fit and calibrate on
    python -m bench imports --data cifar10=DIR --images 2000
    python -m bench imports --data cifar10=DIR --images 2000 --files resnet20.th resnet8.onnx

Without --files no weights are trained: convolutions are random, batch norms have the statistics of the images as in
training, and the last layer is fitted to the features by least squares. Few labels are right then, and which of two
close logits is larger is chance, so that accuracies of two runs differ by a point for nothing. So labels are not asked:

imports.FILE.float_distance  the network as it is read, in float, against ONNX Runtime: the largest difference of two
                             logits, in standard deviations of all. What is read wrongly is seen here. Not of QDQ files,
                             which round on the way.
imports.FILE.points_lost     accuracy that the engine loses against ONNX Runtime on the file, in percentage points, over
                             labels drawn as its logits say, or those of the float file that a QDQ file was made of
                             (expected.py); its 95 % interval is the row's detail.
imports.FILE.labels_agree    images that both call the same.

Of files that are trained also .onnxruntime_accuracy, .int8_accuracy (co-simulation) and .int8_minus_onnxruntime. Of all
.seconds (file to package) and .processor_seconds, of all cores for it.
"""

import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx
import torch

from bench.networks.onnx_writer import cifar_resnet, resnet8, resnet18, run_onnx, settle, vgg
from bench.networks.quantised_onnx import quantised
from bench.published.expected import points_lost
from bench.published.given import normalisation, read_all
from data.datasets import DATASETS, load, load_sample
from export.build import Source
from export.float_network import FloatNetwork
from export.measure import run_engine
from export.onnx_reader.reading import read
from export.packing import Parts, pack
from hls.errors import UserError
from training.data import Split

FITTED = 4096  # training images that a last layer is fitted on
MEASURED = 2000
SETTLED = 48  # training images that batch norms take their statistics from
FLOATS = 100  # images whose logits in float are compared
RIDGE = 1e-2
CLASSES = 10
FILES = {
    "resnet8": resnet8,
    "resnet20": lambda: cifar_resnet(20),
    "resnet32": lambda: cifar_resnet(32),
    "resnet44": lambda: cifar_resnet(44),
    "resnet56": lambda: cifar_resnet(56),
    "resnet18_64": resnet18,
    "vgg": vgg,
}
QUANTISED = ("resnet8", "vgg")  # that onnxruntime.quantization turns to QDQ int8 as well


class File(NamedTuple):
    """A network to import: how its pixels are normalised, whether it is trained, of which float network it was made."""

    name: str
    model: onnx.ModelProto
    mean: tuple
    std: tuple
    trained: bool = False
    floats: onnx.ModelProto | None = None  # of a QDQ file


def run(rows, folders, options):
    """Add the rows of every file."""
    torch.set_num_threads(options.threads)
    name, parts = _data(folders, options.images)
    dataset = DATASETS[name]
    splits = [Split.from_arrays(*part, dataset.mean, dataset.std, CLASSES) for part in parts]
    with TemporaryDirectory() as folder:
        for file, size in _given(options.files, splits[0], dataset) if options.files else _made(splits[0], folder):
            measure(rows, file, dataset.name, [_sized(split, size) for split in splits], Path(folder))


def _data(folders, count):
    """The data set's name, and two parts of it: (images, labels) each."""
    folder = folders.get("cifar10")
    if folder:
        limits = zip(("train", "test"), (FITTED, count or MEASURED))
        return "cifar10", [tuple(part[:most] for part in load("cifar10", split, folder)) for split, most in limits]
    images, labels = load_sample()
    half = len(images) // 2
    return "fashion-mnist", [(images[:half], labels[:half]), (images[half:][:count], labels[half:][:count])]


def _given(paths, train, dataset):
    """(File, size) of networks that somebody trained."""
    if dataset.name != "cifar10":
        raise UserError("--files are networks for CIFAR-10: give --data cifar10=DIR")
    for name, model, size in read_all(paths, CLASSES):
        way = normalisation(model, _sized(train, size), dataset)
        yield File(f"{name}_trained", model, *way, trained=True), size


def _made(train, folder):
    """(File, size) of networks with random weights and a last layer that is fitted to the training images."""
    statistics = train.about.mean, train.about.std
    for name, make in FILES.items():
        writer, features = make()
        split = _sized(train, writer.size)
        x = split.normalise(split.images).contiguous().numpy()
        settle(writer, x[:SETTLED])
        model = fitted(writer, features, x, split.labels.numpy())
        yield File(name, model, *statistics), writer.size
        if name in QUANTISED:
            rounded = quantised(model, x[:128], Path(folder))
            yield File(f"{name}_qdq", rounded, *statistics, floats=model), writer.size


def _sized(split, size):
    """A Split whose images are of a size, each pixel as often as needed. UserError where that is no whole number."""
    factors = [side // own for side, own in zip(size, split.size)]
    if [own * factor for own, factor in zip(split.size, factors)] != list(size):
        raise UserError(f"the network takes {size[0]}×{size[1]} pixels, expected a multiple of {split.size}")
    images = split.images.repeat_interleave(factors[0], 2).repeat_interleave(factors[1], 3)
    return Split(images, split.labels, split.mean, split.std, split.classes, split.about)


def fitted(writer, features, x, labels):
    """The ModelProto with a Gemm behind `features` that fits the labels by ridge regression."""
    values = run_onnx(writer.model(features), x).astype(np.float64)
    spread = values.std(0) + 1e-6
    values = np.c_[values / spread, np.ones(len(values))]
    strength = RIDGE * len(values) * np.eye(values.shape[1])
    weight = np.linalg.solve(values.T @ values + strength, values.T @ (4 * np.eye(CLASSES)[labels] - 0.4))
    operands = [(weight[:-1] / spread[:, None]).astype(np.float32), weight[-1].astype(np.float32)]
    writer.node("Gemm", [features, *map(writer.constant, operands)], (CLASSES,))
    return writer.model()


def measure(rows, file, data, splits, folder):
    """Add a file's rows. `splits`: training images that calibrate, and others that measure."""
    path, (train, rest) = folder / f"{file.name}.onnx", splits
    onnx.save(file.model, path)
    rest.normalise_by(file.mean, file.std)
    x = rest.normalise(rest.images).contiguous().numpy()
    logits = as_logits(run_onnx(file.model, x))
    expected, floats = logits.argmax(1), as_logits(run_onnx(file.floats, x)) if file.floats else logits
    began, spent = time.perf_counter(), time.process_time()
    network, mean, std = read(path, file.mean, file.std)
    for split in splits:
        split.normalise_by(mean, std)
    source = Source(file.name, data, mean, std, DATASETS[data].classes, {"imported": path.name})
    package = pack(network, source, Parts(train, rest, "test", images=len(rest)))
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    found = run_engine(package, rest.images.permute(0, 2, 3, 1).contiguous().numpy(), 0).label
    note = f"{data}, {path.stat().st_size / 1e6:.1f} MB, weights {'trained' if file.trained else 'random'}"
    add = partial(_add, rows, file.name, note, len(rest))
    if file.floats is None:
        add("float_distance", _float_distance(network, rest, logits), "std", "measured", target=1e-3)
    lost, half = points_lost(floats, expected, found, rest.labels.numpy())
    add("points_lost", lost, "points", target=0.3, detail={"low": lost - half, "high": lost + half})
    add("labels_agree", float((found == expected).mean()), "share")
    if file.trained:
        one, other = (float((rest.labels.numpy() == labels).mean()) for labels in (expected, found))
        add("onnxruntime_accuracy", one, "share", "measured")
        add("int8_accuracy", other, "share")
        add("int8_minus_onnxruntime", 100 * (other - one), "points", target=-0.3)
    add("seconds", seconds, "s", "measured", target=30)
    add("processor_seconds", spent, "s", "measured")


def _add(rows, file, note, n, name, value, unit, kind="simulated", **more):
    """A row of a file; times are of one run, logits in float of the first images."""
    n = 1 if unit == "s" else min(n, FLOATS) if unit == "std" else n
    rows.add(f"imports.{file}.{name}", value, unit, kind, n, note=note, **more)


def as_logits(outputs):
    """(N, classes) logits, an image's mean 0, from a file's outputs: they may be probabilities, behind a softmax."""
    if (outputs >= 0).all() and np.allclose(outputs.sum(1), 1, atol=1e-4):
        outputs = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
    return outputs - outputs.mean(1, keepdims=True)


def _float_distance(network, split, expected):
    """The largest difference between logits of a network as it is read and `expected` (N, classes), in their spread."""
    found = as_logits(FloatNetwork(network)(split.normalise(split.images[:FLOATS])).logits[-1].numpy())
    return float(abs(found - expected[:FLOATS]).max() / expected.std())
