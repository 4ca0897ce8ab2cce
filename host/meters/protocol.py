"""The line protocol of the small microcontroller behind an INA219 or INA226 (firmware: docs/firmware/).

    # ddi-meter 1 ina226                      version of the protocol and sensor, at the start and once a second
    # boot brown-out                          the microcontroller started, and why
    # error no answer from the sensor         nothing can be measured
    123456789,11987.50,213.75*30              microseconds (32 bits, wraps around), mV, mA, checksum
    123461489,11987.50,ovf*54                 the sensor is at the end of its range

The checksum is the exclusive or of all characters before the `*`, in two hex digits: a line that lost its end is a
number too, only a wrong one.
"""

import re

from hls.errors import UserError

VERSION = 1
WRAP_US = 2**32
AHEAD_S = 2.0  # that the meter's clock may be ahead of the host's, once a bad oscillator is allowed for:
FAST = 1.2  # it may run that much faster (a crystal: 1.00005, an RC oscillator: 1.1)
BACK_S = 1.0  # that it may step back before it is taken for a restart
MAX_LINE = 120  # bytes; more without an end is no line
_SAMPLE = re.compile(rb"(\d{1,10}),(-?\d{1,6}(?:\.\d{1,4})?),(-?\d{1,6}(?:\.\d{1,4})?|ovf)(?:\*([0-9A-Fa-f]{2}))?")
_HEADER = re.compile(rb"# ddi-meter (\d{1,3}) [\w.-]{1,20}")
_NOTE = re.compile(rb"# (boot|error) ([ -~]{1,80})")


def checksum(body):
    """Exclusive or of the bytes of `body`."""
    value = 0
    for byte in body:
        value ^= byte
    return value


def sample_line(device_us, millivolt, milliampere):
    """The line (bytes, with its newline) that the firmware sends for a sample."""
    body = f"{device_us % WRAP_US},{millivolt:.2f},{milliampere:.2f}".encode()
    return body + b"*%02X\n" % checksum(body)


class Lines:
    """Turns bytes into samples of a Collector: what is damaged is counted, what is hopeless raises UserError."""

    def __init__(self, name, collector, need_checksum=True):
        self._name, self._collector, self._need_checksum = name, collector, need_checksum
        self._rest, self._first = b"", True
        self._clock = Clock(name)

    def feed(self, data, received_s):
        """Take what the port gave at `received_s` on the host's clock."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.strip(b"\r"), received_s)
        if len(self._rest) > MAX_LINE:
            self._collector.junk_bytes += len(self._rest)
            self._rest = b""

    def _line(self, line, received_s):
        first, self._first = self._first, False
        if not line:
            return
        if line.startswith(b"#"):
            self._remark(line)
            return
        match = _SAMPLE.fullmatch(line)
        if not match or not self._is_whole(line, match):
            # The first line was cut by opening the port in its middle; that is no damage.
            self._collector.bad += not first
            return
        if match[3] == b"ovf":
            found = "the shunt is saturated, more current than the sensor's range"
            raise UserError(f"{self._name}: {found}: use a smaller shunt or a larger range")
        device_s = self._clock.seconds(int(match[1]), received_s)
        if device_s is None:
            self._collector.dropped += 1
            return
        self._collector.add(received_s, float(match[2]) / 1e3, float(match[3]) / 1e3, device_s)

    def _is_whole(self, line, match):
        if match[4] is None:
            return not self._need_checksum
        return int(match[4], 16) == checksum(line[: match.start(4) - 1])

    def _remark(self, line):
        header, note = _HEADER.fullmatch(line), _NOTE.fullmatch(line)
        if header:
            if int(header[1]) != VERSION:
                found = f"the firmware speaks version {int(header[1])} of the line protocol"
                raise UserError(f"{self._name}: {found}, this reads {VERSION}: load docs/firmware/ again")
        elif note and note[1] == b"error":
            raise UserError(f"{self._name}: the meter reports: {note[2].decode()}: check the sensor's wiring")
        elif note and len(self._collector):
            why = note[2].decode()
            raise UserError(f"{self._name}: the meter restarted ({why}) during the run: check its supply, run again")


class Clock:
    """Seconds on the meter's clock from its 32-bit microseconds, which wrap around every 72 minutes."""

    def __init__(self, name):
        self._name = name
        self._first_us = self._last_us = self._first_s = None

    def seconds(self, device_us, received_s):
        """Seconds since the first sample, or None for a stamp that does not rise. UserError when the clock jumped."""
        if self._last_us is None:
            self._first_us = self._last_us = device_us
            self._first_s = received_s
            return 0.0
        step = (device_us - self._last_us) % WRAP_US
        if step > WRAP_US // 2:
            step -= WRAP_US
        elapsed = (self._last_us + step - self._first_us) / 1e6
        ahead = elapsed - (received_s - self._first_s) * FAST
        if step < -BACK_S * 1e6 or ahead > AHEAD_S:
            jump = step / 1e6 if step < 0 else ahead
            found = f"the meter's clock jumped by {jump:.3g} s"
            raise UserError(f"{self._name}: {found}: it restarted, check its supply (brown-out?) and run again")
        if step <= 0:
            return None
        self._last_us += step
        return elapsed
