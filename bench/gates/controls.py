"""Do the gates decide anything? Every committed package beside the same network with its decisions fixed or exchanged.

    python -m bench controls --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench controls --data cifar10=DIR --package cifar10 --method whole   # or gates, half, pixels

Rows controls.PACKAGE.KIND.accuracy and .flops, of the float network on the test images, all images to the end:

- dynamic: as it is. static_majority: every gate at its most frequent decision; static_majority_bn: and batch norms'
  statistics renewed. permuted, permuted_same_class: with another image's decisions.
- twin, twin_bn, twin_retrained: a static network of the units and channels kept most, at the same mean FLOPs, gates'
  own cost left to it (training/twin.py): as it is, with statistics renewed, after a brief training of its own.

- exit_0, exit_1, …: every image leaves at one and the same exit.
- half, half_twin, half_twin_bn, half_twin_retrained: the gates' thresholds moved until an image costs half of the
  network, where it costs more; and the twins of that. Where it does not cost more they would be the same rows again.

- alike: a static ResNet of a quarter of the FLOPs, trained alike (packages/static/, its recipe in training/recipes/: as
  many steps of as many images or more, and the same teacher).
- whole: the int8 package on the engine, gates and exits, under a budget on the average of what `alike` costs;
  whole_twin, whole_twin_bn, whole_twin_retrained: static twins of what that spent.
- larger_alike, larger_whole, larger_whole_twin …: the same beside the larger one in packages/static/larger/.

And .dynamic_minus_twin, .half_minus_twin, .whole_minus_twin, each against the better twin, and .whole_minus_alike, in
points, with .KIND_WHOSE_p_value (McNemar); .confident_quarter_minus_twin and .unsure_quarter_minus_twin, the same on
the quarter of the images that the twin is most and least sure of; .dead_layer_gates, .varying_channels, .gate_share,
.flops_spread, .wrong_minus_right (FLOPs), .training_hours; and logistic regression and an MLP of 256 units on the same
pixels.
"""

import copy

import numpy as np

from bench.packages import PACKAGES, fingerprint, records
from hls import isa
from hls.command.arguments import check_names
from hls.package import read
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
STATIC = PACKAGES / "static"
HALF = 0.5  # of the static network's FLOPs


PARTS = ("gates", "half", "whole", "pixels")


def run(rows, folders, options):
    """Add the rows of every package in packages/ (or of --package): all parts, or those of --method."""
    parts, names = options.method or PARTS, [path.stem for path in sorted(PACKAGES.glob("*.npz"))]
    check_names("--method", options.method, PARTS)
    check_names("--package", filter(None, [options.package]), names)
    for name in [options.package] if options.package else names:
        package, state = read(PACKAGES / f"{name}.npz"), read_checkpoint(PACKAGES / "checkpoints" / f"{name}.pt")
        recipe = from_dict(state["recipe"])
        splits = Split.load(recipe.dataset, folders.get(recipe.dataset), "cpu", recipe.validation, recipe.images)
        train, _, test = (first(split, options.images) for split in splits)
        model = load_model(state, train.classes, train.channels, train.size)
        add = Adder(rows, f"controls.{name}", len(test), fingerprint(name))
        rates = {}
        if "gates" in parts:
            add.one("training_hours", state["metrics"]["seconds"] / 3600, "hours")
            rates = measure(add, model, train, test)
        elif {"half", "whole"} & {*parts}:
            rates = keep_rates(model, train, RATES_ON)
        if "half" in parts:
            _half(add, model, rates, train, test)
        if "whole" in parts:
            for prefix, folder in (("", STATIC), ("larger_", STATIC / "larger")):
                if (folder / f"{name}.pt").exists():
                    _whole(add, prefix, folder / f"{name}.pt", package, model, rates, train, test)
        if "pixels" in parts:
            _pixels(add, train, test)


def _pixels(add, train, test):
    """Rows of what needs no network of this project: classifiers on the pixels."""
    for kind, hidden in (("logistic_regression", 0), ("mlp_256", 256)):
        add.pair(kind, *controls.pixels_alone(train, test, hidden))


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


