"""Faults of power meters, on pseudo-terminals that play them (bench/standin/meter.py), through the commands.

Most cases run `python -m host.meters record`; those of a whole measurement call host.energy.measure and end as the
command does. See bench/fault_cases/__init__.py for what surviving means.
"""

import contextlib
import io
import os
import sys
import tempfile
import threading
import time
from functools import cache, partial
from pathlib import Path
from unittest import mock

from bench.fault_cases import Case, Outcome
from bench.standin import joulescope
from bench.standin.meter import LanMeter, LineMeter, ScpiMeter, Unplug, noisy_idle, resend
from hls.errors import UserError
from host.board import catalog
from host.energy.measure import measure
from host.meters.__main__ import main
from host.meters.open import open_meter
from host.meters.plausible import supply_of
from host.meters.protocol import checksum
from host.meters.trace import COLUMNS

SECONDS = 0.2
DEADLINE_S = 12.0


def record(address, seconds=SECONDS):
    """(exit code, the line that the user sees) of recording for a moment."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["record", address, "--seconds", str(seconds)])
    lines = err.getvalue().splitlines() or out.getvalue().splitlines()[:1]
    return code, " | ".join(lines)


def measured(address, idle_s=None, run_batch=lambda: time.sleep(0.02), supply=None):
    """(exit code, line) of measuring an energy, as a command ends it."""
    try:
        with open_meter(address) as meter:
            meter.supply = supply
            energy = measure(meter, run_batch, 10, idle_s=idle_s, max_s=3.3)
    except UserError as error:
        return 2, str(error)
    return 0, str(energy)


def held():
    """File descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")) + threading.active_count()


def outcome(use, device=None):
    """The Outcome of `use(address)` on the faulty `device` (a context manager), and of a run on a healthy one."""
    _warm_up()
    before = held()
    with device if device is not None else contextlib.nullcontext() as faulty:
        code, line = use(faulty.address if faulty is not None else None)
    leaked = held() - before
    with LineMeter() as healthy:
        fine = record(healthy.address, 0.04)[0] == 0
    return Outcome(line, code, max(leaked, 0), fine)


@cache
def _warm_up():
    """Libraries keep a few things open from their first use on; that is no leak of a case."""
    for device in (LineMeter(), ScpiMeter()):
        with device:
            record(device.address, 0.05)


# ------------------------------------------------------------------------------------------------------------- a line
def every(count, change):
    """A fault that changes each `count`-th line."""
    return lambda index, line: change(line) if index % count == count - 1 else line


def after(count, change):
    """A fault from the line `count` on."""
    return lambda index, line: line if index < count else change(line)


def unplug(line):
    """The meter goes away."""
    raise Unplug


def stamped(line, step_us):
    """`line` with its stamp moved."""
    return resend(line, stamp=(int(line.split(b",")[0]) + step_us) % 2**32)


def overflow(line):
    """`line` of a sensor at the end of its range."""
    body = line.rpartition(b",")[0] + b",ovf"
    return body + b"*%02X\n" % checksum(body)


def garbage(line):
    """What another baud rate makes of a line: as many bytes, none of them right."""
    return bytes((7 * byte + 129) % 256 | 128 for byte in line)


def on_line(fault=None, use=record, **device):
    """The Outcome of a LineMeter with a fault."""
    return outcome(use, LineMeter(fault=fault, **device))


def on_scpi(answers, after_samples=-1, use=record, device=ScpiMeter, option="", **options):
    """The Outcome of a SCPI instrument that answers some queries otherwise; `option` is one of the address."""
    wait_s = 2.0 if "slow_s" in options else 0.4
    return outcome(lambda address: use(address + option), device(answers, after_samples, wait_s=wait_s, **options))


def on_joulescope(**options):
    """The Outcome of a Joulescope."""
    with mock.patch.dict(sys.modules, pyjoulescope_driver=joulescope.module(joulescope.Instrument(**options))):
        return outcome(lambda _: record("joulescope:?wait=0.4", 1.0))


def in_the_boards_supply(address):
    """(exit code, line) of measuring in the supply of a ZedBoard."""
    return measured(address, supply=supply_of(catalog.read()))


# --------------------------------------------------------------------------------------------------------- ports, files
def on_port(prepare):
    """The Outcome of a port that `prepare(folder)` makes: it gives an address."""
    with tempfile.TemporaryDirectory() as folder:
        return outcome(lambda _: record(prepare(Path(folder))))


def on_file(text, seconds=SECONDS, option=""):
    """The Outcome of replaying a file of `text` with an option of the address; None: there is none."""

    def use(_):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace.csv"
            if text is not None:
                path.write_text(text, encoding="utf-8")
            return record(f"replay:{path}{option}", seconds)

    return outcome(use)


