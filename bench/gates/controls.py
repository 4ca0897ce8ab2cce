"""Do the gates decide anything? Every committed package beside the same network with its decisions fixed or exchanged.

    python -m bench controls --data cifar10=DIR --data fashion-mnist=DIR

Rows controls.PACKAGE.KIND.accuracy and .flops, of the float network on the test images, all images to the end:

- dynamic: as it is. static_majority: every gate at its most frequent decision; static_majority_bn: and batch norms'
  statistics renewed. permuted, permuted_same_class: with another image's decisions.
- twin, twin_bn, twin_retrained: a static network of the units and channels kept most, at the same mean FLOPs, gates'
  own cost left to it (training/twin.py): as it is, with statistics renewed, after a brief training of its own.

- whole: the int8 package on the engine, gates and exits, under a budget on the average of 45 % of the static network's
  FLOPs; whole_twin, whole_twin_bn, whole_twin_retrained: static twins of what that spent.

- alike: a static ResNet of about the same FLOPs, trained alike (packages/static/, its recipe in training/recipes/: as
  many steps of as many images, at the same rates).

And .p_value (McNemar, dynamic against the better twin), .dynamic_minus_twin in points, .whole_p_value,
.whole_minus_twin; .whole_minus_alike, .dynamic_minus_alike and their p-values; .confident_quarter_minus_twin and
.unsure_quarter_minus_twin, the same difference on the quarter of the images that the twin is most and least sure of;
.dead_layer_gates, .varying_channels, .gate_share, .flops_spread, .wrong_minus_right (FLOPs), .training_hours; and per
data set logistic regression and an MLP of 256 units on the same pixels.
"""

import copy

import numpy as np

from bench.packages import PACKAGES, fingerprint
from hls import cosim, isa
from hls.package import read
from hls.record import decode
from host.budgets.average import choose
from training import controls, twin
from training.average import renew_statistics
from training.checkpoint import load_model, read_checkpoint
from training.data import Split
from training.evaluate import evaluate
from training.prune import keep_rates
from training.recipe import from_dict

RETRAIN_STEPS = 1000  # of 128 images: about 2.5 epochs
RATES_ON = 10_000  # training images that keep rates are counted on
RENEWED_ON, RENEWED_BY = 12_800, 128  # training images that statistics are renewed on, and those of a batch
WHOLE_SHARE = 0.45  # of the static network's FLOPs: the budget on the average


def run(rows, folders, options):
    """Add the rows of every package in packages/, and of the pixels alone."""
    seen = {}
    for path in sorted(PACKAGES.glob("*.npz")):
        package = read(path)
        state = read_checkpoint(PACKAGES / "checkpoints" / f"{path.stem}.pt")
        recipe = from_dict(state["recipe"])
        splits = Split.load(recipe.dataset, folders.get(recipe.dataset), "cpu", recipe.validation, recipe.images)
        train, _, test = (first(split, options.images) for split in splits)
        model = load_model(state, train.classes, train.channels, train.size)
        add = Adder(rows, f"controls.{path.stem}", len(test), fingerprint(path.stem))
        add.one("training_hours", state["metrics"]["seconds"] / 3600, "hours")
        hits = {"dynamic": measure(add, model, train, test), "whole": _whole(add, package, model, train, test)}
        _alike(add, path.stem, hits, test)
        seen[package.dataset] = train, test
    for name, (train, test) in seen.items():
        for kind, hidden in (("logistic_regression", 0), ("mlp_256", 256)):
            accuracy, flops = controls.pixels_alone(train, test, hidden)
            Adder(rows, f"controls.{name}", len(test), None).pair(kind, accuracy, flops)


class Adder:
    """Rows of one package."""

    def __init__(self, rows, name, n, sha256):
        self.rows, self.name, self.n, self.sha256 = rows, name, n, sha256

    def one(self, name, value, unit="share"):
        """A row of its own."""
        self.rows.add(f"{self.name}.{name}", value, unit, "measured", self.n, self.sha256)

    def pair(self, kind, accuracy, flops):
        """Accuracy and mean FLOPs of a kind."""
        self.one(f"{kind}.accuracy", float(accuracy))
        self.one(f"{kind}.flops", float(flops), "FLOPs")


