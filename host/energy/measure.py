"""Energy of an image: measured by a meter, with its uncertainty, or modelled from the engine's counters.

    energy = measure(meter, run_batch, images=256)      # joules an image above idle, with a 95 % interval
    energy = modelled(results, catalog.read())           # host/energy/model.py: papers' Eq. 6

An image takes about a millisecond and a meter samples some hundred times a second, so batches are looped and idle is
subtracted. One *repetition* is idle, loop, idle: energy above idle is the integral (trapezoids) over the loop of the
power less a straight line through the idle before and after it, which takes slow drift out. Repetitions have nothing in
common but their noise, so that the spread of their energies holds all that is random (noise of the sensor and its
correlation in time, timing jitter, lost samples, where a sample falls on the loop's edges), and a Student t interval on
their mean is sound. They go on until the standard error is under the share asked for; the number wanted is planned
from the spread of those done, not by looking after each one, which would favour runs that look quiet by luck.
"""

import math
import time
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from hls.errors import UserError
from host.meters.calibration import UNCALIBRATED
from host.meters.trace import Trace

IDLE_S = 0.5  # before and after a loop, and half of the loop's least length
SAMPLES, LEAST_SAMPLES = 25, 16  # of an idle phase: as a rule, and with an instrument that gives only a few a second
SLOW_S = 0.1  # between two samples of such an instrument
MOST_S = 120.0  # after which no repetition begins, unless FIRST of them take longer
FIRST = 8  # repetitions before their spread is believed
LEAST = 4  # repetitions that a result needs when time runs out
SPARE = 1.2  # more repetitions than the spread asks for: it is itself uncertain
LOST_SHARE = 0.1  # of a repetition's time without samples, above which it is left out
SLICE_S = 0.1  # between two looks at the meter while idle
PHASE = 0.618034  # golden section: spreads the loops' edges evenly over the meter's period


@dataclass(frozen=True)
class Repetition:
    """Host times of one idle, loop, idle, in s, and the images that the loop ran."""

    idle_from_s: float
    loop_from_s: float
    loop_to_s: float
    idle_to_s: float
    images: int


@dataclass(frozen=True)
class Energy:
    """Energy of an image above idle. `interval95` holds the calibration's uncertainty, `standard_error` does not."""

    joule_per_image: float
    standard_error: float  # J, of the mean over repetitions
    interval95: tuple  # (low, high) in J
    kind: str  # measured, or replayed
    idle_watt: float
    running_watt: float  # above idle, while batches ran
    seconds_per_image: float
    batches: int
    repetitions: int
    gain_uncertainty: float  # relative, of the calibration
    meter: str
    warnings: tuple
    trace: Trace

    def __str__(self):
        low, high = (f"{1e3 * bound:.4g}" for bound in self.interval95)
        share = f"{self.standard_error / self.joule_per_image:.2%}"
        return (
            f"{1e3 * self.joule_per_image:.4g} mJ an image above idle, 95 % interval {low} to {high} mJ "
            f"({self.kind}; standard error {share}, calibration {self.gain_uncertainty:.2%})"
        )


def measure(
    meter, run_batch, images, *, relative_error=0.02, idle_s=None, max_s=None, clock=time, loop_s=None, tell=None
):
    """Energy of an image, by looping `run_batch()`, which runs a batch of `images` images and returns when it is done.

    `relative_error`: of the standard error to the energy, the share to reach. `idle_s`: idle before and after each
    loop (default: IDLE_S, more with a slow meter); `max_s`: time after which no repetition begins (default: MOST_S, or
    what FIRST of them take with a slow meter, of which `tell` is told a sentence); `loop_s`: least length of a loop
    (default: twice the idle). UserError when the meter fails, when the time is too short, or when running cannot be
    told from idle. The meter is started and stopped here.
    """
    if images < 1 or not 0 < relative_error < 1:
        raise UserError(f"{images} images at {relative_error:g} of error: expected 1 or more, and 0 to 1")
    begin_s = clock.monotonic()
    meter.start()
    try:
        run_batch()  # warms caches up, is not counted
        before_s = clock.monotonic()
        run_batch()
        batch_s = max(clock.monotonic() - before_s, 1e-6)
        _sleep(meter, clock, 0.5 if idle_s is None else max(idle_s, 0.1))
        period_s = meter.so_far().period_s
        idle_s = _idle(idle_s, period_s)
        batches = math.ceil(max(loop_s or 0, 2 * idle_s) / batch_s)
        plan = _Plan(meter, run_batch, images, batches, idle_s, period_s, clock)
        length_s = 2 * idle_s + batches * batch_s
        max_s = max(MOST_S, (FIRST + 1) * length_s) if max_s is None else max_s
        if tell and max_s > MOST_S:
            tell(f"{1 / period_s:.3g} samples a second are few: measuring takes about {max_s / 60:.0f} minutes")
        plan.go_on(relative_error, begin_s + max_s, length_s, max_s)
        trace = meter.stop()
    finally:
        meter.stop_thread()
    return estimate(trace, plan.repetitions, batches, meter, relative_error)


