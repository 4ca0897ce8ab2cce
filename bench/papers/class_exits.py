"""Exits for each class of a ResNet-21: gain and loss by the paper's equations, and in the engine's cycles.

    python -m bench papers --method class-exits --data cifar10=DIR

Rows papers.class-exits.CLASS.* of the test images: .gain (t / t''), .loss (t' / t), .measured_gain (of the class's own
images), .precision, .accuracy_points (of all images, with the exit minus without); .engine_gain, the mean cycles of the
class's images without its exit over those with it; .engine_loss, the cycles of images that do not stop over those
without the exit; .bit_exact. And .classes, how many of them have a viable exit; .accuracy of the network.
"""

import numpy as np

from bench.papers import measure, runs
from bench.papers.methods import backbone
from export.build import Source, build
from export.fold import fold
from export.packing import Parts, in_integers
from hls import cosim, golden
from hls.record import agreed, decode
from training.class_exits import command
from training.class_exits.exits import ClassExits

OPTIONS = {"places": 20, "in_a_row": 1, "measure": "cycles", "precision": 0.0, "connections": (True, False), "images": 10_000}


def run(bench):
    """The figures of all classes."""
    values = backbone("resnet21")
    splits = bench.splits(values)
    place = runs.folder(bench.out, values)
    model, plan = runs.trained(values, splits, place)
    return runs.kept(place / f"class_exits{bench.images}.json", lambda: _figures(model, plan, splits))


def _figures(model, plan, splits):
    train, _, test = splits
    names, figures = train.about.classes, measure.Figures(len(test))
    found = command.find(model, splits, range(len(names)), OPTIONS)
    figures.one("classes", len(found), "classes", "count", n=len(names))
    placed = ClassExits.of({"class_exits": list(found.values())}, model)
    source = Source(plan.name, plan.dataset, train.about.mean, train.about.std, names, {})
    network = fold(model, train.channels, train.size, watch=placed.watch)
    network8 = in_integers(network, source, Parts(train, test, "test", measure.CALIBRATION))
    package = build(network8, source, {}, class_exits=placed.told())
    images, labels = test.images.permute(0, 2, 3, 1).contiguous().numpy(), test.labels.numpy()
    plain = _run(package, images)
    figures.one("accuracy", float((plain.label == labels).mean()), kind="simulated")
    for target, item in found.items():
        name, of_test = item["name"], item["test"]
        for key in ("gain", "loss", "measured_gain", "precision"):
            if of_test[key] is not None:
                figures.one(f"{name}.{key}", of_test[key], "ratio" if key != "precision" else "share", "modelled")
        figures.one(f"{name}.accuracy_points", 100 * (of_test["accuracy"] - of_test["accuracy_before"]), "points")
        _engine(figures, package.with_class_exit(name), name, plain, images, labels == target)
    return figures.found


def _engine(figures, package, name, plain, images, members):
    """What an exit wins and costs in cycles, and whether golden model and engine agree."""
    results = _run(package, images)
    passed = results.exit == len(package.exits) - 1
    gain = plain.cycles[members].mean() / results.cycles[members].mean()
    figures.one(f"{name}.engine_gain", gain, "ratio", "modelled", int(members.sum()))
    if passed.any():
        loss = results.cycles[passed].mean() / plain.cycles[passed].mean()
        figures.one(f"{name}.engine_loss", loss, "ratio", "modelled", int(passed.sum()))
    start, few = package.start(), images[: measure.BITS]
    arrays = package.program, package.weights, package.tables, few, start
    same = (agreed(cosim.run(*arrays)) == agreed(golden.run(*arrays))).all(1)
    figures.one(f"{name}.bit_exact", int(same.sum()), "images", "simulated", len(few), len(few))


def _run(package, images):
    start = package.start()
    return decode(cosim.run(package.program, package.weights, package.tables, np.asarray(images), start), start)
