"""hls4ml's C simulation of packages' static parts against the engine's co-simulation, logit by logit.

    python -m bench hls4ml

Small networks with random weights, calibrated on the embedded sample at 16×16: a residual network with layer gates,
channel gates and exits, of which hls4ml gets the static part, and a plain one with a Flatten. Rows: hls4ml.agreement
(share of images whose logits are all equal), hls4ml.csim_images_per_second and hls4ml.cosim_images_per_second (the same
images, one thread each).
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from bench.networks.onnx_writer import Writer
from data.datasets import DATASETS, load_sample
from export.build import Source
from export.compile.static import opened
from export.fold import fold
from export.onnx_reader.reading import read
from export.packing import Parts, pack
from hls import cosim
from hls.errors import UserError
from hls.record import decode
from training.data import Split
from training.network import Network

DATASET, SIDE, CLASSES = "fashion-mnist", 16, 10
MEASURED = 200


def run(rows, folders, options):
    """Add the rows of both networks."""
    project = _project()
    torch.set_num_threads(1)
    train, rest = _splits()
    shares, spent = {}, np.zeros(2)
    for name, network in (("residual with gates", gated()), ("plain with a Flatten", plain())):
        package = pack(network, _source(name), Parts(train, rest, "sample", 64, 64))
        images = rest.images.permute(0, 2, 3, 1).contiguous().numpy()[: options.images or MEASURED]
        with TemporaryDirectory() as folder:
            found, expected, seconds = both(project, package, images, Path(folder) / "project")
        shares[name], spent = float((found == expected).all(1).mean()), spent + seconds
    n = len(images) * len(shares)
    rows.add(
        "hls4ml.agreement", float(np.mean(list(shares.values()))), "share", "simulated", n, target=1.0, detail=shares
    )
    for name, seconds in zip(("csim", "cosim"), spent):
        rows.add(f"hls4ml.{name}_images_per_second", n / seconds, "images/s", "measured", n)


def both(project, package, images, folder):
    """Logits (N, classes) of hls4ml's C simulation and of the engine, every gate open, and the seconds of each."""
    model = project.write_project(package, folder)
    model.compile()
    start = package.start()
    began = time.perf_counter()
    found = model.predict(project.codes(package, images))
    between = time.perf_counter()
    records = cosim.run(opened(package.program), package.weights, package.tables, images, start)
    seconds = between - began, time.perf_counter() - between
    return found, decode(records, start).logits, np.array(seconds)


def gated():
    """The graph of a small residual network whose gates and exits are not trained."""
    torch.manual_seed(0)
    backbone = {"kind": "resnet", "units": [1, 1], "width": 0.5, "shortcut": "pad"}
    gates = {"kind": "pooled", "base": 0}, {"kind": "pooled", "masks": ["hidden"], "base": 0}
    model = Network(backbone, *gates, {"after": [0]}).build(CLASSES, 3, (SIDE, SIDE))
    return fold(model.eval(), 3, (SIDE, SIDE))


def plain():
    """The graph of a small network as people bring it, with a max pool, an average pool and a Flatten."""
    writer = Writer(size=(SIDE, SIDE))
    x = writer.pool(writer.relu(writer.conv("image", 8, 3)), "MaxPool", 3, 2, (1, 1, 1, 1))
    x = writer.pool(writer.relu(writer.conv(x, 12, 3)), "AveragePool", 2, 2)
    writer.gemm(writer.relu(writer.gemm(writer.flatten(x), 16)), CLASSES)
    about = DATASETS[DATASET]
    return read(writer.model(batch=1), about.mean, about.std, "plain").network


def _splits():
    """Two halves of the sample, every second pixel."""
    images, labels = (part for part in load_sample())
    images, half, about = np.ascontiguousarray(images[:, ::2, ::2]), len(images) // 2, DATASETS[DATASET]
    parts = (images[:half], labels[:half]), (images[half:], labels[half:])
    return [Split.from_arrays(*part, about.mean, about.std, CLASSES) for part in parts]


def _source(name):
    about = DATASETS[DATASET]
    return Source(name, about.name, about.mean, about.std, about.classes, {})


def _project():
    """The module that writes the projects. UserError where hls4ml is not installed."""
    try:
        from export.with_hls4ml import project
    except ModuleNotFoundError as error:
        raise UserError(f"this needs {error.name}: pip install -r requirements/hls4ml.txt") from None
    return project
