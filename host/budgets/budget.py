"""Budgets as people type them: FLOPs (74M, 0.85G), time on the board (1.5ms, 900us), modelled energy (1.2mJ), or none.

    budget = parse("74M")                      # UserError for anything else, naming what is accepted
    check(budget, package.exits, board)        # UserError with the smallest that works
    flops, cycles = limits(budget, board)      # what the engine compares with, for each image

A budget of time becomes cycles of the modelled schedule at the board's clock. Amounts are whole FLOPs, nanoseconds or
picojoules: what was typed is rounded down, the smallest that works is rounded up, so that typing it works.

The engine limits FLOPs and cycles, so a budget of energy becomes limits on both that imply it, whatever the gates
decide. Modelled energy is at most FLOPs × (J a FLOP) + cycles × (J a cycle): host.energy.model.rates says why, from
the WEIGHT_BYTES of weights that a cycle can fetch at most. On the line where that sum is the budget, the limits stand
in the ratio FLOPS_A_CYCLE, about what packages compute. The bound holds for the worst image there can be, which fetches
weights all the time, so that real ones stay well under it.
"""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from hls.errors import UserError
from hls.record import NO_BUDGET
from hls.schedule import MULTIPLICATIONS
from host.energy.model import rates

FLOPS = {"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
TIME = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}  # in nanoseconds
ENERGY = {"nJ": 10**3, "uJ": 10**6, "mJ": 10**9, "J": 10**12}  # in picojoules
UNITS = {"flops": FLOPS, "time": TIME, "energy": ENERGY}
FLOPS_A_CYCLE = 2 * MULTIPLICATIONS * 7 // 8  # limits of an energy budget: seven eighths of the engine's peak
ROUNDING = 1e-9  # of an energy budget, kept free for the rounding of floating-point sums
EXPECTED = "expected FLOPs like 74M, 0.85G or 500k, a time like 1.5ms, an energy like 1.2mJ (modelled), or none"
_NUMBER = re.compile(r"(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})\s*([a-zA-Zµμ]*)", re.ASCII)


@dataclass(frozen=True)
class Budget:
    """`kind` is flops, time, energy or none; `amount` in FLOPs, ns or pJ, 0 for none. `str` gives what parses to it."""

    kind: str
    amount: int = 0

    def __str__(self):
        return "none" if self.kind == "none" else _text(self.amount, UNITS[self.kind])


def parse(text):
    """The Budget that `text` says. UserError when its number or unit is not understood, or it is 0."""
    text = str(text).strip()
    if text.lower() == "none":
        return Budget("none")
    match = _NUMBER.fullmatch(text)
    if not match:
        raise UserError(f"budget {_short(text)} is not a number with a unit: {EXPECTED}")
    number, unit = Decimal(match[1]), match[2].replace("µ", "u").replace("μ", "u")
    kind = next((kind for kind, units in UNITS.items() if unit in units), None)
    if kind is None:
        found = f"the unknown unit {unit!r}" if unit else "no unit"
        raise UserError(f"budget {_short(text)} has {found}: {EXPECTED}")
    amount = int((number * UNITS[kind][unit]).to_integral_value(ROUND_FLOOR))
    if amount < 1:
        raise UserError(f"budget {_short(text)} is nothing: {EXPECTED}")
    return Budget(kind, amount)


def limits(budget, board):
    """(FLOPs, cycles) that an image may spend under `budget` on `board`; NO_BUDGET where there is no limit.

    UserError for an energy on a board whose energy is not modelled.
    """
    if budget.kind == "flops":
        return min(budget.amount, NO_BUDGET), NO_BUDGET
    if budget.kind == "time":
        return NO_BUDGET, min(budget.amount * board.clock_hz // 10**9, NO_BUDGET)
    if budget.kind == "energy":
        cycles = math.floor(budget.amount * (1 - ROUNDING) / _picojoule(board))
        return min(cycles * FLOPS_A_CYCLE, NO_BUDGET), min(cycles, NO_BUDGET)
    return NO_BUDGET, NO_BUDGET


def _picojoule(board):
    """The most picojoules of a cycle in which FLOPS_A_CYCLE FLOPs are spent. UserError without a model."""
    if board.energy is None:
        raise UserError(f"board {board.name} has no energy model: give FLOPs (74M) or time (1.5ms)")
    flop, cycle = rates(board)
    return 1e12 * (flop * FLOPS_A_CYCLE + cycle)


def smallest(kind, exits, board):
    """The smallest Budget of `kind` that is always enough for an exit, rounded up to three digits where that fits.

    `exits` are a package's: dicts with the FLOPs and cycles that are enough for each, whatever the gates decide.
    """
    if kind == "none":
        return Budget("none")
    if kind not in UNITS:
        raise UserError(f"budgets are of {', '.join(UNITS)} or none, not of {kind!r}")
    if kind == "flops":
        need = min(item["flops"] for item in exits)
    elif kind == "time":
        need = -(-min(item["cycles"] for item in exits) * 10**9 // board.clock_hz)
    else:
        cycles = min(max(item["cycles"], -(-item["flops"] // FLOPS_A_CYCLE)) for item in exits)
        need = math.ceil(cycles * _picojoule(board) * (1 + 2 * ROUNDING)) + 1
    step = 10 ** max(len(str(max(need, 1))) - 3, 0)
    return Budget(kind, max(-(-need // step) * step, 1))


def check(budget, exits, board):
    """Refuse a budget that may not reach the first exit: UserError names the smallest that works, in its unit."""
    flops, cycles = limits(budget, board)
    if any(item["flops"] <= flops and item["cycles"] <= cycles for item in exits):
        return
    least = smallest(budget.kind, exits, board)
    clock = f" at {board.clock_hz / 1e6:g} MHz" if budget.kind in ("time", "energy") else ""
    raise UserError(
        f"budget {budget} is below the worst case of the first exit{clock}: "
        f"the smallest that works with this package is --budget {least}"
    )


def floor(limits, exits):
    """(FLOPs, cycles) that are always enough for an exit which `limits` (FLOPs, cycles) reach: the cheapest one's."""
    costs = [(item["flops"], item["cycles"]) for item in exits]
    reached = [cost for cost in costs if cost[0] <= limits[0] and cost[1] <= limits[1]]
    return min(reached, default=(0, 0))


def show(value, kind):
    """FLOPs, nanoseconds or picojoules for people: three digits, rounded to the nearest."""
    units = UNITS[kind]
    name = next((name for name in reversed(units) if value >= units[name]), next(iter(units)))
    return f"{value / units[name]:.3g}{name}" if value / units[name] < 999.5 else f"{value / units[name]:.0f}{name}"


def _text(amount, units):
    """`amount` exactly, in the largest unit that keeps it at 1 or more."""
    name = next((name for name in reversed(units) if amount >= units[name]), next(iter(units)))
    digits = f"{Decimal(amount) / units[name]:f}"
    return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits}{name}"


def _short(text):
    """`text` quoted, on one line, not longer than a line."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
