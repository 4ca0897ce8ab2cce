"""A board in software: memory with a cache in front of it, a bus, and the logic that a bitstream puts there.

    machine = Machine()                       # with a compiler the co-simulation is its engine, else the golden model
    machine.faults["never_done"] = True       # what goes wrong; see FAULTS
    machine.leaks()                           # buffers not given back, an engine that runs on

bench/standin/software_pynq.py is what a program sees of it. Time is real: the timer counts the clock of this
machine, the engine runs in a thread and takes as long as its model takes.
"""

import threading
import time
from dataclasses import fields

import numpy as np

from hls import cosim, golden, isa
from hls.pool import CHARGE_BYTES
from hls.record import Start, words
from host.board import machine, overlay
from host.board.ports import charges_at

PAGE = 4096
FIRST_ADDRESS = 0x1E000000
START, DONE, IDLE, READY = 1, 2, 4, 8
CRYSTAL_HZ = 33_333_333  # a ZedBoard's
PLL_REGISTERS = {0x100: 40 << 12, 0x104: 32 << 12, 0x108: 30 << 12}  # ARM, DDR and IO, as its first boot loader sets

FAULTS = {
    "no_device": "pynq finds no device",
    "architecture": "pynq's device is on another processor",
    "permission": "the bus may not be mapped",
    "chip": "code of another chip",
    "download": "the logic cannot be loaded, from the n-th time on",
    "hash": "hash that the engine answers with",
    "handshake": "status of an empty start",
    "busy": "the engine is never idle",
    "never_done": "a batch never ends, counted from the n-th start",
    "status": "status of a batch",
    "lost_interrupt": "no interrupt arrives",
    "no_uio": "the interrupt has no device",
    "memory": "bytes of contiguous memory that there are",
    "offset": "addresses of buffers are so many bytes further",
    "address": "address of the first buffer",
    "divisors": "of the logic's clock, whatever was asked for",
    "pll": "factor of the PLL behind the logic's clock",
    "crystal": "in Hz, another board's",
    "rate": "the timer counts at so many Hz",
    "bus": "the bus fails after so many accesses",
    "bus_at_start": "the bus fails from the n-th start on",
    "partial": "records of a batch that are written",
    "numbers": "records carry other images' numbers",
    "image_error": "status of one image of a batch, (image, status)",
    "flush": "the cache is not written back, in silence",
    "flush_error": "writing back fails",
    "invalidate": "the cache is not invalidated, in silence",
    "reprogram": "another design is loaded after so many starts",
    "reload": "the same design is loaded once more after so many starts",
    "interrupt_program": "Ctrl-C arrives after so many starts",
}


class BusError(OSError):
    """An access where nothing answers; a real processor would end the program, or stop."""


class Buffer:
    """Contiguous memory: what the processor sees of it (`host`, its cache) and what devices see (`device`)."""

    def __init__(self, address, size, seed):
        self.address, self.size = address, size
        random = np.random.default_rng(seed)
        self.host = random.integers(0, 256, size, dtype=np.uint8)
        self.device = random.integers(0, 256, size, dtype=np.uint8)
        self.freed = False


