"""PyTorch's quantised network = golden model = engine, bit for bit: logits, decisions, exits.

The network in integers (export/integer.py) knows nothing of instructions, so this proves the compiler too.
"""

from functools import partial

import numpy as np
import pytest

from export.compile.lower import lower, stop_after
from export.integer import IntegerNetwork
from hls import cost, golden, isa
from hls.record import Start, decode
from tests.export.random_networks import VARIANTS, network_of, quantised, random_images, random_model

CASES = [(variant, seed) for variant in VARIANTS for seed in range(2)]


def compare_every_exit(run, variant, seed):
    images = random_images(6, seed)
    network = quantised(random_model(network_of(variant), seed), images)
    expected, compiled = IntegerNetwork(network)(images), lower(network)
    start = Start(compiled.gates, compiled.classes)
    for number, logits in enumerate(expected.logits):
        program = stop_after(compiled.program, number)
        results = decode(run(program, compiled.weights, compiled.tables, images, start), start)
        assert (results.status == isa.STATUS_OK).all() and (results.exit == number).all()
        np.testing.assert_array_equal(results.logits, logits.numpy())
        np.testing.assert_array_equal(results.label, logits.numpy().argmax(1))
        reached = results.trace != isa.TRACE_NOT_REACHED
        np.testing.assert_array_equal(results.trace[reached], expected.trace().numpy()[reached])
    assert reached.all()  # behind the last exit nothing is left out


@pytest.mark.parametrize("variant, seed", CASES, ids=str)
def test_golden_model_equals_the_integer_network(variant, seed):
    compare_every_exit(golden.run, variant, seed)


@pytest.mark.cosim
@pytest.mark.parametrize("variant, seed", CASES, ids=str)
def test_engine_equals_the_integer_network(variant, seed):
    from hls import cosim

    for garbage in (0, 0xA5):  # whatever the memories held before
        compare_every_exit(partial(cosim.run, forget=garbage), variant, seed)


def test_under_any_budget_the_exit_taken_gives_its_own_logits():
    images = random_images(2, 3)
    network = quantised(random_model(network_of(VARIANTS[1]), 3), images)
    expected, compiled = IntegerNetwork(network)(images), lower(network)
    worst = cost.worst_case(compiled.program)
    taken = set()
    for budget in np.linspace(worst[0].flops / 4, worst[-1].flops, 61).astype(int):
        start = Start(compiled.gates, compiled.classes, budget_flops=int(budget))
        results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
        assert (results.flops <= budget).all()
        for image in np.flatnonzero(results.status == isa.STATUS_OK):
            number = int(results.exit[image])
            np.testing.assert_array_equal(results.logits[image], expected.logits[number][image].numpy())
            taken.add(number)
    assert len(taken) >= len(expected.logits) - 1  # what every exit kept has survived until its classifier ran


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant[3]], ids=str)
def test_a_stopping_rule_runs_classifiers_on_the_way_and_disturbs_nothing(variant):
    images = random_images(2, 4)
    network = quantised(random_model(network_of(variant), 4), images)
    expected, compiled = IntegerNetwork(network)(images), lower(network)
    start = Start(compiled.gates, compiled.classes, rule=isa.RULE_CONFIDENCE, threshold=65536 * 2)
    results = decode(golden.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    np.testing.assert_array_equal(results.logits, expected.logits[-1].numpy())
    np.testing.assert_array_equal(results.trace, expected.trace().numpy())
