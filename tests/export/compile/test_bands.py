"""Maps in the DDR: whatever is cut into bands, and wherever maps lie, logits and decisions stay what they were."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.compile.bands import even
from export.compile.draft import Draft, join
from export.compile.layout import LowerError
from export.compile.lower import lower, stop_after
from export.compile.maps import Map, assert_apart, fit, gaps, place
from export.integers.integer import IntegerNetwork
from hls import cosim, golden, isa
from hls.program import decode as fields_of
from hls.record import Start, decode
from tests.export.random_networks import VARIANTS, quantised, random_images, start_of


# ---------------------------------------------------------------------------------------------- networks layer by layer
def random_network(seed, tile_words=isa.TILE_WORDS):
    """A Compiled of a few random layers on an image of any size: kernels, strides, pools, shortcuts, concatenation."""
    rng = np.random.default_rng(seed)
    draft = Draft(seed, int(rng.integers(17, 60)), 5, tile_words)
    x = draft.convolve(draft.input, int(rng.integers(3, 14)), int(rng.choice([1, 3, 5, 7])), int(rng.integers(1, 3)))
    for _ in range(int(rng.integers(2, 6))):
        x = LAYERS[rng.integers(len(LAYERS))](draft, rng, x)
    if not x.signed or rng.random() < 0.5:
        return draft.finish(draft.convolve(x, 7, 3, relu=bool(rng.integers(2)), pool=True), pooled=True)
    return draft.finish(x)


def plain_layer(draft, rng, x):
    kernel, stride = int(rng.choice([1, 3, 5, 7])), int(rng.integers(1, 3))
    return draft.convolve(x, int(rng.integers(1, 17)), kernel, stride, relu=bool(rng.integers(2)))


def residual_layer(draft, rng, x):
    elsewhere = draft.new_map(*x.codes.shape).map if rng.random() < 0.5 else None
    middle = draft.convolve(x, int(rng.integers(1, 17)), 3)
    return draft.convolve(middle, len(x.codes), 3, relu=bool(rng.integers(2)), identity=x, target=elsewhere)


def shrinking_layer(draft, rng, x):
    return draft.pad(draft.convolve(x, 6, 1), 11) if rng.random() < 0.5 else draft.pool(x, *POOLS[rng.integers(5)])


def dense_layer(draft, rng, x):
    growth = int(rng.integers(1, 9))
    whole = draft.new_map(len(x.codes) + growth, *x.codes.shape[1:])
    first = draft.convolve(x, len(x.codes), 1, relu=False, target=whole.map.part(0, len(x.codes)))
    bottleneck = draft.convolve(draft.normalise(first), 2 * growth, 1)
    second = draft.convolve(bottleneck, growth, 3, relu=False, target=whole.map.part(len(x.codes), growth))
    return draft.normalise(join(whole, [first, second]))


LAYERS = (plain_layer, residual_layer, shrinking_layer, dense_layer)
POOLS = ((2, 2, 0), (3, 2, 1), (3, 1, 1), (1, 1, 0), (5, 2, 2))


def in_little_memory(build, whole):
    """The network in the smallest two tile memories that were enough: halved until it is refused, from all it uses."""
    found, words = {}, whole.tile_words
    for _ in range(12):
        try:
            found[words] = build(tile_words=words)
        except LowerError:
            words += words // 4
        else:
            assert found[words].tile_words <= words
            words = words * 5 // 8
    return [found[words] for words in sorted(found)[:2]]


def logits_of(engine, compiled):
    start = Start(compiled.gates, compiled.classes, map_words=compiled.map_words)
    images = compiled.sample.image[None]
    results = decode(engine(compiled.program, compiled.weights, compiled.tables, images, start), start)
    assert results.status[0] == isa.STATUS_OK, results.pc
    return results.logits[0]


def check_random_network(seed, *engines):
    build = partial(random_network, seed)
    whole = build()
    for compiled in (whole, *in_little_memory(build, whole)):
        for engine in engines:
            np.testing.assert_array_equal(logits_of(engine, compiled), whole.sample.logits)


def test_a_draft_s_image_saturates():
    """Brighter pixels never have smaller codes."""
    draft = Draft(3, 17, 5)
    for channel, codes in enumerate(draft.input.codes):
        pixels = draft.image[..., channel].ravel()
        assert (np.diff(codes.ravel()[np.argsort(pixels, kind="stable")]) >= 0).all()
    assert draft.input.codes.max() == 127


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_random_networks_in_little_memory_have_the_same_logits(seed):
    check_random_network(seed, golden.run)


def test_random_networks_do_use_the_ddr():
    builds = [partial(random_network, seed) for seed in range(10)]
    assert sum(in_little_memory(build, build())[0].map_words > 0 for build in builds) >= 8


@pytest.mark.cosim
@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_engine_has_the_same_logits(seed):
    check_random_network(seed, partial(cosim.run, forget=0xA5), partial(cosim.run, forget=0x5A, shape="chip"))


# ---------------------------------------------------------------------------------------------------- all memory sizes
def pooled_network(relu, tile_words=isa.TILE_WORDS):
    """A convolution that pools its output, unsigned or signed, whose channels fit only a few at a time."""
    draft = Draft(1, 63, 5, tile_words)
    x = draft.convolve(draft.input, 9, 3, 2)
    return draft.finish(draft.convolve(x, 23, 3, relu=relu, pool=True), pooled=True)


def normalised_network(before, after, tile_words=isa.TILE_WORDS):
    """AFFINE and a 1×1 convolution between maps that live no longer than they must."""
    draft = Draft(2, 39, 5, tile_words)
    x = draft.convolve(draft.input, before, 3)
    x = draft.convolve(draft.normalise(x), after, 1, relu=False)
    return draft.finish(draft.convolve(draft.normalise(x), before, 1), pooled=False)


@pytest.mark.parametrize(
    "build",
    [
        partial(pooled_network, True),
        partial(pooled_network, False),
        partial(normalised_network, 13, 13),
        partial(normalised_network, 5, 29),
        partial(normalised_network, 29, 5),
    ],
    ids=["pooled", "pooled, signed", "normalised", "normalised, wider", "normalised, narrower"],
)
def test_every_memory_size_gives_the_same_logits(build):
    whole = build()
    pieces = 0
    for tile_words in range(whole.tile_words, 0, -13):
        try:
            compiled = build(tile_words=tile_words)
        except LowerError:
            break
        np.testing.assert_array_equal(logits_of(golden.run, compiled), whole.sample.logits)
        pieces = max(pieces, int((compiled.program[:, 0] != isa.MOVE).sum()))
    assert tile_words < whole.tile_words // 2 and pieces >= len(whole.program) + 4


# ------------------------------------------------------------------------------------------------- gates, masks, exits
GATED = ["papers, projected", "recurrent layers", "convolution channels", "pooled, both masks", "mixed", "exits alone"]


def check_gated_network(engine, name, tile_words, **options):
    """Compile in so little memory; every exit's logits and all decisions are the integer network's."""
    images = random_images(VARIANTS[name], 3, 1)
    network = quantised(VARIANTS[name], images)
    expected, compiled = IntegerNetwork(network)(images), lower(network, tile_words, **options)
    start = start_of(compiled)
    for number, logits in enumerate(expected.logits):
        program = stop_after(compiled.program, number)
        results = decode(engine(program, compiled.weights, compiled.tables, images, start), start)
        assert (results.status == isa.STATUS_OK).all()
        np.testing.assert_array_equal(results.logits, logits.numpy())
    np.testing.assert_array_equal(results.trace, expected.trace.numpy())
    return compiled


@pytest.mark.parametrize("name", GATED)
@pytest.mark.parametrize("tile_words", [500, 330])
def test_gated_networks_in_little_memory_decide_the_same(name, tile_words):
    compiled = check_gated_network(golden.run, name, tile_words)
    assert compiled.map_words and compiled.tile_words <= tile_words
    masks = [masks_around(compiled.program, pc) for pc in np.flatnonzero(compiled.program[:, 0] == isa.CONV)]
    assert all(moved <= used for moved, used in masks)  # inactive channels stay where they are
    assert any(max(moved, default=0) for moved, _ in masks) == bool(VARIANTS[name].channel)


def masks_around(program, pc):
    """Masks of the MOVE to the CONV at pc, and of that away from it: (those of the MOVEs, those of the CONV)."""
    conv, moved, used = fields_of(program[pc]), set(), set()
    before, after = (fields_of(program[at]) for at in (pc - 1, pc + 1))
    if before["opcode"] == isa.MOVE and before["output"] == conv["input"]:
        moved.add(before["mask"])
        used.add(conv["in_mask"])
    elif before["opcode"] == isa.MOVE and before["output"] == conv["identity"] and conv["flags"] & isa.FLAG_ADD:
        moved.add(before["mask"])
        used.add(conv["out_mask"])
    if after["opcode"] == isa.MOVE and after["input"] == conv["output"]:
        moved.add(after["mask"])
        used.add(conv["out_mask"])
    return moved, used


@pytest.mark.cosim
@pytest.mark.parametrize("shape", cosim.SHAPES)
@pytest.mark.parametrize("name", GATED)
def test_engine_decides_the_same_in_little_memory(name, shape):
    check_gated_network(partial(cosim.run, forget=0xA5, shape=shape), name, 330)


@pytest.mark.parametrize("name", GATED)
def test_pooling_apart_gives_the_same(name):
    """Programs with and without fused pooling; those with it need fewer instructions."""
    apart = check_gated_network(golden.run, name, isa.TILE_WORDS, fuse=False)
    fused = check_gated_network(golden.run, name, isa.TILE_WORDS)
    assert len(fused.program) < len(apart.program)
    pools = [int((each.program[:, 0] == isa.GLOBAL_POOL).sum()) for each in (apart, fused)]
    assert pools[1] < pools[0]


def test_nothing_is_moved_where_everything_fits():
    network = quantised(VARIANTS["papers"], random_images(VARIANTS["papers"], 3, 1))
    compiled = lower(network)
    assert compiled.map_words == 0 and not (compiled.program[:, 0] == isa.MOVE).any()
    exact = lower(network, compiled.tile_words)
    assert np.array_equal(exact.program, compiled.program)
    assert lower(network, compiled.tile_words - 1).map_words


# ------------------------------------------------------------------------------------------------------------ placement
def test_maps_that_live_at_one_time_are_apart():
    rng = np.random.default_rng(3)
    for _ in range(30):
        maps = [Map(int(rng.integers(1, 20)), 8, 8) for _ in range(30)]
        for item in maps:
            for step in rng.integers(0, 20, 2):
                item.touch(int(step))
        used = place(maps)
        assert used == max(item.address + item.words for item in maps)
        for one in maps:
            for other in maps:
                meet = one.first <= other.last and other.first <= one.last and one is not other
                assert (
                    not meet or one.address + one.words <= other.address or other.address + other.words <= one.address
                )


def test_maps_on_top_of_one_another_are_found():
    maps = [Map(4, 8, 8, first=0, last=3, address=0), Map(4, 8, 8, first=3, last=5, address=3)]
    with pytest.raises(AssertionError, match="overlap"):
        assert_apart(maps)


def test_gaps_and_fits():
    maps = [Map(4, 8, 8, address=10), Map(6, 8, 8, address=14), Map(5, 8, 8, address=30)]
    free = gaps(maps, 100)
    assert free == [[0, 10], [20, 10], [35, 65]] and gaps([], 7) == [[0, 7]]
    assert fit([9, 60, 0, 5], free) == [0, 35, -1, 95]
    assert fit([66], free) is None and fit([40, 40], free) is None


@pytest.mark.parametrize(("total", "most", "sizes"), [(7, 3, [2, 2, 3]), (8, 8, [8]), (9, 8, [4, 5]), (1, 1, [1])])
def test_bands_are_alike(total, most, sizes):
    parts = even(total, most)
    assert [last - first for first, last in parts] == sizes and parts[0][0] == 0 and parts[-1][1] == total
