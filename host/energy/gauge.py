"""What a run took in energy: measured by a meter where there is one, and modelled; each figure says which.

summary, trace = energy(meter, backend, job, plan, batches) # of a finished run
gauge = batch_gauge(meter, board, rate)                     # joules of one batch, for host/budgets/limit.py
"""

import sys
from contextlib import contextmanager

import numpy as np

from hls.record import decode
from host.energy.measure import measure
from host.energy.model import modelled as model
from host.meters.plausible import supply_of
from host.verdict import Windows, check_spent, check_status

COUNTERS = ("flops", "cycles", "weight_bytes", "instructions")  # that modelled energy is reckoned from
MEASURED = 256  # images of the batch that is measured, at most


@contextmanager
def sampling(meter):
    """Sample while the body runs; nothing without a meter."""
    if meter is None:
        yield
        return
    meter.start()
    try:
        yield
    finally:
        meter.stop_thread()


# -------------------------------------------------------------------------------------------------------------- a run
def energy(meter, backend, job, plan, batches):
    """(what a report says of energy, or None without meter and model; the meter's trace or None).

    With a meter the images are run again, as often as the uncertainty asks for, under the last budget of the plan. Of
    the same images the modelled energy above idle stands beside the measured one, with the counters it comes from.
    """
    if meter is None:
        return modelled(batches.results, job.board), None
    start = job.start(batches.steps[-1][0])
    count, last, history = min(len(job.images), MEASURED), [], batches.history.copy()

    def run_batch():
        last[:] = [backend.run(job.package, job.images[:count], start, history)]
        return last[0]

    meter.supply = supply_of(job.board)
    found = measure(meter, run_batch, count, tell=lambda text: print(f"run: {meter.name}: {text}", file=sys.stderr))
    check_status(last[0])
    results = decode(last[0], start)
    check_spent(results, start)
    Windows().check(results, start)
    low, high = found.interval95
    text = f"{found.meter}, {found.repetitions} repetitions, {found.batches} batches of {count} images, above idle"
    summary = {
        "kind": found.kind,
        "mean_mj": found.joule_per_image * 1e3,
        "standard_error_mj": found.standard_error * 1e3,
        "interval95_mj": [low * 1e3, high * 1e3],
        "idle_w": found.idle_watt,
        "running_w": found.running_watt,
        "batches": found.batches,
        "images": count,
        "budget": str(batches.steps[-1][0]),
        "warnings": list(found.warnings),
        "source": text,
        "modelled": modelled(results, job.board, above_idle=True),
        "counters": {name: float(np.mean(getattr(results, name))) for name in COUNTERS},
    }
    return summary, found.trace


def modelled(results, board, above_idle=False):
    """What a report says of modelled energy; None for a board whose energy is not modelled."""
    if board.energy is None:
        return None
    found = model(results, board)
    millijoule = 1e3 * (found.above_idle if above_idle else found.joule)
    spread = {"mean_mj": millijoule.mean(), "min_mj": millijoule.min(), "max_mj": millijoule.max()}
    return {"kind": found.kind, **{name: float(value) for name, value in spread.items()}, "source": found.source}


# ------------------------------------------------------------------------------------------------------------ batches
def batch_gauge(meter, board, rate=None):
    """A function (images, results, seconds) → (joule, seconds) of the batches since it last knew, or None.

    Measured: mean power of the meter's samples since, times the time that passed. Modelled: the model's energy, over
    the modelled time or, where that is longer, the time in which so many images arrive at `rate` a second.
    """
    return _Measured(meter) if meter is not None else _Modelled(board, rate)


class _Modelled:
    """The modelled energy of a batch."""

    kind = "modelled"

    def __init__(self, board, rate):
        self._board, self._rate = board, rate

    def __call__(self, images, results, seconds):
        joule = float(model(results, self._board).joule.sum())
        modelled_s = float(self._board.seconds(results.cycles).sum())
        return joule, max(modelled_s, images / self._rate if self._rate else 0.0)


class _Measured:
    """Joules between two looks at a meter, by the trapezoids of the newest samples."""

    kind = "measured"

    def __init__(self, meter):
        self._meter, self._last = meter, None

    def __call__(self, images, results, seconds):
        self._meter.check()
        latest = self._meter.latest()
        if latest is None or (self._last is not None and latest[0] <= self._last[0]):
            return None
        before, self._last = self._last, latest
        if before is None:
            return None
        passed = latest[0] - before[0]
        return passed * (latest[1] + before[1]) / 2, passed