def _idle(idle_s, period_s):
    """Idle time before and after a loop: SAMPLES or more, of which the margins take a few."""
    least = max(8 * _margin(period_s), 12 * period_s)
    if idle_s is None:
        return max(IDLE_S, (LEAST_SAMPLES if period_s >= SLOW_S else SAMPLES) * period_s)
    if idle_s < least:
        raise UserError(f"{idle_s:g} s of idle phase is too short to subtract: expected {least:.2g} s or more")
    return idle_s


def _margin(period_s):
    """Time around a loop's edges that belongs to neither side: delays of the meter and of the line."""
    return max(0.02, 2 * period_s)


class _Plan:
    """Repetitions under way: `repetitions` (Repetition) are those done."""

    def __init__(self, meter, run_batch, images, batches, idle_s, period_s, clock):
        self.meter, self.run_batch, self.images, self.batches = meter, run_batch, images, batches
        self.idle_s, self.period_s, self.clock, self.repetitions = idle_s, period_s, clock, []

    def go_on(self, relative_error, deadline_s, length_s, max_s):
        """Repeat until the spread says it is enough, or time runs out. UserError when LEAST do not fit."""
        wanted = FIRST
        while True:
            while len(self.repetitions) < wanted:
                if self.clock.monotonic() + length_s > deadline_s:
                    if len(self.repetitions) < LEAST:
                        raise UserError(
                            f"{max_s:g} s are too short: a repetition takes {length_s:.3g} s and {LEAST} are needed: "
                            "give fewer images a batch, or more time"
                        )
                    return
                self._repeat()
            joules, _, _ = _energies(self.meter.so_far(), self.repetitions)
            mean, error = _mean(joules)
            done = len(self.repetitions)
            need = done * (error / (relative_error * mean)) ** 2 if mean > 0 else math.inf
            if need <= done:
                return
            wanted = math.ceil(min(SPARE * need, 4 * done))

    def _repeat(self):
        """One repetition; the idle is lengthened by a part of the meter's period, another one each time."""
        times = [self.clock.monotonic()]
        dither = (len(self.repetitions) * PHASE) % 1 * self.period_s
        _sleep(self.meter, self.clock, self.idle_s + dither)
        times.append(self.clock.monotonic())
        for _ in range(self.batches):
            self.run_batch()
        times.append(self.clock.monotonic())
        _sleep(self.meter, self.clock, self.idle_s)
        times.append(self.clock.monotonic())
        self.repetitions.append(Repetition(*times, self.images * self.batches))


def _sleep(meter, clock, seconds):
    """Idle, and look at the meter meanwhile, so that a failure is told at once."""
    end_s = clock.monotonic() + seconds
    while (left := end_s - clock.monotonic()) > 0:
        clock.sleep(min(left, SLICE_S))
        meter.check()


# ---------------------------------------------------------------------------------------------------------- estimates
def estimate(trace, repetitions, batches, meter, relative_error=0.02):
    """The Energy of `repetitions` (Repetition) in `trace`; `batches` ran in each. UserError as for measure."""
    joules, idle, kept = _energies(trace, repetitions)
    mean, error = _mean(joules)
    calibrated = meter.calibration is not None
    gain = meter.calibration.gain_uncertainty if calibrated else UNCALIBRATED
    half = _half_width(mean, error, len(joules), gain)
    running_s = float(np.mean([item.loop_to_s - item.loop_from_s for item in kept]))
    watt = mean * kept[0].images / running_s
    if mean - student_t(len(joules) - 1) * error <= 0:
        spread = error * kept[0].images / running_s
        found = f"running takes {watt:.3g} W more than idle, give or take {spread:.2g} W"
        raise UserError(f"{meter.name}: {found}: not to be told apart; is the meter in this board's supply?")
    warnings = list(trace.warnings)
    if not calibrated:
        warnings.append(f"the meter is not calibrated, {UNCALIBRATED:.0%} is assumed: python -m host.meters calibrate")
    if error > relative_error * mean:
        warnings.append(
            f"the standard error is {error / mean:.1%} after all the time given, {relative_error:.2%} asked"
        )
    if len(kept) < len(repetitions):
        warnings.append(f"{len(repetitions) - len(kept)} of {len(repetitions)} repetitions left out for lost samples")
    if np.ptp(idle) > 0.05 * np.mean(idle):
        warnings.append(f"idle power drifted from {idle.min():.4g} to {idle.max():.4g} W: let the board warm up")
    return Energy(
        joule_per_image=mean,
        standard_error=error,
        interval95=(mean - half, mean + half),
        kind=meter.kind,
        idle_watt=float(np.mean(idle)),
        running_watt=watt,
        seconds_per_image=running_s / kept[0].images,
        batches=batches * len(kept),
        repetitions=len(kept),
        gain_uncertainty=gain,
        meter=meter.name,
        warnings=tuple(warnings),
        trace=trace,
    )


