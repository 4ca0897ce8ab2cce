"""Every committed package on its test set: accuracy under budgets, and what must never happen, counted.

    python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR --method float     # or budgets

Rows: PACKAGE.budget@BUDGET (the name has it rounded, the value whole), .accuracy@, .flops@ and .flops_max@, .cycles@
and .energy@ (both modelled), .layers@, .channels@, .exits@ (`detail`: the images that left at each); .over_budget
(images that spent more than allowed, over all budgets), .flops_differ (images whose FLOPs differ from the training
model's count for the same decisions), .float_accuracy and .int8_minus_float. Of the whole network, every gate open:
.full_flops, .full_cycles, and how many .gated_blocks and .gated_channels it has.
"""

import hashlib
from pathlib import Path

import numpy as np

from data.labelled import test_images
from hls import cosim, isa
from hls.command.arguments import check_names
from hls.errors import UserError
from hls.package import read
from hls.record import NO_BUDGET, decode
from host.board import catalog
from host.energy.model import modelled
from host.views.report import gated_blocks, gated_channels
from training.checkpoint import load_model, read_checkpoint
from training.controls import record
from training.data import Split
from training.prune import apply
from training.recipe import from_dict

PARTS = ("budgets", "float")
PACKAGES = Path(__file__).resolve().parent.parent / "packages"
BUDGETS = 20
PAPER_BUDGET = 74_000_000  # Wang et al., JSTSP 2020, Table II


def run(rows, folders, options):
    """Add the rows of every package in packages/: all parts, or those of --method."""
    parts = options.method or PARTS
    check_names("--method", options.method, PARTS)
    for path in sorted(PACKAGES.glob("*.npz")):
        package = read(path)
        images, labels, _ = test_images(package, folders.get(package.dataset))
        images, labels = images[: options.images], labels[: options.images]
        given = rows, path.stem, fingerprint(path.stem), package, images, labels, options.threads
        if "budgets" in parts:
            measure(*given)
        if "float" in parts:
            add_float(*given)


def fingerprint(name):
    """The first digits of a committed package's SHA-256, as rows carry it."""
    return hashlib.sha256((PACKAGES / f"{name}.npz").read_bytes()).hexdigest()[:12]


def measure(rows, name, sha256, package, images, labels, threads):
    """Add one package's rows."""
    n = len(images)
    add_whole(rows, name, sha256, package)
    results = engine(package, images, NO_BUDGET, threads)
    add_budget(rows, name, sha256, None, package, results, labels)
    rows.add(f"{name}.flops_differ", flops_differ(package, results), "images", "simulated", n, sha256)
    smallest = min(entry["flops"] for entry in package.exits)
    # Up to what the most expensive image costs without a budget: every one of them stops some image.
    budgets = [int(budget) for budget in np.linspace(smallest, int(results.flops.max()), BUDGETS)]
    budgets.append(max(PAPER_BUDGET, smallest))
    over = 0
    for budget in budgets:
        results = engine(package, images, budget, threads)
        over += int((results.flops > budget).sum())
        add_budget(rows, name, sha256, budget, package, results, labels)
    rows.add(f"{name}.over_budget", over, "images", "simulated", len(budgets) * n, sha256)


def add_float(rows, name, sha256, package, images, labels, threads):
    """Add the rows of the float network by today's sources, and of what int8 on the engine has over it."""
    state = read_checkpoint(PACKAGES / "checkpoints" / f"{name}.pt")
    mean, std = package.meta["input"]["mean"], package.meta["input"]["std"]
    split = Split.from_arrays(images, labels, mean, std, package.classes)
    hits, _, _ = record(load_model(state, split.classes, split.channels, split.size), split)
    results = engine(package, images, NO_BUDGET, threads)
    points = 100 * float((results.label == labels).mean() - hits.mean())
    rows.add(f"{name}.float_accuracy", float(hits.mean()), "share", "measured", len(images), sha256)
    rows.add(f"{name}.int8_minus_float", points, "points", "simulated", len(images), sha256)


