"""Every committed package on its test set: accuracy under budgets, and what must never happen, counted.

    python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR

Rows: PACKAGE.accuracy@BUDGET, .flops@, .cycles@ (modelled), .layers@; .over_budget (images that spent more than
allowed, over all budgets), .flops_differ (images whose FLOPs differ from the training model's count for the same
decisions), .float_accuracy and .int8_minus_float.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from data.datasets import load
from hls import cosim
from hls.package import read
from hls.record import NO_BUDGET, decode
from training.dynamic import IMAGE_SIZE, DynamicResNet, block_flops
from training.recipe import from_dict

PACKAGES = Path(__file__).resolve().parent.parent / "packages"
BUDGETS = 20
PAPER_BUDGET = 74_000_000  # Wang et al., JSTSP 2020, Table II


def run(rows, folders, options):
    """Add the rows of every package in packages/."""
    for path in sorted(PACKAGES.glob("*.npz")):
        package = read(path)
        images, labels = load(package.dataset, "test", folders.get(package.dataset))
        images, labels = images[: options.images], labels[: options.images]
        measure(rows, path.stem, fingerprint(path.stem), package, images, labels, options.threads)


def fingerprint(name):
    """The first digits of a committed package's SHA-256, as rows carry it."""
    return hashlib.sha256((PACKAGES / f"{name}.npz").read_bytes()).hexdigest()[:12]


def measure(rows, name, sha256, package, images, labels, threads):
    """Add one package's rows."""
    n = len(images)
    results = engine(package, images, NO_BUDGET, threads)
    add_budget(rows, name, sha256, "none", results, labels)
    accuracy = float((results.label == labels).mean())
    rows.add(f"{name}.flops_differ", flops_differ(package, results), "images", "simulated", n, sha256)
    smallest = min(entry["flops"] for entry in package.exits)
    # Up to what the most expensive image costs without a budget: every one of them stops some image.
    budgets = [int(budget) for budget in np.linspace(smallest, int(results.flops.max()), BUDGETS)]
    budgets.append(max(PAPER_BUDGET, smallest))
    over = 0
    for budget in budgets:
        results = engine(package, images, budget, threads)
        over += int((results.flops > budget).sum())
        add_budget(rows, name, sha256, f"{budget / 1e6:.1f}M", results, labels)
    rows.add(f"{name}.over_budget", over, "images", "simulated", len(budgets) * n, sha256)
    reference = package.meta["training"]["metrics"]["test"]
    if reference["images"] == n:
        rows.add(f"{name}.float_accuracy", reference["accuracy"][-1], "share", "measured", n, sha256)
        points = 100 * (accuracy - reference["accuracy"][-1])
        rows.add(f"{name}.int8_minus_float", points, "points", "simulated", n, sha256)


def add_budget(rows, name, sha256, at, results, labels):
    """Add the rows of one budget."""
    n, accuracy = len(labels), float((results.label == labels).mean())
    rows.add(f"{name}.accuracy@{at}", accuracy, "share", "simulated", n, sha256)
    rows.add(f"{name}.flops@{at}", float(results.flops.mean()), "FLOPs", "simulated", n, sha256)
    rows.add(f"{name}.cycles@{at}", float(results.cycles.mean()), "cycles", "modelled", n, sha256)
    rows.add(f"{name}.layers@{at}", float(results.layers_run.mean()), "blocks", "simulated", n, sha256)


def engine(package, images, budget, threads):
    """The decoded records of a run under a FLOP budget."""
    start = package.start(budget_flops=budget)
    return decode(cosim.run(package.program, package.weights, package.tables, images, start, threads), start)


def flops_differ(package, results):
    """Images that ran to the end whose FLOPs are not those that training counts for the decisions in their trace."""
    network = from_dict(package.meta["training"]["recipe"]).network
    model = DynamicResNet(network)
    ended = results.exit == len(package.exits) - 1
    trace = torch.from_numpy(results.trace[ended].astype(np.float64))  # (N, gates)
    counted = torch.full((len(trace),), float(model.stem_flops + model.head_flops), dtype=torch.float64)
    size, gate = IMAGE_SIZE, 0
    for i, block in enumerate(model.blocks()):
        keep = channels = None
        gate_flops = (0, 0)
        if block.gateable and (network.layer_gates or network.channel_gates):
            keep = (trace[:, gate] >= 0).double() if network.layer_gates else None
            channels = trace[:, gate : gate + 1].clamp(min=0) if network.channel_gates else None
            gate_flops = model.gate_flops(i, size)
            gate += 1
        size //= block.stride
        counted += block_flops(block, size, keep, channels, gate_flops)
    return int((counted.numpy() != results.flops[ended]).sum())
