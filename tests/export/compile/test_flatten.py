"""A map as a vector, by sums of rectangles: every pixel, exactly, whatever the values."""

import numpy as np
import pytest

from export.compile.builder import Builder
from export.compile.flatten import flatten
from export.compile.layout import LowerError
from export.integers.layers8 import POOL_UNIT
from hls import golden, isa
from hls.record import Start, decode


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("channels, height, width", [(1, 8, 8), (3, 7, 5), (5, 4, 4), (40, 2, 1), (67, 1, 1)])
def test_each_pixel_stands_where_it_should(channels, height, width, signed):
    rng = np.random.default_rng(channels)
    builder, table = Builder(), np.tile(np.arange(-128, 128, dtype=np.int8), (channels, 1))
    image = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
    image[rng.random(image.shape) < 0.3] = 255 if signed else 127  # the largest code
    source = builder.image(table, height, width)
    vector = flatten(builder, source, signed)
    builder.emit(isa.EXIT, exit=0, input=vector, classes=vector.words, scale=0)
    compiled = builder.compile(source, 0, vector.words)
    start = Start(0, vector.words)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, image[None], start), start)
    codes = image.astype(np.int64) - 128
    codes = codes if signed else codes & 255
    np.testing.assert_array_equal(results.logits[0], codes.transpose(2, 0, 1).ravel() * POOL_UNIT)


def test_a_map_of_several_tiles_is_refused():
    builder = Builder()
    source = builder.image(np.zeros((2, 256), np.int8), 9, 4)
    with pytest.raises(LowerError, match="a map of 9×4 flattened: expected at most 8×8"):
        flatten(builder, source, True)
