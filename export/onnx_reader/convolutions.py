"""A Conv of ONNX as steps that the engine's kernels can do: see windows.py.

x = convolution(add, node, attributes, x, around, weight, bias, unit)      # `add` appends a Step
"""

import numpy as np

from export.onnx_reader.attributes import pads_of
from export.onnx_reader.steps import unsupported
from export.onnx_reader.windows import NoFit, diagonal, embed, fit, output_size
from hls import isa

MOST_GROUPS = 4  # as one dense convolution, zeros between the groups: a quarter of the array works


def convolution(add, node, attributes, x, around, weight, bias, unit):
    """The last of the steps: on a vector a linear one; else view, conv, conv, view and thin, as far as needed.

    `around`: (top, left, bottom, right) padding that comes on top of the node's own.
    """
    weight, bias = _weights(node, attributes, x, weight, bias)
    if x.size is None:
        if weight.shape[2:] != (1, 1) or any(attributes.get("pads", [0])):
            raise unsupported(node, f"a kernel of {weight.shape[2:]} on one pixel", "1×1 without padding")
        return add(node, "linear", [x], len(weight), None, weight=weight[:, :, 0, 0], bias=bias, unit=unit)
    stride, dilations = attributes.get("strides", [1, 1]), attributes.get("dilations", [1, 1])
    if len(stride) != 2 or stride[0] != stride[1] or stride[0] not in (1, 2, 4, 8):
        raise unsupported(node, f"stride {stride[:4]}", "1, 2, 4 or 8, the same both ways")
    if len(dilations) != 2 or min(dilations) < 1:
        raise unsupported(node, f"dilation {dilations[:4]}", "1, or as far as the kernel stays within 7 pixels")
    kernel = [(count - 1) * step + 1 for count, step in zip(weight.shape[2:], dilations)]
    whole = [n + one + other for n, one, other in zip(x.size, around[:2], around[2:])]
    pads = [one + other for one, other in zip(pads_of(node, attributes, whole, kernel, stride), around)]
    return spread(add, node, x, weight, bias, unit, kernel, stride[0], pads, dilations)


def spread(add, node, x, weight, bias, unit, kernel, stride, pads, dilations=(1, 1)):
    """Steps for a convolution of any padding; `kernel` with dilation, `stride` one number."""
    step = min(stride, 2)
    try:
        places = [fit(n, k, step, *around) for n, k, around in zip(x.size, kernel, zip(pads[:2], pads[2:]))]
        final = [output_size(n, k, stride, *around) for n, k, around in zip(x.size, kernel, zip(pads[:2], pads[2:]))]
    except NoFit as fault:
        raise unsupported(node, fault.found, fault.nearest) from None
    weight = embed(weight, places, dilations)
    grown, outputs = tuple(place.grown for place in places), len(weight)
    if grown != x.size:
        x = add(node, "view", [x], x.channels, grown)
    size = tuple(-(-n // step) for n in grown)
    x = add(node, "conv", [x], outputs, size, weight=weight, bias=bias, unit=unit, stride=step)
    shifts = [place.shift for place in places]
    if any(shifts):
        reach = max(shifts)
        moving = diagonal(outputs, 2 * reach + 1, reach + shifts[0], reach + shifts[1])
        x = add(node, "conv", [x], outputs, size, weight=moving, bias=np.zeros(outputs))
    size = tuple(place.size for place in places)
    if size != x.size:
        x = add(node, "view", [x], outputs, size)
    while step < stride:
        step, size = step * 2, tuple(-(-n // 2) for n in size)
        x = add(node, "thin", [x], outputs, size, stride=2)
    assert x.size == tuple(final), (x.size, final)
    return x


def _weights(node, attributes, x, weight, bias):
    """Dense (out, in, kh, kw), and a bias."""
    if weight is None or weight.ndim != 4:
        raise unsupported(node, f"weights of shape {None if weight is None else weight.shape}", "two-dimensional Conv")
    groups = attributes.get("group", 1)
    if groups < 1 or weight.shape[1] * groups != x.channels or len(weight) % groups or not weight.size:
        raise unsupported(node, f"weights of shape {weight.shape} on {x.channels} channels", "(out, in, height, width)")
    if list(attributes.get("kernel_shape", weight.shape[2:])) != list(weight.shape[2:]):
        raise unsupported(
            node, f"kernel_shape {attributes['kernel_shape'][:4]}", f"that of the weights, {weight.shape}"
        )
    if bias is not None and bias.shape != (len(weight),):
        raise unsupported(node, f"biases of shape {bias.shape}", f"({len(weight)},)")
    if len(weight) > isa.MAX_CHANNELS or x.channels > isa.MAX_CHANNELS:
        raise unsupported(node, f"{x.channels} to {len(weight)} channels", f"at most {isa.MAX_CHANNELS}")
    if groups > MOST_GROUPS:
        raise unsupported(
            node,
            f"group {groups}",
            f"group 1, or up to {MOST_GROUPS}: the engine has no convolution of single channels",
        )
    if groups > 1:
        weight = _dense(weight, groups)
    return weight, np.zeros(len(weight)) if bias is None else bias


def _dense(weight, groups):
    """Grouped weights between zeros."""
    outputs, inputs = len(weight) // groups, weight.shape[1]
    found = np.zeros((len(weight), inputs * groups, *weight.shape[2:]))
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        found[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return found
