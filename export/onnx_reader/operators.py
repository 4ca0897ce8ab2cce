"""An ONNX graph as Steps: one method an operator, and one line for whatever the engine has no place for.

steps = read_steps(model)      # of a checked ModelProto (files.py)
"""

from dataclasses import replace

import numpy as np
from onnx import helper

from export.onnx_reader.attributes import Attributes, pads_of
from export.onnx_reader.constants import Constants
from export.onnx_reader.convolutions import convolution, spread
from export.onnx_reader.steps import Grid, Step, Steps, Window, label, printable, unsupported
from export.onnx_reader.windows import NoFit, output_size
from hls import isa
from hls.errors import UserError

SUPPORTED = (
    "Conv, BatchNormalization, Relu, Clip, Add, Concat, MaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, Gemm, "
    "MatMul, Flatten, Reshape, Pad, Softmax at the end, QuantizeLinear, DequantizeLinear"
)
NEAREST = {
    **dict.fromkeys(("LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh",
                     "Mish", "Swish", "Softplus", "Softsign", "ThresholdedRelu"), "Relu or Clip"),
    **dict.fromkeys(("InstanceNormalization", "LayerNormalization", "GroupNormalization", "LRN",
                     "LpNormalization", "RMSNormalization", "MeanVarianceNormalization"), "BatchNormalization"),
    **dict.fromkeys(("ConvTranspose", "DeformConv", "Einsum"), "Conv"),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "QGemm", "QLinearAdd"),
                    "the QDQ format: quantise with QuantFormat.QDQ"),
    **dict.fromkeys(("ReduceMax", "LpPool", "GlobalLpPool"), "GlobalMaxPool or MaxPool"),
    **dict.fromkeys(("If", "Loop", "Scan"), "a graph without control flow"),
}  # fmt: skip
PASSING = ("Identity", "Dropout", "Cast")


def read_steps(model):
    """The Steps of a ModelProto. Raises UserError naming the node, its operator and the nearest that is supported."""
    return _Reader(model).run()


