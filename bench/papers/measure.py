"""What is measured of a method's network: its target, its decisions, and its bits on the engine.

    figures = Figures(n=1000)                  # plain values, which rows are made of
    network(figures, method, model, plan, splits, place)

Nothing is rounded, so that a run that is repeated gives the same figures.
"""

import numpy as np
import torch

from bench.gates.controls import beside_twin, decided
from bench.papers import runs
from export.build import Source, build
from export.compile.lower import stop_after
from export.fold import fold
from export.integers.integer import IntegerNetwork
from export.measure import run_engine
from export.packing import Parts, in_integers
from hls import cosim, golden
from hls.record import agreed, decode
from training.costs import share_of
from training.evaluate import evaluate
from training.terms import Step

RATES_ON = 1000  # training images that keep rates and statistics are taken from
CALIBRATION = 128
BITS = 24  # images that engine, golden model and integers are compared on
HELD = 0.5  # of the last phase, over which a target must be held
GATES = ("gate_share", "dead_layer_gates", "varying_channels", "flops_spread")


class Figures:
    """Rows to be: name → (value, unit, kind, n)."""

    def __init__(self, n):
        self.n, self.found = n, []

    def one(self, name, value, unit="share", kind="measured", n=None, target=None):
        """One figure."""
        value = value.item() if hasattr(value, "item") else value
        self.found.append(
            {"name": name, "value": value, "unit": unit, "kind": kind, "n": n or self.n, "target": target}
        )

    def pair(self, kind, accuracy, flops):
        """Accuracy and mean FLOPs of a way to run the network."""
        self.one(f"{kind}.accuracy", float(accuracy))
        self.one(f"{kind}.flops", float(flops), "FLOPs")


def network(figures, method, model, plan, splits, place):
    """All figures of a trained network; `splits`: train, validation, test."""
    train, _, test = splits
    found = evaluate(model, test)
    if model.gates():
        hits, flops, rates = decided(figures, model, train, test, RATES_ON, RATES_ON)
        if method.twin:
            names = "dynamic", "twin"
            beside_twin(figures, names, hits, flops, model, rates, train, test, method.steps, plan.batch)
        for name in GATES:
            if found[name] is not None:
                figures.one(name, found[name])
    else:
        figures.pair("dynamic", found["accuracy_at"][-1], found["flops_at"][-1])
    for number, pair in enumerate(zip(found["accuracy_at"][:-1], found["flops_at"][:-1])):
        figures.pair(f"exit{number}", *pair)
    if method.target:
        _target(figures, *method.target, model, test, runs.shares(place))
    if method.exported:
        engine(figures, model, plan, train, test)


def _target(figures, measure, wanted, model, test, seen):
    """How far the share that runs is from its target, of the test images and over the last part of training."""
    share = share_on(model, test, measure)
    figures.one("share", share)
    figures.one("share_minus_target", 100 * (share - wanted), "points", target=2)
    if measure == "flops":
        last = seen[-max(1, round(HELD * len(seen))) :]
        figures.one("held_within", 100 * max(abs(one - wanted) for one in last), "points", n=len(last), target=2)


@torch.no_grad()
def share_on(model, split, measure, batch=250):
    """What runs of a network, by a measure of cost, as a share of the whole; of a split's images."""
    model.eval()
    full, found = float(model.backbone.cost(split.size)), []
    for images, labels in split.plain_batches(batch):
        share = share_of(Step(model(images, with_exits=False), labels, full, 1.0), measure)
        found.append(share.item() * len(labels))
    return sum(found) / len(split)


def engine(figures, model, plan, train, test):
    """The network in integers: its accuracy on the engine, and whether all models of it give the same bits."""
    about = train.about
    source = Source(plan.name, plan.dataset, about.mean, about.std, about.classes, {})
    network8 = in_integers(fold(model, train.channels, train.size), source, Parts(train, test, "test", CALIBRATION))
    package = build(network8, source, {})
    images = test.images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, C) uint8
    results = run_engine(package, images, len(package.exits) - 1)
    accuracy = float((results.label == test.labels.numpy()).mean())
    figures.one("int8_accuracy", accuracy, kind="simulated")
    figures.one("int8_flops", float(results.flops.mean()), "FLOPs", "simulated")
    figures.one("cycles", float(results.cycles.mean()), "cycles", "modelled")
    same = int(same_bits(package, network8, images[:BITS]).sum())
    figures.one("bit_exact", same, "images", "simulated", n=min(BITS, len(images)), target=min(BITS, len(images)))


def same_bits(package, network8, images):
    """(N,) bool: images on which engine and golden model write the same record, with the integer network's logits.

    At every exit in turn, so that each of them is compared.
    """
    same, expected = np.ones(len(images), bool), IntegerNetwork(network8)(images)
    trace = expected.trace.numpy()
    for number, logits in enumerate(expected.logits):
        start = package.start()
        program = stop_after(package.program, number)
        arrays = program, package.weights, package.tables, images, start
        records = [agreed(run(*arrays)) for run in (cosim.run, golden.run)]
        same &= (records[0] == records[1]).all(1)
        results = decode(records[0], start)
        same &= (results.logits == logits.numpy()).all(1) & (results.exit == number)
    return same & (results.trace == trace).all(1)
