"""The folded network as an ONNX model with real control flow: what is skipped is not computed.

    model = onnx_model(network, {"name": "resnet20-ddi"})
    onnx.save(model, "model.onnx")

Inputs: `image` (1, 3, H, W) normalised float32; `exit`, int64 scalar, the number of the exit to leave at (default: the
network's own, the last). Outputs: `logits` (1, classes); `layers` (gates,) int64, 1 for a kept block, 0 for a skipped
one, -1 for one not reached; `channels` (gates,) int64, the active channels likewise, 0 for a skipped block.
A block is an `If` on its gate; what lies behind exit i is an `If` on exit > i. The graph has batch 1, since decisions
are per image.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export import fold

OPSET, IR_VERSION = 20, 10  # what ONNX Runtime 1.31 reads; onnx's own defaults are newer
FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL


def onnx_model(network, metadata):
    """A checked ModelProto of a folded network; `metadata` (str → str) is stored with it."""
    graph = _Graph({})
    x = graph.relu(graph.convolve("image", network.stem, "stem"))
    hidden_size = network.lstm.weight_hidden.shape[1] if network.lstm else 1
    zero = graph.constant("state.zero", np.zeros((1, hidden_size), np.float32))
    results = _rest(graph, network, 0, x, (zero, zero), [])
    for name, value in zip(_names(network), results):
        graph.nodes.append(helper.make_node("Identity", [value], [name]))
    size, inputs = network.size, []
    inputs.append(helper.make_tensor_value_info("image", FLOAT, (1, network.stem.weight.shape[1], size, size)))
    if network.exits:
        graph.constant("exit", np.array(len(network.exits), np.int64))
        inputs.append(helper.make_tensor_value_info("exit", INT64, ()))
    proto = helper.make_graph(
        graph.nodes, f"resnet{network.depth}", inputs, _outputs(network, _names(network)), graph.constants.values()
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(proto, opset_imports=opset, ir_version=IR_VERSION, producer_name="ddi-fpga")
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def _names(network):
    return ["logits", "layers", "channels"] if network.gates else ["logits"]


def _outputs(network, names):
    shapes = [(FLOAT, (1, len(network.head.bias)))] + [(INT64, (len(network.gates),))] * 2
    return [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in zip(names, shapes)]


class _Graph:
    """Nodes of one graph or branch; constants belong to the outermost graph and are shared by all."""

    def __init__(self, constants, prefix=""):
        self.nodes, self.constants, self.prefix = [], constants, prefix

    def branch(self, name):
        """A graph inside this one, which sees this one's values."""
        return _Graph(self.constants, f"{self.prefix}{name}/")

    def constant(self, name, value):
        """The name of a shared constant, stored at its first use."""
        self.constants.setdefault(name, numpy_helper.from_array(np.asarray(value), name))
        return name

    def vector(self, *values):
        """An int64 constant vector, for axes and the like."""
        return self.constant("int64." + "_".join(map(str, values)), np.array(values, np.int64))

    def apply(self, operator, *inputs, outputs=1, **attributes):
        """Append a node; its output's name, or a list of them."""
        name = f"{self.prefix}{operator}.{len(self.nodes)}"
        names = [name] if outputs == 1 else [f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, name=name, **attributes))
        return name if outputs == 1 else names

    def relu(self, x):
        """max(x, 0)."""
        return self.apply("Relu", x)

    def convolve(self, x, conv, name):
        """A folded convolution."""
        weight = self.constant(f"{name}.weight", conv.weight)
        pads, strides = [conv.weight.shape[-1] // 2] * 4, [conv.stride] * 2
        return self.apply("Conv", x, weight, self.constant(f"{name}.bias", conv.bias), pads=pads, strides=strides)

    def multiply(self, x, layer, name):
        """A fully connected layer: (1, in) → (1, out)."""
        weight = self.constant(f"{name}.weight", layer.weight)
        return self.apply("Gemm", x, weight, self.constant(f"{name}.bias", layer.bias), transB=1)

    def pool(self, x):
        """Global average: (1, C, H, W) → (1, C)."""
        return self.apply("Flatten", self.apply("GlobalAveragePool", x))

    def max_pool(self, x, size):
        """Kernel and stride of `size`."""
        return self.apply("MaxPool", x, kernel_shape=[size] * 2, strides=[size] * 2)

    def positive(self, logits):
        """logits > 0."""
        return self.apply("Greater", logits, self.constant("zero", np.float32(0)))

    def choose(self, condition, then, otherwise, name):
        """An If of two branches, each (graph, its outputs' names, their value infos); the outputs' names."""
        graphs = []
        for graph, results, infos in (then, otherwise):
            named = []
            for result, info in zip(results, infos):
                named.append(helper.make_tensor_value_info(f"{graph.prefix}{info.name}", 0, None))
                named[-1].type.CopyFrom(info.type)
                graph.nodes.append(helper.make_node("Identity", [result], [named[-1].name]))
            graphs.append(helper.make_graph(graph.nodes, graph.prefix + name, [], named))
        names = self.apply("If", condition, outputs=len(then[1]), then_branch=graphs[0], else_branch=graphs[1])
        return [names] if len(then[1]) == 1 else names


def _rest(graph, network, i, x, state, decisions):
    """Blocks `i` and later from their input `x`; names of logits, layers and channels (the latter two with gates only).

    `decisions` holds the names of (layer, channels), int64 (1,) each, of the gated blocks before.
    """
    while i < len(network.blocks):
        block = network.blocks[i]
        x, state, decision = _block(graph, network, i, x, state)
        decisions = decisions + [decision] * block.gated
        i += 1
        if block.exit:
            behind, branch = graph.branch(f"after{i - 1}"), graph.branch(f"exit{i - 1}")
            number = network.exits.index(i - 1)
            further = graph.apply("Greater", "exit", graph.constant(f"int64.scalar{number}", np.int64(number)))
            infos = _outputs(network, _names(network))
            then = behind, _rest(behind, network, i, x, state, decisions), infos
            otherwise = branch, _results(branch, network, _exit(branch, block.exit, i - 1, x), decisions), infos
            return graph.choose(further, then, otherwise, f"exit {number}")
    return _results(graph, network, graph.multiply(graph.pool(x), network.head, "head"), decisions)


def _results(graph, network, logits, decisions):
    if not network.gates:
        return [logits]
    missing = [graph.vector(-1)] * (len(network.gates) - len(decisions))
    columns = [[decision[j] for decision in decisions] + missing for j in (0, 1)]
    return [logits] + [graph.apply("Concat", *column, axis=0) for column in columns]


def _block(graph, network, i, x, state):
    """Output, new state, and names of the decision (layer, channels), each int64 (1,)."""
    block = network.blocks[i]
    identity = _shortcut(graph, block, i, x)
    if block.embed is None:
        y, count = _body(graph, block, i, x, identity)
        return y, state, (graph.vector(1), count)
    keep, state = _layer_gate(graph, network, block, i, x, state)
    size = network.size >> block.stage
    infos = [
        helper.make_tensor_value_info("y", FLOAT, (1, block.channels, size, size)),
        helper.make_tensor_value_info("count", INT64, (1,)),
    ]
    run, skip = graph.branch(f"block{i}"), graph.branch(f"skip{i}")
    then, otherwise = (run, _body(run, block, i, x, identity), infos), (skip, [identity, skip.vector(0)], infos)
    y, count = graph.choose(keep, then, otherwise, f"block {i}")
    kept = graph.apply("Cast", keep, to=INT64)
    return y, state, (graph.apply("Unsqueeze", kept, graph.vector(0)), count)


def _shortcut(graph, block, i, x):
    if block.projection is not None:
        return graph.convolve(x, block.projection, f"block{i}.projection")
    if not block.reshapes:
        return x
    limits = graph.vector(0, 0), graph.vector(2**31 - 1, 2**31 - 1), graph.vector(2, 3)
    x = graph.apply("Slice", x, *limits, graph.vector(block.stride, block.stride))
    before, after = block.channel_offset, block.channels - block.in_channels - block.channel_offset
    return graph.apply("Pad", x, graph.vector(0, before, 0, 0, 0, after, 0, 0))


def _layer_gate(graph, network, block, i, x, state):
    """G^L: keep, a bool scalar, and the new (hidden, cell)."""
    lstm, (hidden, cell) = network.lstm, state
    embedded = graph.multiply(graph.pool(x), block.embed, f"block{i}.embed")
    no_bias = fold.Linear(lstm.weight_hidden, np.zeros_like(lstm.bias))
    rows = graph.apply(
        "Add",
        graph.multiply(embedded, fold.Linear(lstm.weight_input, lstm.bias), "lstm.input"),
        graph.multiply(hidden, no_bias, "lstm.hidden"),
    )
    i_gate, f_gate, g_gate, o_gate = graph.apply("Split", rows, outputs=4, axis=1, num_outputs=4)
    i_gate, f_gate, o_gate = (graph.apply("Sigmoid", gate) for gate in (i_gate, f_gate, o_gate))
    fresh = graph.apply("Mul", i_gate, graph.apply("Tanh", g_gate))
    cell = graph.apply("Add", graph.apply("Mul", f_gate, cell), fresh)
    hidden = graph.apply("Mul", o_gate, graph.apply("Tanh", cell))
    logit = graph.apply("Squeeze", graph.multiply(hidden, network.decision, "decision"))
    return graph.positive(logit), (hidden, cell)


def _body(graph, block, i, x, identity):
    """A block that runs: its output, and the number of its active channels, int64 (1,)."""
    mask, count = None, None
    if block.channel_gate is not None:
        features = graph.pool(graph.relu(graph.convolve(x, block.channel_gate.conv, f"block{i}.gate")))
        keep = graph.positive(graph.multiply(features, block.channel_gate.linear, f"block{i}.gate.linear"))
        whole = graph.apply("Cast", keep, to=INT64)
        count = graph.apply("ReduceSum", whole, graph.vector(1), keepdims=0)
        mask = graph.apply("Unsqueeze", keep, graph.vector(2, 3))  # (1, C, 1, 1)
    y = graph.relu(graph.convolve(x, block.conv1, f"block{i}.conv1"))
    if mask:
        y = graph.apply("Mul", y, graph.apply("Cast", mask, to=FLOAT))
    y = graph.relu(graph.apply("Add", graph.convolve(y, block.conv2, f"block{i}.conv2"), identity))
    return [graph.apply("Where", mask, y, identity) if mask else y, count or graph.vector(block.channels)]


def _exit(graph, branch, i, x):
    x = graph.max_pool(x, branch.pool)
    for j, conv in enumerate(branch.convs):
        x = graph.relu(graph.convolve(graph.max_pool(x, 2) if j else x, conv, f"block{i}.exit{j}"))
    return graph.multiply(graph.pool(x), branch.linear, f"block{i}.exit.linear")