def _energies(trace, repetitions):
    """(J an image (R,), idle W (R,), the repetitions used): those with too many lost samples are left out."""
    margin_s, gaps = _margin(trace.period_s), trace.gaps
    found = []
    for item in repetitions:
        start, end = item.idle_from_s, item.idle_to_s
        inside = np.clip(gaps, start, end)
        covered = trace.time_s[0] <= start + margin_s and end - margin_s <= trace.time_s[-1]
        if not covered or float(np.diff(inside, axis=1).sum()) > LOST_SHARE * (end - start):
            continue
        found.append((*_above_idle(trace, item, margin_s), item))
    if 3 * len(found) < 2 * len(repetitions) or len(found) < 2:
        lost = f"{len(repetitions) - len(found)} of {len(repetitions)} repetitions lack samples"
        raise UserError(f"{lost}: check the meter's cable and rate, and that this machine is not overloaded")
    joules, idle, kept = zip(*found)
    return np.array(joules), np.array(idle), kept


def _above_idle(trace, item, margin_s):
    """(J an image, idle W at the loop's middle) of one repetition."""
    before = item.idle_from_s + margin_s, item.loop_from_s - margin_s
    after = item.loop_to_s + margin_s, item.idle_to_s - margin_s
    loop = before[1], after[0]
    levels = [integral(trace, *window) / (window[1] - window[0]) for window in (before, after)]
    middles = [sum(window) / 2 for window in (before, after)]
    share = (sum(loop) / 2 - middles[0]) / (middles[1] - middles[0])
    idle = levels[0] + share * (levels[1] - levels[0])
    joule = integral(trace, *loop) - idle * (loop[1] - loop[0])
    return joule / item.images, idle


def integral(trace, start_s, end_s):
    """Energy in J between two host times: trapezoids between samples, straight lines to the two ends."""
    first, last = np.searchsorted(trace.time_s, [start_s, end_s], side="right")
    ends = np.interp([start_s, end_s], trace.time_s, trace.watt)
    times = np.concatenate([[start_s], trace.time_s[first:last], [end_s]])
    watts = np.concatenate([ends[:1], trace.watt[first:last], ends[1:]])
    return float((np.diff(times) * (watts[1:] + watts[:-1])).sum() / 2)


def _mean(joules):
    """(mean, its standard error) of the repetitions' energies (R,).

    Neighbours that are alike (slow noise that no straight line takes out) know less than their number says: the error
    grows by what an autoregression of first order makes of a significant correlation.
    """
    count, mean = len(joules), float(joules.mean())
    residual = joules - mean
    variance = float((residual**2).sum()) / (count - 1)
    correlation = float((residual[1:] * residual[:-1]).sum() / max((residual**2).sum(), 1e-300))
    if correlation > 2 / math.sqrt(count):
        variance *= (1 + min(correlation, 0.9)) / (1 - min(correlation, 0.9))
    return mean, math.sqrt(variance / count)


def _half_width(mean, error, count, gain_uncertainty):
    """Half of the 95 % interval, by the degrees of freedom of Welch and Satterthwaite; the gain's count as many."""
    combined = math.hypot(error, mean * gain_uncertainty)
    freedom = (count - 1) * (combined / error) ** 4 if error > 0 else 1e9
    return student_t(min(freedom, 1e9)) * combined


def student_t(freedom):
    """The 97.5 % point of Student's t (Abramowitz & Stegun 26.7.5; closed forms for 1 and 2), to half a percent."""
    freedom = math.floor(freedom)
    if freedom < 1:
        raise ValueError("Student's t needs 1 degree of freedom or more")
    if freedom == 1:
        return math.tan(math.pi * 0.475)
    if freedom == 2:
        return 0.95 * math.sqrt(2 / (1 - 0.95**2))
    x = NormalDist().inv_cdf(0.975)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + sum(term / freedom**power for power, term in enumerate(terms, 1))
