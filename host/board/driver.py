"""The engine on a board, through pynq (3.0 or 3.1 on a Zynq-7000; its Python 3.10 and numpy 1.x are enough).

    with Pynq() as board:                              # loads bitstreams/zedboard/, checks it, takes the board's lock
        records = board.run(package, images, start)    # (N, words) int32
        board.measured_cycles, board.busy_share        # of that run: (N,) by the hardware's counter; share of its time

While the engine runs one batch, the processor fetches the records of the one before and puts the images of the next
one in place: there are two sets of buffers. A package's program, weights and tables stay where they are for as long as
the same package runs.
"""

import time
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from hls import isa
from hls.errors import UserError
from hls.pool import Pool, fresh
from hls.record import check_start, explain, not_run, scalars, words
from host.backend import Backend
from host.board import catalog, overlay
from host.board.buffers import Buffers, OutOfMemory
from host.board.engine import Engine, Timeout
from host.board.lock import BoardLock, default_path
from host.board.machine import check_chip, check_clock, module, told
from host.board.ports import BATCHED, CONSTANT, MEMORY, SCRATCH, charges_at, check_ports, room

BATCH = 64  # images a start: each set of buffers holds so many
MARGIN = 10  # the engine may take so many times what the schedule models
FLOOR_S = 2.0  # and that much longer, whatever it runs
HANDSHAKE_S = 1.0
GRACE_S = 0.5  # for a batch that runs when something else went wrong
STATUS, IMAGE = isa.RECORD.index("status"), isa.RECORD.index("image")
UNWRITTEN = -1  # in the status of a record that the engine has not written


