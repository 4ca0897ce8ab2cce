"""A meter on a serial line: `serial:/dev/ttyUSB0[?baud=115200&wait=5&checksum=no&calibration=FILE]`.

It speaks the lines of host/meters/protocol.py; docs/power.md has wiring and firmware.
"""

import shutil
import time

from hls.errors import UserError
from host.meters.base import Meter
from host.meters.calibration import read_calibration
from host.meters.protocol import Lines
from host.meters.trace import Collector

BAUD = 115200
INSTALL = "pyserial is not installed: pip install pyserial==3.5"
SLICE_S = 0.05  # that one read may wait
SETTLE_S = 0.06  # from opening a port until what was under way before it has come: USB hands over every 16 ms
OPTIONS = ("baud", "wait", "checksum", "calibration")


class SerialMeter(Meter):
    """Reads lines of time, mV and mA. Opening waits for nothing: start() does."""

    def __init__(self, port, options):
        super().__init__()
        self.name = port
        settings = read_options(port, options, OPTIONS)
        self.wait_s = positive(port, settings, "wait", 5.0)
        self._need_checksum = settings.get("checksum", "yes") != "no"
        self.calibration = read_calibration(settings["calibration"]) if "calibration" in settings else None
        self._port = _open(port, int(positive(port, settings, "baud", BAUD)))
        self._opened_s = time.monotonic()
        self._lines = Lines(port, self._collector, self._need_checksum)

    def close(self):
        """End the thread and close the port."""
        try:
            super().close()
        finally:
            self._port.close()

    def _new_collector(self):
        collector = Collector()
        self._lines = Lines(self.name, collector, self._need_checksum)
        self._flush()
        return collector

    def _flush(self):
        """Drop what lies in the port's buffer: old samples.

        Opening the port restarts an Arduino, whose last samples before it would make that a restart during the run.
        """
        time.sleep(max(self._opened_s + SETTLE_S - time.monotonic(), 0))
        try:
            self._port.reset_input_buffer()
        except Exception as error:  # termios.error is no OSError
            raise UserError(_gone(self.name, error)) from None

    def _sample(self, collector, deadline):
        try:
            data = self._port.read(1)
            data += self._port.read(self._port.in_waiting) if data else b""
        except Exception as error:  # pyserial lets OSError, termios.error and TypeError through when a port goes
            raise UserError(_gone(self.name, error)) from None
        if data:
            self._lines.feed(data, time.monotonic())


def _gone(name, error):
    return f"{name}: the port failed ({' '.join(str(error).split())}): was it unplugged? plug it in and run again"


def _open(port, baud):
    try:
        import serial
    except ImportError:
        raise UserError(INSTALL) from None
    try:
        return serial.Serial(port, baud, timeout=SLICE_S, exclusive=True)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise UserError(f"{port} cannot be opened: {_why(error)}") from None


def _why(error):
    """What is wrong with a port, and what to do, from the error that opening it gave."""
    text = " ".join(str(error).split())
    code = getattr(error, "errno", None)
    if code == 2 or "No such file" in text:
        return f"there is no such port: look at ls /dev/ttyUSB* /dev/ttyACM*, or plug the meter in{braille()}"
    if code in (1, 13) or "Permission" in text:
        return "permission denied: add yourself to the group dialout, and log in again"
    if code in (11, 16) or "exclusively lock" in text or "busy" in text:
        return "another program has it open: close that one (fuser shows which)"
    if code in (21, 25) or "ioctl" in text or "directory" in text:
        return "it is no serial port: look at ls /dev/ttyUSB* /dev/ttyACM*"
    return f"{text}: expected a serial port"


def braille():
    """A hint, where a program for Braille displays is installed that takes USB adapters for one; else nothing."""
    taker = shutil.which("brltty", path="/usr/bin:/usr/sbin:/bin:/sbin")
    return " (brltty is installed, which takes many USB adapters away: apt-get remove brltty)" if taker else ""


def read_options(name, options, known):
    """The options of a meter, checked against those it knows."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UserError(f"{name}: unknown option {unknown[0]!r}: expected {', '.join(known)}")
    return options


def positive(name, options, key, default):
    """An option that is a number above zero."""
    try:
        value = float(options.get(key, default))
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise UserError(f"{name}: option {key} is {options[key]!r}, expected a number above 0")
    return value
