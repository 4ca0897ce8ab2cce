"""A Joulescope JS220: `joulescope:[SERIAL][?rate=200&calibration=FILE]`, through its maker's pyjoulescope_driver.

The instrument samples a million times a second and averages without dead time; what comes are these means, `rate` a
second, stamped by its own clock. SERIAL chooses one of several, as its label has it. Its range is set to automatic.
"""

import importlib
import queue
import time
from typing import Any

from hls.errors import UserError
from host.meters.base import Meter
from host.meters.calibration import read_calibration
from host.meters.serial_line import positive, read_options

INSTALL = "pyjoulescope_driver is not installed: pip install -r requirements/joulescope.txt"
SAMPLE_HZ = 1_000_000
RATES_HZ = 1, 1000  # that the instrument is asked for
RATE_HZ = 200
SLICE_S = 0.05  # that one look may wait
OPTIONS = ("rate", "wait", "calibration")
CONTROL, VALUE = "s/stats/ctrl", "s/stats/value"


class JoulescopeMeter(Meter):
    """Means of current and voltage as the instrument sends them."""

    def __init__(self, serial, options):
        super().__init__()
        self.name = f"joulescope {serial}".strip()
        settings = read_options(self.name, options, OPTIONS)
        self.wait_s = positive(self.name, settings, "wait", 5.0)
        rate = positive(self.name, settings, "rate", RATE_HZ)
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise UserError(f"{self.name}: option rate is {rate:g}, expected {RATES_HZ[0]} to {RATES_HZ[1]}")
        self.calibration = read_calibration(settings["calibration"]) if "calibration" in settings else None
        self._means = queue.SimpleQueue()
        self._driver: Any = None
        self._driver, self._device = _open(self.name, serial)
        self.name = f"joulescope {self._device.rpartition('/')[2]}"
        try:
            self._tell("s/i/range/mode", "auto")
            self._tell("s/stats/scnt", round(SAMPLE_HZ / rate))
            self._driver.subscribe(f"{self._device}/{VALUE}", "pub", self._arrived)
            self._tell(CONTROL, 1)
        except Exception as error:
            self._driver.finalize()
            raise UserError(_gone(self.name, error)) from None

    def close(self):
        """End the thread, and give the instrument back."""
        try:
            super().close()
        finally:
            driver, self._driver = self._driver, None
            if driver is not None:
                _close(driver, self._device)

    def _tell(self, topic, value):
        self._driver.publish(f"{self._device}/{topic}", value)

    def _arrived(self, topic, value):
        """One mean, in a thread of the driver's."""
        self._means.put((time.monotonic(), value))

    def _new_collector(self):
        while not self._means.empty():  # what came before
            self._means.get()
        return super()._new_collector()

    def _sample(self, collector, deadline):
        try:
            received_s, value = self._means.get(timeout=SLICE_S)
        except queue.Empty:
            return
        try:
            volt, ampere = (float(value["signals"][name]["avg"]["value"]) for name in ("voltage", "current"))
            device_s = sum(float(end) for end in value["time"]["range"]["value"]) / 2
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{self.name}: it sends something else than means ({error}): {INSTALL}") from None
        if not (volt == volt and ampere == ampere):  # NaN: its range was changing, or its sensor was off
            collector.bad += 1
            return
        collector.add(received_s, volt, ampere, device_s)


def _open(name, serial):
    """(driver, path of the device), opened. UserError when there is none, or more than one to choose from."""
    try:
        library = importlib.import_module("pyjoulescope_driver")
    except ImportError:
        raise UserError(INSTALL) from None
    try:
        driver = library.Driver()
    except Exception as error:
        raise UserError(_gone(name, error)) from None
    try:
        found = [path for path in driver.device_paths() if "/js220/" in path]
        chosen = [path for path in found if not serial or path.rpartition("/")[2] == serial]
        if len(chosen) != 1:
            listed = ", ".join(path.rpartition("/")[2] for path in found) or "none"
            remedy = "plug it in (and its udev rules)" if not found else "give one, joulescope:SERIAL"
            raise UserError(f"{name}: the JS220 found here: {listed}, expected one: {remedy}")
        driver.open(chosen[0], "defaults")
        return driver, chosen[0]
    except UserError:
        driver.finalize()
        raise
    except Exception as error:
        driver.finalize()
        text = " ".join(str(error).split())[:100]
        raise UserError(f"{name} cannot be opened ({text}): close other programs that use it, like its own") from None


def _close(driver, device):
    try:
        driver.publish(f"{device}/{CONTROL}", 0)
        driver.close(device)
    except Exception:  # it was unplugged, which was told
        pass
    finally:
        driver.finalize()


def _gone(name, error):
    return f"{name}: it failed ({' '.join(str(error).split())[:100]}): was it unplugged? plug it in and run again"
