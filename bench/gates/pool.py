"""Budgets on the average and over windows beside the hard one, through host/run.py, as a user gives them.

    python -m bench pool --data cifar10=DIR --data fashion-mnist=DIR

For every package: B is the largest of some hard budgets at which it is at least two points worse than without one, or
one point, where no budget costs two.
Rows pool.PACKAGE.KIND.accuracy and .flops (mean), of these kinds at B:

- none: no budget. hard: --budget B. average: --average-budget B. pool100: --pool 100 --budget B, with easy images
  stopping by the same thresholds, so that hard ones may spend what they leave.
- single_exit: every image leaves at one and the same exit, the best of those that cost no more than `average` does.

And .budget; .KIND.won_back, the share of the hard budget's loss; .windows_over, windows of 100 images that spent more
than 100 · B; .threads_differ, images whose spending depends on the number of threads.
"""

import contextlib
import io
import json
import tempfile
from pathlib import Path

import numpy as np

from bench.packages import PACKAGES, fingerprint
from data.datasets import load
from export.measure import run_engine
from hls.package import read
from host import run as command

LOSSES = (0.02, 0.01)  # of accuracy, the one that is looked for first
STEPS = 24  # hard budgets tried, from the full network's FLOPs down
POOL = 100


def run(rows, folders, options):
    """Add the rows of every package in packages/."""
    for path in sorted(PACKAGES.glob("*.npz")):
        package = read(path)
        images, labels = load(package.dataset, "test", folders.get(package.dataset))
        images, labels = images[: options.images], labels[: options.images]
        given = ["--package", path.stem, "--images", str(len(images)), "--threads", str(options.threads)]
        folder = folders.get(package.dataset)
        given += ["--data", str(folder)] if folder else []
        _measure(rows, path.stem, package, images, labels, given)


def _measure(rows, name, package, images, labels, given):
    none = ask(given)
    amount, hard = _where_it_hurts(package, given, none["accuracy"])
    average = ask(given, "--average-budget", amount)
    pooled = ask(given, "--budget", amount, "--pool", str(POOL), "--average-budget", amount)
    n, sha256 = len(labels), fingerprint(name)

    def add(key, value, unit="share"):
        rows.add(f"pool.{name}.{key}", value, unit, "simulated", n, sha256)

    add("budget", hard["budget"]["flops"], "FLOPs")
    for kind, found in (("none", none), ("hard", hard), ("average", average), (f"pool{POOL}", pooled)):
        add(f"{kind}.accuracy", found["accuracy"])
        add(f"{kind}.flops", found["flops"]["mean"], "FLOPs")
    for kind, found in (("average", average), (f"pool{POOL}", pooled)):
        loss = none["accuracy"] - hard["accuracy"]
        add(f"{kind}.won_back", (found["accuracy"] - hard["accuracy"]) / loss if loss else 0.0)
    add("windows_over", pooled["pool"]["flops"]["windows_over"], "windows")
    other = ask(given, "--budget", amount, "--pool", str(POOL), "--average-budget", amount, "--threads", "1")
    add("threads_differ", int(other["flops"] != pooled["flops"] or other["exits"] != pooled["exits"]), "runs")
    accuracy, flops = _single_exit(package, images, labels, average["flops"]["mean"])
    add("single_exit.accuracy", accuracy)
    add("single_exit.flops", flops, "FLOPs")


def ask(given, *more):
    """The figures that host/run.py writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures.json"
        with contextlib.redirect_stdout(io.StringIO()):
            code = command.main([*given, *map(str, more), "--json", str(path)])
        if code:
            raise SystemExit(f"bench: host/run.py ended with {code}")
        return json.loads(path.read_text(encoding="utf-8"))


def _where_it_hurts(package, given, free):
    """(budget as text, figures) of the largest hard budget tried that loses one of LOSSES, else of the smallest."""
    least, most, tried = package.exits[0]["flops"], package.exits[-1]["flops"], []
    for flops in np.linspace(most, least, STEPS):
        amount = f"{np.ceil(flops / 1e5) / 10:.1f}M"
        tried.append((amount, ask(given, "--budget", amount)))
        if free - tried[-1][1]["accuracy"] >= LOSSES[0]:
            return tried[-1]
    return next((one for one in tried if free - one[1]["accuracy"] >= LOSSES[-1]), tried[-1])


def _single_exit(package, images, labels, most):
    """(accuracy, mean FLOPs) of the best exit for all images whose mean is at most `most`; else of the first."""
    found = [run_engine(package, images, number) for number in range(len(package.exits))]
    pairs = [(float((results.label == labels).mean()), float(results.flops.mean())) for results in found]
    return max([pair for pair in pairs if pair[1] <= most] or pairs[:1])
