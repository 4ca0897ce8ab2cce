"""What the engine's records must say before a result counts: every image is done, and none spent more than its budget.

check_status(batch, at)                                        # UserError names the first image that failed
check_spent(results, flops_limit, cycles_limit, at)            # OverBudget names the first that spent too much
"""

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.record import explain


class OverBudget(Exception):
    """An image that spent more than its budget: the engine is at fault; the message is one line."""


def check_status(batch, at=0):
    """Raise UserError naming the first image (numbered from `at`) that failed, of a batch's records."""
    failed = np.flatnonzero(batch[:, isa.RECORD.index("status")] != isa.STATUS_OK)
    if len(failed):
        status, _, pc = (int(word) for word in batch[failed[0], :3])
        raise UserError(explain(status, pc, at + int(failed[0])))


def check_spent(results, flops_limit, cycles_limit, at=0):
    """Raise OverBudget naming the first image (numbered from `at`) that spent more than its limit."""
    for unit, spent, limit in (("FLOPs", results.flops, flops_limit), ("cycles", results.cycles, cycles_limit)):
        over = np.flatnonzero(spent > limit)
        if len(over):
            raise OverBudget(
                f"{len(over)} of {len(spent)} images went over the budget, the first is image {at + over[0]} with "
                f"{spent[over[0]]} {unit} of {limit}: this is a fault of the engine, do not use this result"
            )
