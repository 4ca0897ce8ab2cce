"""A plain network's program as ONNX, int8 and float, and how fast ONNX Runtime runs it.

    graph = onnx_of(resnet(20), quantised=True)      # u8 · s8 with scales per output channel (QDQ), IR 10, opset 20
    session = open_session(graph, threads=1)
    logits = session.run(None, {"codes": codes(compiled, images)})[0]

The graph is made of the program's own integer weights, biases and scales, so that both runtimes compute the same
network. Its input are the image table's codes + 128: ONNX Runtime is spared the table. A map's codes are its values:
scales stand at the weights alone. s8 · s8 would meet a kernel of ONNX Runtime that saturates on AVX2.
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from hls import isa
from hls.program import decode
from hls.shapes import conv_row, filter_bytes, row_bytes

IR_VERSION, OPSET = 10, 20
SIGNED_ZERO = 128  # the code of 0 in a map of signed values, as unsigned bytes


def codes(compiled, images):
    """(N, H, W, C) uint8 images → (N, C, H, W) uint8, the graph's input."""
    fields = decode(compiled.program[0])
    tables = compiled.weights[fields["weights"] :][: 256 * fields["channels"]].reshape(fields["channels"], 256)
    shifted = (tables.astype(np.int16) + SIGNED_ZERO).astype(np.uint8)
    return np.stack([shifted[c][images[..., c]] for c in range(len(tables))], 1)


def ratio(word):
    """The factor that scale words stand for."""
    word = np.asarray(word, np.int64)
    return np.where(word < 0, -1.0, 1.0) * (word & 0xFFFF) / 2.0 ** ((word >> 16) & 0x3F)


def onnx_of(compiled, quantised):
    """The ONNX model of a Compiled of IMAGE, CONV, AFFINE, GLOBAL_POOL, FC and EXIT. ValueError for other programs."""
    return _Translation(compiled, quantised).model()