def measure(add, model, train, test):
    """All rows of one network; of each image whether it is right (N,)."""
    hits, flops, rates = decided(add, model, train, test)
    best, sure = _twins(add, "twin", twin.static_twin(model, rates, flops.mean(), test.size), train, test)
    add.one("dynamic_minus_twin", float(100 * (hits.mean() - best.mean())), "points")
    add.one("p_value", controls.paired_p(hits, best), "p")
    order, quarter = np.argsort(sure, kind="stable"), len(sure) // 4
    for name, members in (("unsure", order[:quarter]), ("confident", order[-quarter:])):
        points = 100 * (hits[members].mean() - best[members].mean())
        add.one(f"{name}_quarter_minus_twin", float(points), "points")
    figures = evaluate(model, test)
    for name in ("dead_layer_gates", "varying_channels", "gate_share", "flops_spread"):
        if figures[name] is not None:
            add.one(name, figures[name])
    add.one("wrong_minus_right", float(flops[~hits].mean() - flops[hits].mean()), "FLOPs")
    return hits


def decided(add, model, train, test, rates_on=RATES_ON, renewed_on=RENEWED_ON):
    """Rows of a network as it is, and under fixed and exchanged decisions: (hits (N,), FLOPs (N,), keep rates)."""
    hits, flops, keep = controls.record(model, test)
    add.pair("dynamic", hits.mean(), flops.mean())
    rates, labels = keep_rates(model, train, rates_on), test.labels.numpy()
    fixed = controls.majority(rates)
    replays = {"static_majority": fixed, "permuted": controls.exchanged(keep)}
    replays["permuted_same_class"] = controls.exchanged(keep, labels)
    for kind, decisions in replays.items():
        again, spent = controls.replay(model, test, decisions)
        add.pair(kind, again.mean(), spent.mean())
    renewed = copy.deepcopy(model)
    size = min(RENEWED_BY, len(train))
    forced = lambda unit, mask, logits: fixed[unit, mask].expand_as(logits)  # noqa: E731
    renew_statistics(renewed, train, max(1, renewed_on // size), size, forced=forced)
    again, spent = controls.replay(renewed, test, fixed)
    add.pair("static_majority_bn", again.mean(), spent.mean())
    return hits, flops, rates


def _whole(add, package, model, train, test):
    """Rows of gates and exits together, under a budget on the average, beside its static twins; hits (N,)."""
    budget = f"{WHOLE_SHARE * model.backbone.cost(test.size) / 1e6:.1f}M"
    chosen = choose(package, budget).package
    start = chosen.start(rule=isa.RULE_ENTROPY)
    images = test.images.permute(0, 2, 3, 1).contiguous().numpy()
    results = decode(cosim.run(chosen.program, chosen.weights, chosen.tables, images, start), start)
    hits = results.label == test.labels.numpy()
    add.pair("whole", hits.mean(), results.flops.mean())
    rates = keep_rates(model, train, RATES_ON)
    static = twin.static_twin(model, rates, results.flops.mean(), test.size)
    best, _ = _twins(add, "whole_twin", static, train, test)
    add.one("whole_minus_twin", float(100 * (hits.mean() - best.mean())), "points")
    add.one("whole_p_value", controls.paired_p(hits, best), "p")
    return hits


def _alike(add, name, hits, test):
    """Rows of the static ResNet that was trained alike, beside `hits` (N,) of each kind; none where it is not there."""
    path = PACKAGES / "static" / f"{name}.pt"
    if not path.exists():
        return
    static = load_model(read_checkpoint(path), test.classes, test.channels, test.size)
    right, flops, _ = controls.record(static, test)
    add.pair("alike", right.mean(), flops.mean())
    for kind, found in hits.items():
        add.one(f"{kind}_minus_alike", float(100 * (found.mean() - right.mean())), "points")
        add.one(f"{kind}_alike_p_value", controls.paired_p(found, right), "p")


def _twins(add, name, static, train, test):
    """Rows of a static twin; of its best form the hits (N,) and how sure it is of each image (N,)."""
    forms = {name: lambda: None, f"{name}_bn": lambda: renew_statistics(static, train)}
    forms[f"{name}_retrained"] = lambda: twin.retrain(static, train, RETRAIN_STEPS)
    found = []
    for kind, prepare in forms.items():
        prepare()
        found.append(twin.right(static, test))
        add.pair(kind, found[-1][0].mean(), static.cost(test.size))
    return max(found, key=lambda pair: pair[0].mean())


def first(split, count):
    """A split's first images; all of them for None."""
    if count is None:
        return split
    part = copy.copy(split)
    part.images, part.labels = split.images[:count], split.labels[:count]
    return part
