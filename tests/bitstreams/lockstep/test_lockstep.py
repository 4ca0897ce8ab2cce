"""CONV's loop as RTL, a cycle at a time beside the C++ and its words beside the golden model's; faults must show.

pytest --cosim tests/bitstreams/lockstep        # needs Verilator, and some minutes for its first build
"""

import shutil

import numpy as np
import pytest

from bitstreams.lockstep import build
from bitstreams.lockstep.__main__ import WAYS, compared
from bitstreams.lockstep.compare import Bench
from bitstreams.lockstep.faults import FAULTS
from bitstreams.lockstep.layers import random_layer

pytestmark = [pytest.mark.cosim, pytest.mark.skipif(shutil.which("verilator") is None, reason=build.MISSING)]
CYCLES = 900  # of a layer


@pytest.fixture(scope="module")
def library():
    """One build for all: with every fault in it, each switched on by its number, and none by 0."""
    return build.build(FAULTS)


def test_every_cycle_and_every_word_is_the_same(library):
    with Bench(library) as bench:
        results = list(compared(bench, 16, 5, CYCLES))
    differing = [(layer.name, name, result) for name, layer, result in results if not result.same]
    assert not differing and {name for name, *_ in results} == set(WAYS)
    assert sum(result.cycles for *_, result in results) > 2000
    assert {result.waits > 0 for name, _, result in results if name in ("held", "both")} >= {True}


def test_a_bus_that_never_waits_costs_no_more_than_the_plan(library):
    with Bench(library) as bench:
        prompt = [(layer, result) for name, layer, result in compared(bench, 24, 6, CYCLES) if name == "prompt"]
    assert len(prompt) == 6 and all(result.cycles <= layer.cycles for layer, result in prompt)
    assert sum(result.cycles for _, result in prompt) > 0.97 * sum(layer.cycles for layer, _ in prompt)


@pytest.mark.parametrize("fault", range(1, len(FAULTS) + 1))
def test_a_fault_in_the_rtl_is_seen(library, fault):
    with Bench(library, fault) as bench:
        results = (result for *_, result in compared(bench, 24, 7, CYCLES))
        seen = next((result for result in results if not result.same), None)
    assert seen is not None and seen.what


def test_a_layer_without_an_active_output_is_not_started(library):
    drawn = (random_layer(np.random.default_rng([11, seed]), CYCLES) for seed in range(200))
    layer = next(each for each in drawn if each.active[1] == 0)
    with Bench(library) as bench:
        result = bench.run(layer)
    assert result.same and result.cycles == result.model_cycles == 0
