"""A plain network made dynamic, by the commands of docs/networks.md: ONNX file → recipe → training → package.

    python -m bench dynamic

The file is a CIFAR ResNet whose last layer is fitted (bench/published/imports.py), on the embedded sample: 70 % of its
images to train, 15 % to validate, 15 % to test. Rows, on the test part: dynamic.file_accuracy (of the file, by ONNX
Runtime), .accuracy and .first_exit_accuracy (of the package, int8), .flops_share (mean FLOPs of an image, of the file's
network in full); .gates and .exits that were placed, .processor_seconds of all commands.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx

from bench.front.newcomer import Shell, processor_seconds
from bench.networks.onnx_writer import cifar_resnet, run_onnx, settle
from bench.published.imports import SETTLED, fitted
from data.datasets import load_sample
from data.own import collect, divide, suggest
from data.sets import DATASETS
from hls.package import read
from training.data import Split
from training.recipe import read as read_recipe

DEPTH, EPOCHS = 14, 40
SET = DATASETS["fashion-mnist"]


def run(rows, folders, options):
    """Add the rows."""
    with tempfile.TemporaryDirectory() as folder:
        found = way(Path(folder), options.threads)
    n = found.pop("images")
    units = {"accuracy": "share", "share": "share", "gates": "gates", "exits": "exits", "seconds": "s"}
    for name, value in found.items():
        unit = next(unit for ending, unit in units.items() if name.endswith(ending))
        rows.add(f"dynamic.{name}", value, unit, "measured" if unit == "s" else "simulated", n)


def way(folder, threads=2, depth=DEPTH, epochs=EPOCHS):
    """Figures of the whole way in an empty folder, `images` of the test part among them."""
    images, labels = load_sample()
    np.savez(folder / "sample.npz", images=images, labels=labels, classes=np.array(SET.classes))
    collection = collect(folder / "sample.npz")
    train, _, test = (
        Split.from_arrays(*part, SET.mean, SET.std, len(SET.classes))
        for part in divide(collection, suggest(collection))
    )
    writer, features = cifar_resnet(depth)
    x = train.normalise(train.images).contiguous().numpy()
    settle(writer, x[:SETTLED])
    model = fitted(writer, features, x, train.labels.numpy())
    onnx.save(model, folder / "net.onnx")
    before = run_onnx(model, test.normalise(test.images).contiguous().numpy()).argmax(1)
    shell, spent = Shell(folder), processor_seconds()
    data, spread = ["--data", f"sample={folder / 'sample.npz'}"], ["--threads", str(threads)]
    numbers = [f"--mean={','.join(map(str, SET.mean))}", f"--std={','.join(map(str, SET.std))}"]
    recipe, out, package = folder / "mine.toml", folder / "run", folder / "mine.npz"
    given = [folder / "net.onnx", "-o", recipe, *numbers, "--epochs", str(epochs)]
    shell.type("-m", "training", "dynamic", *given, *data, *spread)
    shell.type("-m", "training", recipe, "--out", out, *data, *spread)
    shell.type("-m", "export", out / "model.pt", "-o", package, *data, *spread)
    spent = processor_seconds() - spent
    made, ran = read(package), ["host/run.py", "--package", package, *data, "--json", "-"]
    least = f"{-(-made.exits[0]['flops'] // 1000)}k"
    tested, first = (json.loads(shell.type(*ran, "--budget", budget)) for budget in ("none", least))
    backbone = read_recipe(recipe).network.build(len(SET.classes), 3, train.size).backbone
    return {
        "images": len(test),
        "file_accuracy": float((before == test.labels.numpy()).mean()),
        "accuracy": tested["accuracy"],
        "first_exit_accuracy": first["accuracy"],
        "flops_share": tested["flops"]["mean"] / float(backbone.cost(train.size)),
        "gates": made.gates,
        "exits": len(made.exits) - 1,
        "processor_seconds": spent,
    }
