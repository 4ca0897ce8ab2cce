"""Faults of the board: host/run.py --backend pynq on the board in software, each time with one thing wrong.

A fault is a change of the stand-in's (bench/standin/machine.py, FAULTS), of the bitstream's files, or of the
process; see bench/fault_cases/__init__.py for what surviving means.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

from bench.fault_cases import ROOT, Case, Outcome
from bench.standin import files, hwh
from bench.standin.board import Bench
from hls import isa
from hls.errors import UserError
from host import backends
from host.board import driver, overlay
from host.board.lock import BoardLock

IMAGES = 300  # two runs of the backend, of four batches and of one
SAME = ("accuracy", "flops", "cycles", "exits")
DEADLINE_S = 30.0
SETTLE_S = 5.0


def outcome(prepare, backend="pynq"):
    """The Outcome of a run with `prepare(bench)`'s fault, and of one after it is undone; it returns how, or None."""
    expected = _expected()
    with tempfile.TemporaryDirectory() as folder, Bench(folder) as bench:
        threads = threading.active_count()
        undo = prepare(bench)
        bench.insert()
        code, _, line = found = bench.command(*_ARGV, backend=backend)
        leaked = _leaked(bench, threads)
        if code == 0:
            right = _figures(found) == expected
            code, line = (0, line or "the results are right") if right else (1, "the results are wrong")
        if undo:
            undo()
        bench.machine.faults.clear()
        files.write_build(Path(folder) / "zedboard")
        bench.insert()
        fine = _figures(bench.command(*_ARGV)) == expected and not _leaked(bench, threads)
        return Outcome(line, code, leaked, fine)


_ARGV = ("--images", IMAGES, "--json", "-")


@cache
def _expected():
    """The golden model's figures: every case has the same package and images."""
    with tempfile.TemporaryDirectory() as folder, Bench(folder) as bench:
        return _figures(bench.command(*_ARGV, backend="golden"))


def _figures(found):
    """What must be equal on every backend; the exit code and line where there is no result."""
    code, out, line = found
    if code:
        return code, line
    summary = json.loads(out)
    figures = [summary[key] for key in SAME]
    for item in figures:
        if isinstance(item, dict):
            item.pop("kind", None)  # simulated here, measured there
    return figures


def _leaked(bench, threads):
    """Buffers, a running engine, threads, the lock, accesses of the engine outside its buffers."""
    try:
        BoardLock(bench.lock).close()
        locked = 0
    except UserError:
        locked = int(bench.lock.parent.is_dir())
    end = time.monotonic() + SETTLE_S
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.001)  # the software engine's thread ends a little after the engine is done
    return bench.machine.leaks() + max(threading.active_count() - threads, 0) + locked + len(bench.machine.violations)


# ----------------------------------------------------------------------------------------------------------- the faults
def ordered(**faults):
    """Faults of the machine in software."""
    return lambda bench: bench.machine.faults.update(faults)


def late(**faults):
    """The same, with a driver that does not wait long."""

    def prepare(bench):
        bench.machine.faults.update(faults)
        return _patched(mock.patch.object(driver, "FLOOR_S", 0.5))

    return prepare


def with_interrupt(floor_s=5.0, **faults):
    """The same, with the driver waiting for the interrupt."""

    def prepare(bench):
        bench.machine.faults.update(faults)
        by_interrupt = mock.patch.dict(backends._CLASSES, pynq=partial(driver.Pynq, interrupt=True))
        return _patched(by_interrupt, mock.patch.object(driver, "FLOOR_S", floor_s))

    return prepare


def built(**options):
    """Files beside the bitstream that differ; `change` gets the .hwh's options."""

    def prepare(bench):
        text = hwh.write(overlay.read(), **options.pop("change")) if "change" in options else options.pop("text", None)
        files.write_build(bench.folder / "zedboard", text=text, **options)

    return prepare


def file_changed(name, data):
    """A file of the bitstream's with other bytes; None removes it."""

    def prepare(bench):
        path = bench.folder / "zedboard" / name
        if data is None:
            path.unlink()
        else:
            path.write_bytes(data)
        return lambda: path.unlink(missing_ok=True)

    return prepare


def without_pynq(bench):
    """pynq cannot be imported; Bench puts it back."""
    modules: Any = sys.modules
    broken = mock.patch.object(bench, "insert", lambda: modules.update(pynq=None))
    return _patched(broken)


def _patched(*patches):
    """Start them; what undoes them."""
    for patch in patches:
        patch.start()
    return lambda: [patch.stop() for patch in patches]


def between_runs(change):
    """`change(machine)` after the first run of the backend, before the second."""

    def prepare(bench):
        original = driver.Pynq.run

        def run(self, *arguments):
            if self.measured_cycles is not None:
                change(bench.machine)
            return original(self, *arguments)

        return _patched(mock.patch.object(driver.Pynq, "run", run))

    return prepare


def _loaded_again(machine):
    """By another process, which pynq does not tell this one."""
    timestamp = machine.timestamp
    machine.download(machine.hardware)
    machine.timestamp = timestamp


def interrupted_loading(bench):
    """Ctrl-C while the bitstream is loaded."""
    return _patched(mock.patch.object(bench.machine, "download", side_effect=KeyboardInterrupt))


HOLDER = """
import sys, time
from host.board.lock import BoardLock
lock = BoardLock(sys.argv[1])
print(1, flush=True)
time.sleep(60)
"""


