"""Operators that change a map's size: pools, averages, Pad and Slice."""

from dataclasses import replace

import numpy as np

from export.onnx_reader.access import Access
from export.onnx_reader.attributes import pads_of
from export.onnx_reader.convolutions import spread
from export.onnx_reader.steps import Window, unsupported
from export.onnx_reader.windows import NoFit, output_size
from hls import isa


class Pools(Access):
    """One method an operator."""

    def _window(self, node, attributes):
        """(map, Window, output size) of a pool."""
        x, around = self._unpadded(self._map(node))
        kernel, stride = attributes.get("kernel_shape", [1, 1]), attributes.get("strides", [1, 1])
        if (
            len(kernel) != 2
            or len(stride) != 2
            or min(*kernel, *stride) < 1
            or set(attributes.get("dilations", [1])) != {1}
        ):
            raise unsupported(node, f"a window of {kernel[:4]} at stride {stride[:4]}", "two sides, no dilation")
        whole = [n + one + other for n, one, other in zip(x.size, around[:2], around[2:])]
        own = pads_of(node, attributes, whole, kernel, stride)
        pads, ceil = tuple(one + other for one, other in zip(own, around)), bool(attributes.get("ceil_mode", 0))
        sides = zip(x.size, kernel, stride, pads[:2], pads[2:])
        try:
            sizes = tuple(output_size(*side, ceil) for side in sides)
        except NoFit as fault:
            raise unsupported(node, fault.found, fault.nearest) from None
        if any(around) and any(own):
            raise unsupported(node, "padding behind a Pad", "one of the two")
        counted = bool(attributes.get("count_include_pad", 0)) or any(around)
        return x, Window(tuple(kernel), tuple(stride), pads, counted), sizes

    def _op_maxpool(self, node, attributes):
        x, window, size = self._window(node, attributes)
        return self._step(
            node, "max", [x], x.channels, size, window=replace(window, counted=any(window.pads) and window.counted)
        )

    def _op_averagepool(self, node, attributes):
        x, window, size = self._window(node, attributes)
        plain = not any(window.pads) and size == tuple(
            output_size(*side, 0, 0) for side in zip(x.size, window.kernel, window.stride)
        )
        if plain and window.kernel == x.size:
            return self._mean(node, x)
        stride = window.stride[0]
        if set(window.stride) != {stride} or stride not in (1, 2, 4, 8):
            raise unsupported(node, f"stride {window.stride}", "1, 2, 4 or 8, the same both ways")
        if plain and set(window.kernel) == {window.kernel[0]} and min(stride, 2) <= window.kernel[0] <= isa.MAX_KERNEL:
            return self._averages(node, x, window, stride, size)
        if not (plain or window.counted) or attributes.get("ceil_mode", 0):
            raise unsupported(
                node,
                f"averages of {window.kernel} with padding {window.pads} left out",
                "count_include_pad = 1, or no padding",
            )
        weight = np.zeros((x.channels, x.channels, *window.kernel))
        weight[np.arange(x.channels), np.arange(x.channels)] = 1 / (window.kernel[0] * window.kernel[1])
        return spread(self._step, node, x, weight, np.zeros(x.channels), None, window.kernel, stride, window.pads)

    def _averages(self, node, x, window, stride, size):
        """A pool at stride 1 or 2, then every second pixel as often as needed."""
        step = min(stride, 2)
        between = tuple((n - window.kernel[0]) // step + 1 for n in x.size)
        x = self._step(node, "average", [x], x.channels, between, window=replace(window, stride=(step, step)))
        while step < stride:
            step, between = step * 2, tuple(-(-n // 2) for n in between)
            x = self._step(node, "thin", [x], x.channels, between, stride=2)
        assert x.size == size, (x.size, size)
        return x

    def _op_globalmaxpool(self, node, attributes):
        x = self._map(node)
        return self._step(node, "max", [x], x.channels, (1, 1), window=Window(x.size, (1, 1)))

    def _op_globalaveragepool(self, node, attributes):
        return self._mean(node, self._map(node))

    def _op_reducemean(self, node, attributes):
        x, axes = self._map(node), self._integers(node, 1, attributes.get("axes"))
        if sorted(axis % 4 for axis in axes or []) != [2, 3]:
            raise unsupported(node, f"a mean over axes {axes}", "the mean over height and width")
        return self._mean(node, x, 4 if attributes.get("keepdims", 1) else 2)

    def _op_pad(self, node, attributes):
        x, pads = self._map(node), self._integers(node, 1, attributes.get("pads"))
        axes = self._integers(node, 3)
        value = self._constant_or_none(node, 2)
        if attributes.get("mode", b"constant") not in (b"constant", "constant") or (
            value or attributes.get("value", 0)
        ):
            raise unsupported(
                node, f"padding by {attributes.get('mode', b'constant').decode()}, value {value}", "zeros"
            )
        axes = [0, 1, 2, 3] if axes is None else [axis % 4 for axis in axes]
        around = dict.fromkeys(range(4), (0, 0)) | dict(zip(axes, zip(pads, pads[len(axes) :])))
        if len(pads) != 2 * len(axes) or any(around[0]) or min(pads) < 0:
            raise unsupported(node, f"padding {pads[:8]}", "zeros around channels, height and width")
        (top, bottom), (left, right) = around[2], around[3]
        if any(around[1]):
            x = self._step(node, "thin", [x], x.channels + sum(around[1]), x.size, before=around[1][0])
        if not any((top, left, bottom, right)):
            return x
        size, window = (
            (x.size[0] + top + bottom, x.size[1] + left + right),
            Window((1, 1), (1, 1), (top, left, bottom, right)),
        )
        return self._step(node, "padded", [x], x.channels, size, window=window)

    def _op_slice(self, node, attributes):
        """Every second pixel, or fewer rows and columns at the end; one Slice for both, or one behind the other."""
        x = self._map(node)
        starts, ends = (self._integers(node, i, attributes.get(name)) for i, name in ((1, "starts"), (2, "ends")))
        axes = self._integers(node, 3, attributes.get("axes", list(range(len(starts)))))
        steps = self._integers(node, 4, [1] * len(starts))
        now, before = [self.batch, x.channels, *x.size], self.sliced.get(node.input[0], {})
        taken = {axis % 4: (start, end, step) for axis, start, end, step in zip(axes, starts, ends, steps)}
        if set(taken) & set(before):
            raise unsupported(node, f"another Slice of axis {min(set(taken) & set(before))}", "one an axis")
        taken |= before
        sizes = [now[axis] if axis not in taken else _taken(now[axis], *taken[axis]) for axis in range(4)]
        strides = {taken.get(axis, (0, 0, 1))[2] for axis in (2, 3)}
        if strides == {1, 2} and self._only_sliced(node.output[0]):
            self.sliced[node.output[0]] = taken  # its other axis comes next, as torch's exporter writes it
            return x
        if None in sizes or sizes[:2] != now[:2] or len(strides) > 1 or not strides <= {1, 2} or min(sizes) < 1:
            raise unsupported(node, f"{starts[:4]} to {ends[:4]} by {steps[:4]} of axes {axes[:4]}",
                              "pixels from the first on, all or every second one")  # fmt: skip
        stride = strides.pop()
        reach = tuple(min(stride * size, n) for size, n in zip(sizes[2:], x.size))
        if reach != x.size and tuple(-(-n // stride) for n in x.size) != tuple(sizes[2:]):
            x = self._step(node, "view", [x], x.channels, reach)
        return x if stride == 1 else self._step(node, "thin", [x], x.channels, tuple(sizes[2:]), stride=2)

    def _only_sliced(self, name):
        """Whether a value is read by Slices alone."""
        readers = {node.op_type for node in self.graph.node if name in node.input}
        return readers == {"Slice"} and name not in {value.name for value in self.graph.output}


def _taken(count, start, end, step):
    """How many of `count` a slice from the first on takes; None for one that begins elsewhere or runs backwards."""
    if step < 1 or start not in (0, -count):
        return None
    return len(range(0, min(count, end if end >= 0 else end + count), step))
