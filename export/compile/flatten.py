"""A map's pixels as a vector, by instructions that only sum rectangles: GLOBAL_POOL and FC.

    flatten(builder, source, signed)     # the Vector of channels · height · width pixels, in 1 / POOL_UNIT of the scale

GLOBAL_POOL with a scale of 1 sums a rectangle that begins at the map's first pixel. A pixel is what four such sums
differ by: S(y+1, x+1) - S(y, x+1) - S(y+1, x) + S(y, x). An FC with weights of 1 and -1 takes that difference. Both are
exact: a sum of 64 bytes fits int16, and so does a byte · POOL_UNIT. A few channels at a time keep the FC small; its
weights are the same for all of them and stored once.
"""

import numpy as np

from export.compile.layout import LowerError
from export.integers.layers8 import POOL_UNIT, Linear8, scale_word
from hls import isa
from hls.cost import flatten_parts


def flatten(builder, source, signed):
    """The Vector of a Map's pixels, channel by channel. Raises LowerError for a map of more than one tile."""
    height, width = source.height, source.width
    if max(height, width) > isa.TILE:
        raise LowerError(f"a map of {height}×{width} flattened: expected at most {isa.TILE}×{isa.TILE}: pool it before")
    pixels, target = height * width, builder.new_vector(source.channels * height * width)
    first = 0
    for count in flatten_parts(source.channels, pixels):
        part = source.part(first, count)
        sums = builder.new_vector(part.channels * pixels)
        for index in range(pixels):
            corner = part.framed(index // width + 1, index % width + 1)
            into = sums.part(index * part.channels, part.channels)
            builder.global_pool(corner, into, signed, scale_word(1))
        builder.multiply(
            _differences(part.channels, height, width), sums, target.part(first * pixels, into.words * pixels)
        )
        first += count
    return target


def _differences(channels, height, width):
    """A Linear8 from sums (rectangle, channel) to pixels (channel, pixel)."""
    weight = np.zeros((channels, height, width, height, width, channels), np.int8)
    for c, y, x in np.ndindex(channels, height, width):
        for dy, dx in np.ndindex(min(2, y + 1), min(2, x + 1)):
            weight[c, y, x, y - dy, x - dx, c] = (-1) ** (dy + dx)
    count = channels * height * width
    words = np.full(count, scale_word(POOL_UNIT), np.int32)
    return Linear8(weight.reshape(count, count), np.zeros(count, np.int32), np.ones(count), words)
