"""Contiguous memory that the engine reads and writes, by name.

    with Buffers(pynq, alignment=64) as buffers:
        weights = buffers.get("weights", 4096, np.int8)    # the same one again while size and type are the same

Every buffer is given back when it is replaced, and all of them by close().
"""

import numpy as np

from hls.errors import UserError
from host.board.overlay import line

ADDRESS_LIMIT = 1 << 32  # of the processor and of its memory ports


class OutOfMemory(UserError):
    """No contiguous memory is left for a buffer."""


class Buffers:
    """What pynq.allocate gave, until close(). OutOfMemory and UserError name the buffer."""

    def __init__(self, pynq, alignment):
        self._allocate, self._alignment, self._held = pynq.allocate, alignment, {}

    def get(self, name, shape, dtype):
        """A buffer of `shape` and `dtype`; what it holds is kept as long as both are asked for again."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        held = self._held.get(name)
        if held is not None and held.shape == shape and held.dtype == np.dtype(dtype):
            return held
        self.free(name)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        try:
            buffer = self._allocate(shape, dtype)
        except (RuntimeError, MemoryError, OSError) as error:
            total = sum(held.nbytes for held in self._held.values())
            raise OutOfMemory(
                f"out of contiguous memory: {size:,} bytes for {name} besides the {total:,} held ({line(error)}): "
                "close other programs that use the logic (notebooks), or restart the board"
            ) from None
        self._held[name] = buffer
        self._check(name, int(buffer.device_address), buffer.nbytes)
        return buffer

    def held(self, name):
        """The buffer of that name, as get() gave it."""
        return self._held[name]

    def free(self, *names):
        """Give back the buffers of these names; those that there are not are left out."""
        for name in names:
            buffer = self._held.pop(name, None)
            if buffer is not None:
                buffer.freebuffer()

    def close(self):
        """Give back all of them."""
        self.free(*list(self._held))

    def _check(self, name, address, size):
        """What the engine's ports can reach: below 4 GB, on the boundary that its bursts need."""
        if address % self._alignment or address <= 0 or address + size > ADDRESS_LIMIT:
            self.free(name)
            raise UserError(
                f"the buffer for {name} is at 0x{address:X}, expected a multiple of {self._alignment} below "
                f"0x{ADDRESS_LIMIT:X}: restart the board, or take the PYNQ image of this board"
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
