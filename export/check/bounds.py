"""How far a layer in integers may be from the same layer in floating point on the same inputs, by its own rounding.

    bound = bound_of(run, node, steps)      # of an IntegerNetwork that has just computed `node`, or None

In steps of the output's codes. Weights are rounded by half a step at most, biases too; a scale word has 16 bits; each
result is rounded once, an added map once more. A layer whose error is larger has another reason: a value was cut off,
or the layer is computed wrongly. Of an LSTM, which looks into tables, nothing is said.
"""

import numpy as np
import torch
from torch.nn import functional

from export.integers.layers8 import word_value
from hls import isa

WORD = 2.0**-16  # relative error of a scale word
ROUNDING, FLOATS = 0.5, 0.02  # of a result; what float32 sums may be off


def bound_of(run, node, steps):
    """A tensor that fits the node's value; `steps`: node → the value of one step of its codes."""
    method = _BOUNDS.get(node.kind)
    return None if method is None else method(run, node, steps) + FLOATS


def ratios(words):
    """(C,) factors of scale words, without their signs."""
    return torch.from_numpy(np.abs(word_value(words)))


def _result(run, node):
    return ROUNDING + run.values[node].abs() * WORD


def _convolution(run, node, steps):
    conv, x = run.numbers[node], run.read(node.x, node.in_mask).abs().sum(1, keepdim=True).double()
    kernel = conv.weight.shape[-1]
    around = functional.conv2d(x, torch.ones(1, 1, kernel, kernel).double(), None, conv.stride, kernel // 2)
    moved = torch.from_numpy(np.abs(conv.moved + np.zeros(len(conv.bias))))[:, None, None]  # means.py
    found = ratios(conv.scale)[:, None, None] * (0.5 * around + 0.5 + moved) + _result(run, node)
    if node.add is not None:
        added = run.values[node.add].abs() * float(steps(node.add) / steps(node))
        found = found + ROUNDING + 2 * added * WORD
    return found


def _affine(run, node, steps):
    bias, words = run.numbers[node]
    own, ratio = ratios(words), np.abs(node.scale.astype(float)) * float(steps(node.x) / steps(node))
    wider = (own * 2**isa.FRACTION_BITS - torch.from_numpy(ratio)).abs()  # of a channel that is all but constant
    shift = own * torch.from_numpy(np.abs(bias).astype(float)) * WORD
    return (0.5 * own + shift)[:, None, None] + wider[:, None, None] * run.values[node.x].abs() + _result(run, node)


def _linear(run, node, steps):
    layer, x = run.numbers[node], run.values[node.x].abs().sum(1, keepdim=True).double()
    sums = 0.5 * x + 0.5
    if layer.scale is not None:
        return ratios(layer.scale) * sums + _result(run, node)
    unit = np.where(layer.unit == 0, np.inf, layer.unit)  # biases in front of a gate are corrected (correct.py)
    return sums + torch.from_numpy(np.abs(layer.bias - node.bias.astype(float) / unit))


def _exact(run, node, steps):
    return torch.zeros(())


def _pool(run, node, steps):
    return _result(run, node) if node.average else _exact(run, node, steps)


def _image(run, node, steps):
    return torch.tensor(ROUNDING)


_BOUNDS = {
    "image": _image,
    "convolution": _convolution,
    "affine": _affine,
    "linear": _linear,
    "pad": lambda run, node, steps: _result(run, node),
    "concat": lambda run, node, steps: _result(run, node),
    "mean": lambda run, node, steps: _result(run, node),
    "pool": _pool,
    "view": _exact,
    "flatten": _exact,
}
