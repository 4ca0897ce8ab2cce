"""Golden model and C++ engine, in both of its shapes, held to the same records."""

import numpy as np
import pytest

from hls import cosim, golden, isa
from hls.program import disassemble
from hls.record import agreed

STALE = 0xA5  # what the engine's memories hold before each image; a valid program's results do not depend on it


def assert_same(case, name, forget=0):
    """The engine's records of `case` are the golden model's, in both of its shapes."""
    expected = golden.run(*case)
    for shape in cosim.SHAPES:
        found = agreed(cosim.run(*case, threads=1, forget=forget, shape=shape))
        if not np.array_equal(expected, found):
            image, word = (int(at) for at in np.argwhere(expected != found)[0])
            what = isa.RECORD[word] if word < isa.RECORD_HEADER else f"word {word}"
            values = f"golden model {expected[image, word]}, engine ({shape}) {found[image, word]}"
            pytest.fail(f"{name}, image {image}, {what}: {values}\n{case[-1]}\n{disassemble(case[0])}")
    return expected
