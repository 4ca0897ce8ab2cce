"""The part of pynq that a driver uses, with pynq 3.1's signatures and exceptions, on a machine in software.

    sys.modules["pynq"] = module(machine)

What differs from the real one is what must: a buffer's cache is written back and invalidated for just the bytes asked
for (pynq takes all of the buffer), so that a driver that forgets some of them is found out.
"""

import asyncio
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from bench.standin import files, hwh
from bench.standin.machine import CRYSTAL_HZ


class PynqBuffer(np.ndarray):
    """An array in contiguous memory; made by allocate()."""

    memory: Any
    device: Any = None  # an attribute of numpy 2's arrays, which pynq's numpy 1 does not have

    def __new__(cls, *args, device=None, device_address=0, bo=None, coherent=False, **kwargs):
        self = super().__new__(cls, *args, **kwargs)
        self.device_address, self.coherent, self.bo, self.device = device_address, coherent, bo, device
        self.offset = 0
        return self

    def __array_finalize__(self, obj):
        if isinstance(obj, PynqBuffer) and obj.coherent is not None:
            self.coherent, self.device, self.bo = obj.coherent, obj.device, obj.bo
            moved = self.virtual_address - obj.virtual_address
            self.device_address, self.offset = obj.device_address + moved, obj.offset + moved
        else:
            self.device_address = self.coherent = None

    @property
    def physical_address(self):
        return self.device_address

    @property
    def virtual_address(self):
        return self.__array_interface__["data"][0]

    def freebuffer(self):
        """Give the memory back; for a view of a buffer, nothing."""
        if hasattr(self, "memory") and not self.bo.freed:
            self.memory.free(self.bo)

    def flush(self):
        """The processor's bytes to memory."""
        if not self.coherent:
            self.device.flush(self.bo, self.offset, self.virtual_address, self.nbytes)

    def invalidate(self):
        """Memory's bytes to the processor."""
        if not self.coherent:
            self.device.invalidate(self.bo, self.offset, self.virtual_address, self.nbytes)

    sync_to_device, sync_from_device = flush, invalidate

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.freebuffer()
        return 0


def module(machine):
    """A module object named pynq that drives `machine`."""
    pynq: Any = types.ModuleType("pynq")
    pynq.__version__ = "3.1"
    device = _device(machine)

    class DeviceType(type):
        @property
        def active_device(cls):
            if "no_device" in machine.faults:
                raise RuntimeError("No Devices Found")
            return device

    pynq.Device = DeviceType("Device", (), {})
    pynq.PynqBuffer = PynqBuffer
    pynq.MMIO = type("MMIO", (_MMIO,), {"_default": device})
    pynq.Overlay = type("Overlay", (_Overlay,), {"_machine": machine})
    pynq.Interrupt = type("Interrupt", (_Interrupt,), {"_machine": machine})
    pynq.Clocks = _clocks(machine)

    def allocate(shape, dtype="u4", target=None, **kwargs):
        return (target or pynq.Device.active_device).allocate(shape, dtype, **kwargs)

    pynq.allocate = allocate
    return pynq


def _device(machine):
    """The device of a Zynq-7000: memory and bus."""
    device = types.SimpleNamespace(name="edge", tag="embedded_xrt0", machine=machine)
    device.arch = "armv7l"
    if "architecture" in machine.faults:
        device.name, device.arch = "xilinx_u200_gen3x16_xdma_2", "x86_64"

    def allocate(shape, dtype, **kwargs):
        if machine.hardware is None:
            raise RuntimeError("Overlay is not downloaded")
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        bo = machine.allocate(size)
        array = PynqBuffer(shape, dtype, bo=bo, device=device, buffer=bo.host, device_address=bo.address)
        array.memory = machine
        return array

    def flush(bo, offset, pointer, size):
        if "flush_error" in machine.faults:
            raise RuntimeError("Buffer Flush Failed: Invalid argument")
        if "flush" not in machine.faults:
            bo.device[offset : offset + size] = bo.host[offset : offset + size]

    def invalidate(bo, offset, pointer, size):
        if "invalidate" not in machine.faults:
            bo.host[offset : offset + size] = bo.device[offset : offset + size]

    device.allocate, device.flush, device.invalidate = allocate, flush, invalidate
    return device


