"""One instruction on the golden model's memories, and what its arithmetic must give, by exact rational numbers."""

import math
from fractions import Fraction

import numpy as np

from hls import isa
from hls.golden import Engine
from hls.program import Limits, decode
from hls.record import Start


def exact(value, scale):
    """requantize of one integer, by rational numbers."""
    shift, multiplier = scale >> 16 & 63, (scale & 0xFFFF) * (-1 if scale < 0 else 1)
    return math.floor(Fraction(int(value) * multiplier, 2**shift) + (Fraction(1, 2) if shift else 0))


def one_instruction(words, weights, tables, classes=2, map_words=0):
    """An engine for `words` alone, and its fields: memories are set, then the instruction is executed."""
    limits = Limits(1, len(weights), len(tables), 1, 1, classes, map_words)
    engine = Engine(words[None], weights, tables, Start(1, classes, map_words=map_words), limits)
    engine.run_image(0, np.zeros(1, np.uint8))
    return engine, decode(words)


def random_map(rng, shape, signed):
    return rng.integers(-128, 128, shape) if signed else rng.integers(0, 256, shape)


def clamp(value, flags):
    return min(max(value, 0), 255) if flags & isa.FLAG_RELU else min(max(value, -128), 127)
