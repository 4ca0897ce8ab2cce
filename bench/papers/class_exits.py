"""Exits for each class: gain and loss by the paper's equations, and in the engine's cycles.

    python -m bench papers --method class-exits --data cifar10=DIR             # of a ResNet-21, trained briefly
    python -m bench papers --method class-exits-cifar10 --data cifar10=DIR     # of the committed package

Rows papers.METHOD.CLASS.* of test images: .gain (t / t''), .loss (t' / t), .measured_gain (of the class's own images),
.precision, .accuracy_points (of all images, with the exit minus without); .engine_gain, the mean cycles of the class's
images without its exit over those with it; .engine_loss, the cycles of images that do not stop over those without the
exit; .missed, how many images the last exit gets and answers wrongly; .bit_exact. And .classes, how many of them have
a viable exit; .accuracy and .missed of the network. Of the ResNet-21 also .kp_on.* and .kp_off.*: gain and loss where
only dense connections, or none, may be taken; the better of the two is the class's exit.
The second goes through the commands (class-exits, export, host/run.py) and keeps in docs/classes.txt what the last one
prints for the class with the largest gain.
"""

import contextlib
import io
import textwrap
from pathlib import Path

import numpy as np

from bench.packages import PACKAGES, records
from bench.papers import measure, runs
from bench.papers.methods import backbone
from bench.rows import ROOT
from data.datasets import load
from export.__main__ import main as export
from export.build import Source, build
from export.fold import fold
from export.packing import Parts, in_integers
from hls import cosim, golden
from hls.command.outputs import write
from hls.errors import UserError
from hls.package import read
from hls.record import agreed
from host.run import main as host
from training.__main__ import main as training
from training.class_exits import command
from training.class_exits.exits import ClassExits

OPTIONS = {
    "places": 20,
    "in_a_row": 1,
    "measure": "cycles",
    "precision": 0.0,
    "images": 10_000,
}
CONNECTIONS = {"kp_off": (False,), "kp_on": (True,)}
SEARCH = ("--class", "all", "--images", "5000", "--places", "8", "--kp", "off")  # of the package: minutes on one core
EXPORT = ("--images", "1000")
SHOWN = ROOT / "docs" / "classes.txt"
WIDTH, INDENT = 98, " " * 19  # of what is shown, and of the values in it


def run(bench):
    """The figures of all classes of a ResNet-21."""
    values = backbone("resnet21")
    splits, place = bench.splits(values), runs.folder(bench.out, values)
    model, plan = runs.trained(values, splits, place)
    return runs.kept(place / f"class_exits{bench.images}.json", lambda: _of_model(model, plan, splits))


def _of_model(model, plan, splits):
    train, _, test = splits
    names = train.about.classes
    found = {kind: command.find(model, splits, range(len(names)), OPTIONS | {"connections": connections})
             for kind, connections in CONNECTIONS.items()}  # fmt: skip
    chosen = [_better(items) for number in range(len(names)) if (items := _of_class(found, number))]
    placed = ClassExits.of({"class_exits": chosen}, model)
    source = Source(plan.name, plan.dataset, train.about.mean, train.about.std, names, {})
    network = fold(model, train.channels, train.size, watch=placed.watch)
    network8 = in_integers(network, source, Parts(train, test, "test", measure.CALIBRATION))
    package = build(network8, source, {}, class_exits=placed.told())
    figures = of_package(package, test.images.permute(0, 2, 3, 1).contiguous().numpy(), test.labels.numpy())
    return figures + _by_connections(found, len(test.labels))


def _of_class(found, number):
    return [items[number] for items in found.values() if number in items]


def _better(items):
    """The entry with the most gain for its loss on validation images, as the search itself takes it."""
    return max(items, key=lambda item: item["validation"]["gain"] / item["validation"]["loss"])


def _by_connections(found, n):
    figures = measure.Figures(n)
    for kind, items in found.items():
        for item in items.values():
            for key in ("gain", "loss"):
                figures.one(f"{item['name']}.{kind}.{key}", item["test"][key], "ratio", "modelled")
    return figures.found


