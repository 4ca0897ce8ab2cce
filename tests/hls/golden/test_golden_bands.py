"""Maps cut into bands: moved in from the DDR, run with their halos, moved out, they are the whole map's result."""

import numpy as np
import pytest

from hls import isa
from hls.program import decode, encode, validate
from hls.shapes import conv_row, output_size, tiles
from hls.stress.builder import scale_word
from tests.hls.bands import banded
from tests.hls.instruction import one_instruction, random_map


def run_banded(whole, band_rows, x, out_shape, weights, tables):
    """What the CONV or POOL `whole` (input 0, output 3000) writes, run at once and in bands through the DDR."""
    count, out_count = (shape[0] * tiles(*shape[1:]) for shape in (x.shape, out_shape))
    words = encode(whole["opcode"], **{name: value for name, value in whole.items() if name != "opcode"})
    engine, decoded = one_instruction(words, weights, tables, map_words=count + out_count)
    engine.store(0, x)
    engine.maps[:count] = engine.tiles[:count]
    engine.methods[whole["opcode"]](decoded)
    at_once = engine.load(3000, *out_shape, signed=False)
    engine.tiles[:] = 0xA5
    code = banded(whole, band_rows, isa.DDR_ADDRESS, isa.DDR_ADDRESS + count, 11, 3001)
    for instruction in code:
        assert validate(instruction, 0, engine.limits) == isa.STATUS_OK
        engine.methods[int(instruction[0])](decode(instruction))
    engine.tiles[:out_count] = engine.maps[count:]
    return at_once, engine.load(0, *out_shape, signed=False), code


@pytest.mark.parametrize("height", (17, 24, 37, 61))
@pytest.mark.parametrize("stride", (1, 2))
@pytest.mark.parametrize("kernel", (1, 3, 5, 7))
def test_a_convolution_in_bands_is_the_whole_one(kernel, stride, height):
    """First, middle and last bands; heights that are no multiple of a tile, halos of less than a tile."""
    rng, ins, outs, width = np.random.default_rng(height), 3, 5, 19
    whole = {"opcode": isa.CONV, "flags": 1, "input": 0, "output": 3000, "identity": 0, "in_channels": ins}
    whole |= {"out_channels": outs, "height": height, "width": width, "kernel": kernel, "stride": stride, "in_mask": 0}
    whole |= {"out_mask": 0, "weights": 0, "table": 0, "pool": -1}
    weights = rng.integers(-127, 128, outs * conv_row(whole), dtype=np.int8)
    tables = np.array([0, 0, *[50, scale_word(0.3 / kernel / 73)] * outs], np.int32)
    x = random_map(rng, (ins, height, width), True)
    shape = outs, *output_size(whole)
    for band_rows in (8 * stride, 16 * stride):
        at_once, in_bands, code = run_banded(whole, band_rows, x, shape, weights, tables)
        assert np.array_equal(at_once, in_bands) and at_once.std() > 20
        assert len(code) == 3 * -(-height // band_rows)


@pytest.mark.parametrize("height", (17, 24, 37, 61))
@pytest.mark.parametrize(("kernel", "stride"), ((1, 1), (3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (7, 2)))
def test_a_pool_in_bands_is_the_whole_one(kernel, stride, height):
    rng, channels, width = np.random.default_rng(height), 3, 19
    whole = {"opcode": isa.POOL, "flags": 1, "input": 0, "output": 3000, "channels": channels, "height": height}
    whole |= {"width": width, "kernel": kernel, "stride": stride, "padding": kernel // 2, "scale": 0}
    x = random_map(rng, (channels, height, width), True)
    empty = np.zeros(0, np.int8), np.zeros(0, np.int32)
    at_once, in_bands, _ = run_banded(whole, 8 * stride, x, (channels, *output_size(whole)), *empty)
    assert np.array_equal(at_once, in_bands) and at_once.std() > 5


@pytest.mark.parametrize("seed", range(20))
def test_move_copies_the_words_of_active_channels(seed):
    """From and to either memory, by plain loops."""
    rng = np.random.default_rng(seed)
    channels, words, masked = int(rng.integers(1, 9)), int(rng.integers(1, 20)), int(rng.integers(2))
    pitches = [words + int(rng.integers(0, 5)) for _ in range(2)]
    far_in, far_out = (isa.DDR_ADDRESS * int(rng.integers(2)) for _ in range(2))
    move = encode(isa.MOVE, input=far_in + 7, output=far_out + 400, channels=channels, words=words,
                  input_pitch=pitches[0], output_pitch=pitches[1], mask=masked)  # fmt: skip
    engine, decoded = one_instruction(move, np.zeros(0, np.int8), np.zeros(0, np.int32), map_words=900)
    for memory in (engine.tiles, engine.maps):
        memory[:] = rng.integers(0, 256, memory.shape)
    engine.masks[1] = active = np.flatnonzero(rng.random(channels) < 0.6)
    tiles, maps = engine.tiles.copy(), engine.maps.copy()
    for channel in active if masked else range(channels):
        for word in range(words):
            source = (maps if far_in else tiles)[7 + channel * pitches[0] + word]
            (maps if far_out else tiles)[400 + channel * pitches[1] + word] = source
    engine.methods[isa.MOVE](decoded)
    assert np.array_equal(engine.tiles, tiles) and np.array_equal(engine.maps, maps)
