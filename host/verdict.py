"""What the engine's records must say before a result counts: every image is done, and none spent more than its budget.

check_status(batch, at)                       # UserError names the first image that failed
check_spent(results, start, at)               # OverBudget names the first that spent too much
windows = Windows()
windows.check(results, start, at)             # OverBudget names the first window of a pool that spent too much
"""

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.pool import NO_BUDGET
from hls.record import explain

_FAULT = "this is a fault of the engine, do not use this result"


class OverBudget(Exception):
    """An image, or a window of a pool, that spent more than its budget: the engine is at fault; one line."""


EXIT_CODES = {OverBudget: 3}  # of a command that ends with it


def check_status(batch, at=0):
    """Raise UserError naming the first image (numbered from `at`) that failed, of a batch's records."""
    failed = np.flatnonzero(batch[:, isa.RECORD.index("status")] != isa.STATUS_OK)
    if len(failed):
        status, _, pc = (int(word) for word in batch[failed[0], :3])
        raise UserError(explain(status, pc, at + int(failed[0])))


def check_spent(results, start, at=0):
    """Raise OverBudget naming the first image (numbered from `at`) that spent more than it might.

    That is its budget; of a pool what the engine says it allowed, and `Windows` checks the rest.
    """
    limits = (start.budget_flops, start.budget_cycles)
    if start.pool > 1:
        limits = (results.allowed_flops, results.allowed_cycles)
    for unit, spent, limit in zip(("FLOPs", "cycles"), (results.flops, results.cycles), limits):
        limit = np.broadcast_to(limit, spent.shape)
        over = np.flatnonzero(spent > limit)
        if len(over):
            first = over[0]
            raise OverBudget(
                f"{len(over)} of {len(spent)} images went over the budget, the first is image {at + first} with "
                f"{spent[first]} {unit} of {limit[first]}: {_FAULT}"
            )


def window_sums(spent, size):
    """Of each image of `spent` (N,), the sum over it and the up to `size` - 1 images before it: (N,) int64."""
    total = np.concatenate([[0], np.cumsum(spent, dtype=np.int64)])
    ends = np.arange(1, len(total))
    return total[ends] - total[np.maximum(ends - size, 0)]


class Windows:
    """Keeps what the last images spent, so that windows are checked across batches."""

    def __init__(self):
        self._before = {"flops": np.zeros(0, np.int64), "cycles": np.zeros(0, np.int64)}

    def check(self, results, start, at=0):
        """Raise OverBudget for a window of start.pool images in a row whose sum is more than pool · budget."""
        for unit, budget in (("flops", start.budget_flops), ("cycles", start.budget_cycles)):
            spent = np.concatenate([self._before[unit], getattr(results, unit)])
            new = window_sums(spent, start.pool)[len(self._before[unit]) :]
            self._before[unit] = spent[max(len(spent) - start.pool + 1, 0) :]
            over = np.flatnonzero(new > start.pool * budget) if budget != NO_BUDGET else ()
            if len(over):
                raise OverBudget(
                    f"{len(over)} windows of {start.pool} images went over the pool's budget, the first ends with "
                    f"image {at + over[0]} with {new[over[0]]} {unit} of {start.pool * budget}: {_FAULT}"
                )
