"""Images through a backend, batch by batch, each under the budget that the plan gives it.

done = run_batches(backend, job, FixedPlan(budget), watch)       # Batches: results, budgets, seconds
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from hls import isa
from hls.pool import fresh
from hls.record import Results, decode
from host.budgets.budget import Budget
from host.verdict import Windows, check_spent, check_status

BATCH = 256  # images between two looks at the clock, at the plan and at Ctrl-C


@dataclass(frozen=True)
class Batches:
    """What came of all images; arrays have an entry an image."""

    results: Results
    seconds: float  # on the backend
    steps: tuple[tuple[Budget, int], ...]  # budgets in the order they were used, each with its number of images
    history: np.ndarray | None  # of the pool, for what is run after them
    measured_cycles: np.ndarray | None = None  # by the board's timer, where it has one
    busy_share: float | None = None  # of the time, with the engine running


def run_batches(backend, job, plan, watch=None, rate=None):
    """Run all images of the job. UserError names the first image that failed, OverBudget one that spent too much.

    `watch`, if any, is told of each batch and of the end; at `rate` images a second, batches wait for their last image.
    """
    records, steps, measured, busy, windows = [], [], [], [], Windows()
    history: Any = None
    at, seconds, began, total = 0, 0.0, time.monotonic(), len(job.images)
    while at < total:
        budget, most = plan.next(at, time.monotonic() - began)
        start = job.start(budget)
        images = job.images[at : at + int(min(BATCH, most, watch.batch if watch else BATCH))]
        if rate:
            time.sleep(max(began + (at + len(images)) / rate - time.monotonic(), 0))
        before = time.perf_counter()
        history = fresh(start) if history is None else history
        batch = backend.run(job.package, images, start, history)
        spent = time.perf_counter() - before
        check_status(batch, at)
        batch[:, isa.RECORD.index("image")] += at
        results = decode(batch, start)
        check_spent(results, start, at)
        windows.check(results, start, at)
        records.append(batch)
        steps.append((budget, len(batch)))
        measured.append(getattr(backend, "measured_cycles", None))
        busy.append((getattr(backend, "busy_share", None), spent))
        at, seconds = at + len(batch), seconds + spent
        plan.ran(len(batch), results, spent)
        if watch:
            watch.batch_done(results, job.labels[at - len(batch) : at], budget, spent, total)
    if watch:
        watch.end()
    return Batches(
        results=decode(np.concatenate(records), start),
        seconds=seconds,
        steps=_merge(steps),
        history=history,
        measured_cycles=None if any(item is None for item in measured) else np.concatenate(measured),
        busy_share=_mean(busy),
    )


def _merge(steps):
    """Neighbouring batches under one budget as one step."""
    groups = itertools.groupby(steps, key=lambda step: step[0])
    return tuple((budget, sum(count for _, count in group)) for budget, group in groups)


def _mean(pairs):
    """The mean of (share, seconds), weighted by seconds; None where a share is not known."""
    if any(share is None for share, _ in pairs):
        return None
    return float(np.average([share for share, _ in pairs], weights=[max(seconds, 1e-9) for _, seconds in pairs]))
