"""Budgets as people type them: FLOPs (74M, 0.85G, 500k), time on the board (1.5ms, 900us), or none.

    budget = parse("74M")                      # BudgetError for anything else, naming what is accepted
    check(budget, package.exits, board)        # BudgetError with the smallest that works
    flops, cycles = limits(budget, board)      # what the engine compares with, for each image

A budget of time becomes cycles of the modelled schedule at the board's clock. Amounts are whole FLOPs or nanoseconds:
what was typed is rounded down, the smallest that works is rounded up, so that typing it works.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from hls.record import NO_BUDGET

FLOPS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
TIME = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}  # in nanoseconds
ENERGY = ("nJ", "uJ", "mJ", "J")
EXPECTED = "expected FLOPs like 74M, 0.85G or 500k, a time like 1.5ms or 900us, or none"
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})\s*([a-zA-Zµμ]*)", re.ASCII)


class BudgetError(ValueError):
    """A budget that is not understood, or too small for a package; the message is one line."""


@dataclass(frozen=True)
class Budget:
    """`kind` is flops, time or none; `amount` is in FLOPs or nanoseconds, 0 for none. `str` gives what parses to it."""

    kind: str
    amount: int = 0

    def __str__(self):
        return "none" if self.kind == "none" else _text(self.amount, _units(self.kind))


def parse(text):
    """The Budget that `text` says. BudgetError when its number or unit is not understood, or it is 0."""
    text = str(text).strip()
    if text.lower() == "none":
        return Budget("none")
    match = _NUMBER.fullmatch(text)
    if not match:
        raise BudgetError(f"budget {_short(text)} is not a number with a unit: {EXPECTED}")
    number, unit = Decimal(match[1]), match[2].replace("µ", "u").replace("μ", "u")
    if unit in ENERGY:
        raise BudgetError(
            f"budget {text!r} is an energy, which needs coefficients measured on the board, and there are none yet: "
            "give FLOPs (74M) or time (1.5ms)"
        )
    kind = next((kind for kind, units in (("flops", FLOPS), ("time", TIME)) if unit in units), None)
    if kind is None:
        found = f"the unknown unit {unit!r}" if unit else "no unit"
        raise BudgetError(f"budget {_short(text)} has {found}: {EXPECTED}")
    amount = int((number * _units(kind)[unit]).to_integral_value(ROUND_FLOOR))
    if amount < 1:
        raise BudgetError(f"budget {_short(text)} is nothing: {EXPECTED}")
    return Budget(kind, amount)


def limits(budget, board):
    """(FLOPs, cycles) that an image may spend under `budget` on `board`; NO_BUDGET where there is no limit."""
    if budget.kind == "flops":
        return min(budget.amount, NO_BUDGET), NO_BUDGET
    if budget.kind == "time":
        return NO_BUDGET, min(budget.amount * board.clock_hz // 10**9, NO_BUDGET)
    return NO_BUDGET, NO_BUDGET


def smallest(kind, exits, board):
    """The smallest Budget of `kind` that is always enough for an exit, rounded up to three digits where that fits.

    `exits` are a package's: dicts with the FLOPs and cycles that are enough for each, whatever the gates decide.
    """
    if kind == "none":
        return Budget("none")
    if kind == "flops":
        need = min(item["flops"] for item in exits)
    else:
        need = -(-min(item["cycles"] for item in exits) * 10**9 // board.clock_hz)
    step = 10 ** max(len(str(max(need, 1))) - 3, 0)
    return Budget(kind, max(-(-need // step) * step, 1))


def check(budget, exits, board):
    """Refuse a budget that may not reach the first exit: BudgetError names the smallest that works, in its unit."""
    flops, cycles = limits(budget, board)
    if any(item["flops"] <= flops and item["cycles"] <= cycles for item in exits):
        return
    least = smallest(budget.kind, exits, board)
    clock = f" at {board.clock_hz / 1e6:g} MHz" if budget.kind == "time" else ""
    raise BudgetError(
        f"budget {budget} is below the worst case of the first exit{clock}: "
        f"the smallest that works with this package is --budget {least}"
    )


def show(value, kind):
    """FLOPs or nanoseconds for people: three digits, rounded to the nearest."""
    units = _units(kind)
    name = next((name for name in reversed(units) if value >= units[name]), next(iter(units)))
    return f"{value / units[name]:.3g}{name}" if value / units[name] < 999.5 else f"{value / units[name]:.0f}{name}"


def _units(kind):
    return FLOPS if kind == "flops" else TIME


def _text(amount, units):
    """`amount` exactly, in the largest unit that keeps it at 1 or more."""
    name = next((name for name in reversed(units) if amount >= units[name]), next(iter(units)))
    digits = f"{Decimal(amount) / units[name]:f}"
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}{name}"


def _short(text):
    """`text` quoted, on one line, not longer than a line."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
