"""What sets the budget of each batch: a Plan, and its simplest kind.

    plan = FixedPlan(budget)
    budget, most = plan.next(done, seconds)       # before each batch
    plan.ran(images, results, seconds)            # after it

The other kinds: SchedulePlan and LinesPlan (schedule.py), LimitPlan (limit.py).
"""

import math


class Plan:
    """What every plan has: `next` before each batch, `ran` after it; `kind` for reports, `budget` in force."""

    kind = ""

    def __init__(self, budget):
        self.budget = budget

    def next(self, done, seconds):
        """(Budget, the most images it may be used for at once) after `done` images and `seconds`."""
        raise NotImplementedError

    def ran(self, images, results, seconds):
        """A batch of `images` took `seconds` on the backend."""


class FixedPlan(Plan):
    """One budget for all images."""

    kind = "fixed"

    def next(self, done, seconds):
        return self.budget, math.inf