class Pynq(Backend):
    """The board's engine, ready to run. BackendMissing where there is no board or no bitstream."""

    name = "pynq"
    measured_cycles: Any = None  # (N,) float64, of the last run: each image's share of its batch, as counted
    busy_share = None  # of the time of the last run, 0 … 1: while the engine was running

    def __init__(self, threads=1, board=catalog.DEFAULT, interrupt=False):
        self._board, self._interrupt = board, interrupt
        self._stack, self._package = ExitStack(), None
        self._engine: Any = None
        self._overlay: Any = None
        self._buffers: Any = None
        self._cycles_an_image, self._busy_s = 0.0, 0.0
        try:
            check_ports(isa.PORTS)
            self._facts = catalog.read(board)
            self._design = overlay.read()
            self._pynq = module()
            self._build = overlay.find(overlay.BITSTREAMS / board, board)
            self._stack.enter_context(BoardLock(default_path(board)))
            self._buffers = self._stack.enter_context(Buffers(self._pynq, self._design.alignment))
            self._connect()
        except BaseException as error:
            self._close(error)
            raise
        self.title = f"{self._facts.title} (engine at {self.clock_hz / 1e6:.4g} MHz{self._waits()})"
        self.version = f"contract {isa.HASH}, bitstream {self._build.bit.name} of commit {self._build.commit}"

    def run(self, package, images, start, history=None):
        """Records (N, words) int32 of uint8 images (N, height, width, channels). UserError when it fails.

        The pool's charges stay in the engine's memory from batch to batch; `history` has them before and after.
        """
        history = _checked_history(package, images, start, history)
        began, self._busy_s, self.busy_share = time.perf_counter(), 0.0, None
        self.measured_cycles = np.zeros(len(images))
        try:
            if self._engine is None:
                self._connect()
            with told("running the engine"):
                self._check_untouched()
                records = self._run(package, images, start, history)
        except BaseException as error:
            self._abandon(error)
            raise
        self.busy_share = min(self._busy_s / (time.perf_counter() - began), 1.0)
        return records

    def close(self):
        """Stop what runs; give back buffers and lock."""
        self._close(None)

    def _close(self, error):
        with self._stack:
            if self._engine is not None and self._engine.running:
                self._abandon(error)
            engine, self._engine = self._engine, None
            if engine is not None:
                with suppress(Exception):  # a bus that fails here has failed before, and was told
                    engine.timer.stop()

    # ------------------------------------------------------------------------------------------------------- the board
    def _connect(self):
        """Load the bitstream and check that what runs there is this contract's engine at its clock."""
        with told("looking at the chip"):
            check_chip(self._pynq, self._build.part)
        with told(f"loading {self._build.bit.name}", "copy its .bit and .hwh anew, or restart the board"):
            self._overlay = self._pynq.Overlay(str(self._build.bit))
        with told("looking at the engine"):
            engine = Engine(self._pynq, self._overlay, self._design)
            expected = self._facts.crystal_hz, self._build.clock_hz, self._design.clock_tolerance
            clock = check_clock(self._pynq, engine.timer, *expected)
        self.clock_hz = clock
        with told("asking the engine for its contract"):
            self._handshake(engine)
        if self._interrupt:
            with suppress(ValueError, RuntimeError):  # then by polling
                engine.use_interrupt(self._pynq, self._design.interrupt)
        self._engine = engine

    def _waits(self):
        """What a report says of an interrupt that was asked for."""
        if not self._interrupt:
            return ""
        return ", by interrupt" if self._engine.by_interrupt else ", polled: its interrupt is not to be had"

    def _handshake(self, engine):
        """A start with no image asks for the contract's hash."""
        self._engine = engine  # so that it is stopped if this fails
        engine.write(dict.fromkeys(isa.PORTS, 0))
        engine.start()
        engine.wait(0.0, HANDSHAKE_S)
        status, found = engine.result()
        if found != isa.HASH[:8]:
            raise UserError(f"the engine answers with contract {found}…, this is {isa.HASH}: {overlay.AGAIN}")
        if status != isa.STATUS_BAD_START:
            raise UserError(
                f"the engine answers an empty start with status {status}, expected BAD_START: {overlay.AGAIN}"
            )

    def _check_untouched(self):
        """Nobody has loaded another design, or this one again, since this process did."""
        if not self._overlay.is_loaded() or not self._engine.unchanged():
            engine, self._engine = self._engine, None
            engine.running = False
            raise UserError("another program has loaded the board's logic meanwhile: end it, then run again")

    def _abandon(self, error):
        """After a failure: no engine left running, no buffer left held. A late engine is stopped by loading it anew."""
        engine = self._engine
        try:
            if engine is not None and engine.running and not _settles(engine, error):
                self._engine = None
                self._overlay.download()
        except Exception as failure:
            self._engine = None
            text = f"{overlay.line(error) if error else 'the engine runs on'}; stopping it failed too"
            raise UserError(f"{text} ({overlay.line(failure)}): power-cycle the board") from None
        finally:
            self._package = None
            if self._buffers is not None:
                self._buffers.close()

    # ---------------------------------------------------------------------------------------------------------- a run
    def _run(self, package, images, start, history):
        """Batches in two sets of buffers, in turn; after the first image that failed, the others are not run."""
        self._load(package)
        size = self._make_sets(len(images), images[0].size, start)
        self._put_history(start, history)
        records = np.empty((len(images), words(start.gates, start.classes)), np.int32)
        spans = [(at, min(at + size, len(images))) for at in range(0, len(images), size)]
        previous, done = None, 0
        self._put(0, images[: spans[0][1]])
        for number, (at, end) in enumerate(spans):
            self._start(number % 2, package, images[at:end], start)
            if previous is not None:
                done = self._fetch((number - 1) % 2, *previous, records)
            if number + 1 < len(spans) and done == at:
                self._put((number + 1) % 2, images[slice(*spans[number + 1])])
            self._wait(at, end, package, start)
            if done < at:
                break
            previous = at, end
        else:
            done = self._fetch((len(spans) - 1) % 2, *spans[-1], records)
        for image in range(done, len(images)):
            records[image] = not_run(image, start)
        self._fetch_history(start, history)
        return records

    def _load(self, package):
        """The package's arrays in buffers, unless they are there already."""
        if self._package is package:
            return
        for name in CONSTANT:
            array = np.ascontiguousarray(getattr(package, name))
            buffer = self._buffers.get(name, room(array.size, array.itemsize), array.dtype)
            buffer[: array.size] = array.reshape(-1)
            buffer.flush()
        self._package = package

    def _make_sets(self, count, image_bytes, start):
        """Images a batch: both sets hold so many, fewer where memory is short. And the engine's own memory."""
        size, width = min(BATCH, count), words(start.gates, start.classes)
        for name, scratch in SCRATCH.items():
            self._buffers.get(name, room(scratch(start)), np.uint8)
        while True:
            try:
                for index in range(2 if count > size else 1):
                    self._buffers.get(f"images {index}", room(size * image_bytes), np.uint8)
                    self._buffers.get(f"results {index}", (size, width), np.int32)
                return size
            except OutOfMemory:
                self._buffers.free(*(f"{name} {index}" for name in BATCHED for index in range(2)))
                if size == 1:
                    raise
                size = -(-size // 2)

    def _put(self, index, images):
        """Images into a set; its records are marked, so that one that is not written is seen."""
        buffer, results = self._set(index)
        buffer[: images.size] = images.reshape(-1)
        buffer.flush()
        results[:, STATUS] = UNWRITTEN
        results.flush()

    def _set(self, index):
        return tuple(self._buffers.held(f"{name} {index}") for name in BATCHED)

    def _put_history(self, start, history):
        """The pool's charges, behind the map memory."""
        first, size = charges_at(start)
        if size:
            buffer = self._buffers.held("maps")
            buffer[first : first + size] = np.ascontiguousarray(history).view(np.uint8).reshape(-1)
            buffer.flush()

    def _fetch_history(self, start, history):
        first, size = charges_at(start)
        if size:
            buffer = self._buffers.held("maps")
            buffer.invalidate()
            history[:] = np.array(buffer[first : first + size]).view(np.int64).reshape(history.shape)

    def _start(self, index, package, images, start):
        values = scalars(start, package.program, package.weights, package.tables, images)
        for name, (kind, _) in isa.PORTS.items():
            if kind == "memory":
                held = f"{MEMORY[name]} {index}" if name in BATCHED else MEMORY[name]
                values[name] = int(self._buffers.held(held).device_address)
        self._engine.write(values)
        self._engine.start()

    def _wait(self, at, end, package, start):
        """Until the batch of images `at` to `end` is done; its cycles are counted."""
        worst = max(item["cycles"] for item in package.exits)
        worst = (min(worst, start.budget_cycles) if start.pool == 1 else worst) * (end - at)
        expected_s = self._cycles_an_image * (end - at) / self.clock_hz
        try:
            cycles = self._engine.wait(expected_s, MARGIN * worst / self.clock_hz + FLOOR_S)
        except Timeout as error:
            raise Timeout(
                f"{error} with images {at} to {end - 1}, and was stopped: run again, or restart the board"
            ) from None
        status, found = self._engine.result()
        if status != isa.STATUS_OK or found != isa.HASH[:8]:
            text = f"it answers with {found}, another program may have loaded the logic"
            text = explain(status, 0, at) if found == isa.HASH[:8] else text
            raise UserError(f"the engine stopped before image {at} was run ({text})")
        self._cycles_an_image = cycles / (end - at)
        self.measured_cycles[at:end] = self._cycles_an_image
        self._busy_s += cycles / self.clock_hz

    def _fetch(self, index, at, end, records):
        """Copy the records of a batch to `records`; the number of images that are done, up to the first that failed."""
        results = self._set(index)[1]
        results.invalidate()
        batch = records[at:end]
        batch[:] = results[: end - at]
        wrong = np.flatnonzero((batch[:, STATUS] == UNWRITTEN) | (batch[:, IMAGE] != np.arange(end - at)))
        if len(wrong):
            raise UserError(
                f"the engine said it was done, but the record of image {at + wrong[0]} is not there: run again"
            )
        batch[:, IMAGE] += at
        failed = np.flatnonzero(batch[:, STATUS] != isa.STATUS_OK)
        return at + int(failed[0]) + 1 if len(failed) else end


def _settles(engine, error):
    """Whether the engine becomes idle by itself; one that does not answer does not."""
    try:
        return engine.settle(0 if isinstance(error, Timeout) else GRACE_S)
    except Exception:
        return False


def _checked_history(package, images, start, history):
    """The pool's history, a fresh one for None. UserError for images or start parameters that the engine refuses."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != package.image_shape:
        shape = ", ".join(map(str, package.image_shape))
        raise UserError(f"images are {images.dtype} {images.shape}, expected uint8 (N, {shape})")
    try:
        check_start(scalars(start, package.program, package.weights, package.tables, images))
        for name in ("threshold", "target_class"):
            if not -(2**31) <= getattr(start, name) < 2**31:
                raise ValueError(f"{name} is {getattr(start, name)}, expected 32 bits")
        history = fresh(start) if history is None else history
        Pool(start, history)
        return history
    except ValueError as error:
        raise UserError(str(error)) from None
