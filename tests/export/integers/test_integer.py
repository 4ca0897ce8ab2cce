"""PyTorch's quantised network = golden model = engine, bit for bit: logits, decisions, exits, FLOPs.

The network in integers (integers/integer.py) knows nothing of instructions, so this proves the compiler too; the FLOPs
are those that training counts for the same decisions.
"""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.compile.lower import lower, stop_after
from export.integers.integer import IntegerNetwork
from hls import cost, golden, isa
from hls.record import decode
from tests.export.random_networks import (
    VARIANTS,
    model_flops,
    normalise,
    quantised,
    random_case,
    random_images,
    random_model,
    start_of,
)

IDS = list(VARIANTS)


def compare_every_exit(run, case, seed=0, count=6):
    """One start an exit: FLOPs at each, so that units between two exits are counted apart."""
    images, model = random_images(case, count, seed), random_model(case)
    network8 = quantised(case, images, model)
    expected, compiled = IntegerNetwork(network8)(images), lower(network8)
    flops, trace = model_flops(model, normalise(case, images), expected.decisions), expected.trace.numpy()
    for number, logits in enumerate(expected.logits):
        program, start = stop_after(compiled.program, number), start_of(compiled)
        results = decode(run(program, compiled.weights, compiled.tables, images, start), start)
        assert (results.status == isa.STATUS_OK).all() and (results.exit == number).all()
        np.testing.assert_array_equal(results.logits, logits.numpy())
        np.testing.assert_array_equal(results.label, logits.numpy().argmax(1))
        np.testing.assert_array_equal(results.flops, flops[:, number])
        reached = results.trace != isa.TRACE_NOT_REACHED
        np.testing.assert_array_equal(results.trace[reached], trace[reached])
    assert reached.all()  # behind the last exit nothing is left out


@pytest.mark.parametrize("name", IDS)
def test_golden_model_equals_the_integer_network(name):
    compare_every_exit(golden.run, VARIANTS[name])


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_golden_model_equals_any_integer_network(seed):
    compare_every_exit(golden.run, random_case(seed), seed, 3)


@pytest.mark.cosim
@pytest.mark.parametrize("name", IDS)
def test_engine_equals_the_integer_network(name):
    from hls import cosim

    for garbage in (0, 0xA5):  # whatever the memories held before
        compare_every_exit(partial(cosim.run, forget=garbage), VARIANTS[name])


@pytest.mark.cosim
@given(st.integers(0, 10**6))
@settings(max_examples=60)
def test_engine_equals_any_integer_network(seed):
    from hls import cosim

    compare_every_exit(partial(cosim.run, forget=0x5A), random_case(seed), seed)


@pytest.mark.parametrize("name", ["papers, deeper", "pooled, both masks"])
def test_under_any_budget_the_exit_taken_gives_its_own_logits(name):
    case = VARIANTS[name]
    images = random_images(case, 2, 3)
    network8 = quantised(case, images)
    expected, compiled = IntegerNetwork(network8)(images), lower(network8)
    worst = cost.worst_case(compiled.program)
    taken = set()
    for budget in np.linspace(worst[0].flops / 4, worst[-1].flops, 41).astype(int):
        start = start_of(compiled, budget_flops=int(budget))
        results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
        assert (results.flops <= budget).all()
        for image in np.flatnonzero(results.status == isa.STATUS_OK):
            number = int(results.exit[image])
            np.testing.assert_array_equal(results.logits[image], expected.logits[number][image].numpy())
            taken.add(number)
    assert len(taken) >= len(expected.logits) - 1  # what every exit kept has survived until its classifier ran


@pytest.mark.parametrize("name", ["papers, deeper", "pooled", "pooled, small and grey", "mixed", "exits alone"])
def test_a_stopping_rule_runs_classifiers_on_the_way_and_disturbs_nothing(name):
    case = VARIANTS[name]
    images = random_images(case, 2, 4)
    network8 = quantised(case, images)
    expected, compiled = IntegerNetwork(network8)(images), lower(network8)
    start = start_of(compiled, rule=isa.RULE_CONFIDENCE, threshold=65536 * 2)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    np.testing.assert_array_equal(results.logits, expected.logits[-1].numpy())
    np.testing.assert_array_equal(results.trace, expected.trace.numpy())
