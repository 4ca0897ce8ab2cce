"""An ONNX graph as Steps: one method an operator, and one line for whatever the engine has no place for.

steps = read_steps(model)      # of a checked ModelProto (files.py)
"""

import numpy as np
from onnx import TensorProto, helper

from export.onnx_reader.arithmetic import FLOATS, Arithmetic
from export.onnx_reader.attributes import Attributes, check
from export.onnx_reader.pools import Pools
from export.onnx_reader.steps import Step, label, printable, unsupported
from export.onnx_reader.vectors import Vectors
from hls import isa
from hls.errors import UserError

NO_TENSOR = -1
WHOLE = [getattr(TensorProto, f"{sign}INT{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)]
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


def read_steps(model):
    """The Steps of a ModelProto. Raises UserError naming the node, its operator and the nearest that is supported."""
    return _Reader(model).run()


class _Reader(Arithmetic, Pools, Vectors):
    """Walks the nodes; the methods of its bases are called as operators are, in lower case behind _op_."""

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
        readers = [node for node in self.graph.node if value.name in node.input]
        self.steps.limits = _limits(value, readers)
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if len(shape) != 4:
            raise UserError(
                f"the input {printable(value.name)} has shape {shape[:8]}, expected (1, channels, height, width)"
            )
        self.batch = max(shape[0], 1)
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
        check(node, self.constants.opset)
        try:
            found = method(node, Attributes(node))
        except (TypeError, ValueError, AttributeError, IndexError, KeyError, OverflowError) as error:
            raise UserError(f"{label(node)} is malformed ({printable(error)}): export it again") from None
        self.values[node.output[0]] = found


def _limits(value, readers):
    """(lowest, highest) that an input of whole numbers takes; None for one of floating point. UserError for others.

    Whole numbers are cast to floating point by whatever reads them, or only moved.
    """
    kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else NO_TENSOR
    if kind in FLOATS:
        return None
    if kind not in WHOLE:
        known = {NO_TENSOR: "no tensor"} | {number: name for name, number in TensorProto.DataType.items()}
        name = known.get(kind, f"type {kind}")
        raise UserError(f"the input {printable(value.name)} is {name}, expected numbers: export it with float32")
    for node in readers:
        if node.op_type not in ("Cast", "Transpose", "Shape"):
            raise unsupported(node, "an input of whole numbers", "a Cast to floating point before it")
    limits = np.iinfo(helper.tensor_dtype_to_np_dtype(kind))
    return int(limits.min), int(limits.max)