class _Reader:
    """One method an ONNX operator, named as it is in lower case; it gives the Step of the node's first output."""

    def __init__(self, model):
        self.graph, self.constants = model.graph, Constants(model)
        self.steps, self.values = Steps(), {}  # name → Step
        self.rank = {}  # Step → 4 or 2: how the file holds a vector
        self.behind = {}  # Step → the layout (0, 2, 3, 1) of a map, where the file has turned it
        self.names = {}

    def run(self):
        """The Steps."""
        outputs = list(dict.fromkeys(value.name for value in self.graph.output))
        if len(outputs) != 1:
            raise UserError(f"the model has {len(outputs)} outputs, expected one, the logits: export it with one")
        self._image()
        for node in self.graph.node:
            self._node(node)
        last = self.values.get(outputs[0])
        last = last.inputs[0] if last is not None and last.kind == "softmax" else last
        if last is None:
            raise UserError(f"the model's output {printable(outputs[0])} does not depend on its image")
        if last.size is not None:
            raise UserError(
                f"the output is a map of {last.channels}×{last.size[0]}×{last.size[1]}, expected (1, classes)"
            )
        self.steps.last = last
        return self.steps

    def _image(self):
        """The one input that is no weight."""
        inputs = [value for value in self.graph.input if value.name not in self.constants.values]
        if len(inputs) != 1:
            raise UserError(f"the model has {len(inputs)} inputs, expected one, the image: export it with one")
        value, self.batch = inputs[0], 1
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(shape) != 4:
            raise UserError(
                f"the input {printable(value.name)} has shape {shape[:8]}, expected (1, channels, height, width)"
            )
        self.batch = max(shape[0], 1)
        readers = [node for node in self.graph.node if value.name in node.input]
        turned = [
            node for node in readers if node.op_type == "Transpose" and Attributes(node).get("perm") == [0, 3, 1, 2]
        ]
        last = bool(readers) and turned == readers
        channels, *size = (shape[3], *shape[1:3]) if last else shape[1:]
        if not (1 <= channels <= isa.MAX_CHANNELS and all(1 <= side <= isa.MAX_MAP for side in size)):
            raise UserError(
                f"the input {printable(value.name)} has shape {shape}, expected 1 to {isa.MAX_CHANNELS} channels and "
                f"1 to {isa.MAX_MAP} pixels a side, all given: export it with a fixed size"
            )
        step = self.steps.add(Step("image", "image", [], channels, tuple(size)))
        self.values[value.name] = step
        if last:
            self.behind[value.name] = True

    def _node(self, node):
        if node.op_type == "Shape" and node.input[0] in self.values:
            self.constants.values[node.output[0]] = self._shape(node)
            return
        if self.constants.fold(node):
            return
        method = getattr(self, f"_op_{node.op_type.lower()}", None)
        if node.domain not in ("", "ai.onnx") or method is None:
            found = f"the operator {printable(node.op_type)}"
            found += f" of {printable(node.domain)}" if node.domain not in ("", "ai.onnx") else ""
            raise unsupported(node, found, NEAREST.get(node.op_type, SUPPORTED))
        for name in node.output[1:]:
            if name and any(name in other.input for other in self.graph.node):
                raise unsupported(node, "its second output", "the first alone")
        try:
            found = method(node, Attributes(node))
        except (TypeError, ValueError, AttributeError, IndexError, KeyError, OverflowError) as error:
            raise UserError(f"{label(node)} is malformed ({printable(error)}): export it again") from None
        self.values[node.output[0]] = found

    # ---------------------------------------------------------------------------------------------------- access
    def _x(self, node, index=0, turned=False):
        """The Step of an input."""
        name = node.input[index] if index < len(node.input) else ""
        if name in self.behind and not turned:
            raise unsupported(node, "a map with its channels last", "channels before height and width")
        if name not in self.values:
            raise unsupported(node, f"an input {index} that is constant or missing", "a map or a vector there")
        if self.values[name].kind == "softmax" and not turned:
            raise unsupported(self.values[name].label, "a Softmax that is read again", "a Softmax at the end")
        return self.values[name]

    def _map(self, node, index=0):
        x = self._x(node, index)
        if x.size is None:
            raise unsupported(node, "a vector of values", "a map of pixels")
        return x

    def _constant(self, node, index, what):
        """A constant input as float64, or None."""
        if index >= len(node.input) or not node.input[index]:
            return None
        if node.input[index] not in self.constants.values:
            raise unsupported(node, f"{what} computed from the image", f"constant {what}")
        return _finite(self.constants.values[node.input[index]], node, what)

    def _integers(self, node, index, attribute=None):
        """Integers of a constant input, or of the attribute that older opsets have; None without either."""
        if index < len(node.input) and node.input[index]:
            name = node.input[index]
            if name not in self.constants.values:
                raise unsupported(node, "a shape or axes computed from pixels", "constants")
            return [int(value) for value in np.ravel(self.constants.values[name])[:64]]
        return attribute

    def _step(self, node, kind, inputs, channels, size, **fields):
        name = printable(node.name or node.output[0], 200)
        self.names[name] = self.names.get(name, 0) + 1
        name = name if self.names[name] == 1 else f"{name} ({self.names[name]})"
        return self.steps.add(Step(kind, name, inputs, channels, size, label(node), **fields))

    def _shape(self, node):
        x, name = self.values[node.input[0]], node.input[0]
        shape = [self.batch, x.channels, *(x.size or ([1, 1] if self.rank.get(name) == 4 else []))]
        if name in self.behind:
            shape = [shape[0], *shape[2:], shape[1]]
        attributes = Attributes(node)
        return np.array(shape[attributes.get("start", 0) : attributes.get("end", None)], np.int64)

    def _keep_rank(self, node, rank):
        self.rank[node.output[0]] = rank

    # ------------------------------------------------------------------------------------------- convolution, sums
    def _op_conv(self, node, attributes):
        weight, bias = self._constant(node, 1, "weights"), self._constant(node, 2, "biases")
        x, around = self._unpadded(self._x(node))
        self._keep_rank(node, 4)
        return convolution(self._step, node, attributes, x, around, weight, bias, self._unit(node.input[1], 0))

    def _unpadded(self, x):
        """What a Pad pads, and by how much: whatever reads it pads on its own."""
        return (x.inputs[0], x.window.pads) if x.kind == "padded" else (x, (0, 0, 0, 0))

    def _unit(self, name, axis):
        """(out,) steps of a weight's codes, where the file gives them along its outputs."""
        if name not in self.constants.units:
            return None
        steps, along = self.constants.units[name]
        count = self.constants.values[name].shape[axis]
        if along is None:
            return np.full(count, float(steps[0]))
        return steps if along == axis and len(steps) == count else None

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
        shift = _finite(bias - mean * factor, node, "statistics")
        return self._affine(node, x, _finite(factor, node, "statistics"), shift)

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
        if None in both or any(x.size is None for x in both):
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

    # ----------------------------------------------------------------------------------------------- what cuts values
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

    def _constant_or_none(self, node, index):
        if index >= len(node.input) or not node.input[index]:
            return None
        value = self.constants.values.get(node.input[index])
        if value is None or value.size != 1:
            raise unsupported(node, "a limit computed from pixels", "a constant")
        return value.ravel()[0]

    def _cut(self, node, low, high):
        x = self._x(node)
        self._keep_rank(node, self.rank.get(node.input[0], 4 if x.size else 2))
        return self._step(node, "cut", [x], x.channels, x.size, low=low, high=high)

    def _op_quantizelinear(self, node, attributes):
        """Codes: what DequantizeLinear makes of them is the step's value again."""
        x, scale, zero = (
            self._x(node),
            self._constant(node, 1, "a scale"),
            self.constants.values.get(node.input[2]) if len(node.input) > 2 else None,
        )
        kind = np.dtype(np.uint8) if zero is None else zero.dtype
        if scale is None or scale.size != 1 or kind not in (np.int8, np.uint8) or not scale.ravel()[0] > 0:
            raise unsupported(
                node, f"codes of {kind} with {0 if scale is None else scale.size} scales", "8 bits with one scale a map"
            )
        limits, zero = np.iinfo(kind), 0 if zero is None else int(zero.ravel()[0])
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

    def _pass(self, node):
        self._keep_rank(node, self.rank.get(node.input[0], 4 if self._x(node, turned=True).size else 2))
        if node.input[0] in self.behind:
            self.behind[node.output[0]] = True
        return self._x(node, turned=True)

    def _op_identity(self, node, attributes):
        return self._pass(node)

    def _op_dropout(self, node, attributes):
        if np.any(self._constant(node, 2, "training mode") or 0):
            raise unsupported(node, "dropout in training", "dropout as an identity")
        return self._pass(node)

    def _op_cast(self, node, attributes):
        if attributes.get("to") not in (1, 10, 11, 16):
            raise unsupported(node, f"a cast to type {attributes.get('to')}", "floating point")
        return self._pass(node)

    def _op_softmax(self, node, attributes):
        x = self._x(node)
        rank = self.rank.get(node.input[0], 2)
        axis = attributes.get("axis", -1 if self.constants.opset >= 13 else 1)
        if x.size is not None or axis not in (1, -1 if rank == 2 else 1):
            raise unsupported(
                node, f"a Softmax along axis {axis} of {'a map' if x.size else 'a vector'}", "one over the classes"
            )
        return self._step(node, "softmax", [x], x.channels, None)

    _op_logsoftmax = _op_softmax

    # -------------------------------------------------------------------------------------------------------- pools
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

    def _mean(self, node, x, rank=4):
        self._keep_rank(node, rank)
        return self._step(node, "mean", [x], x.channels, None)

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
        if len(pads) != 2 * len(axes) or any(around[0] + around[1]) or min(pads) < 0:
            raise unsupported(node, f"padding {pads[:8]}", "zeros around height and width")
        (top, bottom), (left, right) = around[2], around[3]
        size = x.size[0] + top + bottom, x.size[1] + left + right
        window = Window((1, 1), (1, 1), (top, left, bottom, right))
        return self._step(node, "padded", [x], x.channels, size, window=window) if any(pads) else x

    # ------------------------------------------------------------------------------------------------------ vectors
    def _op_gemm(self, node, attributes):
        x, weight, bias = self._vector(node), self._constant(node, 1, "weights"), self._constant(node, 2, "biases")
        across = bool(attributes.get("transB", 0))
        if attributes.get("transA", 0):
            raise unsupported(node, "a transposed first input", "transA = 0")
        alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
        unit = self._unit(node.input[1], 0 if across else 1)
        if bias is not None and bias.size == 1:
            bias = np.full(weight.shape[0 if across else -1], float(bias.ravel()[0]))
        weight = (weight if across else weight.T) * alpha if weight.ndim == 2 else weight
        return self._linear(
            node, x, weight, None if bias is None else bias * beta, None if unit is None else unit * abs(alpha)
        )

    def _op_matmul(self, node, attributes):
        x, weight = self._vector(node), self._constant(node, 1, "weights")
        return self._linear(node, x, weight.T, None, self._unit(node.input[1], 1))

    def _vector(self, node):
        x = self._x(node)
        if x.size is not None or self.rank.get(node.input[0], 2) != 2:
            raise unsupported(node, "a product with a map", "Flatten or a global pool before it")
        return x

    def _linear(self, node, x, weight, bias, unit):
        if weight.ndim != 2 or weight.shape[1] != x.channels or (bias is not None and bias.size != len(weight)):
            raise unsupported(node, f"weights of shape {weight.shape} on {x.channels} values", "(outputs, inputs)")
        bias = np.zeros(len(weight)) if bias is None else bias.ravel()
        return self._step(node, "linear", [x], len(weight), None, weight=weight, bias=bias, unit=unit)

    def _op_flatten(self, node, attributes):
        if attributes.get("axis", 1) != 1:
            raise unsupported(node, f"axis {attributes.get('axis', 1)}", "axis 1")
        return self._flat(node)

    def _flat(self, node):
        x = self._x(node, turned=True)
        self._keep_rank(node, 2)
        if x.size is None:
            return x
        if x.size == (1, 1):
            return self._step(node, "mean", [x], x.channels, None)
        order = None
        if node.input[0] in self.behind:
            order = np.arange(x.channels * x.size[0] * x.size[1]).reshape(x.channels, -1).T.ravel()
        return self._step(node, "flatten", [x], x.channels * x.size[0] * x.size[1], None, order=order)

    def _op_reshape(self, node, attributes):
        x, shape = self._x(node, turned=True), self._integers(node, 1, attributes.get("shape"))
        total = x.channels * (x.size[0] * x.size[1] if x.size else 1)
        now = [self.batch, x.channels, *(x.size or ([1, 1] if self.rank.get(node.input[0]) == 4 else []))]
        if not attributes.get("allowzero", 0):
            shape = [now[i] if side == 0 and i < len(now) else side for i, side in enumerate(shape)]
        known = int(np.prod([side for side in shape if side != -1], dtype=np.float64))
        full = [self.batch * total // max(known, 1) if side == -1 else side for side in shape]
        if full == [self.batch, total] and (x.size or len(now) == 4 or full == now):
            return self._flat(node)
        if x.size is None and full == [self.batch, total, 1, 1]:
            self._keep_rank(node, 4)
            return x
        if full == now:
            return self._pass(node)
        raise unsupported(node, f"shape {shape[:8]} of a map {now}", f"({self.batch}, {total})")

    def _op_squeeze(self, node, attributes):
        axes = self._integers(node, 1, attributes.get("axes"))
        x = self._x(node)
        if x.size not in (None, (1, 1)) or sorted(axis % 4 for axis in axes or [2, 3]) != [2, 3]:
            raise unsupported(node, f"axes {axes}", "height and width of a map of one pixel")
        return self._flat(node)

    def _op_unsqueeze(self, node, attributes):
        axes = self._integers(node, 1, attributes.get("axes"))
        if self._x(node).size is not None or sorted(axis % 4 for axis in axes or []) != [2, 3]:
            raise unsupported(node, f"axes {axes}", "height and width behind a vector")
        self._keep_rank(node, 4)
        return self._x(node)

    def _op_transpose(self, node, attributes):
        x, perm = self._x(node, turned=True), attributes.get("perm", [3, 2, 1, 0])
        turned = node.input[0] in self.behind
        if perm == [0, 3, 1, 2] and turned:
            return x
        if perm == [0, 2, 3, 1] and not turned and (x.size or self.rank.get(node.input[0]) == 4):
            self.behind[node.output[0]] = True
            return x
        raise unsupported(node, f"axes {perm[:8]}", "channels moved behind height and width, or back")


def _swapped(node):
    """A node with its two inputs the other way round."""
    return helper.make_node(node.op_type, [node.input[1], node.input[0]], list(node.output), name=node.name)


def _finite(value, node, what):
    """float64, or the refusal of what is no number."""
    try:
        value = np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{label(node)} has {what} that are no numbers: export it again") from None
    if not np.isfinite(value).all():
        raise UserError(f"{label(node)} has {what} that are not finite: train again, or export another checkpoint")
    return value
