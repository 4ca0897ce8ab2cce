"""Traces of power: what a meter saw, on the host's clock, and the CSV that keeps it.

    trace = collector.trace("meter")   # of a meter's samples; trace.write_csv("trace.csv") keeps all of them
    trace.gaps, trace.drift_ppm        # samples lost, and how fast the meter's clock runs

A meter with a clock of its own stamps samples when they are taken; the host sees them later, by a delay that jitters
but is never negative. The meter's clock is therefore laid on the host's by a line through the least delayed samples.
"""

import math
import threading
from array import array
from collections import deque
from dataclasses import dataclass, field, replace

import numpy as np

from hls.command import outputs
from hls.errors import UserError
from host.meters.plausible import plausible

COLUMNS = ("time_s", "voltage_V", "current_A", "power_W", "device_time_s")
MAX_SAMPLES = 4_000_000  # of a trace: more than an hour at 1 kHz
GAP = 2.5  # periods without a sample that make a gap
HOST_GAP = 5.0  # the same where the host's clock stamps samples, which is less even
BAD_SHARE = 0.05  # of damaged lines or of samples that cannot be, above which nothing is believed
WINDOWS = 24  # of the fit of clocks: the least delayed sample of each
NEWEST = 3  # samples of which the middle one is told as the latest
STUCK = 100  # equal samples in a row that no noisy sensor gives
DRIFT_PPM = 20_000  # a clock worse than any crystal or resonator