def busy():
    """The Outcome of a port that another program has open."""
    import serial

    def use(address):
        with serial.Serial(address[len("serial:") :].partition("?")[0], exclusive=True):
            return record(address)

    return outcome(use, LineMeter())


def missing(module, address):
    """The Outcome of a library that is not installed."""

    def use(_):
        with mock.patch.dict(sys.modules, {module: None}):
            return record(address)

    return outcome(use)


def calibrated_by(text):
    """The Outcome of a calibration file of `text`."""

    def use(address):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "cal.json"
            path.write_text(text, encoding="utf-8")
            return record(f"{address}&calibration={path}")

    return outcome(use, LineMeter())


def plain_file(folder):
    """A file where a port should be."""
    (folder / "port").write_text("x", encoding="utf-8")
    return f"serial:{folder / 'port'}"


HEADER = ",".join(COLUMNS) + "\n"
PPK2 = "Timestamp(ms),Current(uA),D0-D7\n" + "".join(f"{10 * t}.00,{200000 + t % 3}.0,00000000\n" for t in range(11))
LONGER = partial(record, seconds=2.0)  # for a share to be known
ROWS = "".join(f"{t / 100:.2f},12,0.2{t % 7},{12 * float(f'0.2{t % 7}'):.3f},\n" for t in range(1, 12))


def _recovers(name, run):
    return Case(name, run, DEADLINE_S, recovers=True)


def _ends(name, run):
    return Case(name, run, DEADLINE_S)


