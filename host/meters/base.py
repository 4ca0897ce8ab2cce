"""What every power meter is: samples taken in a thread of its own, from start to stop."""

import threading
import time

from hls.errors import UserError
from host.meters.trace import Collector

JOIN_S = 5.0  # the longest that a thread may take to end; each of its waits is far shorter


class Meter:
    """Samples power in a thread of its own, from start() to stop(); a context manager that gives back what it holds.

    A subclass sets `name`, `wait_s` (the longest it may be silent), and implements `_sample` and `close`. Whatever goes
    wrong in the thread is kept and raised, as UserError, by the next start, check, so_far or stop.
    """

    name = ""
    kind = "measured"  # "replayed" where the samples come from a file
    wait_s = 5.0
    calibration = None
    supply = None  # what is known of the board's (host/meters/plausible.py)

    def __init__(self):
        self._collector, self._thread, self._error = Collector(), None, None
        self._stopping = threading.Event()

    def start(self):
        """Begin sampling; returns when the first sample is there. UserError when none comes within `wait_s`."""
        self.stop_thread()
        self._collector, self._error = self._new_collector(), None
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"meter {self.name}", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + self.wait_s + 1
        while not len(self._collector) and time.monotonic() < deadline:
            self.check()
            time.sleep(0.002)
        self.check()
        if not len(self._collector):
            raise UserError(f"{self.name}: {self._collector.silence(self.wait_s)}")

    def check(self):
        """Raise the UserError that ended sampling, if one did."""
        if self._error is not None:
            self.stop_thread()
            raise UserError(self._error)

    def so_far(self):
        """The Trace since start(), while sampling goes on. UserError when sampling failed or the trace is unusable."""
        self.check()
        return self._collector.trace(self.name, self.calibration, self.supply)

    def kept(self):
        """The Trace of what came before sampling failed or was broken off; None for too little."""
        self._stopping.set()
        try:
            return self._collector.trace(self.name, self.calibration)
        except UserError:
            return None

    def stop(self):
        """End sampling: the Trace since start(). UserError when sampling failed or the trace is unusable."""
        if self._thread is None and self._error is None:
            raise UserError(f"{self.name}: stopped before it was started: call start() first")
        self.stop_thread()
        return self.so_far()

    def latest(self):
        """(host time in s, power in W) of the newest samples, or None before the first."""
        found = self._collector.latest()
        if found is None:
            return None
        time_s, volt, ampere = found
        if self.calibration is not None:
            volt, ampere = self.calibration.volt(volt), self.calibration.ampere(ampere)
        return time_s, volt * ampere

    def stop_thread(self):
        """End the thread, whatever its state; safe to call twice."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(JOIN_S)
            if thread.is_alive():
                raise UserError(f"{self.name}: its port does not answer and cannot be given back: unplug the meter")

    def close(self):
        """Give back the port or file."""
        self.stop_thread()

    def _new_collector(self):
        return Collector()

    def _sample(self, collector, deadline):
        """Add the samples that arrive, for at most a tenth of a second. UserError when the meter fails.

        `deadline` is the host time by which a sample must have come.
        """
        raise NotImplementedError

    def _run(self):
        """The thread: sample until told to stop, or until something fails."""
        collector = self._collector
        last = time.monotonic()
        try:
            while not self._stopping.is_set():
                count = len(collector)
                self._sample(collector, last + self.wait_s)
                now = time.monotonic()
                if len(collector) > count:
                    last = now
                elif now > last + self.wait_s:
                    raise UserError(f"{self.name}: {collector.silence(self.wait_s)}")
        except UserError as error:
            self._error = str(error)
        except Exception as error:  # a driver may raise anything; the thread must not die unheard
            self._error = f"{self.name}: {type(error).__name__} {' '.join(str(error).split())}: plug the meter in anew"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
