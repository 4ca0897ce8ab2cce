"""What each committed package does under each of its budgets, from result rows, as a reader sees it.

    for found in packages(latest()): print(found.name, found.points[0].shown["accuracy"])

Only rows of the newest run on the package that is committed count.
"""

import math
from dataclasses import dataclass

from bench.front.beside import COMMAND, NONE
from bench.packages import PACKAGES, PAPER_BUDGET, fingerprint
from bench.papers.figures.budgets import TITLES, millions
from hls.errors import UserError
from host.board import catalog

NEEDED = ("accuracy", "flops", "flops_max", "cycles", "energy", "layers", "exits")
WHOLE = ("full_flops", "full_cycles", "gated_blocks")


@dataclass(frozen=True)
class Point:
    """One budget. `rows`: what → row; `shown`: what → text of it; `exits`: (name, share of the images)."""

    at: str  # as rows call it
    budget: int | None  # FLOPs, None without
    rows: dict
    shown: dict
    exits: tuple

    @property
    def name(self):
        """The budget for people."""
        return "no budget" if self.budget is None else f"{self.at} FLOPs"


@dataclass(frozen=True)
class Measured:
    """A package with its points, by rising budget, the one without at the end; `chosen`: the one shown first."""

    name: str
    title: str
    images: int
    points: tuple
    chosen: int


def packages(rows):
    """A Measured for every committed package, the default one first. UserError where rows of one are missing."""
    names = sorted((path.stem for path in PACKAGES.glob("*.npz")), key=lambda name: (name != "fashion-mnist", name))
    return [_measured(name, fingerprint(name), rows) for name in names]


def _measured(name, sha256, rows):
    own = _newest(name, sha256, rows)
    budgets = {key.partition("@")[2]: row["value"] for key, row in own.items() if key.startswith("budget@")}
    places = [*sorted(budgets, key=lambda at: budgets[at]), NONE]
    needed = [*WHOLE, *(f"{what}@{at}" for at in places for what in NEEDED)]
    missing = ["budgets"] * (not budgets) + [what for what in needed if what not in own]
    if missing:
        raise UserError(f"no rows of {missing[0]} of the committed package {name} ({sha256}): run {COMMAND}")
    points = tuple(_point(at, budgets.get(at), own) for at in places)
    paper = [i for i, point in enumerate(points) if point.budget == PAPER_BUDGET]
    chosen = paper[0] if paper else len(points) // 2
    return Measured(name, TITLES.get(name, name), own[f"accuracy@{NONE}"]["n"], points, chosen)


def _newest(name, sha256, rows):
    """What → row, of the newest run on the committed package."""
    own = {key.removeprefix(f"{name}."): row for key, row in rows.items() if key.startswith(f"{name}.")}
    last = own.get(f"accuracy@{NONE}", {}).get("commit")
    return {what: row for what, row in own.items() if (row["package"], row["commit"]) == (sha256, last)}


def _point(at, budget, own):
    rows = {what: own[f"{what}@{at}"] for what in NEEDED}
    value = {what: row["value"] for what, row in rows.items()}
    whole, blocks = own["full_flops"]["value"], own["gated_blocks"]["value"]
    board = catalog.read()
    images = sum(rows["exits"]["detail"].values())
    exits = tuple((name, count / images) for name, count in rows["exits"]["detail"].items())
    shown = {
        "budget": "no budget" if budget is None else f"{at} FLOPs an image",
        "accuracy": f"{value['accuracy']:.2%}",
        "flops": millions(value["flops"]),
        "flops_share": f"{value['flops'] / whole:.0%} of the full network’s {millions(whole)}",
        "flops_max": millions(value["flops_max"]),
        "within": within(value["flops_max"], budget),
        "cycles": f"{value['cycles']:,.0f}",
        "time": f"{board.seconds(value['cycles']) * 1e3:.3f} ms",
        "energy": f"{value['energy']:.3f} mJ",
        "layers": f"{value['layers']:.1f} of {blocks}",
        "exits": f"{value['exits']} of {len(exits)}",
        "images": f"of {images:,} test images",
        "clock": f"{value['cycles']:,.0f} cycles at {board.clock_hz / 1e6:g} MHz, the {board.clock_kind} clock",
        "coefficients": rows["energy"]["note"].replace("modelled, ", ""),
    }
    return Point(at, budget, rows, shown, exits)


def within(most, budget):
    """What the dearest image spent, in words. UserError where it is over the budget, which must never be."""
    if budget is None:
        return f"The dearest image spent {millions(most)}"
    if most > budget:
        raise UserError(f"an image spent {most} FLOPs under a budget of {budget}: the engine is wrong, report this")
    return f"The dearest image spent {math.floor(1000 * most / budget) / 10}% of the budget"