class Machine:
    """The whole board. `faults` may be changed at any time; `violations` are accesses of the engine to no buffer."""

    def __init__(self, golden_model=False, speed=1.0):
        self.faults, self.violations, self.buffers = {}, [], []
        self.starts = self.downloads = self.accesses = self.interrupts = self._allocated = 0
        self.timestamp, self.hardware, self.interrupt_waiters = "", None, []
        self.engine, self.timer = Engine(self), Timer(self)
        self.control = np.zeros(machine.CONTROL_SIZE // 4, np.uint32)  # the processor's registers
        for offset, value in PLL_REGISTERS.items():
            self.control[offset // 4] = value
        self.divide(10, 1)
        self.run_engine = golden.run if golden_model else _best_engine()
        self.speed = speed

    # -------------------------------------------------------------------------------------------------------- memory
    def allocate(self, size):
        """A Buffer of `size` bytes; RuntimeError when there is no such memory left."""
        size = max(size, 1)
        held = sum(buffer.size for buffer in self.buffers)
        if held + size > self.faults.get("memory", 128 << 20):
            raise RuntimeError("BO allocation failed: Cannot allocate memory")
        address = FIRST_ADDRESS + self._allocated * PAGE
        self._allocated += -(-size // PAGE) + 1
        address = self.faults.get("address", address + self.faults.get("offset", 0))
        buffer = Buffer(address, size, seed=self._allocated)
        self.buffers.append(buffer)
        return buffer

    def free(self, buffer):
        """Give a Buffer back; what it held is gone for the processor and for devices."""
        self.buffers.remove(buffer)
        buffer.freed = True
        buffer.host[:] = 0xDD
        buffer.device[:] = 0xDD

    def device_view(self, address, size):
        """Bytes as a device sees them, writable; BusError outside every buffer."""
        for buffer in self.buffers:
            if buffer.address <= address and address + size <= buffer.address + buffer.size:
                return buffer.device[address - buffer.address :][:size]
        self.violations.append((address, size))
        raise BusError(5, f"no memory at 0x{address:X}")

    def leaks(self):
        """Buffers that are held and engines that run."""
        return len(self.buffers) + int(self.engine.running)

    # ----------------------------------------------------------------------------------------------------- the logic
    def download(self, hardware):
        """Load a design: everything in the logic starts anew."""
        self.downloads += 1
        self.engine.stop()  # loading begins by clearing what is there
        if "download" in self.faults and self.downloads >= self.faults["download"]:
            self.hardware = None
            raise OSError(110, "Connection timed out")
        self.hardware, self.timestamp = hardware, f"load {self.downloads}"
        self.engine, self.timer = Engine(self), Timer(self)

    def divide(self, first, second):
        """Set the divisors of the logic's clock, and let the IO PLL drive it."""
        self.control[machine.LOGIC_CLOCK // 4] = second << 20 | first << 8

    @property
    def clock_hz(self):
        """The logic's clock, by the registers."""
        clock, pll = (int(self._control(offset)) for offset in (machine.LOGIC_CLOCK, 0x108))
        divisors = max((clock >> 8 & 0x3F) * (clock >> 20 & 0x3F), 1)
        return self.faults.get("crystal", CRYSTAL_HZ) * (pll >> 12) / divisors

    def _control(self, offset):
        """A register of the processor, with what is wrong with it."""
        if offset == machine.LOGIC_CLOCK and "divisors" in self.faults:
            self.divide(*self.faults["divisors"])
        if offset == 0x108 and "pll" in self.faults:
            return self.faults["pll"] << 12
        return self.control[offset // 4]

    def read(self, address):
        """A word of the bus."""
        if 0 <= address - machine.CONTROL < machine.CONTROL_SIZE:
            return int(self._control(address - machine.CONTROL))
        if address == machine.CHIP_REGISTER:
            return self.faults.get("chip", machine.CHIPS["xc7z020"]) << 12 | 0x3720093
        device, offset = self._device(address)
        return device.read(offset)

    def write(self, address, word):
        """Write a word to the bus."""
        device, offset = self._device(address)
        device.write(offset, word)

    def _device(self, address):
        self.accesses += 1
        broken = self.accesses > self.faults.get("bus", self.accesses)
        if broken or self.starts >= self.faults.get("bus_at_start", self.starts + 1):
            raise BusError(5, f"bus error at 0x{address:X}")
        design = overlay.read()
        for block, device in ((design.engine, self.engine), (design.timer, self.timer)):
            if self.hardware and block.ip in self.hardware.ip_dict and 0 <= address - block.base < block.range:
                return device, address - block.base
        raise BusError(5, f"nothing answers at 0x{address:X}")

    def raise_interrupt(self):
        """The engine's line goes up."""
        if "lost_interrupt" not in self.faults:
            self.interrupts += 1
            for waiter in self.interrupt_waiters:
                waiter()


def _best_engine():
    try:
        cosim.compiler()
    except cosim.CosimError:
        return golden.run
    return cosim.run


class Timer:
    """AXI Timer in cascade, as far as the driver uses it: load 0, count up."""

    def __init__(self, machine):
        self._machine, self._registers, self._began = machine, {}, 0.0

    def write(self, offset, word):
        """Store a register; setting enable with cascade starts to count."""
        if offset == 0x00 and word & 0x880 == 0x880:
            self._began = time.perf_counter()
        self._registers[offset] = word

    def read(self, offset):
        """A register; the counters from the clock, and 0 while they stand."""
        if offset not in (0x08, 0x18):
            return self._registers.get(offset, 0)
        running = self._registers.get(0x00, 0) & 0x880 == 0x880
        rate = self._machine.faults.get("rate", self._machine.clock_hz)
        count = int((time.perf_counter() - self._began) * rate) if running else 0
        return count >> (32 if offset == 0x18 else 0) & 0xFFFFFFFF


class Engine:
    """The engine behind its registers: ap_ctrl_hs, 64 bits of return value."""

    def __init__(self, machine):
        self._machine, self.running, self._thread = machine, False, None
        self._words = {}
        self._done = False

    def read(self, offset):
        """A register; reading the control register clears done."""
        if offset == isa.REGISTERS["control"][0]:
            idle = not self.running and "busy" not in self._machine.faults
            value = (DONE | READY) * self._done | IDLE * idle | START * self.running
            self._done = False
            return value
        return self._words.get(offset, 0)

    def write(self, offset, word):
        """A register; the start bit starts it, the interrupt's status toggles."""
        if offset == isa.REGISTERS["control"][0]:
            if word & START and not self.running:
                self._start()
        elif offset == isa.REGISTERS["interrupt_status"][0]:
            self._words[offset] = self._words.get(offset, 0) ^ word
        else:
            self._words[offset] = word

    def stop(self):
        """As when the logic is loaded anew: what runs is gone."""
        thread, self._thread, self.running = self._thread, None, False
        if thread is not None:
            thread.join()

    def _start(self):
        machine = self._machine
        self.running, self._done = True, False
        arguments = {name: self._argument(name) for name in isa.PORTS}
        if arguments["images_count"]:
            machine.starts += 1
            for name, action in (("reprogram", self._lose), ("reload", self._lose), ("interrupt_program", _interrupt)):
                if machine.faults.get(name) == machine.starts:
                    action(name)
                    return
            if machine.starts >= machine.faults.get("never_done", machine.starts + 1):
                return
        self._thread = threading.Thread(target=self._work, args=(arguments,), daemon=True)
        self._thread.start()

    def _lose(self, name):
        """Somebody loads the logic while this engine runs; by its own driver a later access would tell."""
        self._machine.download(self._machine.hardware)
        if name == "reload":
            self._machine.timestamp = "load 1"

    def _argument(self, name):
        offset, count = isa.REGISTERS[name]
        return sum(self._words.get(offset + 4 * word, 0) << 32 * word for word in range(count))

    def _work(self, arguments):
        """Run a batch; where memory does not answer the engine waits for ever."""
        status = isa.STATUS_BAD_START
        if arguments["images_count"]:
            try:
                status = self._batch(arguments)
            except BusError:
                return
        elif "handshake" in self._machine.faults:
            status = self._machine.faults["handshake"]
        offset = isa.REGISTERS["return"][0]
        self._words[offset] = status
        self._words[offset + 4] = int(self._machine.faults.get("hash", isa.HASH)[:8], 16)
        enabled = all(self._words.get(isa.REGISTERS[f"interrupt_{name}"][0], 0) & 1 for name in ("enable", "global"))
        self._words[isa.REGISTERS["interrupt_status"][0]] = int(enabled)
        self._done, self.running = True, False
        if enabled:
            self._machine.raise_interrupt()

    def _batch(self, arguments):
        """The records of a batch into memory; its status."""
        machine = self._machine
        if "status" in machine.faults:
            return machine.faults["status"]
        view = {name: machine.device_view(arguments[name], size) for name, size in _reads(arguments).items()}
        signed = {name: (value + 2**31) % 2**32 - 2**31 for name, value in arguments.items()}
        wide = {name for name, (_, bits) in isa.PORTS.items() if bits == 64}
        start = Start(**{
            item.name: arguments[item.name] if item.name in wide else signed[item.name]
            for item in fields(Start) if item.name in arguments
        })  # fmt: skip
        program = view["program"].view(np.int32).reshape(-1, isa.INSTRUCTION_WORDS)
        weights = view["weights0"][: arguments["weight_bytes"]].view(np.int8)
        pixels = view["images"][: arguments["images_count"] * arguments["image_bytes"]]
        images = pixels.reshape(arguments["images_count"], -1, 1, 1)
        began = time.monotonic()
        try:
            first, size = charges_at(start)
            charges = view["maps"][first : first + size].view(np.int64).reshape(-1, 2)
            tables = view["tables"].view(np.int32)
            records = machine.run_engine(program, weights, tables, images, start, history=charges)
        except (cosim.CosimError, ValueError):
            return isa.STATUS_BAD_START
        self._take_time(records, began)
        self._deliver(records, arguments["results"], words(start.gates, start.classes))
        return isa.STATUS_OK

    def _take_time(self, records, began):
        cycles = int(records[:, isa.RECORD.index("cycles_low")].astype(np.int64).sum())
        left = cycles / self._machine.clock_hz * self._machine.speed - (time.monotonic() - began)
        time.sleep(max(left, 0))

    def _deliver(self, records, address, width):
        faults = self._machine.faults
        if "image_error" in faults:
            image, status = faults["image_error"]
            records[image, :3] = status, image, 3
            records[image + 1 :, 0] = isa.STATUS_NOT_RUN
        if "numbers" in faults:
            records[:, isa.RECORD.index("image")] += 1
        records = records[: faults.get("partial", len(records))]
        view = self._machine.device_view(address, records.size * 4)
        view[:] = np.ascontiguousarray(records).view(np.uint8).reshape(-1)


def _reads(arguments):
    """Memory port → bytes that the engine may touch there, in whole words of the port; results are checked apart."""
    items = {"program": arguments["instructions"] * isa.INSTRUCTION_WORDS * 4, "tables": arguments["table_words"] * 4,
             "images": arguments["images_count"] * arguments["image_bytes"],
             "maps": arguments["map_words"] * isa.TILE**2 + (arguments["pool"] - 1) * CHARGE_BYTES}  # fmt: skip
    memories = {name for name, (kind, _) in isa.PORTS.items() if kind == "memory"}
    weights = {name for name in memories if name.startswith("weights")}  # one or more, by the point
    items |= dict.fromkeys(weights, arguments["weight_bytes"])
    assert set(items) | {"results"} == memories
    if len({arguments[name] for name in weights}) > 1:
        raise BusError(5, "the weights' ports are at different addresses")
    word = {name: int(bits) // 8 for name, (_, bits) in isa.PORTS.items()}
    return {name: -(-size // word[name]) * word[name] for name, size in items.items()}


def _interrupt(_):
    raise KeyboardInterrupt
