"""Does the printed interval of a measured energy hold the truth as often as it says? On simulated boards and meters.

    python -m bench power --json rows.jsonl

Each draw is another board (power, idle and its drift, a wave of the power within a batch), another meter (rate, noise
and its correlation in time, gain within its calibration, a clock that is off, delays on the line that jitter, samples
lost one by one and in bursts) and a truth. `host.energy.measure` runs as it does on a real one, on simulated time.
Rows: power.coverage, the share of draws whose 95 % interval holds the truth, which must be 0.93 to 0.97;
power.coverage_glitches, the same where 1 % of the samples are 0 A and 1 % are spikes; and the middle interval's width
of both. All carry the seed.
"""

import numpy as np

from host.energy.measure import measure
from host.meters.base import Meter
from host.meters.calibration import Calibration
from host.meters.trace import Collector

DRAWS = 1000
SEED = 20
LOW, HIGH = 0.93, 0.97
IMAGES = 256
GLITCHES = 0.01
WIDER = 1.2  # than without glitches, at most: they fall on idle and on loops alike, and would only widen it
SPIKE_A = (0.5, 8.0)  # above what flows, drawn evenly on a scale of ratios


def run(rows, folders, options):
    """Add the rows; SystemExit when the interval is wrong."""
    wrong = []
    for ending, glitches in (("", 0.0), ("_glitches", GLITCHES)):
        inside, widths = coverage(DRAWS, SEED, glitches)
        share = inside / DRAWS
        rows.add(f"power.coverage{ending}", share, "share", "simulated", DRAWS)
        rows.add(f"power.interval_width{ending}", float(np.median(widths)), "share of the energy", "simulated", DRAWS)
        if not LOW <= share <= HIGH:
            wrong.append(f"{share:.1%} of draws{' with glitches' if glitches else ''}")
    for row in rows.rows:
        row["seed"] = SEED
    plain, glitched = (row["value"] for row in rows.rows if "width" in row["name"])
    if glitched > WIDER * plain:
        raise SystemExit(
            f"bench: glitches make the interval {glitched / plain:.1f} times as wide: they are not left out"
        )
    if wrong:
        raise SystemExit(f"bench: the 95 % interval holds the truth in {' and '.join(wrong)}: the method is wrong")


def coverage(draws, seed, glitches=0.0):
    """(how many of `draws` intervals hold the truth, widths of the intervals as shares of the truth (draws,)).

    `glitches` is the share of samples that are 0 A, and that of spikes.
    """
    inside, widths = 0, []
    for child in np.random.SeedSequence(seed).spawn(draws):
        world = World(np.random.default_rng(child))
        meter = SimulatedMeter(world, glitches)
        energy = measure(meter, world.run_batch, IMAGES, clock=world, relative_error=world.asked)
        low, high = energy.interval95
        inside += low <= world.joule_per_image <= high
        widths.append((high - low) / world.joule_per_image)
    return inside, np.array(widths)


