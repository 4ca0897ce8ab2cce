"""Networks by shape: what they cost, and that golden model and engine find the logits that their layers had."""

from functools import partial

import numpy as np
import pytest

from export.compile import shapes
from export.compile.draft import convolve
from hls import cosim, cost, golden, isa
from hls.program import decode as fields_of
from hls.record import Start, agreed, decode

SMALL_DENSENET = ((2, 2, 2, 2), 32, 64, 64, 10)
NETWORKS = {
    "resnet8": shapes.resnet8,
    "resnet20": partial(shapes.resnet, 20),
    "resnet20 in bands": partial(shapes.resnet, 20, tile_words=320),
    "densenet": partial(shapes.densenet, *SMALL_DENSENET),
    "densenet in bands": partial(shapes.densenet, *SMALL_DENSENET, tile_words=1000),
}
PUBLISHED = {  # multiplications: MLPerf Tiny's 12.5M and 76.5M; He et al.'s 0.041G
    "resnet8": (shapes.resnet8, 12_501_632),
    "ic02": (partial(shapes.resnet8, filters=40), 76_473_920),
    "resnet20": (partial(shapes.resnet, 20), 40_551_040),
}


@pytest.fixture(scope="module", params=NETWORKS)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def compiled(name):
    return NETWORKS[name]()


def start_of(compiled):
    return Start(compiled.gates, compiled.classes, map_words=compiled.map_words)


def run(engine, compiled, **options):
    """Records of the compiled network's image."""
    images = compiled.sample.image[None]
    return engine(compiled.program, compiled.weights, compiled.tables, images, start_of(compiled), **options)


def check_logits(compiled, records):
    results = decode(records, start_of(compiled))
    assert results.status[0] == isa.STATUS_OK
    np.testing.assert_array_equal(results.logits[0], compiled.sample.logits)


def moves(compiled):
    return int((compiled.program[:, 0] == isa.MOVE).sum())


def test_golden_model_finds_the_logits(name, compiled):
    check_logits(compiled, run(golden.run, compiled))
    banded = name.endswith("bands")
    assert (compiled.map_words > 0) == (moves(compiled) > 0) == banded
    assert len(np.unique(compiled.sample.logits)) == compiled.classes


@pytest.mark.cosim
@pytest.mark.parametrize("shape", cosim.SHAPES)
def test_engine_equals_the_golden_model(compiled, shape):
    expected = run(golden.run, compiled)
    for garbage in (0, 0xA5):
        found = agreed(run(cosim.run, compiled, forget=garbage, shape=shape))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("make, macs", PUBLISHED.values(), ids=PUBLISHED)
def test_networks_cost_what_their_papers_say(make, macs):
    program = make().program
    flops = sum(cost.instruction_cost(words, pc=pc).flops for pc, words in enumerate(program))
    assert flops == 2 * macs


@pytest.mark.parametrize("name", ["resnet20", "densenet"])
def test_no_map_is_all_zero_or_all_cut(name):
    """Every map that the program leaves in tile memory has codes of many values, few of them at the limit."""
    compiled = NETWORKS[name]()
    seen = maps_of(compiled)
    assert len(seen) >= 19
    for pc, codes in seen:
        values, counts = np.unique(codes, return_counts=True)
        assert len(values) > 40 and counts[values == 0].sum() < 0.8 * codes.size, pc
        assert max(counts[0] if values[0] else 0, counts[-1]) < 0.1 * codes.size, pc


def maps_of(compiled):
    """(pc, codes) of the output of each CONV, right behind it."""
    seen, image = [], compiled.sample.image[None]

    class Watched(golden.Engine):
        def store(self, base, values, channels=None):
            super().store(base, values, channels)
            if int(self.program[self.last_pc][0]) == isa.CONV:
                seen.append((self.last_pc, values))

    start = start_of(compiled)
    sizes = (len(item) for item in (compiled.program, compiled.weights, compiled.tables))
    limits = golden.model.Limits(*sizes, image.size, start.gates, start.classes, start.map_words)
    engine = Watched(compiled.program, compiled.weights, compiled.tables, start, limits)
    engine.run_image(0, image.reshape(-1))
    return seen


def test_convolution_of_a_draft_is_the_definition():
    rng = np.random.default_rng(7)
    x, weight = rng.integers(-128, 256, (3, 5, 7)), rng.integers(-127, 128, (2, 3, 3, 3))
    sums = convolve(x, weight, 2)
    assert sums.shape == (2, 3, 4)
    for o, y, z in np.ndindex(*sums.shape):
        total = 0
        for i, ky, kx in np.ndindex(3, 3, 3):
            at = 2 * y + ky - 1, 2 * z + kx - 1
            if 0 <= at[0] < 5 and 0 <= at[1] < 7:
                total += int(weight[o, i, ky, kx]) * int(x[i, at[0], at[1]])
        assert sums[o, y, z] == total


@pytest.mark.parametrize("depth", [2, 7, 18, 75])
def test_depths_that_no_network_has_are_refused(depth):
    with pytest.raises(ValueError, match="expected 6n \\+ 2"):
        shapes.resnet(depth)


def test_the_same_seed_is_the_same_network():
    one, other, third = (shapes.resnet8(seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.weights, other.weights) and np.array_equal(one.program, other.program)
    assert not np.array_equal(one.weights, third.weights)


@pytest.mark.cosim
def test_densenet201_at_full_size():
    """Logits of 1,000 classes from a network whose maps do not fit the chip: layers, golden model and engine agree."""
    compiled = shapes.densenet201()
    assert compiled.classes == 1000 and compiled.map_words > isa.TILE_WORDS >= compiled.tile_words
    pools = [fields_of(words) for words in compiled.program if int(words[0]) == isa.POOL]
    assert {(pool["kernel"], pool["stride"]) for pool in pools} == {(3, 2), (2, 2)}
    records = run(golden.run, compiled)
    check_logits(compiled, records)
    np.testing.assert_array_equal(run(cosim.run, compiled, forget=0xA5), records)
