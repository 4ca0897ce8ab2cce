"""ONNX graphs for tests: a small writer, random networks of the supported operators, and ONNX Runtime as the oracle.

graph = random_graph(7); expected = run_onnx(graph.model(), x)
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


def run_onnx(model, x):
    """(N, outputs) by ONNX Runtime, one image after the other, of normalised (N, C, H, W) float32."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: image[None]})[0].reshape(1, -1) for image in x])


def random_graph(seed):
    """A Writer with a random network: any operators, joined as they come, behind each other and across."""
    rng = np.random.default_rng(seed)
    writer = Writer(int(rng.choice([1, 3])), tuple(int(n) for n in rng.integers(6, 21, 2)), seed)
    maps = ["image"]
    for _ in range(rng.integers(2, 9)):
        maps.append(_grow(writer, rng, maps))
    x = maps[-1]
    if rng.random() < 0.5 and max(writer.shapes[x][1:]) <= 8 and np.prod(writer.shapes[x]) <= 600:
        v = writer.flatten(x)
    elif rng.random() < 0.2:
        v = writer.node("Flatten", [writer.node("GlobalMaxPool", [x], (writer.shapes[x][0], 1, 1))], writer.shapes[x][:1])
    else:
        v = writer.mean(x)
    if rng.random() < 0.3:
        v = writer.norm(v)
    if rng.random() < 0.3:
        v = writer.relu(writer.gemm(v, int(rng.integers(3, 20))))
    v = writer.gemm(v, int(rng.integers(2, 11))) if rng.random() < 0.9 else v
    if rng.random() < 0.3:
        writer.node("Identity", [v], writer.shapes[v])
    return writer


def _grow(writer, rng, maps):
    """One more map from those that there are."""
    x = maps[-1] if rng.random() < 0.8 else maps[int(rng.integers(len(maps)))]
    channels, height, width = writer.shapes[x]
    kinds = ["conv", "conv", "conv", "norm", "relu", "clip", "add", "concat", "max", "average", "line"]
    kind = str(rng.choice(kinds))
    if kind == "conv":
        return _random_conv(writer, rng, x)
    if kind == "clip":
        return writer.clip(x, *[(0, 6), (0, 1), (-1, 1), (0, None)][rng.integers(4)])
    alike = [other for other in maps if writer.shapes[other][1:] == (height, width)]
    other = alike[int(rng.integers(len(alike)))]
    if kind == "add":
        if writer.shapes[other][0] != channels:
            other = writer.conv(other, channels, 1)
        return writer.add(x, other)
    if kind == "concat" and channels + writer.shapes[other][0] <= 40:
        return writer.concat(*([x, other] if rng.random() < 0.8 else [other, x, x]))
    if kind in ("max", "average") and min(height, width) >= 4:
        kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 3))
        padding = int(rng.integers(2)) if kernel == 3 else 0
        if kind == "max":
            return writer.pool(x, "MaxPool", kernel, stride, (padding,) * 4)
        return writer.pool(x, "AveragePool", kernel, stride, (padding,) * 4, count_include_pad=1)
    if kind == "line":
        factor = writer.constant(rng.uniform(0.5, 1.5, (channels, 1, 1)).astype(np.float32))
        return writer.node(str(rng.choice(["Mul", "Div", "Add", "Sub"])), [x, factor], writer.shapes[x])
    return writer.relu(x) if kind == "relu" else writer.norm(x)


def _random_conv(writer, rng, x):
    """Any kernel, stride, dilation, groups and padding that the engine takes."""
    channels, *size = writer.shapes[x]
    kernel = tuple(int(k) for k in (rng.integers(1, 6), rng.integers(1, 6))) if rng.random() < 0.3 else int(rng.choice([1, 2, 3, 3, 3, 4, 5]))
    stride, dilation = int(rng.choice([1, 1, 1, 2, 2, 4])), 1
    sides = (kernel,) * 2 if isinstance(kernel, int) else kernel
    if max(sides) <= 3 and rng.random() < 0.2:
        dilation = 2
    far = [(k - 1) * dilation + 1 for k in sides]
    total = [int(rng.integers(0, f)) for f in far]  # never more than keeps the size
    if rng.random() < 0.5:
        total = [f - 1 for f in far]
    before = [int(rng.integers(max(0, t - 3), min(t, 3) + 1)) for t in total]
    if any(n + t < f for n, t, f in zip(size, total, far)):
        return writer.conv(x, int(rng.integers(1, 13)), 1)
    group = channels if channels in (2, 3, 4) and rng.random() < 0.2 else 1
    outputs = int(rng.integers(1, 5)) * group if group > 1 else int(rng.integers(1, 17))
    pads = [*before, *(t - b for t, b in zip(total, before))]
    return writer.conv(x, outputs, kernel, stride, pads, bool(rng.random() < 0.7), dilation, group)
