"""The part of pyjoulescope_driver that a JS220 needs, with 2.2's names, and an instrument in software behind it.

sys.modules["pyjoulescope_driver"] = module(Instrument(watt=lambda time_s: 2.5))
"""

import threading
import time
import types
from typing import Any

from bench.standin.meter import noisy_idle

SAMPLE_HZ = 1_000_000


class Instrument:
    """A JS220: sends means of `watt` over 1 / rate, from the time that it is told to.

    `fault` (index, value) → what is sent instead; None falls silent. `paths` are those that the driver lists.
    """

    def __init__(self, watt=noisy_idle, volt=12.0, fault=None, paths=("u/js220/000123",), busy=False):
        self.watt, self.volt, self.fault, self.paths, self.busy = watt, volt, fault, list(paths), busy
        self.opened, self.told = [], {}
        self._stop, self._thread, self._listener = threading.Event(), None, None

    def publish(self, topic, value):
        """A setting; the control of statistics starts and ends sending."""
        self.told[topic.rpartition("/s/")[2]] = value
        if topic.endswith("stats/ctrl"):
            self.stop()
            if value:
                self._stop.clear()
                self._thread = threading.Thread(target=self._send, daemon=True)
                self._thread.start()

    def listen(self, function):
        self._listener = function

    def stop(self):
        """End sending."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()

    def _send(self):
        period_s, began, index = self.told["stats/scnt"] / SAMPLE_HZ, time.monotonic(), 0
        while not self._stop.wait(max(began + (index + 1) * period_s - time.monotonic(), 0)):
            value: Any = self._mean(began, index, period_s)
            value = self.fault(index, value) if self.fault else value
            if value is not None and self._listener is not None:
                self._listener("u/js220/000123/s/stats/value", value)
            index += 1

    def _mean(self, began, index, period_s):
        watt = self.watt(began + (index + 0.5) * period_s)
        signals = {"current": watt / self.volt, "voltage": self.volt, "power": watt}
        ends = [index * period_s, (index + 1) * period_s]
        times = {"range": {"value": ends, "units": "s"}, "sample_freq": {"value": SAMPLE_HZ, "units": "Hz"}}
        return {"time": times, "signals": {name: {"avg": {"value": value}} for name, value in signals.items()}}


def module(instrument):
    """A module object named pyjoulescope_driver that drives `instrument`."""
    found: Any = types.ModuleType("pyjoulescope_driver")

    class Driver:
        def device_paths(self, timeout=None):
            return list(instrument.paths)

        def open(self, device_prefix, mode=None, timeout=None):
            if instrument.busy:
                raise TimeoutError(f"jsdrv_open timed out | {device_prefix}")
            instrument.opened.append(device_prefix)

        def close(self, device_prefix, timeout=None):
            instrument.opened.remove(device_prefix)

        def publish(self, topic, value, timeout=None):
            instrument.publish(topic, value)

        def subscribe(self, topic, flags, fn, timeout=None):
            instrument.listen(fn)

        def finalize(self, timeout=None):
            instrument.stop()

    found.Driver = Driver
    return found