@dataclass(frozen=True)
class Trace:
    """Samples in the order of time: arrays (N,) float64. `drift_ppm` is NaN where the meter has no clock of its own."""

    time_s: np.ndarray  # the host's monotonic clock
    volt: np.ndarray
    ampere: np.ndarray
    watt: np.ndarray
    device_s: np.ndarray | None = None  # the meter's own clock
    drift_ppm: float = float("nan")  # > 0: the meter's clock runs fast
    warnings: tuple = field(default=())
    seen: "Trace | None" = None  # the same with the samples that were left out, where there were any

    @property
    def period_s(self):
        """The usual time between two samples."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else float("inf")

    @property
    def gaps(self):
        """(M, 2) float64: the times between which samples are missing."""
        steps = np.diff(self.time_s)
        least = GAP if self.device_s is not None else HOST_GAP
        at = np.flatnonzero(steps > least * self.period_s)
        return np.stack([self.time_s[at], self.time_s[at + 1]], axis=1)

    def between(self, start_s, end_s):
        """The part of the trace in [start_s, end_s]."""
        keep = slice(*np.searchsorted(self.time_s, [start_s, end_s]))
        device = None if self.device_s is None else self.device_s[keep]
        arrays = {name: getattr(self, name)[keep] for name in ("time_s", "volt", "ampere", "watt")}
        return replace(self, **arrays, device_s=device, seen=None)

    def only(self, keep):
        """Without the samples that `keep` (N,) leaves out, which stay in `seen`."""
        if keep.all():
            return self
        arrays = {name: getattr(self, name)[keep] for name in ("time_s", "volt", "ampere", "watt")}
        device = None if self.device_s is None else self.device_s[keep]
        return replace(self, **arrays, device_s=device, seen=self)

    def write_csv(self, target):
        """Write all that was seen to a path or an Output (hls/command/outputs.py). OutputError."""
        outputs.write(target, self.csv())

    def csv(self):
        """All that was seen as CSV; device_time_s is empty where the meter has no clock."""
        seen = self.seen or self
        device = seen.device_s if seen.device_s is not None else np.full(len(seen.time_s), np.nan)
        rows = [",".join(COLUMNS)]
        for values in zip(seen.time_s, seen.volt, seen.ampere, seen.watt, device):
            rows.append(_row(values))
        return "\n".join(rows) + "\n"


def _row(values):
    time_s, volt, ampere, watt, device_s = values
    device = "" if np.isnan(device_s) else f"{device_s:.6f}"
    return f"{time_s:.6f},{volt:.6f},{ampere:.7f},{watt:.7f},{device}"


def align(device_s, received_s):
    """(host time of each sample, drift in ppm) from the meter's stamps and when the host received them, both (N,) s.

    The delay is never negative and near its least now and then: a straight line by least squares through the least
    delayed sample of each of WINDOWS stretches. With less than a second of samples the clocks are taken to run alike.
    """
    delay = received_s - device_s
    if len(device_s) < 2 * WINDOWS or device_s[-1] - device_s[0] < 1.0:
        return device_s + delay.min(), float("nan")
    parts = np.array_split(np.arange(len(device_s)), WINDOWS)
    since_s = device_s - device_s[0]
    slope, offset = 0.0, 0.0
    for _ in range(3):  # with a clock far off, which sample is the least delayed is known once the slope is
        late = delay - slope * since_s
        best = np.array([part[np.argmin(late[part])] for part in parts])
        slope, offset = np.polyfit(since_s[best], delay[best], 1)
    return device_s + offset + slope * since_s, float((1 / (1 + slope) - 1) * 1e6)


class Collector:
    """Where a meter's thread puts samples and other threads look at them; 32 bytes a sample."""

    def __init__(self):
        self.bad = self.dropped = self.junk_bytes = 0  # damaged lines, lines out of order, bytes that are no line
        self._columns = [array("d") for _ in range(4)]  # device_s (NaN without a clock), received_s, volt, ampere
        self._newest = deque(maxlen=NEWEST)
        self._lock = threading.Lock()

    def __len__(self):
        return len(self._columns[0])

    def add(self, received_s, volt, ampere, device_s=float("nan")):
        """Keep one sample, received at `received_s` on the host's clock. UserError past MAX_SAMPLES."""
        if len(self) >= MAX_SAMPLES:
            raise UserError(f"the trace has {MAX_SAMPLES:,} samples, the most that are kept: measure in shorter runs")
        with self._lock:
            for column, value in zip(self._columns, (device_s, received_s, volt, ampere)):
                column.append(value)
            self._newest.append((received_s, volt, ampere))

    def latest(self):
        """(received_s, volt, ampere) of the newest sample, each the middle one of the last few; None without any.

        A single sample that cannot be goes by unseen.
        """
        with self._lock:
            newest = list(self._newest)
        if not newest:
            return None
        _, volt, ampere = sorted(newest, key=lambda sample: sample[1] * sample[2])[len(newest) // 2]
        return newest[-1][0], volt, ampere

    def silence(self, wait_s):
        """What to say when no sample came for `wait_s`."""
        if self.bad or self.junk_bytes:
            junk = f"{self.bad} damaged lines and {self.junk_bytes} bytes that are no line"
            return f"{junk} but no sample in {wait_s:g} s: the baud rate or the firmware is another, see docs/power.md"
        return f"no sample for {wait_s:g} s: is it powered, and is this its port? see docs/power.md"

    def trace(self, name, calibration=None, supply=None):
        """The samples as a Trace, checked: UserError for one that cannot be believed, warnings for what was mended.

        Samples that cannot be (host/meters/plausible.py) are left out and counted; `supply` is what is known of it.
        """
        with self._lock:
            device_s, received_s, volt, ampere = (np.array(column) for column in self._columns)
        if len(volt) < 2:
            raise UserError(f"{name}: {len(volt)} samples, expected 2 or more: measure for longer")
        if calibration is not None:
            volt, ampere = calibration.volt(volt), calibration.ampere(ampere)
        own_clock = not np.isnan(device_s).any()
        time_s, drift = align(device_s, received_s) if own_clock else (received_s, float("nan"))
        device = device_s if own_clock else None
        trace = Trace(time_s, volt, ampere, volt * ampere, device, drift)
        _check(name, trace, self)
        trace = trace.only(plausible(volt, ampere, supply))
        _check_left(name, trace, supply)
        return replace(trace, warnings=tuple(_warnings(trace, self)))


def _check(name, trace, collector):
    """UserError for what makes a trace worthless."""
    lines = len(trace.time_s) + collector.bad
    if collector.bad > max(BAD_SHARE * lines, 3):
        raise UserError(f"{name}: {collector.bad} of {lines} lines are damaged: check cable, ground and baud rate")
    if collector.dropped > max(BAD_SHARE * lines, 3):
        found = f"{collector.dropped} of {lines} samples have a time not after the one before"
        raise UserError(f"{name}: {found}: expected a rising clock, check the firmware")
    if np.median(trace.ampere) < 0:
        found = f"the current is negative ({np.median(trace.ampere):.4g} A)"
        raise UserError(f"{name}: {found}: swap the two sense wires, or calibrate its offset (docs/power.md)")


def _check_left(name, trace, supply):
    """UserError when too many samples cannot be, or the supply gave way."""
    seen, lost = trace.seen or trace, _left_out(trace)
    allowed = BAD_SHARE * len(seen.time_s)
    if lost > allowed + 3 * math.sqrt(allowed):  # what chance may add
        usual = f"{np.median(seen.volt):.4g} V, {np.median(seen.ampere):.4g} A"
        known = f", the board's supply is {supply.volt:g} V" if supply and supply.volt else ""
        raise UserError(
            f"{name}: {lost} of {len(seen.time_s)} samples cannot be (usual: {usual}{known}): check the sensor, its "
            "wires, and that it is in this board's supply"
        )
    usual = np.median(trace.volt)
    if (trace.volt < 0.8 * usual).any():
        found = f"the supply fell to {trace.volt.min():.3g} V from {usual:.3g} V"
        raise UserError(f"{name}: {found}, a brown-out: use a stronger supply and shorter leads")


def _left_out(trace):
    """How many samples were left out because they cannot be."""
    return len(trace.seen.time_s) - len(trace.time_s) if trace.seen else 0


def _warnings(trace, collector):
    """Sentences on what is worth knowing of a trace that can be used."""
    gaps = trace.gaps
    if len(gaps):
        lost = float((gaps[:, 1] - gaps[:, 0]).sum())
        yield f"gaps in the samples: {len(gaps)}, {lost:.3g} s in all, bridged by straight lines"
    if collector.bad:
        yield f"{collector.bad} damaged lines left out"
    if _left_out(trace):
        yield f"{_left_out(trace)} of {len(trace.seen.time_s)} samples left out that cannot be: see docs/power.md"
    if collector.dropped:
        yield f"{collector.dropped} samples with a time not after the one before left out"
    if abs(trace.drift_ppm) > DRIFT_PPM:
        yield f"the meter's clock is off by {trace.drift_ppm / 1e4:.1f} %, corrected by the host's"
    if _longest_run(trace.watt) >= STUCK:
        yield f"{_longest_run(trace.watt)} equal samples in a row: is the sensor connected?"


def _longest_run(values):
    """The most equal values in a row."""
    changes = np.flatnonzero(np.diff(values) != 0)
    return int(np.diff(np.concatenate([[-1], changes, [len(values) - 1]])).max())
