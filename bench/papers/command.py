"""The papers' methods in short runs, side by side: one recipe each, from the same weights, for as many steps.

    python -m bench papers --data cifar10=DIR --out runs/papers
    python -m bench papers --data cifar10=DIR --out runs/papers --method skipnet --method acs-gn

bench/papers/methods.toml has them; a method's recipe begins with a backbone that is trained once. Whatever stops the
command, the same one goes on: what is trained and measured stays in --out, and gives the same rows.
Rows papers.METHOD.* of the first test images (1,000, or --images):

- .dynamic.accuracy and .flops; .minus_plain: points of accuracy over the plain backbone, trained for as many steps.
- .share_minus_target: points between what runs and what was asked for; .held_within: the largest such distance over the
  last half of the last phase, in means of 50 steps.
- .static_majority, .static_majority_bn, .permuted, .permuted_same_class: as in `python -m bench controls`.
- .gate_share, .dead_layer_gates, .varying_channels, .flops_spread; .exitN.accuracy and .flops.
- .int8_accuracy, .int8_flops, .cycles: on the engine; .bit_exact: images on which engine, golden model and the network
  in integers agree in everything, at each exit.

Three more are no recipes of methods.toml: class-exits and class-exits-cifar10 (class_exits.py), entropy-search
(thresholds.py).
"""

import torch

from bench.gates.controls import first
from bench.papers import class_exits, measure, runs, thresholds
from bench.papers.methods import backbone, methods
from hls.command.arguments import check_names
from training.data import Split
from training.recipe import from_dict

IMAGES = 1000
OTHERS = {"class-exits": class_exits.run, "class-exits-cifar10": class_exits.run_cifar10}
OTHERS |= {"entropy-search": thresholds.run}


def run(rows, folders, options):
    """Add the rows of the methods asked for, or of all."""
    wanted = options.method or [*methods(), *OTHERS]
    check_names("--method", wanted, [*methods(), *OTHERS])
    torch.set_num_threads(1)  # part of the bits: the order of sums depends on it
    bench = Bench(folders, options.out, options.images)
    for name in wanted:
        found = OTHERS[name](bench) if name in OTHERS else bench.all_figures(methods()[name])
        for figure in found:
            rows.add(f"papers.{name}.{figure.pop('name')}", **figure)


class Bench:
    """Runs and figures under a folder, of the data that recipes name."""

    def __init__(self, folders, out, images=None):
        self.folders, self.out, self.asked, self.images = folders, out, images, images or IMAGES
        self._splits = {}

    def splits(self, values):
        """Train, validation, and the first test images, of a recipe's data set."""
        plan = from_dict(values)
        if plan.dataset not in self._splits:
            parts = Split.load(plan.dataset, self.folders.get(plan.dataset), "cpu", plan.validation)
            self._splits[plan.dataset] = [*parts[:2], first(parts[2], self.images)]
        return self._splits[plan.dataset]

    def start(self, of):
        """The weights of a trained backbone."""
        values = backbone(of)
        model, _ = runs.trained(values, self.splits(values), runs.folder(self.out, values))
        return model.backbone.state_dict()

    def all_figures(self, method):
        """A method's figures, and what it is beside the plain backbone."""
        return [*self.figures(method), *self.against_plain(method)]

    def figures(self, method):
        """A method's figures, trained and measured where they are not yet."""
        values = method.recipe()
        place = runs.folder(self.out, values, backbone(method.of))
        return runs.kept(place / f"figures{self.images}.json", lambda: self._figures(method, values, place))

    def _figures(self, method, values, place):
        splits = self.splits(values)
        model, plan = runs.trained(values, splits, place, self.start(method.of))
        figures = measure.Figures(len(splits[2]))
        measure.network(figures, method, model, plan, splits, place)
        return figures.found

    def against_plain(self, method):
        """Points of accuracy over the plain backbone, which was trained for as many steps."""
        name = f"plain-{method.of}"
        if name not in methods() or method.name == name:
            return []
        own, plain = (_accuracy(self.figures(one)) for one in (method, methods()[name]))
        return [{"name": "minus_plain", "value": 100 * (own - plain), "unit": "points", "kind": "measured",
                 "n": self.images, "target": None}]  # fmt: skip


def _accuracy(figures):
    return next(one["value"] for one in figures if one["name"] == "dynamic.accuracy")