def better(add, kind, hits, others, whose="twin"):
    """Rows of how many points `hits` (N,) are better than `others` on the same images, and the p-value of it."""
    add.one(f"{kind}_minus_{whose}", float(100 * (hits.mean() - others.mean())), "points")
    add.one(f"{kind}_{whose}_p_value", controls.paired_p(hits, others), "p")


def measure(add, model, train, test):
    """All rows of one network's gates alone; its keep rates."""
    hits, flops, rates = decided(add, model, train, test)
    best, sure = beside_twin(add, ("dynamic", "twin"), hits, flops, model, rates, train, test)
    order, quarter = np.argsort(sure, kind="stable"), len(sure) // 4
    for name, members in (("unsure", order[:quarter]), ("confident", order[-quarter:])):
        points = 100 * (hits[members].mean() - best[members].mean())
        add.one(f"{name}_quarter_minus_twin", float(points), "points")
    figures = evaluate(model, test)
    for number, (accuracy, spent) in enumerate(zip(figures["accuracy_at"][:-1], figures["flops_at"], strict=False)):
        add.pair(f"exit_{number}", accuracy, spent)
    for name in ("dead_layer_gates", "varying_channels", "gate_share", "flops_spread"):
        if figures[name] is not None:
            add.one(name, figures[name])
    add.one("wrong_minus_right", float(flops[~hits].mean() - flops[hits].mean()), "FLOPs")
    return rates


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
    options = {"forced": lambda unit, mask, logits: fixed[unit, mask].expand_as(logits)}
    _renew(renewed, train, renewed_on, **options)
    again, spent = controls.replay(renewed, test, fixed)
    add.pair("static_majority_bn", again.mean(), spent.mean())
    return hits, flops, rates


def _half(add, model, rates, train, test):
    """Rows of the gates alone at half of the network's FLOPs, beside their twins; none where they cost less anyway."""
    flops = HALF * float(model.backbone.cost(test.size))
    threshold = controls.higher(model, train, flops)
    if not threshold:
        return
    hits, spent, _ = controls.record(model, test, threshold)
    add.pair("half", hits.mean(), spent.mean())
    beside_twin(add, ("half", "half_twin"), hits, spent, model, rates, train, test)


def _whole(add, prefix, path, package, model, rates, train, test):
    """Rows of gates and exits together beside a static ResNet that was trained alike, and beside their twins."""
    static = load_model(read_checkpoint(path), test.classes, test.channels, test.size)
    right, flops, _ = controls.record(static, test)
    add.pair(f"{prefix}alike", right.mean(), flops.mean())
    chosen = choose(package, f"{flops.mean() / 1e6:.1f}M").package
    results = records(chosen, test.images.permute(0, 2, 3, 1).contiguous().numpy(), rule=isa.RULE_ENTROPY)
    hits = results.label == test.labels.numpy()
    kind = f"{prefix}whole"
    add.pair(kind, hits.mean(), results.flops.mean())
    better(add, kind, hits, right, "alike")
    beside_twin(add, (kind, f"{kind}_twin"), hits, results.flops, model, rates, train, test)


def beside_twin(add, names, hits, flops, model, rates, train, test, steps=RETRAIN_STEPS, size=twin.BATCH):
    """Rows of the static twin of what `hits` (N,) spent, FLOPs (N,); of its best form hits and how sure it is (N,).

    `names`: of what is compared, and of its twin, which is retrained for `steps` of `size` images.
    """
    kind, name = names
    static = twin.static_twin(model, rates, flops.mean(), test.size)
    forms = {name: lambda: None, f"{name}_bn": lambda: _renew(static, train)}
    forms[f"{name}_retrained"] = lambda: twin.retrain(static, train, steps, size=size)
    found = []
    for form, prepare in forms.items():
        prepare()
        found.append(twin.right(static, test))
        add.pair(form, found[-1][0].mean(), static.cost(test.size))
    best, sure = max(found, key=lambda pair: pair[0].mean())
    better(add, kind, hits, best)
    return best, sure


def _renew(model, train, images=RENEWED_ON, **options):
    size = min(RENEWED_BY, len(train))
    renew_statistics(model, train, max(1, images // size), size, **options)


def first(split, count):
    """A split's first images; all of them for None."""
    if count is None:
        return split
    part = copy.copy(split)
    part.images, part.labels = split.images[:count], split.labels[:count]
    return part