def add_whole(rows, name, sha256, package):
    """Add the rows of the whole network: what an image would take with every gate open, and what gates decide on."""
    whole = package.exits[-1]
    rows.add(f"{name}.full_flops", whole["flops"], "FLOPs", "modelled", 1, sha256)
    rows.add(f"{name}.full_cycles", whole["cycles"], "cycles", "modelled", 1, sha256)
    rows.add(f"{name}.gated_blocks", gated_blocks(package), "blocks", "count", 1, sha256)
    rows.add(f"{name}.gated_channels", gated_channels(package), "channels", "count", 1, sha256)


def add_budget(rows, name, sha256, budget, package, results, labels):
    """Add the rows of one budget of FLOPs, None for none."""
    at = "none" if budget is None else f"{budget / 1e6:.1f}M"
    board, n = catalog.read(), len(labels)
    energy, taken = modelled(results, board), np.bincount(results.exit, minlength=len(package.exits))
    exits = {item["name"]: int(count) for item, count in zip(package.exits, taken)}

    def add(what, value, unit, kind="simulated", **more):
        rows.add(f"{name}.{what}@{at}", value, unit, kind, n, sha256, **more)

    if budget is not None:
        add("budget", budget, "FLOPs", "count")
    add("accuracy", float((results.label == labels).mean()), "share")
    add("flops", float(results.flops.mean()), "FLOPs")
    add("flops_max", int(results.flops.max()), "FLOPs")
    add("cycles", float(results.cycles.mean()), "cycles", "modelled")
    add("energy", energy.joule_per_image * 1e3, "mJ", "modelled", note=f"{board.title}: {board.energy.kind}")
    add("layers", float(results.layers_run.mean()), "blocks")
    add("channels", float(results.channels_run.mean()), "channels")
    add("exits", int((taken > 0).sum()), "exits", detail=exits)


def engine(package, images, budget, threads):
    """The decoded records of a run under a FLOP budget."""
    return records(package, images, threads, budget_flops=budget)


def records(package, images, threads=1, **options):
    """The decoded records of a run; `options` of hls.record.Start."""
    start = package.start(**options)
    return decode(cosim.run(package.program, package.weights, package.tables, images, start, threads), start)


def flops_differ(package, results):
    """Images that ran to the end whose FLOPs are not those that training counts for the decisions in their trace.

    A trace has one number a unit: a unit of two channel gates, whose masks differ, is refused.
    """
    training, (height, width, channels) = package.meta["training"], package.image_shape
    model = from_dict(training["recipe"]).network.build(package.classes, channels, (height, width))
    for found in training["pruned"]:
        apply(model, found)
    ended = results.exit == len(package.exits) - 1
    trace = {gate["block"]: results.trace[ended, number] for number, gate in enumerate(package.meta["gates"])}
    counted = static_flops(model, (height, width)) + sum(
        unit_flops(model, i, place.size, trace.get(i)) for i, place in enumerate(model.backbone.places((height, width)))
    )
    return int((counted != results.flops[ended]).sum())


def static_flops(model, size):
    """FLOPs of what every image runs: stem and head."""
    return model.backbone.stem.cost(size) + model.backbone.head.cost(size)


def unit_flops(model, i, size, trace):
    """FLOPs of unit `i` and its gates for an input of `size`, by its trace words (N,), None for one without gates."""
    unit, (layer, gates) = model.backbone.units[i], model.gates_of(i)
    if trace is None:
        return unit.cost(size)
    if len(gates) > 1:
        raise UserError(f"unit {i} has {len(gates)} channel gates, its trace word counts for the first alone")
    active = {mask: np.maximum(trace, 0) for gate in gates for mask in gate.masks}
    own = sum(gate.gate.cost(size) for gate in gates)
    decision = 0 if layer is None else layer.cost(size)
    return decision + (own + unit.cost(size, active)) * (trace != isa.TRACE_SKIPPED)
