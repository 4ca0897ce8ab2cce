"""Operators that keep a map's size, and Conv: products, sums, joins, and what cuts values."""

import numpy as np
from onnx import helper

from export.onnx_reader.access import Access, finite
from export.onnx_reader.convolutions import convolution
from export.onnx_reader.steps import Grid, unsupported

FLOATS = (1, 10, 11, 16)  # ONNX's numbers of float32, float16, float64, bfloat16


class Arithmetic(Access):
    """One method an operator, named as it is in lower case; it gives the Step of the node's first output."""

    def _op_conv(self, node, attributes):
        weight, bias = self._constant(node, 1, "weights"), self._constant(node, 2, "biases")
        x, around = self._unpadded(self._x(node))
        self._keep_rank(node, 4)
        return convolution(self._step, node, attributes, x, around, weight, bias, self._unit(node.input[1], 0))

    def _op_batchnormalization(self, node, attributes):
        x = self._x(node)
        if attributes.get("training_mode", 0):
            raise unsupported(node, "batch norm in training", "batch norm by its running statistics")
        statistics = [self._constant(node, i, "statistics") for i in range(1, 5)]
        if any(value is None or value.shape != (x.channels,) for value in statistics):
            raise unsupported(node, "statistics of another shape", f"four of ({x.channels},)")
        scale, bias, mean, var = statistics
        with np.errstate(all="ignore"):
            factor = scale / np.sqrt(var + attributes.get("epsilon", 1e-5))
        shift = finite(bias - mean * factor, node, "statistics")
        return self._affine(node, x, finite(factor, node, "statistics"), shift)

    def _affine(self, node, x, scale, shift):
        self._keep_rank(node, self.rank.get(node.input[0], 4 if x.size else 2))
        return self._step(node, "affine", [x], x.channels, x.size, scale=scale, shift=shift)

    def _per_channel(self, node, index, x, what):
        """A constant as (channels,): a scalar, or along the channels alone."""
        value = self._constant(node, index, what)
        if value is None:
            raise unsupported(node, f"no {what}", f"constant {what}")
        rank = self.rank.get(node.input[0], 2) if x.size is None else 4
        shape = (1,) * (rank - value.ndim) + value.shape
        if value.size == 1 and value.ndim <= rank:
            return np.full(x.channels, float(value.ravel()[0]))
        if len(shape) != rank or shape[1] != x.channels or value.size != x.channels:
            raise unsupported(node, f"{what} of shape {value.shape}", f"one number, or one a channel ({x.channels})")
        return value.ravel()

    def _arithmetic(self, node, combine):
        """A constant on either side as a line; `combine(constant, constant is first)` gives (scale, shift)."""
        known = [name in self.constants.values for name in node.input]
        x = self._x(node, known.index(False))
        if sum(known) != 1:
            other = "two maps" if x.size else "two vectors"
            raise unsupported(node, f"{node.op_type} of {other}", "Add of two maps, or a constant a channel")
        if known[0]:  # the shape's rank is the other input's
            node = _swapped(node)
        return self._affine(node, x, *combine(self._per_channel(node, 1, x, "constants"), known[0]))

    def _op_add(self, node, attributes):
        both = [self.values.get(name) for name in node.input]
        if any(x is None or x.size is None for x in both):
            return self._arithmetic(node, lambda c, first: (np.ones_like(c), c))
        one, other = self._map(node, 0), self._map(node, 1)
        if (one.channels, one.size) != (other.channels, other.size):
            shapes = " and ".join(f"{x.channels}×{x.size[0]}×{x.size[1]}" for x in (one, other))
            raise unsupported(node, f"a sum of {shapes}", "maps of one shape")
        return self._step(node, "add", [one, other], one.channels, one.size)

    def _op_sum(self, node, attributes):
        if len(node.input) != 2:
            raise unsupported(node, f"a sum of {len(node.input)}", "Add of two maps")
        return self._op_add(node, attributes)

    def _op_sub(self, node, attributes):
        return self._arithmetic(node, lambda c, first: (-np.ones_like(c), c) if first else (np.ones_like(c), -c))

    def _op_mul(self, node, attributes):
        return self._arithmetic(node, lambda c, first: (c, np.zeros_like(c)))

    def _op_div(self, node, attributes):
        def line(c, first):
            if first or (c == 0).any():
                raise unsupported(node, "a division by pixels or by zero", "Mul by a constant")
            return 1 / c, np.zeros_like(c)

        return self._arithmetic(node, line)

    def _op_concat(self, node, attributes):
        parts = [self._map(node, index) for index in range(len(node.input))]
        if attributes.get("axis", 1) not in (1, -3) or len({part.size for part in parts}) > 1:
            raise unsupported(node, f"axis {attributes.get('axis', 1)}", "maps of one size joined along their channels")
        return self._step(node, "concat", parts, sum(part.channels for part in parts), parts[0].size)

    def _op_relu(self, node, attributes):
        return self._cut(node, 0.0, np.inf)

    def _op_clip(self, node, attributes):
        bounds = []
        for index, name, default in ((1, "min", -np.inf), (2, "max", np.inf)):
            value = self._constant_or_none(node, index)
            bounds.append(float(attributes.get(name, default) if value is None else value))
        low, high = (bound if abs(bound) < 3e38 else np.sign(bound) * np.inf for bound in bounds)
        if not (low < high and (low in (0, -np.inf) or low == -high) and (high == np.inf or low > -np.inf)):
            raise unsupported(node, f"limits {low:g} and {high:g}", "0 and any, or a number and its negative")
        return self._cut(node, low, high)

    def _cut(self, node, low, high):
        x = self._x(node)
        self._keep_rank(node, self.rank.get(node.input[0], 4 if x.size else 2))
        return self._step(node, "cut", [x], x.channels, x.size, low=low, high=high)

    def _op_quantizelinear(self, node, attributes):
        """Codes: what DequantizeLinear makes of them is the step's value again."""
        x, scale = self._x(node), self._constant(node, 1, "a scale")
        zero = self.constants.values.get(node.input[2]) if len(node.input) > 2 else None
        kind = np.dtype(np.uint8 if zero is None else zero.dtype)
        if scale is None or scale.size != 1 or kind not in (np.int8, np.uint8) or not scale.ravel()[0] > 0:
            raise unsupported(
                node, f"codes of {kind} with {0 if scale is None else scale.size} scales", "8 bits with one scale a map"
            )
        limits, zero = np.iinfo(kind.name), 0 if zero is None else int(zero.ravel()[0])
        step = float(scale.ravel()[0])
        self._keep_rank(node, self.rank.get(node.input[0], 4 if x.size else 2))
        grid = Grid(step, (limits.min - zero) * step, (limits.max - zero) * step)
        return self._step(node, "grid", [x], x.channels, x.size, grid=grid)

    def _op_dequantizelinear(self, node, attributes):
        x, scale = self._x(node), self._constant(node, 1, "a scale")
        if (
            x.kind != "grid"
            or scale is None
            or scale.size != 1
            or not np.isclose(scale.ravel()[0], x.grid.step, rtol=1e-6)
        ):
            raise unsupported(
                node, "codes of another scale than they were made with", "QuantizeLinear, then the same back"
            )
        return self._pass(node)

    def _op_identity(self, node, attributes):
        return self._pass(node)

    def _op_dropout(self, node, attributes):
        if np.any(self._constant(node, 2, "training mode") or 0):
            raise unsupported(node, "dropout in training", "dropout as an identity")
        return self._pass(node)

    def _op_cast(self, node, attributes):
        if attributes.get("to") not in FLOATS:
            raise unsupported(node, f"a cast to type {attributes.get('to')}", "floating point")
        return self._pass(node)


def _swapped(node):
    """A node with its two inputs the other way round."""
    return helper.make_node(node.op_type, [node.input[1], node.input[0]], list(node.output), name=node.name)
