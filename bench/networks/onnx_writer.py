"""Networks as ONNX models, with random weights: a small writer, the shapes that people bring, ONNX Runtime's answers.

writer = resnet18(width=16, size=64)
logits = run_onnx(writer.model(), x)         # x: normalised (N, C, H, W) float32
"""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
OPSET, IR_VERSION = 17, 10


class Writer:
    """Collects nodes; a value is its name, `shapes` knows (channels, height, width) or (channels,) of each."""

    def __init__(self, channels=3, size=(16, 16), seed=0):
        self.rng, self.nodes, self.weights, self.used = np.random.default_rng(seed), [], {}, {}
        self.shapes = {"image": (channels, *size)}
        self.channels, self.size = channels, size

    def constant(self, value, name=None):
        """The name of an initializer."""
        name = name or f"constant{len(self.weights)}"
        self.weights[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    def node(self, kind, inputs, shape, name=None, **attributes):
        """Append a node; its output's name."""
        output = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name or output, **attributes))
        self.shapes[output] = shape
        return output

    def model(self, output=None, opset=OPSET, batch="N"):
        """The checked ModelProto; its output is the last node's by default."""
        output = output or self.nodes[-1].output[0]
        inputs = [helper.make_tensor_value_info("image", FLOAT, (batch, self.channels, *self.size))]
        outputs = [helper.make_tensor_value_info(output, FLOAT, (batch, *self.shapes[output]))]
        graph = helper.make_graph(self.nodes, "test", inputs, outputs, list(self.weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model

    # ------------------------------------------------------------------------------------------------- operators
    def conv(self, x, outputs, kernel, stride=1, pads=None, bias=True, dilation=1, group=1):
        """A Conv whose output has about the input's spread; `kernel` a number or (height, width)."""
        (inputs, *size), kernel = self.shapes[x], (kernel,) * 2 if isinstance(kernel, int) else kernel
        far = [(k - 1) * dilation + 1 for k in kernel]
        pads = [(k - 1) // 2 for k in far] * 2 if pads is None else pads
        fan = inputs // group * kernel[0] * kernel[1]
        weight = self.rng.normal(0, (1.5 / fan) ** 0.5, (outputs, inputs // group, *kernel)).astype(np.float32)
        operands = [x, self.constant(weight)]
        if bias:
            operands.append(self.constant(self.rng.normal(0, 0.2, outputs).astype(np.float32)))
        sides = [(n + pads[i] + pads[i + 2] - far[i]) // stride + 1 for i, n in enumerate(size)]
        attributes = {"kernel_shape": kernel, "strides": [stride] * 2, "pads": pads, "dilations": [dilation] * 2}
        return self.node("Conv", operands, (outputs, *sides), group=group, **attributes)

    def norm(self, x):
        """A BatchNormalization, some of its factors negative."""
        channels, draw = self.shapes[x][0], self.rng
        factor = draw.uniform(0.5, 1.5, channels) * np.where(draw.random(channels) < 0.15, -1, 1)
        values = factor, draw.normal(0, 0.3, channels), draw.normal(0, 0.3, channels), draw.uniform(0.5, 2, channels)
        operands = [self.constant(value.astype(np.float32)) for value in values]
        return self.node("BatchNormalization", [x, *operands], self.shapes[x])

    def relu(self, x):
        """Relu."""
        return self.node("Relu", [x], self.shapes[x])

    def clip(self, x, low, high):
        """Clip by constants; None leaves a side open."""
        bounds = ["" if value is None else self.constant(np.float32(value)) for value in (low, high)]
        return self.node("Clip", [x, *bounds], self.shapes[x])

    def add(self, one, other):
        """A sum of maps."""
        return self.node("Add", [one, other], self.shapes[one])

    def concat(self, *parts):
        """Channels joined."""
        shapes = [self.shapes[part] for part in parts]
        return self.node("Concat", list(parts), (sum(s[0] for s in shapes), *shapes[0][1:]), axis=1)

    def pool(self, x, kind, kernel, stride, pads=(0, 0, 0, 0), **attributes):
        """MaxPool or AveragePool."""
        channels, *size = self.shapes[x]
        up = (stride - 1) * attributes.get("ceil_mode", 0)
        sides = [(n + pads[i] + pads[i + 2] - kernel + up) // stride + 1 for i, n in enumerate(size)]
        sizes = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": list(pads)}
        return self.node(kind, [x], (channels, *sides), **sizes, **attributes)

    def pad(self, x, top, left, bottom, right):
        """Zeros around."""
        channels, height, width = self.shapes[x]
        pads = self.constant(np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        return self.node("Pad", [x, pads], (channels, height + top + bottom, width + left + right))

    def halve(self, x):
        """Every second pixel."""
        starts, ends, axes, steps = (
            self.constant(np.array(values, np.int64)) for values in ([0, 0], [2**31 - 1] * 2, [2, 3], [2, 2])
        )
        channels, height, width = self.shapes[x]
        shape = channels, -(-height // 2), -(-width // 2)
        return self.node("Slice", [x, starts, ends, axes, steps], shape)

    def widen(self, x, channels):
        """Channels of zeros on both sides."""
        before, (inputs, *size) = (channels - self.shapes[x][0]) // 2, self.shapes[x]
        behind = channels - inputs - before
        pads = self.constant(np.array([0, before, 0, 0, 0, behind, 0, 0], np.int64))
        return self.node("Pad", [x, pads], (channels, *size))

    def mean(self, x):
        """A global average as a vector."""
        channels = self.shapes[x][0]
        return self.node("Flatten", [self.node("GlobalAveragePool", [x], (channels, 1, 1))], (channels,))

    def flatten(self, x):
        """All pixels as a vector."""
        return self.node("Flatten", [x], (int(np.prod(self.shapes[x])),))

    def gemm(self, x, outputs):
        """A Gemm."""
        inputs = self.shapes[x][0]
        weight = self.rng.normal(0, (1 / inputs) ** 0.5, (outputs, inputs)).astype(np.float32)
        operands = [x, self.constant(weight), self.constant(self.rng.normal(0, 0.1, outputs).astype(np.float32))]
        return self.node("Gemm", operands, (outputs,), transB=1)


def resnet8(size=32):
    """MLPerf Tiny's ResNet-8 as TensorFlow pads it (0, 0, 1, 1) at stride 2, up to its global average."""
    writer = Writer(3, (size, size))
    x = writer.relu(writer.norm(writer.conv("image", 16, 3)))
    for width, stride in ((16, 1), (32, 2), (64, 2)):
        pads, identity = (1, 1, 1, 1) if stride == 1 else (0, 0, 1, 1), x
        y = writer.relu(writer.norm(writer.conv(x, width, 3, stride, pads)))
        y = writer.norm(writer.conv(y, width, 3))
        if stride == 2:
            identity = writer.conv(x, width, 1, 2, (0, 0, 0, 0))
        x = writer.relu(writer.add(y, identity))
    side = size // 4
    return writer, writer.node("Flatten", [writer.pool(x, "AveragePool", side, side)], (64,))


def cifar_resnet(depth, size=32):
    """The CIFAR ResNet of depth 6n + 2, its shortcuts every second pixel between channels of zeros."""
    writer = Writer(3, (size, size))
    x = writer.relu(writer.norm(writer.conv("image", 16, 3)))
    for stage, width in enumerate((16, 32, 64)):
        for number in range((depth - 2) // 6):
            stride, identity = 2 if stage and not number else 1, x
            y = writer.relu(writer.norm(writer.conv(x, width, 3, stride)))
            if stride == 2:
                identity = writer.widen(writer.halve(x), width)
            x = writer.relu(writer.add(writer.norm(writer.conv(y, width, 3)), identity))
    return writer, writer.mean(x)


def resnet18(width=16, size=64):
    """ResNet-18 as torchvision has it, of another width: a 7×7 stem, a max pool, four stages of two blocks."""
    writer = Writer(3, (size, size))
    x = writer.relu(writer.norm(writer.conv("image", width, 7, 2)))
    x = writer.pool(x, "MaxPool", 3, 2, (1, 1, 1, 1))
    for stage in range(4):
        for number in range(2):
            stride, channels, identity = 2 if stage and not number else 1, width << stage, x
            y = writer.relu(writer.norm(writer.conv(x, channels, 3, stride)))
            if stride == 2:
                identity = writer.norm(writer.conv(x, channels, 1, 2, (0, 0, 0, 0)))
            x = writer.relu(writer.add(writer.norm(writer.conv(y, channels, 3)), identity))
    return writer, writer.mean(x)


def vgg(size=32):
    """A VGG: convolutions and max pools, then all pixels as a vector."""
    writer = Writer(3, (size, size))
    x = "image"
    for width in (16, 32, 64, 64):
        x = writer.pool(writer.relu(writer.norm(writer.conv(x, width, 3))), "MaxPool", 2, 2)
    return writer, writer.flatten(x)


def settle(writer, x):
    """Give every batch norm the statistics of what reaches it, for normalised images (N, C, H, W), in order."""
    for node in writer.nodes:
        if node.op_type == "BatchNormalization":
            source, _, _, mean, var = node.input
            values = run_onnx(writer.model(source), x).reshape(len(x), *writer.shapes[source])
            axes = (0, *range(2, values.ndim))
            for name, found in ((mean, values.mean(axes)), (var, values.var(axes) + 1e-3)):
                writer.constant(found.astype(np.float32), name)


def run_onnx(model, x):
    """(N, outputs) by ONNX Runtime, one image after the other, of normalised (N, C, H, W) float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([np.asarray(session.run(None, {name: image[None]})[0]).reshape(1, -1) for image in x])
