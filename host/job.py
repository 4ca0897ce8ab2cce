"""What a run needs, read and checked: the package, its images with their labels, the board, the stopping rule.

job = read_job(arguments)                       # one line of error for whatever is wrong
start = job.start(budget)                       # parameters of the engine under that budget
"""

import hashlib
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path

import numpy as np

from data.arguments import folder_of
from data.errors import DataError
from hls import isa
from hls.command import places
from hls.cost import worst_case
from hls.errors import UserError
from hls.package import Package, read
from hls.pool import MOST, NO_BUDGET
from host.board import catalog
from host.budgets import budget
from host.budgets.average import Average, choose

PACKAGES = places.ENGINE / "packages"
MOST_NATS = 100  # of an entropy threshold
DEFAULT = "fashion-mnist"  # the package, and the data set, of a run that names none


@dataclass(frozen=True)
class Job:
    """A package and what to run it on; `exits` are the package's, with the worst case under the rule."""

    package: Package
    path: Path
    sha256: str  # of the package's file
    images: np.ndarray  # (N, height, width, channels) uint8
    labels: np.ndarray  # (N,)
    source: str  # where the images came from, for people
    board: catalog.Board
    exits: list
    rule: int = isa.RULE_NONE
    threshold: int = 0
    pool: int = 1  # images in a row that share a budget
    average: Average | None = None  # what was chosen for a budget on the average

    def on(self, backend):
        """This job at the clock that a board's engine really has: a budget of time is one of that clock's cycles."""
        clock_hz = getattr(backend, "clock_hz", 0)
        if not clock_hz:
            return self
        return replace(self, board=replace(self.board, clock_hz=clock_hz, clock_kind="measured"))

    def check(self, asked):
        """Refuse a budget that may not reach the first exit: UserError with the smallest that works."""
        budget.check(asked, self.exits, self.board)

    def check_all(self, budgets):
        """Refuse the first of them that is too small."""
        for one in budgets:
            self.check(one)

    def start(self, asked):
        """The engine's start parameters under a Budget."""
        limits = budget.limits(asked, self.board)
        options = {"rule": self.rule, "threshold": self.threshold}
        if self.pool > 1 and asked.kind != "none":
            limits = tuple(limit if limit == NO_BUDGET else min(limit, MOST - 1) for limit in limits)
            floor = budget.floor(limits, self.exits)
            options |= {"pool": self.pool, "floor_flops": floor[0], "floor_cycles": floor[1]}
        return self.package.start(budget_flops=limits[0], budget_cycles=limits[1], **options)


def read_job(arguments):
    """The Job that the arguments ask for. UserError."""
    board = _board(arguments)
    path = package_path(arguments.package)
    package = read(path)
    package = package if arguments.class_exit is None else package.with_class_exit(arguments.class_exit)
    images, labels, source = _images(package, arguments)
    package, rule, threshold, chosen = under_rule(package, arguments.average_budget, arguments.entropy)
    return Job(
        package=package,
        path=path,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        images=images,
        labels=labels,
        source=source,
        board=board,
        exits=exits_under(package, rule),
        rule=rule,
        threshold=threshold,
        pool=arguments.pool or 1,
        average=chosen,
    )


def under_rule(package, average_budget=None, entropy=None):
    """(package, rule, threshold, Average or None) for a budget on the average, or an entropy in nats, or neither."""
    if entropy is not None and not (isinstance(entropy, Real) and 0 < entropy <= MOST_NATS):
        raise UserError(f"entropy {entropy!r}: expected nats, a number above 0 and at most {MOST_NATS}")
    if entropy is not None and average_budget:
        raise UserError("entropy and average budget both choose when an exit is sure: give one of them")
    if average_budget:
        chosen = choose(package, average_budget)
        return chosen.package, isa.RULE_ENTROPY, 0, chosen
    if entropy is not None:
        return package, isa.RULE_ENTROPY, max(round(entropy * 65536), 1), None
    return package, isa.RULE_NONE, 0, None


def _board(arguments):
    """The board, with the energy coefficients of --energy where they are given. UserError."""
    board = catalog.read(arguments.board)
    if not arguments.energy:
        return board
    from host.energy.fit import read_coefficients

    return replace(board, energy=read_coefficients(arguments.energy))


def exits_under(package, rule):
    """The package's exits with the budgets that are always enough for them under `rule`.

    Under a rule the classifiers on the way run and cost (hls.cost.worst_case), so that more is needed. Class exits are
    none of them: an image may pass them all.
    """
    pairs = zip(package.exits, worst_case(package.program, rule))
    return [{**item, "flops": cost.flops, "cycles": cost.cycles} for item, cost in pairs if cost.open]


def package_files(given):
    """The files that --package may mean, none of which is to be written over."""
    return [given, PACKAGES / f"{given}.npz"]


def package_path(given):
    """The path of a package given by its name in packages/, or by path. UserError."""
    if Path(given).is_file():
        return Path(given)
    if not Path(given).suffix and (PACKAGES / f"{given}.npz").is_file():
        return PACKAGES / f"{given}.npz"
    names = ", ".join(sorted(path.stem for path in PACKAGES.glob("*.npz"))) or "none here: make one, python -m export"
    raise UserError(f"no package {given}: expected a path of one, or a name in packages/ ({names})")


def _images(package, arguments):
    """(images (N, height, width, channels) uint8, labels (N,), where they came from) for a package."""
    from data.datasets import load_sample  # readers of archives, which who brings pictures does not need
    from data.labelled import test_images

    if package.dataset == DEFAULT and not arguments.data:
        (images, labels), source = load_sample(), "the embedded sample of Fashion-MNIST's test set"
    else:
        images, labels, source = test_images(package, folder_of(arguments.data, package.dataset))
    if images.shape[1:] != package.image_shape:
        found, expected = (" × ".join(map(str, shape)) for shape in (images.shape[1:], package.image_shape))
        raise DataError(f"{source} has images of {found}, the package takes {expected}: give another --package")
    if labels.max() >= package.classes:
        found = f"labels up to {labels.max()}, the package {package.classes} classes"
        raise DataError(f"{source} has {found}: give another --package")
    count = arguments.images or len(images)
    if count > len(images):
        raise UserError(f"--images {count} is more than the {len(images)} of {source}: give at most {len(images)}")
    return images[:count], labels[:count], source
