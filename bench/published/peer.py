"""hls4ml's C simulation of packages' static parts against the engine's co-simulation, logit by logit.

    python -m bench hls4ml

Small networks with random weights, calibrated on the embedded sample at 16×16: a residual network with layer gates,
channel gates and exits, of which hls4ml gets the static part, and a plain one with a Flatten. Row: hls4ml.agreement,
the share of images whose logits are all equal.
"""

from concurrent.futures import ThreadPoolExecutor
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
    images = rest.images.permute(0, 2, 3, 1).contiguous().numpy()[: options.images or MEASURED]
    names = {"residual with gates": gated, "plain with a Flatten": plain}
    packages = [pack(make(), _source(name), Parts(train, rest, "sample", 64, 64)) for name, make in names.items()]
    with TemporaryDirectory() as folder:
        models = [project.write_project(package, Path(folder) / f"{i}") for i, package in enumerate(packages)]
        with ThreadPoolExecutor(options.threads) as pool:
            list(pool.map(compile_lightly, models))
        found = [agreement(project, *pair, images) for pair in zip(models, packages)]
    n = len(images) * len(names)
    detail, mean = dict(zip(names, found)), float(np.mean(found))
    rows.add("hls4ml.agreement", mean, "share", "simulated", n, target=1.0, detail=detail)


def compile_lightly(model):
    """Compile a project that is written: the same integers as by -O3, in less of the compiler's time."""
    script = Path(model.config.get_output_dir()) / "build_lib.sh"
    script.write_text(script.read_text(encoding="utf-8").replace("-O3", "-O1"), encoding="utf-8")
    model._compile()  # compile() would write the script anew


def agreement(project, model, package, images):
    """The share of images on which a project's C simulation gives the engine's logits, every gate open."""
    start = package.start()
    records = cosim.run(opened(package.program), package.weights, package.tables, images, start)
    return float((model.predict(project.codes(package, images)) == decode(records, start).logits).all(1).mean())


def gated():
    """The graph of a small residual network whose gates and exits are not trained."""
    torch.manual_seed(0)
    backbone = {"kind": "resnet", "units": [1, 1], "width": 0.25, "shortcut": "pad"}
    gates = {"kind": "pooled", "base": 0}, {"kind": "pooled", "masks": ["hidden"], "base": 0}
    model = Network(backbone, *gates, {"after": [0]}).build(CLASSES, 3, (SIDE, SIDE))
    return fold(model.eval(), 3, (SIDE, SIDE))


def plain():
    """The graph of a small network as people bring it, with a max pool, an average pool and a Flatten."""
    writer = Writer(size=(SIDE, SIDE))
    x = writer.pool(writer.relu(writer.conv("image", 8, 3)), "MaxPool", 2, 2)
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