def run_cifar10(bench):
    """The figures of the committed CIFAR-10 package, through the commands; what was found stays in --out."""
    data = ["--data", str(bench.folders.get("cifar10"))] if bench.folders.get("cifar10") else []
    checkpoint = PACKAGES / "checkpoints" / "cifar10.pt"
    made = Path(bench.out) / f"cifar10-classes-{runs.digest(checkpoint.read_bytes(), *SEARCH)}.pt"
    package = made.with_suffix(".npz")
    made.parent.mkdir(parents=True, exist_ok=True)
    if not made.exists():
        _done(training, ["class-exits", str(checkpoint), *SEARCH, *data, "-o", str(made)])
    if not package.exists():
        _done(export, [str(made), *EXPORT, *data, "-o", str(package)])
    images, labels = load("cifar10", "test", bench.folders.get("cifar10"))
    kept = made.with_name(f"{made.stem}-{bench.asked or 'all'}.json")
    figures = runs.kept(kept, lambda: of_package(read(package), images[: bench.asked], labels[: bench.asked]))
    gains = {one["name"].removesuffix(".gain"): one["value"] for one in figures if one["name"].endswith(".gain")}
    given = ["--package", str(package), "--class-exit", max(gains, key=lambda name: gains[name]), *data]
    text = _done(host, [*given, *(["--images", str(bench.asked)] if bench.asked else [])])
    write(SHOWN, narrow(text))
    return figures


def narrow(text):
    """A table of names and values with no line that a document could not hold."""
    lines = []
    for line in text.splitlines():
        wrapped = textwrap.wrap(line, WIDTH, subsequent_indent=INDENT) if len(line) > WIDTH else [line.rstrip()]
        lines += wrapped
    return "".join(f"{line}\n" for line in lines)


def _done(main, arguments):
    """What a command prints. UserError where it fails."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(arguments)
    if code:
        raise UserError(f"{arguments[0]} … ended with {code}: what it said stands above")
    return printed.getvalue()


def of_package(package, images, labels):
    """The figures of all class exits of a Package, on (N, H, W, C) uint8 test images."""
    figures, items = measure.Figures(len(labels)), package.meta["class_exits"]
    figures.one("classes", len(items), "classes", "count", n=len(package.meta["classes"]))
    plain = records(package, images)
    figures.one("accuracy", float((plain.label == labels).mean()), kind="simulated")
    _missed(figures, "missed", plain, labels, [])
    for item in items:
        name, of_test = item["name"], item["chosen"]["test"]
        for key in ("gain", "loss", "measured_gain", "precision"):
            if of_test[key] is not None:
                figures.one(f"{name}.{key}", of_test[key], "ratio" if key != "precision" else "share", "modelled")
        figures.one(f"{name}.accuracy_points", 100 * (of_test["accuracy"] - of_test["accuracy_before"]), "points")
        _engine(figures, package.with_class_exit(name), name, plain, images, labels, labels == item["class"])
    return figures.found


def _missed(figures, name, results, labels, stops):
    """Images that a class's exits (numbers `stops`) let pass, and that are answered wrongly."""
    wrong = (results.label != labels) & ~np.isin(results.exit, stops)
    figures.one(name, int(wrong.sum()), "images", "simulated")


def _engine(figures, package, name, plain, images, labels, members):
    """What an exit wins and costs in cycles, whom it misses, and whether golden model and engine agree."""
    results = records(package, images)
    stops = [number for number, item in enumerate(package.exits) if "class" in item]
    _missed(figures, f"{name}.missed", results, labels, stops)
    passed = ~np.isin(results.exit, stops)
    gain = plain.cycles[members].mean() / results.cycles[members].mean()
    figures.one(f"{name}.engine_gain", gain, "ratio", "modelled", int(members.sum()))
    if passed.any():
        loss = results.cycles[passed].mean() / plain.cycles[passed].mean()
        figures.one(f"{name}.engine_loss", loss, "ratio", "modelled", int(passed.sum()))
    start, few = package.start(), images[: measure.BITS]
    arrays = package.program, package.weights, package.tables, few, start
    same = (agreed(cosim.run(*arrays)) == agreed(golden.run(*arrays))).all(1)
    figures.one(f"{name}.bit_exact", int(same.sum()), "images", "simulated", len(few), len(few))
