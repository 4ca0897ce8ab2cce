"""What int8 loses where channels have uneven ranges, with and without equalisation (export/integers/equalise.py).

    python -m bench equalise --data cifar10=DIR --data fashion-mnist=DIR

The hidden channels of the committed checkpoints are multiplied by factors from 1/N to N, log-uniform, and the weights
that read them divided by the same: one function in float. Rows: equalise.PACKAGE.int8_minus_float@N, and .without@N,
both in percentage points on test images.
"""

from pathlib import Path

import numpy as np
import torch

from bench.packages import PACKAGES
from data.datasets import DATASETS
from export import graph
from export.build import Source, build
from export.fold import fold
from export.integers.equalise import rebuild
from export.measure import float_accuracy, run_engine
from export.packing import Parts, in_integers
from hls.errors import UserError
from training.checkpoint import load_model, read_checkpoint
from training.data import Split

FACTORS = (1, 16, 64)


def run(rows, folders, options):
    """Add the rows of the checkpoints whose data sets are given."""
    states = {path: read_checkpoint(path) for path in sorted((PACKAGES / "checkpoints").glob("*.pt"))}
    given = {path: folders.get(state["recipe"]["dataset"]) for path, state in states.items()}
    if not any(given.values()):
        raise UserError("no --data: give SET=DIR for each data set to measure on")
    torch.set_num_threads(options.threads)
    for path, state in states.items():
        if given[path]:
            measure(rows, path, state, given[path], options.images)


def measure(rows, path: Path, state, folder, count):
    """Add the rows of one checkpoint."""
    name, dataset = path.stem, DATASETS[state["recipe"]["dataset"]]
    train, _, test = Split.load(dataset.name, folder, "cpu", state["recipe"]["validation"])
    model = load_model(state, train.classes, train.channels, train.size)
    network, count = fold(model, train.channels, train.size), min(count or len(test), len(test))
    wanted = float_accuracy(network, test, count)[-1]
    for n in FACTORS:
        spread = uneven(network, n)
        for key, even in (("int8_minus_float", True), ("without", False)):
            found = int8_accuracy(spread, even, dataset, train, test, count)
            rows.add(f"equalise.{name}.{key}@{n}", 100 * (found - wanted), "points", "simulated", count)


def int8_accuracy(network, even, dataset, train, test, count):
    """The share of right labels of the package on the engine, at its end."""
    source = Source("equalise", dataset.name, dataset.mean, dataset.std, dataset.classes, {})
    package = build(in_integers(network, source, Parts(train, test, "test"), even), source, {})
    images = test.images[:count].permute(0, 2, 3, 1).contiguous().numpy()
    results = run_engine(package, images, len(package.exits) - 1)
    return float((results.label == test.labels[:count].numpy()).mean())


def uneven(network, n, seed=0):
    """The same function, the channels that convolutions alone read times factors from 1/n to n."""
    rng, readers, factors = np.random.default_rng(seed), graph.readers_of(network.nodes), {}
    for node in graph.walk(network.nodes):
        reading = readers.get(node, [])
        inner = all(isinstance(reader, graph.Convolution) and reader.x is node for reader in reading)
        if isinstance(node, graph.Convolution) and node.relu and node.add is None and reading and inner:
            factors[node] = np.exp(rng.uniform(-np.log(n), np.log(n), node.channels))

    def change(node):
        if not isinstance(node, graph.Convolution):
            return {}
        out, into = factors.get(node, np.ones(node.channels)), factors.get(node.x, np.ones(node.x.channels))
        weight = node.weight * out[:, None, None, None] / into[:, None, None]
        return {"weight": weight.astype(np.float32), "bias": (node.bias * out).astype(np.float32)}

    return rebuild(network, change)
