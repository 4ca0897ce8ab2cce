"""Chains of POOLs are the one pool that they stand for; what no chain can do is refused in one line."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.compile.draft import Draft
from export.compile.layout import LowerError
from export.compile.lower import lower
from export.compile.pools import chain
from hls import cosim, golden, isa
from hls.program import decode as fields_of
from hls.record import Start, decode
from tests.export.random_networks import VARIANTS, quantised, random_images


def windows(size, kernel, stride, padding):
    """Per output of a pool, the pixels of one axis that it sees."""
    starts = range(-padding, size + padding - kernel + 1, stride)
    return [[at for at in range(start, start + kernel) if 0 <= at < size] for start in starts]


def seen(size, stages):
    """Per output of a chain, the pixels of one axis that it sees."""
    pixels = [[at] for at in range(size)]
    for stage in stages:
        pixels = [sorted({pixel for at in window for pixel in pixels[at]}) for window in windows(len(pixels), *stage)]
    return pixels


@pytest.mark.parametrize("stride", (1, 2, 4, 8, 16))
def test_a_chain_sees_what_the_one_pool_sees(stride):
    """Every kernel, padding and size that is taken: as many outputs, each of the same pixels."""
    taken = 0
    for kernel in range(stride, 40):
        for padding in range(kernel // 2 + 1):
            try:
                stages = chain(kernel, stride, padding)
            except LowerError:
                continue
            taken += 1
            assert all(stage.stride in (1, 2) and stage.stride <= stage.kernel <= isa.MAX_KERNEL for stage in stages)
            assert all(0 <= stage.padding <= stage.kernel // 2 for stage in stages)
            for size in range(max(1, kernel - 2 * padding), kernel + 3 * stride + 2):
                assert seen(size, stages) == windows(size, kernel, stride, padding), (kernel, padding, size)
    assert taken == sum(first // 2 + 1 for first in range(min(stride, 2), isa.MAX_KERNEL + 1))


@pytest.mark.parametrize("average", (False, True))
def test_strides_of_the_engine_are_left_alone(average):
    for kernel in range(1, isa.MAX_KERNEL + 1):
        for stride in range(1, min(kernel, 2) + 1):
            assert chain(kernel, stride, 0, average) == [(kernel, stride, 0)]


def test_pools_before_the_exits_are_halved_twice():
    assert chain(4, 4) == [(2, 2, 0)] * 2 and chain(8, 8) == [(2, 2, 0)] * 3
    assert chain(7, 4, 2) == [(5, 2, 2), (2, 2, 0)]


@pytest.mark.parametrize(
    ("pool", "match"),
    [
        ((3, 3), "max pool of 3×3 at stride 3: expected stride 1, 2, 4, 8 or another power of two"),
        ((6, 6), "at stride 6: expected stride"),
        ((4, 0), "at stride 0: expected stride"),
        ((4, -2), "at stride -2: expected stride"),
        ((4, 4, 0, True), "average pool of 4×4 at stride 4: expected stride 1 or 2: train"),
        ((8, 1), "8×8 at stride 1: expected a kernel of 1 to 7"),
        ((1, 2), "1×1 at stride 2: expected a kernel of 2 to 7"),
        ((2, 4), "2×2 at stride 4: expected a kernel of 4 to 9"),
        ((10, 4), "10×10 at stride 4: expected a kernel of 4 to 9"),
        ((4, 4, 2), "padding 2: expected at most 1"),
        ((4, 4, -1), "padding -1: expected at most 1"),
        ((2, 2, 1, True), "average pool of 2×2 at stride 2, padding 1: expected at most 0"),
    ],
)
def test_what_no_chain_can_do_is_refused(pool, match):
    with pytest.raises(LowerError, match=match) as refused:
        chain(*pool)
    assert "\n" not in str(refused.value)


def pooled_network(seed, tile_words=isa.TILE_WORDS):
    """Large pools from and to signed and unsigned maps, of sizes that leave remainders."""
    rng = np.random.default_rng(seed)
    draft = Draft(seed, int(rng.integers(49, 80)), 5, tile_words)
    relu, signed = bool(rng.integers(2)), bool(rng.integers(2))
    x = draft.convolve(draft.input, int(rng.integers(3, 12)), 3, relu=relu)
    kernel, stride, padding = POOLS[rng.integers(len(POOLS))]
    x = draft.pool(x, kernel, stride, padding, signed=signed)
    x = draft.convolve(x, int(rng.integers(3, 12)), 1)
    return draft.finish(draft.pool(x, 4, 4), pooled=False)


POOLS = ((4, 4, 0), (8, 8, 0), (7, 4, 2), (9, 4, 3), (5, 4, 1), (11, 8, 2))


def check_logits(engine, compiled):
    start = Start(compiled.gates, compiled.classes, map_words=compiled.map_words)
    images = compiled.sample.image[None]
    results = decode(engine(compiled.program, compiled.weights, compiled.tables, images, start), start)
    assert results.status[0] == isa.STATUS_OK
    np.testing.assert_array_equal(results.logits[0], compiled.sample.logits)


@given(st.integers(0, 10**6))
def test_networks_with_large_pools_have_their_logits(seed):
    """The draft pools at once, the program in a chain."""
    compiled = pooled_network(seed)
    check_logits(golden.run, compiled)
    assert (compiled.program[:, 0] == isa.POOL).sum() >= 4
    assert len(np.unique(compiled.sample.logits)) == compiled.classes


@pytest.mark.parametrize("seed", range(6))
def test_maps_of_a_chain_may_lie_in_the_ddr(seed):
    whole = pooled_network(seed)
    banded = 0
    for tile_words in range(whole.tile_words - 1, 0, -97):
        try:
            compiled = pooled_network(seed, tile_words=tile_words)
        except LowerError:
            break
        check_logits(golden.run, compiled)
        assert compiled.tile_words <= tile_words
        banded = max(banded, int((compiled.program[:, 0] == isa.POOL).sum()))
    assert banded > (whole.program[:, 0] == isa.POOL).sum()


@pytest.mark.cosim
@pytest.mark.parametrize("shape", cosim.SHAPES)
@pytest.mark.parametrize("seed", range(6))
def test_engine_pools_the_same(seed, shape):
    run = partial(cosim.run, forget=0xA5, shape=shape)
    whole = pooled_network(seed)
    check_logits(run, whole)
    check_logits(run, pooled_network(seed, tile_words=whole.tile_words - 1))


@pytest.mark.parametrize("name", ["papers", "pooled, both masks", "exits alone"])
def test_exits_pool_by_the_engines_strides(name):
    """A stage-1 exit pools its map by 4, in two POOLs, which begin its classifier: no unit writes over the map."""
    program = lower(quantised(VARIANTS[name], random_images(VARIANTS[name], 2))).program
    pools = [fields_of(words) for words in program if int(words[0]) == isa.POOL]
    assert {(pool["kernel"], pool["stride"], pool["padding"]) for pool in pools} == {(2, 2, 0)}
    first = fields_of(program[np.argmax(program[:, 0] == isa.TAP)])["target"]
    assert program[first : first + 2, 0].tolist() == [isa.POOL] * 2
    one, two = (fields_of(words) for words in program[first : first + 2])
    assert (one["height"], two["height"]) == (32, 16) and one["output"] == two["input"]
