"""What an exit keeps: its map where nobody writes over it, else what the first POOL gave; the pooled map for room."""

from itertools import pairwise

import numpy as np
import pytest

from export.compile.lower import lower, stop_after
from export.compile.plan import Plan
from hls import golden, isa
from hls.program import decode as fields_of
from hls.program import encode
from hls.record import decode
from tests.export.random_networks import HIDDEN, Case, quantised, random_images, start_of

SIZE, EXITS = (12, 16), (0, 1, 2)
CASES = {
    "units without gates": Case((2, 2), exits=EXITS, size=SIZE),
    "layer gates": Case((2, 2), "pooled", "pooled", exits=EXITS, size=SIZE),
    "channel gates": Case((2, 2), "", "pooled", HIDDEN, exits=EXITS, size=SIZE),
    "channels added in place": Case((2, 2), "", "pooled", exits=EXITS, size=SIZE),
}
WHOLE = {"units without gates": 3, "layer gates": 1, "channel gates": 3, "channels added in place": 1}  # exits


def taps(program):
    """Places of the TAPs, and of the end of the main stream."""
    places = [pc for pc, words in enumerate(program) if words[0] == isa.TAP]
    return [*places, min(fields_of(program[pc])["target"] for pc in places) - 1]


def logits(compiled, program, images):
    start = start_of(compiled)
    return decode(golden.run(program, compiled.weights, compiled.tables, images, start), start).logits


@pytest.mark.parametrize("name", CASES)
def test_an_exit_says_the_same_until_the_next_one(name):
    """Right behind its TAP, and with all that runs before the next TAP, or the network's own end, run as well."""
    case, images = CASES[name], random_images(CASES[name], 3)
    network8 = quantised(case, images)
    compiled = lower(network8)
    places = taps(compiled.program)
    for number, (_, following) in enumerate(pairwise(places)):
        late = compiled.program.copy()
        late[following] = encode(isa.END)
        early = logits(compiled, stop_after(compiled.program, number), images)
        assert early.any() and np.array_equal(logits(compiled, late, images), early)
    assert len(Plan(network8.graph, late=True).whole) == WHOLE[name]


@pytest.mark.parametrize("name", ["units without gates", "channel gates"])
def test_maps_are_kept_pooled_where_there_is_no_room_for_them(name):
    """The main stream then has the POOLs, and says the same; with room it has those of the others alone."""
    case, images = CASES[name], random_images(CASES[name], 3)
    network8 = quantised(case, images)
    roomy = lower(network8)
    tight = lower(network8, tile_words=roomy.tile_words - 1)
    pools = [
        sum(fields_of(words)["opcode"] == isa.POOL for words in one.program[: taps(one.program)[-1]])
        for one in (roomy, tight)
    ]
    assert tight.map_words == 0 and pools[0] < pools[1]
    for number in range(3):
        one, other = (logits(each, stop_after(each.program, number), images) for each in (roomy, tight))
        assert np.array_equal(one, other)


def test_in_front_of_a_gated_unit_the_first_pool_is_kept():
    """An exit of stage 1 pools by 4, in two POOLs: one in front of its TAP, the other the first of its classifier."""
    case = Case((2, 1), "pooled", exits=(0,))
    program = lower(quantised(case, random_images(case, 2))).program
    tap = int(np.argmax(program[:, 0] == isa.TAP))
    one, two = (fields_of(program[pc]) for pc in (tap - 1, fields_of(program[tap])["target"]))
    assert (one["opcode"], two["opcode"]) == (isa.POOL, isa.POOL) and one["output"] == two["input"]
    assert (one["height"], two["height"], program[: tap + 1, 0].tolist().count(isa.POOL)) == (32, 16, 1)
