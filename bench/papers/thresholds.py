"""Entropy thresholds found for a budget on the average: what is spent on test images, and what that is worth.

    python -m bench papers --method entropy-search --data cifar10=DIR --data fashion-mnist=DIR

Of every committed package with exits, at budgets between its cheapest and its dearest setting. Rows
papers.entropy-search.PACKAGE.spent_off@B: percent by which the mean FLOPs of the test images miss the budget B;
.over_hard@B: points of accuracy over hard budgets at the same mean FLOPs, between the two hard budgets whose means are
next to it; .accuracy@B, .flops@B; and .worst_spent_off, .least_over_hard.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.packages import PACKAGES, fingerprint, records
from bench.papers import runs
from data.datasets import load
from hls import isa
from hls.package import read
from host.budgets.average import choose

ASKED = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the way from the cheapest setting's mean FLOPs to the dearest's
HARD = 16  # hard budgets, from the first exit's FLOPs to the dearest image's


def run(bench):
    """The figures of all packages, test images of all of their data sets."""
    found = []
    for path in sorted(PACKAGES.glob("*.npz")):
        package = read(path)
        if package.meta["average"]:
            kept = Path(bench.out) / f"thresholds-{fingerprint(path.stem)}-{bench.asked or 'all'}.json"
            kept.parent.mkdir(parents=True, exist_ok=True)
            found += runs.kept(kept, lambda path=path, package=package: _measured(path.stem, package, bench))
    return found


def _measured(name, package, bench):
    images, labels = load(package.dataset, "test", bench.folders.get(package.dataset))
    return figures(name, package, images[: bench.asked], labels[: bench.asked])


def figures(name, package, images, labels):
    """Plain figures of one package on (N, H, W, C) uint8 images."""
    hard, found, off, over = hard_curve(package, images, labels), [], [], []

    def add(key, value, unit, target=None):
        found.append({"name": f"{name}.{key}", "value": float(value), "unit": unit, "kind": "simulated",
                      "n": len(labels), "target": target, "package": fingerprint(name)})  # fmt: skip

    table = package.meta["average"]["flops"]
    for share in ASKED:
        asked = table[0] + share * (table[-1] - table[0])
        budget = f"{asked / 1e6:.2f}M"
        chosen = choose(package, budget).package
        accuracy, flops = outcome(chosen, images, labels, rule=isa.RULE_ENTROPY)
        off.append(100 * abs(flops / (float(budget[:-1]) * 1e6) - 1))
        over.append(100 * (accuracy - at_mean(hard, flops)))
        for key, value, unit in (("accuracy", accuracy, "share"), ("flops", flops, "FLOPs"),
                                 ("spent_off", off[-1], "%"), ("over_hard", over[-1], "points")):  # fmt: skip
            add(f"{key}@{budget}", value, unit)
    add("worst_spent_off", max(off), "%", 2)
    add("least_over_hard", min(over), "points", 0)
    return found


def hard_curve(package, images, labels):
    """(mean FLOPs, accuracy) of hard budgets, of rising mean."""
    dearest = records(package, images).flops.max()
    budgets = np.linspace(package.exits[0]["flops"], dearest, HARD)
    pairs = {outcome(package, images, labels, budget_flops=int(np.ceil(budget)))[::-1] for budget in budgets}
    return sorted(pairs)


def at_mean(curve, flops):
    """The accuracy of a curve at a mean, on the line between its neighbours; outside of it the nearest point's."""
    for (low, before), (high, after) in pairwise(curve):
        if low <= flops <= high and high > low:
            return before + (after - before) * (flops - low) / (high - low)
    return min(curve, key=lambda point: abs(point[0] - flops))[1]


def outcome(package, images, labels, **options):
    """(accuracy, mean FLOPs) of a start."""
    results = records(package, images, **options)
    return float((results.label == labels).mean()), float(results.flops.mean())
