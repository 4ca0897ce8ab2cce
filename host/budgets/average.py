"""A budget on the average: thresholds, one an exit, that the package found on validation images.

    chosen = choose(package, 74_000_000)           # the dearest setting whose average keeps it
    package = chosen.package                       # with its thresholds in the program's TAPs

An image stops at the first exit that is sure enough for that exit, so that easy images cost little and hard ones go
on. Nothing is promised of a single image, nor of images that are unlike those it was found on; a hard budget can be
given besides.
"""

from dataclasses import dataclass

from hls.errors import UserError
from hls.package import Package
from host.budgets import budget


@dataclass(frozen=True)
class Average:
    """What was chosen: the budget, and mean FLOPs and accuracy on the validation images."""

    asked: float  # FLOPs
    text: str
    flops: float
    accuracy: float
    package: Package


def choose(package, text):
    """The Average for a budget like "74M". UserError where it is no number of FLOPs or cannot be kept."""
    asked, table = budget.parse(text), package.meta["average"]
    if asked.kind != "flops":
        raise UserError(f"--average-budget {text} is not in FLOPs: give it like 74M; --budget may be in time or energy")
    if not table:
        raise UserError(f"the package {package.name} has no thresholds for an average: export it again with exits")
    kept = [i for i, flops in enumerate(table["flops"]) if flops <= asked.amount]
    if not kept:
        least = table["flops"][0] / 1e6
        raise UserError(f"--average-budget {text} is below the cheapest average: give at least {least:.4g}M FLOPs")
    i = kept[-1]
    changed = package.with_thresholds(table["thresholds"][i])
    return Average(asked.amount, text, table["flops"][i], table["accuracy"][i], changed)