CASES = [
    _recovers("a few damaged lines", partial(on_line, every(40, lambda line: line.replace(b",", b";", 1)))),
    _recovers("a firmware without a header", partial(on_line, header=b"")),
    _recovers("silent for a moment", partial(on_line, lambda index, line: None if index % 80 > 50 else line)),
    _recovers("the clock wraps around", partial(on_line, start_us=2**32 - 100_000)),
    _recovers("a stamp twice now and then", partial(on_line, every(40, lambda line: line + line))),
    _recovers("a clock that runs 10 % fast", partial(on_line, fast=1.1, use=partial(record, seconds=1.3))),
    _recovers("a sensor that is not connected", partial(on_line, watt=lambda _: 2.5)),
    _ends("garbage", partial(on_line, lambda index, line: garbage(line))),
    _ends("garbage between good lines", partial(on_line, every(3, garbage))),
    _ends("no end of a line", partial(on_line, lambda index, line: line.rstrip(b"\n"))),
    _ends("half lines", partial(on_line, every(2, lambda line: line[:9] + b"\n"))),
    _ends("lines without a checksum", partial(on_line, lambda index, line: line.split(b"*")[0] + b"\n")),
    _ends("numbers that are NaN", partial(on_line, lambda index, line: line.split(b",")[0] + b",nan,nan*00\n")),
    _ends("nothing is sent", partial(on_line, lambda index, line: None, header=b"")),
    _ends("stalled", partial(on_line, after(30, lambda line: None), use=partial(record, seconds=2.0))),
    _ends("unplugged", partial(on_line, after(30, unplug), use=partial(record, seconds=2.0))),
    _ends("unplugged before the first sample", partial(on_line, lambda index, line: unplug(line))),
    _ends("the supply browns out", partial(on_line, every(20, partial(resend, millivolt=7100.0)))),
    _ends("the meter restarts and says so", partial(on_line, every(50, lambda line: b"# boot brown-out\n" + line))),
    _ends(
        "the meter restarts in silence",
        partial(on_line, every(50, partial(stamped, step_us=-(10**8))), start_us=2 * 10**8),
    ),
    _ends("the clock jumps ahead", partial(on_line, every(50, partial(stamped, step_us=10**8)))),
    _ends("the clock stands still", partial(on_line, lambda index, line: resend(line, stamp=5))),
    _ends("the clock steps back again and again", partial(on_line, every(3, partial(stamped, step_us=-6000)))),
    _ends("the shunt is saturated", partial(on_line, every(50, overflow))),
    _ends("the sense wires are swapped", partial(on_line, watt=lambda time_s: -noisy_idle(time_s))),
    _recovers("five samples a second", partial(on_line, rate_hz=5, use=partial(record, seconds=1.0))),
    _recovers("a zero now and then", partial(on_line, every(40, partial(resend, milliampere=0.0)))),
    _recovers("a spike now and then", partial(on_line, every(40, partial(resend, milliampere=8000.0)))),
    _recovers("an impossible voltage now and then", partial(on_line, every(40, partial(resend, millivolt=99000.0)))),
    _ends("every ninth sample is zero", partial(on_line, every(9, partial(resend, milliampere=0.0)), use=LONGER)),
    _ends("the meter is in another supply", partial(on_line, volt=5.0, use=in_the_boards_supply)),
    _ends("another version of the line protocol", partial(on_line, header=b"# ddi-meter 2 ina226\n")),
    _ends(
        "the sensor does not answer",
        partial(on_line, every(50, lambda line: b"# error no answer from the sensor\n" + line)),
    ),
    _ends("no idle phase", partial(on_line, use=partial(measured, idle_s=0.01))),
    _ends("running takes no more than idle", partial(on_line, use=partial(measured, idle_s=0.17))),
    _ends(
        "a batch longer than the time given", partial(on_line, use=partial(measured, run_batch=lambda: time.sleep(0.8)))
    ),
    _ends("unplugged while measuring", partial(on_line, after(300, unplug), use=measured)),
    _ends("no such port", partial(on_port, lambda folder: f"serial:{folder / 'ttyUSB9'}")),
    _ends("a file instead of a port", partial(on_port, plain_file)),
    _ends("a folder instead of a port", partial(on_port, lambda folder: f"serial:{folder}")),
    _ends("the port is busy", busy),
    _ends("a baud rate that is no number", partial(on_port, lambda folder: "serial:/dev/null?baud=fast")),
    _ends("an unknown kind of meter", partial(on_port, lambda folder: "modbus:/dev/ttyUSB0")),
    _ends("an unknown option", partial(on_port, lambda folder: "serial:/dev/null?buad=9600")),
    _ends("pyserial is not installed", partial(missing, "serial", "serial:/dev/ttyUSB0")),
    _ends("pyvisa is not installed", partial(missing, "pyvisa", "visa:ASRL/dev/ttyUSB0::INSTR")),
    _ends("a damaged calibration", partial(calibrated_by, "{")),
    _ends("a calibration of another gain", partial(calibrated_by, '{"ampere_gain": 40}')),
    _ends("a replay that is not there", partial(on_file, None)),
    _ends("an empty replay", partial(on_file, "")),
    _ends("a replay with other columns", partial(on_file, "time,power\n1,2\n")),
    _ends("a replay with a damaged row", partial(on_file, HEADER + ROWS + "0.2,12\n")),
    _ends("a replay with a power that does not fit", partial(on_file, HEADER + ROWS + "0.2,12,0.2,9,\n")),
    _ends("a replay that goes back in time", partial(on_file, HEADER + ROWS + ROWS)),
    _ends("a replay that ends too early", partial(on_file, HEADER + ROWS, 2.0)),
    _ends("SCPI: an error instead of a number", partial(on_scpi, {b"MEAS:CURR?": b"ERROR"}, 20, use=LONGER)),
    _ends("SCPI: overload", partial(on_scpi, {b"MEAS:CURR?": b"9.9E37"}, 20, use=LONGER)),
    _ends("SCPI: no answer at all", partial(on_scpi, {b"*IDN?": None})),
    _ends("SCPI: no answer any more", partial(on_scpi, {b"MEAS:VOLT?": None}, 20, use=LONGER)),
    _ends("SCPI: unplugged", partial(on_scpi, {b"MEAS:VOLT?": Unplug}, 20, use=LONGER)),
    _recovers("SCPI: replies without an end", partial(on_scpi, {}, end=b"", option="&end=none")),
    _ends("SCPI: replies without an end, and nobody said so", partial(on_scpi, {}, end=b"")),
    _recovers("SCPI: replies with a NUL", partial(on_scpi, {}, end=b"\0\n")),
    _recovers("SCPI: replies with their units", partial(on_scpi, {b"MEAS:CURR?": b"214 mA"})),
    _recovers("SCPI: two samples a second", partial(on_scpi, {}, slow_s=0.2, use=partial(record, seconds=1.2))),
    _recovers("SCPI: on the network", partial(on_scpi, {}, device=LanMeter)),
    _ends(
        "SCPI: the network's end goes away", partial(on_scpi, {b"MEAS:VOLT?": Unplug}, 20, use=LONGER, device=LanMeter)
    ),
    _ends("SCPI: nobody listens on the network", partial(on_port, lambda _: "visa:TCPIP::127.0.0.1::9::SOCKET")),
    _recovers("Joulescope", partial(on_joulescope)),
    _ends("Joulescope: none there", partial(on_joulescope, paths=())),
    _ends("Joulescope: its own program has it", partial(on_joulescope, busy=True)),
    _ends("Joulescope: falls silent", partial(on_joulescope, fault=lambda index, value: value if index < 9 else None)),
    _ends("Joulescope: its driver is not installed", partial(missing, "pyjoulescope_driver", "joulescope:")),
    _ends("a replay of a PPK2 without the voltage", partial(on_file, PPK2)),
    _ends("a replay of a PPK2 cut short", partial(on_file, PPK2 + "110.00,\n", option="?volt=12")),
    _recovers("a replay of a PPK2", partial(on_file, PPK2, 0.05, "?volt=12")),
    _ends("SCPI: no such port", partial(on_port, lambda folder: f"visa:ASRL{folder}/x::INSTR")),
]
