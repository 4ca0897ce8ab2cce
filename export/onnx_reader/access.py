"""What all operators' methods need: the Steps, constants and integers of a node's inputs; one line where one lacks."""

import numpy as np

from export.onnx_reader.attributes import Attributes
from export.onnx_reader.constants import Constants
from export.onnx_reader.steps import Step, Steps, label, printable, unsupported
from hls.errors import UserError


class Access:
    """The state of a graph that is being read."""

    def __init__(self, model):
        self.graph, self.constants = model.graph, Constants(model)
        self.steps, self.values = Steps(), {}  # name → Step
        self.batch = 1  # images, as the file has it
        self.rank = {}  # name of a vector → 4 or 2: how the file holds it
        self.behind = {}  # name of a map → whether the file has turned it to channels last
        self.sliced = {}  # name of a map that is still whole → what a Slice took of it
        self.names = {}  # how often each was given

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
        return finite(self.constants.values[node.input[index]], node, what)

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

    def _pass(self, node):
        self._keep_rank(node, self.rank.get(node.input[0], 4 if self._x(node, turned=True).size else 2))
        if node.input[0] in self.behind:
            self.behind[node.output[0]] = True
        return self._x(node, turned=True)

    def _mean(self, node, x, rank=4):
        self._keep_rank(node, rank)
        return self._step(node, "mean", [x], x.channels, None)

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

    def _constant_or_none(self, node, index):
        if index >= len(node.input) or not node.input[index]:
            return None
        value = self.constants.values.get(node.input[index])
        if value is None or value.size != 1:
            raise unsupported(node, "a limit computed from pixels", "a constant")
        return value.ravel()[0]


def finite(value, node, what):
    """float64, or the refusal of what is no number."""
    try:
        value = np.asarray(value).astype(np.float64)
    except (TypeError, ValueError):
        raise UserError(f"{label(node)} has {what} that are no numbers: export it again") from None
    if not np.isfinite(value).all():
        raise UserError(f"{label(node)} has {what} that are not finite: train again, or export another checkpoint")
    return value
