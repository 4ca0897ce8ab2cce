"""A graph as an ONNX model with real control flow: what is skipped is not computed.

    model = onnx_model(network, {"name": "resnet20-ddi"})
    onnx.save(model, "model.onnx")

Inputs: `image` (1, C, H, W) normalised float32; `exit`, int64 scalar, the number of the exit to leave at (default: the
network's own, the last). Outputs: `logits` (1, classes); `layers` (gates,) int64, 1 for a unit that runs, 0 for a
skipped one, -1 for one not reached; `channels` (gates,) int64, the active channels likewise, 0 for a skipped unit.
A layer gate is an `If` on its logit; what lies behind exit i is an `If` on exit > i. The graph has batch 1, since
decisions are per image.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from export import graph

OPSET, IR_VERSION = 20, 10  # what ONNX Runtime 1.31 reads; onnx's own defaults are newer
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def onnx_model(network, metadata):
    """A checked ModelProto of a graph; `metadata` (str → str) is stored with it."""
    outer = _Graph({})
    results = _Writer(network).rest(outer, network.nodes)
    outputs = _outputs(network)
    for info, value in zip(outputs, results):
        outer.nodes.append(helper.make_node("Identity", [value], [info.name]))
    image, inputs = network.image, []
    inputs.append(helper.make_tensor_value_info("image", FLOAT, (1, image.channels, *image.size)))
    if len(network.exits) > 1:
        outer.constant("exit", np.array(len(network.exits) - 1, np.int64))
        inputs.append(helper.make_tensor_value_info("exit", INT64, ()))
    proto = helper.make_graph(outer.nodes, network.name, inputs, outputs, outer.constants.values())
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(proto, opset_imports=opset, ir_version=IR_VERSION, producer_name="ddi-fpga")
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    return model


def _outputs(network):
    """Logits; with gates also layers and channels."""
    gated = [(name, INT64, (len(network.gates),)) for name in ("layers", "channels")] if network.gates else []
    return [helper.make_tensor_value_info(*item) for item in [("logits", FLOAT, (1, network.classes)), *gated]]


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

    def positive(self, logits):
        """logits > 0."""
        return self.apply("Greater", logits, self.constant("zero", np.float32(0)))

    def choose(self, condition, then, otherwise, name):
        """An If of two branches, each (graph, its outputs' names, their value infos); the outputs' names."""
        graphs = []
        for part, results, infos in (then, otherwise):
            named = []
            for result, info in zip(results, infos):
                named.append(helper.make_tensor_value_info(f"{part.prefix}{info.name}", 0, None))
                named[-1].type.CopyFrom(info.type)
                part.nodes.append(helper.make_node("Identity", [result], [named[-1].name]))
            graphs.append(helper.make_graph(part.nodes, part.prefix + name, [], named))
        names = self.apply("If", condition, outputs=len(then[1]), then_branch=graphs[0], else_branch=graphs[1])
        return [names] if len(then[1]) == 1 else names


class _Writer:
    """Writes nodes into graphs: one method a kind of node, given the _Graph, gives the name of its value."""

    def __init__(self, network):
        self.network = network
        self.values = {}  # node → name of its value
        self.states = {}  # Lstm → name of its cell state
        self.decisions = {}  # gate → names of (1 or 0 for a unit that ran or not, active channels), int64 (1,)

    def rest(self, into, nodes):
        """Write `nodes` up to the network's end; names of the outputs."""
        first = next(number for number, node in enumerate(nodes) if isinstance(node, graph.Exit))
        self._write(into, nodes[:first])
        leaving, behind = nodes[first], nodes[first + 1 :]
        if not behind:
            return self._leave(into, leaving)
        number, infos = self.network.exits.index(leaving), _outputs(self.network)
        here, onward = into.branch(leaving.name), into.branch(f"past {leaving.name}")
        further = into.apply("Greater", "exit", into.constant(f"int64.scalar{number}", np.int64(number)))
        otherwise = here, self._leave(here, leaving), infos  # before anything behind it has been decided
        return into.choose(further, (onward, self.rest(onward, behind), infos), otherwise, leaving.name)

    def _leave(self, into, node):
        self._write(into, node.body)
        gates = range(len(self.network.gates))
        if not gates:
            return [self.values[node.logits]]
        missing = (into.vector(-1),) * 2
        columns = zip(*(self.decisions.get(gate, missing) for gate in gates))
        return [self.values[node.logits]] + [into.apply("Concat", *column, axis=0) for column in columns]

    def _write(self, into, nodes):
        for node in nodes:
            self.values[node] = getattr(self, node.kind)(into, node)

    # ------------------------------------------------------------------------------------------------------ nodes
    def image(self, into, node):
        """The input."""
        return "image"

    def convolution(self, into, node):
        """Conv, Add, Relu, and Where for closed channels."""
        weight, bias = (into.constant(f"{node.name}.{part}", getattr(node, part)) for part in ("weight", "bias"))
        pads, strides = [node.weight.shape[-1] // 2] * 4, [node.stride] * 2
        x = self._masked(into, self.values[node.x], node.in_mask)
        y = into.apply("Conv", x, weight, bias, pads=pads, strides=strides)
        y = y if node.add is None else into.apply("Add", y, self.values[node.add])
        y = self._cut(into, y, node)
        if node.out_mask is None or node.under is None:
            return self._masked(into, y, node.out_mask)
        return into.apply("Where", self.values[node.out_mask], y, self.values[node.under])

    def _masked(self, into, x, mask):
        return x if mask is None else into.apply("Mul", x, into.apply("Cast", self.values[mask], to=FLOAT))

    def _cut(self, into, y, node):
        """Relu or Clip, where the node has such."""
        if node.limit is None:
            return into.apply("Relu", y) if node.relu else y
        low, high = (into.constant(f"float{value:g}", np.float32(value)) for value in (_lowest(node), node.limit))
        return into.apply("Clip", y, low, high)

    def affine(self, into, node):
        """Mul, Add and Relu."""
        lines = ((part, getattr(node, part).reshape(-1, 1, 1)) for part in ("scale", "shift"))
        scale, shift = (into.constant(f"{node.name}.{part}", values) for part, values in lines)
        return self._cut(into, into.apply("Add", into.apply("Mul", self.values[node.x], scale), shift), node)

    def concat(self, into, node):
        """Concat."""
        return into.apply("Concat", *(self.values[part] for part in node.parts), axis=1)

    def slice(self, into, node):
        """Slice."""
        limits = into.vector(node.first), into.vector(node.first + node.channels), into.vector(1)
        return into.apply("Slice", self.values[node.x], *limits)

    def view(self, into, node):
        """Pad, at negative sizes too."""
        behind = (one - other for one, other in zip(node.size, node.x.size))
        return into.apply("Pad", self.values[node.x], into.vector(0, 0, 0, 0, 0, 0, *behind))

    def flatten(self, into, node):
        """Flatten."""
        return into.apply("Flatten", self.values[node.x])

    def pad(self, into, node):
        """Slice and Pad."""
        limits = into.vector(0, 0), into.vector(2**31 - 1, 2**31 - 1), into.vector(2, 3)
        x = into.apply("Slice", self.values[node.x], *limits, into.vector(node.stride, node.stride))
        behind = node.channels - node.x.channels - node.before
        return into.apply("Pad", x, into.vector(0, node.before, 0, 0, 0, behind, 0, 0))

    def pool(self, into, node):
        """MaxPool or AveragePool."""
        kind, pads = "AveragePool" if node.average else "MaxPool", [node.padding] * 4
        sizes = {"kernel_shape": [node.kernel] * 2, "strides": [node.stride] * 2, "pads": pads}
        return into.apply(kind, self.values[node.x], **sizes)

    def mean(self, into, node):
        """(1, C, H, W) → (1, C)."""
        return into.apply("Flatten", into.apply("GlobalAveragePool", self.values[node.x]))

    def linear(self, into, node):
        """(1, in) → (1, out)."""
        y = self._gemm(into, self.values[node.x], node.name, node.weight, node.bias)
        return into.apply("Relu", y) if node.relu else y

    def _gemm(self, into, x, name, weight, bias):
        weight = into.constant(f"{name}.weight", weight)
        return into.apply("Gemm", x, weight, into.constant(f"{name}.bias", bias), transB=1)

    def lstm(self, into, node):
        """Two Gemms and the cell's arithmetic: (1, inputs) → (1, hidden)."""
        cell = node.cell
        zero = into.constant("state.zero", np.zeros((1, node.channels), np.float32))
        hidden, state = (zero, zero) if node.before is None else (self.values[node.before], self.states[node.before])
        ours = self._gemm(into, self.values[node.x], f"{cell.name}.input", cell.weight_input, cell.bias)
        theirs = self._gemm(into, hidden, f"{cell.name}.hidden", cell.weight_hidden, 0 * cell.bias)
        i, f, g, o = into.apply("Split", into.apply("Add", ours, theirs), outputs=4, axis=1, num_outputs=4)
        i, f, o = (into.apply("Sigmoid", gate) for gate in (i, f, o))
        fresh = into.apply("Mul", i, into.apply("Tanh", g))
        self.states[node] = into.apply("Add", into.apply("Mul", f, state), fresh)
        return into.apply("Mul", o, into.apply("Tanh", self.states[node]))

    def channelgate(self, into, node):
        """A mask (1, C, 1, 1) bool, and its count where it is traced."""
        keep = into.positive(self.values[node.x])
        if node.gate >= 0:
            whole = into.apply("Cast", keep, to=INT64)
            self.decisions[node.gate] = into.vector(1), into.apply("ReduceSum", whole, into.vector(1), keepdims=0)
        return into.apply("Unsqueeze", keep, into.vector(2, 3))

    def layergate(self, into, node):
        """An If of the body and what stands there otherwise."""
        keep = into.positive(into.apply("Squeeze", self.values[node.logit]))
        infos = [
            helper.make_tensor_value_info("y", FLOAT, (1, node.channels, *node.size)),
            helper.make_tensor_value_info("count", INT64, (1,)),
        ]
        run, skip = into.branch(node.name), into.branch(f"skip {node.name}")
        self._write(run, node.body)
        _, count = self.decisions.get(node.gate, (None, run.vector(node.channels)))
        otherwise = skip, [self.values[node.otherwise], skip.vector(0)], infos
        y, count = into.choose(keep, (run, [self.values[node.result], count], infos), otherwise, node.name)
        self.decisions[node.gate] = into.apply("Unsqueeze", into.apply("Cast", keep, to=INT64), into.vector(0)), count
        return y


def _lowest(node):
    return 0.0 if node.relu else -node.limit
