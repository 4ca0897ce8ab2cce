"""A recorded trace played again as if it were a meter: `replay:FILE[?speed=1&volt=12]`.

FILE is what Trace.write_csv wrote, or what the programs of other meters export (host/meters/recorded.py).

Samples appear at the times they were recorded with, from start() on; what is run beside it is not what was measured,
so that its figures carry the kind "replayed". The end of the file is an error when more is asked for.
"""

import time

from hls.errors import UserError
from host.meters.base import Meter
from host.meters.calibration import read_calibration
from host.meters.recorded import read_csv
from host.meters.serial_line import positive, read_options

SLICE_S = 0.005
OPTIONS = ("speed", "volt", "calibration")


class ReplayMeter(Meter):
    """Plays a file; `speed` times faster than it was recorded."""

    kind = "replayed"

    def __init__(self, path, options):
        super().__init__()
        self.name = f"replay of {path}"
        settings = read_options(self.name, options, OPTIONS)
        self._speed = positive(self.name, settings, "speed", 1.0)
        self.calibration = read_calibration(settings["calibration"]) if "calibration" in settings else None
        volt = positive(self.name, settings, "volt", 0.0) if "volt" in settings else None
        self._trace = read_csv(path, volt)
        self._start_s, self._next = 0.0, 0

    def start(self):
        """Play from the first sample on."""
        self.stop_thread()
        self._start_s, self._next = time.monotonic(), 0
        super().start()

    def _sample(self, collector, deadline):
        times = self._trace.time_s
        if self._next == len(times):
            length = (times[-1] - times[0]) / self._speed
            raise UserError(f"{self.name}: ended after {length:.3g} s, more was asked for: record a longer trace")
        played_s = (time.monotonic() - self._start_s) * self._speed
        while self._next < len(times) and times[self._next] - times[0] <= played_s:
            at, self._next = self._next, self._next + 1
            host_s = self._start_s + (times[at] - times[0]) / self._speed
            collector.add(host_s, self._trace.volt[at], self._trace.ampere[at])
        time.sleep(SLICE_S)
