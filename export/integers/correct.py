"""Gates decide at a threshold: take the usual error that quantisation gives their logits out of it.

    network8 = correct(network8, images, normalised)     # training images, as uint8 and as floats

The float and the integer network run side by side, both by the float decisions. A layer gate's median error goes into
its threshold, a channel gate's into the bias of the layer behind which it stands, in steps of their accumulators. The
median, because a decision is a side and not a distance: the mean follows few images that are far off.
"""

from dataclasses import replace

import numpy as np

from export.float_network import FloatNetwork
from export.graph import ClassExit, LayerGate
from export.integers.integer import IntegerNetwork


def correct(network8, images, normalised):
    """A Network8 whose gates are too high as often as too low.

    `images` (N, H, W, C) uint8, `normalised` the same as (N, C, H, W) float32.
    """
    wanted = FloatNetwork(network8.graph)(normalised).decisions
    found = IntegerNetwork(network8, forced={gate: decision.keep for gate, decision in wanted.items()})(
        images
    ).decisions
    numbers = dict(network8.numbers)
    for gate, decision in wanted.items():
        layer = gate.logit if isinstance(gate, LayerGate) else gate.x
        asked = decision.asked if decision.asked.any() else ~decision.asked
        unit = np.full(1, layer.step) if isinstance(gate, ClassExit) else numbers[layer].unit
        error = _median_error(found[gate].logits[asked], decision.logits[asked], unit)
        if isinstance(gate, ClassExit):
            numbers[gate] = replace(numbers[gate], threshold=numbers[gate].threshold + int(error[0]))
        elif isinstance(gate, LayerGate):
            numbers[gate] = int(error[0])
        else:
            numbers[layer] = replace(numbers[layer], bias=(numbers[layer].bias - error).astype(np.int32))
    return replace(network8, numbers=numbers)


def _median_error(found, logits, unit):
    """(out,) int64: median of accumulators (N, out) less float logits (N, out), in steps; 0 for a row of zeros."""
    errors = found.double().numpy() - logits.double().numpy() / np.where(unit == 0, np.inf, unit)
    return np.round(np.where(unit == 0, 0, np.median(errors, 0))).astype(np.int64)
