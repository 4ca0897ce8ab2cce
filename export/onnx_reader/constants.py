"""What of an ONNX graph is known before any image: weights, and whatever is computed from them and from shapes.

    constants = Constants(model)
    constants.values["conv1.weight"]         # numpy
    constants.fold(node)                     # True when the node's outputs are known now

`units` keeps, for weights that were dequantised, the step of their codes along an axis.
"""

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.onnx_reader.steps import label, printable
from hls.errors import UserError

MOST = 1 << 26  # elements of a folded constant
ELEMENTWISE = ("Add", "Sub", "Mul", "Div", "Pow", "Neg", "Sqrt", "Reciprocal", "Floor", "Ceil", "Cast", "CastLike",
               "Min", "Max", "Abs", "Exp", "Log", "Where", "Equal", "Not", "And", "Mod", "Relu", "Clip", "Identity",
               "QuantizeLinear")  # fmt: skip
MOVING = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Slice", "Gather", "Shape", "Size", "Split",
          "ReduceProd", "ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "Constant", "Concat")  # fmt: skip
GROWING = ("ConstantOfShape", "Expand", "Tile", "Range")


class Constants:
    """`values`: name → array; `units`: name → (steps, axis or None)."""

    def __init__(self, model):
        self.opset = next(item.version for item in model.opset_import if item.domain in ("", "ai.onnx"))
        self.values: dict[str, Any] = {"": None}
        self.units = {}
        for tensor in model.graph.initializer:
            self.values[tensor.name] = array(tensor)

    def fold(self, node):
        """Compute a node whose inputs are all known; False where one is not. Raises UserError."""
        if any(name not in self.values for name in node.input) or node.domain not in ("", "ai.onnx"):
            return False
        kind, inputs = node.op_type, [self.values[name] for name in node.input]
        if kind == "DequantizeLinear":
            self._dequantise(node, *inputs)
            return True
        if kind == "Constant" and any(attribute.HasField("t") for attribute in node.attribute):
            self.values[node.output[0]] = array(node.attribute[0].t)
            return True
        if kind not in (*ELEMENTWISE, *MOVING, *GROWING):
            raise UserError(
                f"{label(node)} works on constants alone, which is not supported: simplify the model before"
            )
        if not self._elements(kind, inputs) <= MOST:
            raise UserError(f"{label(node)} makes more than {MOST} numbers of constants: is the file damaged?")
        for name, value in zip(node.output, self._run(node, inputs)):
            self.values[name] = np.asarray(value)
        if kind in ("Reshape", "Identity") and node.input[0] in self.units and _alike(*self._both(node)):
            self.units[node.output[0]] = self.units[node.input[0]]
        return True

    def _both(self, node):
        return self.values[node.input[0]], self.values[node.output[0]]

    def _elements(self, kind, inputs):
        """At most so many numbers come out."""
        try:
            if kind in ELEMENTWISE:
                return math.prod(np.broadcast_shapes(*(value.shape for value in inputs if value is not None)))
            if kind == "Range":
                start, limit, delta = (float(value) for value in inputs)
                return abs((limit - start) / delta)
            if kind == "Tile":
                return inputs[0].size * math.prod(int(value) for value in inputs[1].ravel())
            if kind in GROWING:
                return math.prod(max(int(value), 1) for value in inputs[-1].ravel()) * max(inputs[0].size, 1)
            index = inputs[1].size if kind == "Gather" else 1
            return sum(value.size for value in inputs if value is not None) * max(index, 1)
        except (ValueError, TypeError, OverflowError, ZeroDivisionError, AttributeError, IndexError):
            return math.inf

    def _run(self, node, inputs):
        from onnx.reference import ReferenceEvaluator

        names = {name: value for name, value in zip(node.input, inputs) if name}
        infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
                 for name, value in names.items()]  # fmt: skip
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "constant", infos, outputs)
        try:
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
            with np.errstate(all="ignore"):
                return ReferenceEvaluator(model).run(None, names)
        except Exception as error:  # the evaluator's are of every kind
            raise UserError(
                f"{label(node)} cannot be computed: {printable(error)}: simplify the model before"
            ) from None

    def _dequantise(self, node, codes, scale=None, zero=None):
        """Weights in floating point; their step is kept where the codes are whole in the engine's int8."""
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        axis = attributes.get("axis", 1)
        try:
            codes = np.asarray(codes).astype(np.float64)
            scale, zero = np.asarray(scale, np.float64), np.asarray(0 if zero is None else zero, np.float64)
            if scale.size == 1:
                scale, zero, axis = scale.reshape(()), zero.reshape(()), None
            else:
                axis %= codes.ndim
                shape = [-1 if i == axis else 1 for i in range(codes.ndim)]
                zero = zero.reshape(shape if zero.size > 1 else ())
                scale = scale.reshape(shape)
            codes = codes - zero
            self.values[node.output[0]] = codes * scale
        except (ValueError, TypeError, ZeroDivisionError):
            raise UserError(f"{label(node)} has scales of another shape than its values: export it again") from None
        if codes.size and np.abs(codes).max() <= 128:
            self.units[node.output[0]] = scale.ravel(), axis


def array(tensor):
    """A tensor as numpy. Raises UserError."""
    try:
        found = numpy_helper.to_array(tensor)
    except Exception as error:  # a damaged tensor raises nearly anything
        raise UserError(f"weights {printable(tensor.name)} cannot be read: {printable(error)}: export again") from None
    if found.dtype == onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.BFLOAT16):
        found = found.astype(np.float32)
    return found


def _alike(one, other):
    return one.shape == other.shape