def _holder(bench):
    argv = [sys.executable, "-c", HOLDER, str(bench.lock)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _end(process):
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def held_by_another(bench):
    """Another process drives the board; it counts as nothing held by this one."""
    process = _holder(bench)
    patch = mock.patch(f"{__name__}._leaked", lambda bench, threads: bench.machine.leaks())
    patch.start()
    return lambda: (patch.stop(), _end(process))


def killed_holder(bench):
    """Another process drove the board and was killed."""
    _end(_holder(bench))


def stale_lock(bench):
    """A lock's file of a process that is long gone."""
    bench.lock.write_text(json.dumps({"pid": 999999, "command": "gone", "since": "2024-01-01"}), encoding="utf-8")


def unusable_lock(bench):
    """No folder to put the lock in."""
    return _patched(mock.patch.object(driver, "default_path", lambda _: bench.folder / "none" / "board.lock"))


REGISTERS = hwh.engine_registers()
MOVED = REGISTERS | {"gates": REGISTERS["gates"] + 8}
OTHER_ISA = "0" * 16
_FAULTS = {
    "pynq not installed": without_pynq,
    "no device": ordered(no_device=True),
    "device of another kind": ordered(architecture=True),
    "permission denied": ordered(permission=True),
    "another chip": ordered(chip=0x02),
    "unknown chip": ordered(chip=0x1F),
    "no bitstream": file_changed("ddi.bit", None),
    "two bitstreams": file_changed("other.bit", b""),
    "bitstream cut short": built(data=files.bit()[:-5], sha256=False),
    "bitstream of another build": file_changed("ddi.bit", files.bit(data=b"\1" * 64)),
    "no hwh": file_changed("ddi.hwh", None),
    "hwh cut short": built(text=hwh.write(overlay.read())[:-4000], sha256=False),
    "hwh of another build": file_changed("ddi.hwh", hwh.write(overlay.read(), divisors=(8, 1)).encode()),
    "hwh without the engine": built(change={"leave_out": [overlay.read().engine.ip]}),
    "hwh with the engine under another name": built(change={"name": "resize_0"}),
    "hwh without a register": built(change={"registers": hwh.without(REGISTERS, "classes")}),
    "hwh with a register elsewhere": built(change={"registers": MOVED}),
    "hwh with a register too many": built(change={"registers": REGISTERS | {"gain": 0x200}}),
    "hwh with the engine elsewhere": built(change={"base": 0x43C10000}),
    "hwh without the timer": built(change={"leave_out": [overlay.read().timer.ip]}),
    "no build.json": file_changed("build.json", None),
    "build.json cut short": file_changed("build.json", b'{"isa_hash": "0'),
    "build.json without a part": file_changed("build.json", json.dumps({"isa_hash": isa.HASH}).encode()),
    "build for another contract": built(build={"isa_hash": OTHER_ISA}),
    "build for another part": built(build={"part": "xc7z010clg400-1"}),
    "build at no clock": built(build={"clock_mhz": 0}),
    "loading fails": ordered(download=1),
    "engine of another contract": ordered(hash=OTHER_ISA),
    "engine answers nonsense": ordered(handshake=77),
    "engine never idle": ordered(busy=True),
    "another clock": ordered(divisors=(10, 1)),
    "a clock's divisor is zero": ordered(divisors=(0, 1)),
    "a PLL with another factor": ordered(pll=24),
    "a board with another crystal": ordered(crystal=50_000_000),
    "timer at another rate": ordered(rate=100e6),
    "timer stands still": ordered(rate=0),
    "first batch never ends": late(never_done=1),
    "third batch never ends": late(never_done=3),
    "batch never ends and the reset fails": late(never_done=2, download=2),
    "batch never ends, by interrupt": with_interrupt(0.5, never_done=2),
    "batch ends with a status": ordered(status=isa.STATUS_BAD_START),
    "batch ends with an unknown status": ordered(status=0x5A5A),
    "an image fails": ordered(image_error=(7, isa.STATUS_BAD_WEIGHTS)),
    "records partly written": ordered(partial=11),
    "no record written": ordered(partial=0),
    "records of other images": ordered(numbers=True),
    "cache not invalidated": ordered(invalidate=True),
    "cache cannot be written back": ordered(flush_error=True),
    "out of contiguous memory": ordered(memory=3000),
    "buffer not aligned": ordered(offset=4),
    "buffer above 4 GB": ordered(address=1 << 32),
    "bus fails at once": ordered(bus=0),
    "bus fails in the handshake": ordered(bus=40),
    "bus fails in a batch": ordered(bus_at_start=2),
    "logic loaded by another during a batch": ordered(reprogram=2),
    "logic loaded again during a batch": ordered(reload=2),
    "logic loaded between batches": between_runs(lambda machine: machine.download(machine.hardware)),
    "logic loaded between batches, unseen": between_runs(_loaded_again),
    "Ctrl-C in a batch": ordered(interrupt_program=2),
    "Ctrl-C while loading": interrupted_loading,
    "held by another process": held_by_another,
    "lock cannot be made": unusable_lock,
}
_RECOVERED = {
    "memory for small batches only": ordered(memory=120_000),
    "interrupt lost": with_interrupt(lost_interrupt=True),
    "interrupt without a device": with_interrupt(no_uio=True),
    "holder killed": killed_holder,
    "stale lock": stale_lock,
}
CASES = (
    *(Case(name, partial(outcome, prepare), DEADLINE_S) for name, prepare in _FAULTS.items()),
    *(Case(name, partial(outcome, prepare), DEADLINE_S, recovers=True) for name, prepare in _RECOVERED.items()),
    Case("auto goes on without a bitstream", partial(outcome, _FAULTS["no bitstream"], "auto"), DEADLINE_S, True),
)