def open_session(model, threads):
    """An ONNX Runtime session that computes in `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


class _Translation:
    """Nodes and constants in the making; `maps` holds the tensor at each address, `vectors` that of each vector."""

    def __init__(self, compiled, quantised):
        self.compiled, self.quantised = compiled, quantised
        self.nodes, self.constants, self.maps, self.vectors = [], [], {}, {}

    def model(self):
        for words in self.compiled.program:
            fields = decode(words)
            name = {value: key for key, value in isa.OPCODES.items()}[fields["opcode"]].lower()
            if not hasattr(self, f"_{name}"):
                raise ValueError(f"{name.upper()} has no counterpart: expected a plain network without gates and bands")
            getattr(self, f"_{name}")(fields)
            if fields["opcode"] == isa.EXIT:
                break
        height, width, channels = self.compiled.image_shape
        inputs = [helper.make_tensor_value_info("codes", TensorProto.UINT8, ["batch", channels, height, width])]
        outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", self.compiled.classes])]
        graph = helper.make_graph(self.nodes, "network", inputs, outputs, self.constants)
        model = helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])
        onnx.checker.check_model(model)
        return model

    # ------------------------------------------------------------------------------------------ instructions
    def _image(self, fields):
        zero = self.constant(SIGNED_ZERO, np.uint8)
        if self.quantised:
            self.maps[fields["output"]] = self.node("DequantizeLinear", "codes", self.constant(1, np.float32), zero)
        else:
            floats = self.node("Cast", "codes", to=TensorProto.FLOAT)
            self.maps[fields["output"]] = self.node("Sub", floats, self.constant(SIGNED_ZERO, np.float32))

    def _conv(self, fields):
        outputs, kernel, stride = fields["out_channels"], fields["kernel"], fields["stride"]
        pitch, taps = conv_row(fields), filter_bytes(fields)
        rows = self.compiled.weights[fields["weights"] :][: outputs * pitch].reshape(outputs, pitch)
        rows = rows[:, : fields["in_channels"] * taps].reshape(outputs, fields["in_channels"], kernel, kernel)
        table = self.compiled.tables[fields["table"] :][: isa.TABLE_ROW * (1 + outputs)].reshape(-1, isa.TABLE_ROW)
        weight, bias = self._parameters(rows, table[1:, 0], ratio(table[1:, 1]))
        y = self.node("Conv", self.maps[fields["input"]], weight, bias, pads=[kernel // 2] * 4, strides=[stride] * 2)
        if fields["flags"] & isa.FLAG_ADD:
            y = self.node("Add", self.fake(y, SIGNED_ZERO), self.maps[fields["identity"]])
        relu = bool(fields["flags"] & isa.FLAG_RELU)
        y = self.fake(self.node("Relu", y) if relu else y, 0 if relu else SIGNED_ZERO)
        self.maps[fields["output"]] = y
        if fields["pool"] >= 0:
            self.vectors[fields["pool"]] = self.mean(y, ratio(table[0, 0]), fields)

    def _affine(self, fields):
        """A shortcut without weights: strided, scaled by one factor, between channels of zeros."""
        table = self.compiled.tables[fields["table"] :][: isa.TABLE_ROW * fields["out_channels"]]
        if np.any(table[::2]) or len(set(table[1::2].tolist())) != 1:
            raise ValueError("AFFINE with a bias or several factors has no counterpart here: expected a plain shortcut")
        factor, stride = float(ratio(table[1])) * 2**isa.FRACTION_BITS, fields["stride"]
        behind = fields["out_channels"] - fields["in_channels"] - fields["channel_offset"]
        ends = [self.constant(each, np.int64) for each in ([0, 0], [2**31 - 1] * 2, [2, 3], [stride] * 2)]
        y = self.node("Mul", self.node("Slice", self.maps[fields["input"]], *ends), self.constant(factor, np.float32))
        pads = self.constant([0, fields["channel_offset"], 0, 0, 0, behind, 0, 0], np.int64)
        self.maps[fields["output"]] = self.fake(self.node("Pad", y, pads), 0)

    def _global_pool(self, fields):
        self.vectors[fields["output"]] = self.mean(self.maps[fields["input"]], ratio(fields["scale"]), fields)

    def _fc(self, fields):
        """In float: a vector's numbers have 16 bits, and there are few."""
        outputs, inputs = fields["outputs"], fields["inputs"]
        rows = self.compiled.weights[fields["weights"] :][: outputs * row_bytes(inputs)].reshape(outputs, -1)
        table = self.compiled.tables[fields["table"] :][: isa.TABLE_ROW * outputs].reshape(-1, isa.TABLE_ROW)
        factor = ratio(table[:, 1])
        weight = self.constant((rows[:, :inputs] * factor[:, None]).T, np.float32)
        y = self.node("MatMul", self.vectors[fields["input"]], weight)
        self.vectors[fields["output"]] = self.node("Add", y, self.constant(table[:, 0] * factor, np.float32))

    def _exit(self, fields):
        self.nodes.append(helper.make_node("Identity", [self.vectors[fields["input"]]], ["logits"]))

    # --------------------------------------------------------------------------------------------- building
    def _parameters(self, rows, bias, factor):
        """Weights and biases, quantised with a scale for each output channel, or as floats."""
        if not self.quantised:
            return (
                self.constant(rows * factor[:, None, None, None], np.float32),
                self.constant(bias * factor, np.float32),
            )
        scale, zeros = self.constant(factor, np.float32), self.constant(np.zeros(len(rows)), np.int8)
        weight = self.node("DequantizeLinear", self.constant(rows, np.int8), scale, zeros, axis=0)
        return weight, self.node("DequantizeLinear", self.constant(bias, np.int32), scale, axis=0)

    def fake(self, x, zero):
        """`x` through unsigned bytes with that zero point, where the graph is quantised."""
        if not self.quantised:
            return x
        scale, zero = self.constant(1, np.float32), self.constant(zero, np.uint8)
        return self.node("DequantizeLinear", self.node("QuantizeLinear", x, scale, zero), scale, zero)

    def mean(self, x, factor, fields):
        """The vector of a map's sums · factor, (batch, channels)."""
        axes = self.constant([2, 3], np.int64)
        summed = self.node("ReduceSum", x, axes, keepdims=0)
        return self.node("Mul", summed, self.constant(float(factor), np.float32))

    def node(self, kind, *inputs, **attributes):
        """Append a node; the name of its output."""
        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value, dtype):
        """Append a constant; its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value).astype(dtype), name))
        return name