class _MMIO:
    """Words of the bus at base_addr."""

    _default: Any = None

    def __init__(self, base_addr, length=4, device=None, **kwargs):
        if base_addr < 0 or length < 0:
            raise ValueError("Base address or length cannot be negative.")
        self.device = device or self._default
        if "permission" in self.device.machine.faults:
            raise OSError("Root permissions required.")
        self.base_addr, self.length = base_addr, length

    def read(self, offset=0, length=4, word_order="little"):
        """1, 2, 4 or 8 bytes at an offset that is a multiple of 4."""
        if length not in (1, 2, 4, 8) or offset < 0:
            raise ValueError("MMIO currently only supports 1, 2, 4 and 8-byte reads.")
        value = self._word(offset) | (self._word(offset + 4) << 32 if length == 8 else 0)
        return value & ((1 << 8 * length) - 1)

    def _word(self, offset):
        return self.device.machine.read(self.base_addr + self._check(offset))

    def write(self, offset, data):
        """An int (of that very type) as one word."""
        if type(data) is not int:
            raise ValueError("Data type must be int or bytes.")
        self.device.machine.write(self.base_addr + self._check(offset), int(np.uint32(data)))

    def _check(self, offset):
        if offset % 4:
            raise MemoryError("Unaligned: offset must be multiple of 4.")
        if not 0 <= offset < self.length:
            raise IndexError(f"index {offset >> 2} is out of bounds for axis 0 with size {self.length >> 2}")
        return offset


class _Overlay:
    """A bitstream with its .hwh, loaded when it is made."""

    _machine: Any = None

    def __init__(self, bitfile_name, dtbo=None, download=True, ignore_version=False, device=None, gen_cache=False):
        if not isinstance(bitfile_name, str):
            raise TypeError("Bitstream name has to be a string.")
        self.bitfile_name = os.path.abspath(bitfile_name)
        if not Path(self.bitfile_name).exists():
            raise OSError(f"Bitstream file {bitfile_name} does not exist.")
        description = Path(self.bitfile_name).with_suffix(".hwh")
        if not description.exists():
            raise RuntimeError("Unable to find metadata for bitstream")
        self._hardware = hwh.parse(description.read_text(encoding="utf-8"))
        self.ip_dict, self.interrupt_pins = self._hardware.ip_dict, self._hardware.interrupt_pins
        self.timestamp = ""
        if download:
            self.download()

    def download(self, dtbo=None):
        """Load it."""
        files.check_bit(Path(self.bitfile_name).read_bytes())
        sys.modules["pynq"].Clocks.set_pl_clk(0, *self._hardware.divisors)
        self._machine.download(self._hardware)
        self.timestamp = self._machine.timestamp

    def is_loaded(self):
        """Whether nobody has loaded anything since, as far as this process knows."""
        return self.timestamp == self._machine.timestamp


def _clocks(machine):
    """The clocks of the logic: set by divisors, and told as if the crystal were one of 50 MHz, as pynq does."""

    class ClocksType(type):
        @property
        def fclk0_mhz(cls):
            return round(machine.clock_hz / CRYSTAL_HZ * 50, 6)

        def set_pl_clk(cls, clk_idx, div0=None, div1=None, clk_mhz=100.0):
            machine.divide(div0, div1)

    return ClocksType("Clocks", (), {})


class _Interrupt:
    """The engine's interrupt, on the event loop of the thread that makes it."""

    _machine: Any = None

    def __init__(self, pinname):
        if pinname not in self._machine.hardware.interrupt_pins:
            raise ValueError(f"No Pin of name {pinname} found")
        if "no_uio" in self._machine.faults:
            raise ValueError("Could not find UIO device for interrupt pin for IRQ number 61")
        self._loop, self._event = asyncio.get_event_loop(), asyncio.Event()
        self._machine.interrupt_waiters.append(self._arrive)

    def _arrive(self):
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self):
        """Until the line goes up."""
        await self._event.wait()
        self._event.clear()
