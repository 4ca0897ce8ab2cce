"""ONNX files of the shapes that people bring, imported and run on the engine, against ONNX Runtime on the same file.

    python -m bench imports                             # on the embedded sample, half of it to fit and calibrate on
    python -m bench imports --data cifar10=DIR --images 2000

No published weights are here: the convolutions are random, batch norms have the statistics of the images as in
training, and the last layer is fitted to the features by least squares, so that an accuracy means something. Rows, a
file: imports.FILE.onnxruntime_accuracy, .int8_accuracy (co-simulation), .int8_minus_onnxruntime, .labels_agree (images
that both call the same), .seconds (file to package) and .processor_seconds, of all cores for it.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch

from bench.networks.onnx_writer import cifar_resnet, resnet8, resnet18, run_onnx, settle, vgg
from bench.networks.quantised_onnx import quantised
from data.datasets import DATASETS, load, load_sample
from export.build import Source
from export.measure import run_engine
from export.onnx_reader.reading import read
from export.packing import Parts, pack
from training.data import Split

FITTED = 4096  # training images that a last layer is fitted on
MEASURED = 2000
SETTLED = 48  # training images that batch norms take their statistics from
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


def run(rows, folders, options):
    """Add the rows of every file."""
    torch.set_num_threads(options.threads)
    name, parts = _data(folders, options.images)
    dataset = DATASETS[name]
    splits = [Split.from_arrays(*part, dataset.mean, dataset.std, CLASSES) for part in parts]
    with TemporaryDirectory() as folder:
        for file, make in FILES.items():
            writer, features = make()
            train, rest = (_sized(split, writer.size[0]) for split in splits)
            x = train.normalise(train.images).contiguous().numpy()
            settle(writer, x[:SETTLED])
            model = fitted(writer, features, x, train.labels.numpy())
            _measure(rows, file, model, dataset, (train, rest), Path(folder))
            if file in QUANTISED:
                model = quantised(model, x[:128], Path(folder))
                _measure(rows, f"{file}_qdq", model, dataset, (train, rest), Path(folder))


def _data(folders, count):
    """The data set's name, and two parts of it: (images, labels) each."""
    folder = folders.get("cifar10")
    if folder:
        limits = zip(("train", "test"), (FITTED, count or MEASURED))
        return "cifar10", [tuple(part[:most] for part in load("cifar10", split, folder)) for split, most in limits]
    images, labels = load_sample()
    half = len(images) // 2
    return "fashion-mnist", [(images[:half], labels[:half]), (images[half:][:count], labels[half:][:count])]


def _sized(split, side):
    """A Split whose images are `side` pixels a side, each pixel as often as needed."""
    factor = side // split.size[0]
    images = split.images.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
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


def _measure(rows, file, model, dataset, splits, folder):
    """Add a file's rows."""
    path, (train, rest) = folder / f"{file}.onnx", splits
    onnx.save(model, path)
    images, labels = rest.images.permute(0, 2, 3, 1).contiguous().numpy(), rest.labels.numpy()
    expected = run_onnx(model, rest.normalise(rest.images).contiguous().numpy()).argmax(1)
    began, spent = time.perf_counter(), time.process_time()
    network, mean, std = read(path, dataset.mean, dataset.std)
    source = Source(file, dataset.name, mean, std, dataset.classes, {"imported": path.name})
    package = pack(network, source, Parts(train, rest, "test", images=len(labels)))
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    found = run_engine(package, images, 0).label
    n, note = len(labels), f"{dataset.name}, {path.stat().st_size / 1e6:.1f} MB"
    values = [float((labels == given).mean()) for given in (expected, found)]
    rows.add(f"imports.{file}.onnxruntime_accuracy", values[0], "share", "measured", n, note=note)
    rows.add(f"imports.{file}.int8_accuracy", values[1], "share", "simulated", n, note=note)
    rows.add(
        f"imports.{file}.int8_minus_onnxruntime", 100 * (values[1] - values[0]), "points", "simulated", n, target=-0.3
    )
    rows.add(f"imports.{file}.labels_agree", float((found == expected).mean()), "share", "simulated", n)
    rows.add(f"imports.{file}.seconds", seconds, "s", "measured", 1, target=30, note=note)
    rows.add(f"imports.{file}.processor_seconds", spent, "s", "measured", 1, note=note)
