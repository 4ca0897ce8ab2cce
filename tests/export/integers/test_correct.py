"""After correction the integer gates are too high as often as too low, and flip fewer of the float ones' decisions."""

from dataclasses import replace

import numpy as np
import pytest

from export.float_network import FloatNetwork
from export.graph import LayerGate
from export.integers.correct import correct
from export.integers.integer import IntegerNetwork
from tests.export.random_networks import clipped

GATED = ["papers, projected", "convolution channels", "pooled, both masks", "mixed", "hidden alone"]


def layer_of(gate):
    return gate.logit if isinstance(gate, LayerGate) else gate.x


def side_by_side(network8, images, x):
    """Gate → its float Decision, and the integer one where all others decide as the floats."""
    wanted = FloatNetwork(network8.graph)(x).decisions
    forced = {gate: decision.keep for gate, decision in wanted.items()}
    found = IntegerNetwork(network8, forced=forced)(images).decisions
    return {gate: (decision, found[gate]) for gate, decision in wanted.items()}


def flips(network8, images, x):
    """Decisions of each gate that differ though all before it are right, of images that ask it."""
    count = 0
    for gate, (wanted, found) in side_by_side(network8, images, x).items():
        keep = found.logits > (network8.numbers[gate] if isinstance(gate, LayerGate) else 0)
        count += int((keep != wanted.keep)[wanted.asked].sum())
    return count


@pytest.mark.parametrize("name", GATED)
def test_median_error_of_every_gate_is_gone(name):
    network8, images, x = clipped(name, 32, 11)
    after = correct(network8, images, x)
    for gate, (wanted, found) in side_by_side(after, images, x).items():
        asked = wanted.asked if wanted.asked.any() else ~wanted.asked
        unit = after.numbers[layer_of(gate)].unit
        threshold = after.numbers[gate] if isinstance(gate, LayerGate) else 0
        errors = (found.logits[asked].double().numpy() - threshold) * unit - wanted.logits[asked].numpy()
        assert (np.abs(np.median(errors, 0)) <= unit + 1e-5).all(), gate.name


@pytest.mark.parametrize("name", GATED)
def test_a_corrected_gate_flips_less(name):
    network8, images, x = clipped(name, 32, 11)
    before, after = flips(network8, images, x), flips(correct(network8, images, x), images, x)
    assert after < before, "a correction with the wrong sign doubles the errors instead"


@pytest.mark.parametrize("shift", [-1, 1])
@pytest.mark.parametrize("name", ["recurrent layers", "pooled"])
def test_a_gate_that_is_far_off_is_set_right(name, shift):
    """A bias in the integers that no float has, either way, is taken back: to one step, by which a median rounds."""
    network8, images, x = clipped(name, 32, 11)
    numbers, spread = dict(network8.numbers), {}
    for layer in {layer_of(gate) for gate in side_by_side(network8, images, x)}:
        spread[layer] = np.round(shift / numbers[layer].unit).astype(np.int64)
        numbers[layer] = replace(numbers[layer], bias=(numbers[layer].bias + spread[layer]).astype(np.int32))
    off = replace(network8, numbers=numbers)
    assert flips(off, images, x) > flips(network8, images, x)
    plain, again = correct(network8, images, x).numbers, correct(off, images, x).numbers
    for gate in side_by_side(network8, images, x):
        layer = layer_of(gate)
        if isinstance(gate, LayerGate):
            assert abs(again[gate] - plain[gate] - spread[layer].item()) <= 1, gate.name
        else:
            assert np.abs(again[layer].bias - plain[layer].bias).max() <= 1, gate.name


def test_a_network_without_gates_is_left_alone():
    network8, images, x = clipped("plain", 32, 11)
    assert correct(network8, images, x) == network8
