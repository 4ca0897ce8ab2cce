"""The engine in the board's logic, register by register, and the timer that counts its cycles.

    engine = Engine(pynq, overlay, design)      # checks the register map; counts from then on
    engine.write(values)                        # every argument by its name in the contract
    engine.start()
    cycles = engine.wait(expected_s, deadline_s)  # of the hardware's counter; Timeout when it is late
    status, isa_hash = engine.result()

`pynq` is the module of that name. The engine's control is the one of Vitis HLS (ap_ctrl_hs): start, done (cleared by
reading it), idle.
"""

import time
import warnings
from contextlib import suppress

from hls import isa
from hls.errors import UserError
from host.board.overlay import check_block, match

START, DONE, IDLE = 1, 2, 4  # bits of the control register
WORD = 0xFFFFFFFF
SHARE_ASLEEP = 0.95  # of the expected time; the rest is polled, so that the counter is read when the engine is done
PAUSE_S = 0.0001  # between two looks at an engine that is about to be done: what the counter may be late by
SLICE_S = 0.05  # of waiting for an interrupt, between two looks: one that is lost costs no more than that


class Timeout(UserError):
    """The engine was not done by its deadline."""


class Timer:
    """AXI Timer, its two counters in cascade: 64 bits of the engine's clock, counting up from 0 on."""

    CONTROL, LOAD, COUNT, SECOND = 0x00, 0x04, 0x08, 0x10  # the second counter's registers stand SECOND further
    RELOAD, LOAD_NOW, ENABLE, CASCADE = 1 << 4, 1 << 5, 1 << 7, 1 << 11

    def __init__(self, mmio):
        self._mmio = mmio
        self.stop()
        for counter in (0, self.SECOND):
            mmio.write(counter + self.LOAD, 0)
            mmio.write(counter + self.CONTROL, self.LOAD_NOW)
            mmio.write(counter + self.CONTROL, 0)
        mmio.write(self.CONTROL, self.CASCADE | self.RELOAD | self.ENABLE)

    def read(self):
        """Cycles since construction; read again when the low half ran over between the two reads of the high one."""
        while True:
            high, low = self._mmio.read(self.SECOND + self.COUNT), self._mmio.read(self.COUNT)
            if self._mmio.read(self.SECOND + self.COUNT) == high:
                return high << 32 | low

    def stop(self):
        """Stop both counters."""
        self._mmio.write(self.CONTROL, 0)
        self._mmio.write(self.SECOND + self.CONTROL, 0)

    def rate(self, seconds):
        """(lowest, highest) frequency in Hz that counting for `seconds` allows for."""
        before, first, after = time.perf_counter(), self.read(), time.perf_counter()
        time.sleep(seconds)
        before_last, last, after_last = time.perf_counter(), self.read(), time.perf_counter()
        return (last - first) / (after_last - before), (last - first) / (before_last - after)


class Polling:
    """Waits by sleeping."""

    def __init__(self):
        self.pause = time.sleep


class Interrupt:
    """Waits for the engine's interrupt by pynq's own way, which is asyncio's event loop of the main thread.

    ValueError or RuntimeError where that cannot be had: no such pin, no UIO device, a loop that runs (a notebook).
    """

    def __init__(self, pynq, pin):
        import asyncio  # slow to load, and no other way of waiting needs it

        self._asyncio = asyncio
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._loop = asyncio.get_event_loop()  # pynq registers its device with this one, once for the process
        if self._loop.is_running():
            raise RuntimeError("an event loop is running")
        self._pin = pynq.Interrupt(pin)

    def pause(self, seconds):
        """Until the interrupt, for at most so long."""
        with suppress(self._asyncio.TimeoutError):
            self._loop.run_until_complete(self._asyncio.wait_for(self._pin.wait(), seconds))


class Engine:
    """The loaded engine. UserError when the design or its state is not as it must be."""

    def __init__(self, pynq, overlay, design):
        for block in (design.engine, design.timer):
            check_block(block, overlay.ip_dict)
        self._offsets = match(overlay.ip_dict[design.engine.ip]["registers"])
        self._mmio = pynq.MMIO(design.engine.base, design.engine.range)
        if not self._read("control") & IDLE:
            raise UserError("the engine is busy right after it was loaded: power-cycle the board")
        self.timer = Timer(pynq.MMIO(design.timer.base, design.timer.range))
        self.running, self._began, self._written = False, 0, {}
        self._waiting = Polling()

    def use_interrupt(self, pynq, pin):
        """Wait by interrupt from now on; ValueError or RuntimeError where there is none."""
        self._waiting = Interrupt(pynq, pin)
        self._write("interrupt_enable", 1)
        self._write("interrupt_global", 1)

    @property
    def by_interrupt(self):
        """Whether it waits by interrupt."""
        return isinstance(self._waiting, Interrupt)

    def write(self, values):
        """Write the arguments, all of them by name; those that are as before are not written again."""
        if set(values) != set(isa.PORTS):
            odd = sorted(set(values) ^ set(isa.PORTS))[0]
            raise UserError(f"the driver and the contract differ about the engine's argument {odd}: update host/")
        for name, value in values.items():
            if self._written.get(name) != value:
                self._write(name, value)
                self._written[name] = value

    def unchanged(self):
        """Whether the arguments are as they were written: they are not if the logic was loaded again since."""
        return all(
            self._read(name, word) == value >> 32 * word & WORD
            for name, value in self._written.items()
            for word in range(isa.REGISTERS[name][1])
        )

    def start(self):
        """Start it with the arguments written."""
        self._clear_interrupt()
        self._began, self._started = self.timer.read(), time.monotonic()
        self.running = True
        self._write("control", START)

    def wait(self, expected_s, deadline_s):
        """Cycles from the start until it is done. Timeout after `deadline_s` from the start."""
        asleep, end = self._started + SHARE_ASLEEP * expected_s, self._started + deadline_s
        while not self._finished():
            now = time.monotonic()
            if now >= end:
                raise Timeout(f"the engine was not done after {deadline_s:.1f} s")
            left = asleep - now
            pause = left if left > 0 else PAUSE_S
            if self.by_interrupt:
                pause = SLICE_S
            self._waiting.pause(min(pause, end - now))
        return self.timer.read() - self._began

    def settle(self, grace_s):
        """Whether it is idle, if need be after waiting so long."""
        end = time.monotonic() + grace_s
        while self.running and not self._finished() and time.monotonic() < end:
            time.sleep(PAUSE_S)
        return not self.running

    def result(self):
        """(status, first 8 digits of the contract's hash) that the last start returned."""
        return self._read("return"), f"{self._read('return', 1):08x}"

    def _finished(self):
        control = self._read("control")
        if control & DONE or (control & IDLE and not control & START):
            self.running = False
        return not self.running

    def _clear_interrupt(self):
        """The status is cleared by reading it or by writing it, depending on the tool's version."""
        if self._read("interrupt_status") and self._read("interrupt_status"):
            self._write("interrupt_status", 1)

    def _read(self, name, word=0):
        return int(self._mmio.read(self._offsets[name] + 4 * word))

    def _write(self, name, value):
        for word in range(isa.REGISTERS[name][1]):
            self._mmio.write(self._offsets[name] + 4 * word, int(value) >> 32 * word & WORD)
