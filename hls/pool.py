"""Budgets that a window of images shares: what each image may spend, by docs/engine.md, Pooled budgets.

    history = fresh(start)                    # (pool - 1, 2) int64: charges in FLOPs and cycles, oldest first
    pool = Pool(start, history)               # ValueError for a history that no run under `start` can leave
    flops, cycles = pool.allowed              # of the next image
    pool.charge(flops_spent, cycles_spent)    # that image has ended; pool.history() goes to the next start

Of N = start.pool images in a row the sum of what they spend is at most N · B, B being the budget of one:

- An image is charged c = max(what it spent, floor), and may spend a = N·B - Σ of the N-1 charges before it. So the N
  images that end with it spend at most a + (N·B - a) = N·B.
- No image is starved: a ≥ floor. Before the first one every charge is B ≥ floor, so a = B. Let the charges before an
  image be h_1 … h_{N-1}, all ≥ floor, and a ≥ floor. It spends at most a, so c ≤ a, and the next image may spend
  N·B - (h_2 + … + h_{N-1} + c) ≥ N·B - (h_2 + … + h_{N-1} + a) = h_1 ≥ floor.

The same holds of cycles, by charges of their own. Where there is no budget nothing is charged.
"""

from collections import deque

import numpy as np

from hls.isa import MAX_POOL, POOLED_BITS, Start

NO_BUDGET = Start.budget_flops
MOST = 1 << POOLED_BITS  # a budget that is shared is less
CHARGE_BYTES = 16  # of the history in the engine's memory, behind the map memory
_CHARGE = MAX_POOL * MOST  # a charge is less than this


def limits(start):
    """((budget, floor) in FLOPs, (budget, floor) in cycles) of Start."""
    return (start.budget_flops, start.floor_flops), (start.budget_cycles, start.floor_cycles)


def fresh(start):
    """The history before the first image: nothing is lent before something was saved."""
    charges = [0 if budget >= NO_BUDGET else budget for budget, _ in limits(start)]
    return np.tile(np.array(charges, np.int64), (start.pool - 1, 1))


class Pool:
    """The charges of the last images, and what is left for the next one. With a pool of 1: the budgets themselves."""

    def __init__(self, start, history):
        self._limits, self._size = limits(start), start.pool
        shape = (start.pool - 1, 2)
        if history.shape != shape or history.dtype != np.int64:
            raise ValueError(
                f"BAD_START: the pool's history is {history.dtype} {history.shape}, expected int64 {shape}"
            )
        columns = zip(self._limits, history.T.tolist())
        self._charges = [deque([0] * len(column) if budget == NO_BUDGET else column) for (budget, _), column in columns]
        self._check()

    def _check(self):
        """ValueError for charges that no image can have had, or that leave less than the floor."""
        for (budget, floor), charges, allowed in zip(self._limits, self._charges, self.allowed):
            if self._size == 1 or budget == NO_BUDGET:
                continue
            if not all(floor <= charge < _CHARGE for charge in charges) or allowed < floor:
                raise ValueError(f"BAD_START: the pool's history leaves {allowed} of {budget} an image, floor {floor}")

    @property
    def allowed(self):
        """(FLOPs, cycles) that the next image may spend."""
        return tuple(
            budget if budget == NO_BUDGET else self._size * budget - sum(charges)
            for (budget, _), charges in zip(self._limits, self._charges)
        )

    def charge(self, *spent):
        """An image has spent so many (FLOPs, cycles)."""
        for (budget, floor), charges, now in zip(self._limits, self._charges, spent):
            if charges:
                charges.popleft()
                charges.append(0 if budget == NO_BUDGET else max(now, floor))

    def history(self):
        """The charges as the next start takes them: (pool - 1, 2) int64."""
        return np.array(self._charges, np.int64).T.reshape(self._size - 1, 2)
