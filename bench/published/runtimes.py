"""One static network on every runtime that is here: the same weights and images, in one run on one machine.

    python -m bench peers                             # of Fashion-MNIST, on the embedded sample
    python -m bench peers --data cifar10=DIR          # of CIFAR-10, too

The networks are packages/static/*.pt, trained beside the packages. Half of the images calibrate, the others are run:

pytorch     the checkpoint in float, by PyTorch
ort_float   the package's integers as floats, by ONNX Runtime (bench/networks/oracle.py)
ort_int8    the package's integers as a quantised graph, by ONNX Runtime
cosim       the package, by the engine's C++ on the processor
hls4ml      the package as hls4ml's project (export/with_hls4ml/), by its C simulation, on its first images alone

Rows peers.NETWORK.WHO.accuracy, .labels_agree (images whose label is the engine's), .images_per_s.t1 and .t2 (threads;
medians of runs that take turns, the better batch size of those that have one; hls4ml has no threads and one run).
And peers.NETWORK.flops, .cycles, .energy of an image on the engine, by its schedule and its energy model.
"""

import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

from bench.networks.oracle import codes, onnx_of, open_session
from bench.networks.oracle_speed import BATCHES, IMAGES, THREADS, contestants, in_turn
from bench.packages import PACKAGES, records
from bench.published.peer import compile_lightly
from data.datasets import DATASETS, load, load_sample
from export.build import Source
from export.fold import fold
from export.packing import Parts, pack
from hls.package import Package
from host.board import catalog
from host.energy.model import modelled
from training.checkpoint import load_model, read_checkpoint
from training.data import Split

STATIC = PACKAGES / "static"
SAMPLED = "fashion-mnist"  # the data set of the embedded sample
HALF = 500  # images to calibrate on, and as many to run, where there are more
SIMULATED = 16  # images for hls4ml
MEASURED = ("pytorch",)  # in floating point: not the same on every machine


class Peer(NamedTuple):
    """A network to run: its checkpoint's model, its package, and the images (N, H, W, C) uint8 with labels."""

    name: str
    model: torch.nn.Module
    package: Package
    split: Split
    images: np.ndarray
    labels: np.ndarray


def run(rows, folders, options):
    """Add the rows of every static network whose images are here."""
    for path in sorted(STATIC.glob("*.pt")):
        state = read_checkpoint(path)
        dataset = state["recipe"]["dataset"]
        if dataset == SAMPLED or folders.get(dataset):
            measure(rows, _peer(path.stem, state, dataset, folders.get(dataset)))


def _peer(name, state, dataset, folder):
    about, parts = DATASETS[dataset], _parts(dataset, folder)
    train, test = (Split.from_arrays(*part, about.mean, about.std, len(about.classes)) for part in parts)
    model = load_model(state, train.classes, train.channels, train.size).eval()
    source = Source(state["recipe"]["name"], dataset, about.mean, about.std, about.classes, {})
    package = pack(fold(model, train.channels, train.size), source, Parts(train, test, "sample"))
    return Peer(name, model, package, test, *parts[1])


def _parts(dataset, folder):
    """(images, labels) to calibrate on and to run."""
    if folder:
        return [tuple(part[:HALF] for part in load(dataset, split, folder)) for split in ("train", "test")]
    images, labels = load_sample()
    return (images[:HALF], labels[:HALF]), (images[HALF:], labels[HALF:])


def measure(rows, peer):
    """Add one network's rows."""
    graphs = {kind: onnx_of(peer.package, kind == "int8") for kind in ("int8", "float")}
    with ExitStack() as stack:
        simulation = _hls4ml(peer.package, stack)
        labels = _labels(peer, graphs, simulation)
        for who, found in labels.items():
            kind, n = "measured" if who in MEASURED else "simulated", len(found)
            rows.add(f"peers.{peer.name}.{who}.accuracy", float((found == peer.labels[:n]).mean()), "share", kind, n)
            agree = float((found == labels["cosim"][:n]).mean())
            rows.add(f"peers.{peer.name}.{who}.labels_agree", agree, "share", kind, n)
        _speeds(rows, peer, graphs, simulation)
    _costs(rows, peer)


def _costs(rows, peer):
    """What an image takes on the engine, as its package's rows have it."""
    results = records(peer.package, peer.images)
    energy = modelled(results, catalog.read()).joule_per_image * 1e3
    costs = {"flops": (results.flops.mean(), "FLOPs"), "cycles": (results.cycles.mean(), "cycles")}
    costs["energy"] = energy, "mJ"
    for name, (value, unit) in costs.items():
        kind = "simulated" if name == "flops" else "modelled"
        rows.add(f"peers.{peer.name}.{name}", float(value), unit, kind, len(peer.images))


def _labels(peer, graphs, simulation):
    """WHO → labels of the images, or of the first ones."""
    inputs = codes(peer.package, peer.images)
    found = {"cosim": records(peer.package, peer.images).label, "pytorch": _torch_labels(peer)}
    for kind, graph in graphs.items():
        found[f"ort_{kind}"] = open_session(graph, 1).run(None, {"codes": inputs})[0].argmax(1)
    if simulation:
        found["hls4ml"] = simulation(peer.images[:SIMULATED])
    return found


def _torch_labels(peer):
    with torch.no_grad():
        return peer.model(peer.split.normalise(peer.split.images)).logits[-1].argmax(1).numpy()


def _hls4ml(package, stack):
    """A function (images → labels) by hls4ml's C simulation, compiled; None where hls4ml is not installed."""
    try:
        from export.with_hls4ml import project
    except ModuleNotFoundError:
        return None
    folder = stack.enter_context(TemporaryDirectory())
    model = project.write_project(package, Path(folder) / "project")
    compile_lightly(model)
    return lambda images: model.predict(project.codes(package, images)).argmax(1)


def _speeds(rows, peer, graphs, simulation):
    """Images a second of all, taking turns."""
    images = peer.images[:IMAGES]
    for threads in THREADS:
        torch.set_num_threads(threads)
        runs = contestants(peer.package, graphs, images, threads)
        runs |= {f"pytorch {batch}": _torch_run(peer, batch) for batch in BATCHES}
        best = {}
        for name, speeds in in_turn(runs).items():
            who = {"int8": "ort_int8", "float": "ort_float"}.get(name.split()[0], name.split()[0])
            best[who] = max(best.get(who, ([0],)), (speeds, name), key=lambda one: statistics.median(one[0]))
        for who, (speeds, *name) in best.items():
            detail = {"lowest": min(speeds), "highest": max(speeds)}
            name_of, value = f"peers.{peer.name}.{who}.images_per_s.t{threads}", statistics.median(speeds)
            rows.add(name_of, value, "images/s", "measured", len(speeds), note=name[0], detail=detail)
    if simulation:
        begin = time.perf_counter()
        simulation(images[:SIMULATED])
        speed = SIMULATED / (time.perf_counter() - begin)
        rows.add(f"peers.{peer.name}.hls4ml.images_per_s.t1", speed, "images/s", "measured", 1, note="hls4ml")


def _torch_run(peer, batch):
    """A function that runs IMAGES images in batches."""
    parts = peer.split.normalise(peer.split.images[:IMAGES]).split(batch)

    def run_all():
        with torch.inference_mode():
            for part in parts:
                peer.model(part)

    return run_all
