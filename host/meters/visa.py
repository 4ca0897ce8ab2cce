"""SCPI instruments, through pyvisa-py: `visa:ASRL/dev/ttyUSB1::INSTR[?volt=MEAS:VOLT?&current=MEAS:CURR?]` on a serial
line, `visa:TCPIP::192.168.1.5::5025::SOCKET` on the network.

Two queries make a sample, stamped at the middle of its time on the host's clock. Other options: `wait` (s), `baud`,
`library` (of pyvisa; @py is the default), `end` (lf, cr, crlf, nul, or none for replies that just end), `calibration`.
A laboratory supply or multimeter gives 1 to 50 samples a second: enough for averages over seconds, nothing finer.
"""

import re
import time
from typing import Any

from hls.errors import UserError
from host.meters.base import Meter
from host.meters.calibration import read_calibration
from host.meters.serial_line import positive, read_options

INSTALL = "pyvisa and pyvisa-py are not installed: pip install pyvisa==1.16.0 pyvisa-py==0.8.1 pyserial==3.5"
OPTIONS = ("volt", "current", "wait", "baud", "library", "end", "calibration")
ENDS = {"lf": "\n", "cr": "\r", "crlf": "\r\n", "nul": "\0", "none": ""}
QUIET_MS = 60  # without a byte, after which a reply without an end is taken to be whole
REPLY = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(m|u|µ)?([VA])?", re.IGNORECASE)
SCALES = {"m": 1e-3, "u": 1e-6, "µ": 1e-6}
LONGEST = 200  # bytes of a reply
OVERLOAD = 9e37  # SCPI: 9.9E37 is infinity, 9.91E37 is not a number


class VisaMeter(Meter):
    """Asks a SCPI instrument for voltage and current, again and again."""

    def __init__(self, resource, options):
        super().__init__()
        settings = read_options(resource, options, OPTIONS)
        self.name = resource
        self.wait_s = positive(resource, settings, "wait", 2.0)
        self.calibration = read_calibration(settings["calibration"]) if "calibration" in settings else None
        self._volt, self._current = settings.get("volt", "MEAS:VOLT?"), settings.get("current", "MEAS:CURR?")
        self._endless = settings.get("end") == "none"
        self._manager, self._instrument = _open(resource, settings, self.wait_s)
        try:
            self.name = f"{resource} ({' '.join(self._ask('*IDN?').split())[:60]})"
        except UserError:
            self.close()
            raise

    def close(self):
        """End the thread and give back the instrument."""
        try:
            super().close()
        finally:
            for thing in (self._instrument, self._manager):
                thing.close()

    def _sample(self, collector, deadline):
        before = time.monotonic()
        volt, ampere = self._number(self._volt), self._number(self._current)
        collector.add((before + time.monotonic()) / 2, volt, ampere)

    def _number(self, query):
        answer = self._ask(query).strip(" \t\r\n\0")
        found = REPLY.fullmatch(answer)
        value = float(found[1]) * SCALES.get((found[2] or "").lower(), 1) if found else None
        if value is not None and abs(value) < OVERLOAD:
            return value
        try:
            reason = " ".join(self._ask("SYST:ERR?").split())[:80]
        except UserError:
            reason = "no reason given"
        what = f"the answer {answer[:40]!r}" if value is None else "overload"
        raise UserError(f"{self.name}: {query} gives {what} ({reason}), expected a number: check range and query")

    def _ask(self, query):
        try:
            if not self._endless:
                return self._instrument.query(query)
            self._instrument.write(query)
            return self._until_quiet()
        except Exception as error:  # VisaIOError, SerialException, OSError, UnicodeDecodeError: as many as drivers
            text = " ".join(str(error).split())[:80]
            if "TMO" in text or "imeout" in text:
                found = f"no answer to {query} in {self.wait_s:g} s: check its cable, `baud` and `end` (lf, …, none)"
            else:
                found = f"{query} failed ({text}): was it unplugged? plug it in and run again"
            raise UserError(f"{self.name}: {found}") from None

    def _until_quiet(self):
        """A reply that nothing ends: bytes until none comes for QUIET_MS. The first one is waited for."""
        instrument, reply = self._instrument, b""
        try:
            while len(reply) < LONGEST:
                reply += instrument.read_bytes(1, chunk_size=1)
                instrument.timeout = QUIET_MS
        except Exception as error:
            if not reply or "TMO" not in str(error):
                raise
        finally:
            instrument.timeout = self.wait_s * 1e3
        return reply.decode("latin-1")


def _open(resource, settings, wait_s):
    """(resource manager, instrument), with its timeouts set."""
    if settings.get("end", "lf") not in ENDS:
        raise UserError(f"{resource}: option end is {settings['end']!r}, expected {', '.join(ENDS)}")
    try:
        import pyvisa
    except ImportError:
        raise UserError(INSTALL) from None
    try:
        manager = pyvisa.ResourceManager(settings.get("library", "@py"))
    except Exception as error:  # a missing library is a ValueError or an OSError, by its version
        raise UserError(f"pyvisa has no such library ({' '.join(str(error).split())[:80]}): {INSTALL}") from None
    try:
        end = ENDS[settings.get("end", "lf")]
        details: dict[str, Any] = {"timeout": wait_s * 1e3, "write_termination": end if end.strip("\0") else "\n"}
        details["read_termination"] = end or None
        if "baud" in settings:
            details["baud_rate"] = int(positive(resource, settings, "baud", 9600))
        return manager, manager.open_resource(resource, **details)
    except Exception as error:
        manager.close()
        if isinstance(error, UserError):
            raise
        text = " ".join(str(error).split())[:100]
        raise UserError(f"{resource} cannot be opened ({text}): check the port's name and who has it open") from None
