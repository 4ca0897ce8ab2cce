"""Poolings as POOLs of the engine, which has strides 1 and 2 alone: one instruction, or a chain with the same result.

    chain(8, 8)      # [Stage(2, 2, 0), Stage(2, 2, 0), Stage(2, 2, 0)]

A maximum of maxima is the maximum of all their pixels, so a max pool at stride 4, 8, 16 … is a chain, bit for bit: a
POOL at stride 2, then 2×2 ones, the first so large that all together see as far as the one window. Average pools in a
chain would be rounded more than once, and no chain has a stride that is no power of two: both are refused.
"""

from typing import NamedTuple

from export.compile.layout import LowerError
from hls import isa


class Stage(NamedTuple):
    """One POOL of a chain."""

    kernel: int
    stride: int
    padding: int


def chain(kernel, stride, padding=0, average=False):
    """The Stages that are one pool of `kernel` × `kernel` pixels. Raises LowerError where there are none.

    n stages at stride 2, the first with kernel k and the others with 2, see k + 2^n - 2 pixels at stride 2^n. They have
    as many outputs as the one pool, for floor(floor(a / 2) / 2) = floor(a / 4). Padding is the first stage's: its
    windows begin where the one pool's do, and each of the others' lies within its input.
    """
    count = max(1, stride.bit_length() - 1)
    first, least = kernel - 2**count + 2, min(stride, 2)
    name = f"{'average' if average else 'max'} pool of {kernel}×{kernel} at stride {stride}"
    if stride not in (1, 2) and (average or stride != 2**count):
        strides = "1 or 2" if average else "1, 2, 4, 8 or another power of two"
        raise LowerError(f"{name}: expected stride {strides}: train the network with such a pool")
    if not least <= first <= isa.MAX_KERNEL:
        most = kernel - first + isa.MAX_KERNEL
        raise LowerError(f"{name}: expected a kernel of {stride} to {most}: train the network with such a pool")
    most = 0 if average else first // 2
    if not 0 <= padding <= most:
        raise LowerError(f"{name}, padding {padding}: expected at most {most}: train the network with such a pool")
    return [Stage(first, least, padding)] + [Stage(2, 2, 0)] * (count - 1)