class World:
    """A board and simulated time: `monotonic` and `sleep` as of the module time; power follows from what has run."""

    def __init__(self, random):
        self.random, self.now = random, 1000.0
        self.batches = []  # (start, end) of each
        self.idle = random.uniform(2.3, 2.8)  # W; published for a ZedBoard: 2.569
        self.drift = random.normal(0, 2e-4)  # W a second
        self.slow_w, self.slow_hz = random.uniform(0, 5e-3), 1 / random.uniform(15, 120)  # and a slow wave of it
        self.extra = random.uniform(0.1, 1.5)  # W above idle while a batch runs
        self.wave = random.uniform(0, 0.3)  # share of `extra` that swings within a batch
        self.batch_s = IMAGES * random.uniform(0.4e-3, 3e-3)
        self.gap_s = random.uniform(0, 2e-3)  # of the host between two batches
        self.asked = random.choice([0.005, 0.01, 0.02])
        self.joule_per_image = self.extra * self.batch_s / IMAGES

    def monotonic(self):
        """Seconds of simulated time."""
        return self.now

    def sleep(self, seconds):
        """Let time pass, with what an operating system adds to it."""
        self.now += seconds + self.random.exponential(2e-4)

    def run_batch(self):
        """A batch: as long as the last one but for jitter; what it takes above idle is always the same."""
        start = self.now + self.random.exponential(1e-4)
        end = start + self.batch_s * (1 + self.random.normal(0, 1e-3))
        self.batches.append((start, end))
        self.now = end + self.random.exponential(1e-4) + self.gap_s

    def watt(self, times):
        """True power (N,) at `times` (N,), all past."""
        since_s = times - 1000.0
        power = self.idle + self.drift * since_s + self.slow_w * np.sin(2 * np.pi * self.slow_hz * since_s)
        starts, ends = np.array(self.batches).T
        index = np.searchsorted(starts, times, side="right") - 1
        inside = (index >= 0) & (times < ends[index])
        length = ends[index] - starts[index]
        phase = np.where(inside, (times - starts[index]) / length, 0)
        shape = (1 + self.wave * np.sin(2 * np.pi * phase)) * self.batch_s / length
        return power + np.where(inside, self.extra * shape, 0)


class SimulatedMeter(Meter):
    """A meter of a World: samples are made when they are asked for, and go through the real Collector and its clock."""

    name = "simulated"

    def __init__(self, world, glitches=0.0):
        super().__init__()
        random, self._world, self._glitches = world.random, world, glitches
        self._period = 1 / random.uniform(50, 500)
        self._noise = random.uniform(2e-3, 6e-2)  # W a sample
        self._memory = random.uniform(0, 0.8)  # correlation of the noise of neighbours
        self._ppm = random.normal(0, 100)
        self._lost = random.uniform(0, 0.03)
        uncertainty = random.uniform(0.001, 0.01)
        self.calibration = Calibration(1.0, 0.0, 1.0, uncertainty, 5)
        self._gain = 1 + random.normal(0, uncertainty)
        self._last_noise = 0.0

    def start(self):
        """Begin at the world's present time."""
        self._collector, self._error = Collector(), None
        self._from = self._world.monotonic()
        self._world.sleep(0.2)

    def so_far(self):
        """The trace to the present."""
        self._fill()
        return super().so_far()

    def stop(self):
        """The whole trace."""
        return self.so_far()

    def _fill(self):
        """Samples from the last one to now: taken at the meter's period, lost, delayed on their way to the host."""
        random, now = self._world.random, self._world.monotonic()
        count = int((now - self._from) / self._period)
        times = self._from + self._period * np.arange(count)
        self._from += self._period * count
        watt = self._world.watt(times) * self._gain + self._noisy(count)
        keep = random.random(count) >= self._lost
        for burst in np.flatnonzero(random.random(count) < 2e-4):
            keep[burst : burst + random.integers(5, 40)] = False
        device = (times - 1000.0) * (1 + 1e-6 * self._ppm) + 77.0
        received = np.maximum.accumulate(times + 1e-3 + random.exponential(2e-3, count))
        ampere = self._glitched(watt / 12.0)
        for at in np.flatnonzero(keep):
            self._collector.add(received[at], 12.0, ampere[at], device[at])

    def _glitched(self, ampere):
        """Some samples (N,) of 0 A, and as many with a spike on them."""
        if not self._glitches:
            return ampere
        random = self._world.random
        kind = random.random(len(ampere))
        spikes = np.exp(random.uniform(*np.log(SPIKE_A), len(ampere)))
        ampere = np.where(kind < self._glitches, 0.0, ampere)
        return np.where(kind > 1 - self._glitches, ampere + spikes, ampere)

    def _noisy(self, count):
        """Noise (count,) in W, autoregressive of first order, going on from the last call's."""
        steps = self._world.random.normal(0, self._noise * np.sqrt(1 - self._memory**2), count)
        noise, last = np.empty(count), self._last_noise
        for index, step in enumerate(steps):
            last = self._memory * last + step
            noise[index] = last
        self._last_noise = last
        return noise
