"""Simplified steps as our graph: what is exact in the engine's own operations, and one line for what is not.

network = emit(steps, "resnet18")      # export.graph.Network
"""

from math import inf

import numpy as np

from export import graph
from export.compile.layout import LowerError
from export.compile.pools import chain
from export.onnx_reader.steps import unsupported
from export.onnx_reader.windows import NoFit, max_stages, tile_count
from hls import isa
from hls.errors import UserError


def emit(steps, name):
    """The Network of Steps. Raises UserError."""
    return _Emitter(steps).run(name)


class _Emitter:
    """One method a kind of step; it gives the node that has the step's values."""

    def __init__(self, steps):
        self.steps, self.nodes, self.values, self.uses = steps, [], {}, {}

    def run(self, name):
        """The Network: maps in order, the vectors behind them as its end."""
        for step in self.steps.all:
            self.values[step] = getattr(self, f"_{step.kind}")(step)
        logits = self.values[self.steps.last]
        if isinstance(logits, graph.Flatten) and self.steps.last.order is not None:
            raise unsupported(self.steps.last.label, "an output with channels last", "a Gemm behind it")
        if logits.channels > isa.MAX_CLASSES:
            raise UserError(f"the network has {logits.channels} classes, expected at most {isa.MAX_CLASSES}")
        maps = [node for node in self.nodes if node.size is not None]
        vectors = [node for node in self.nodes if node.size is None]
        end = graph.Exit("end", logits.channels, unit=0, body=vectors, logits=logits)
        return graph.Network(name, [*maps, end], ())

    def _add_node(self, kind, origin, channels=None, size=None, suffix="", **fields):
        name = origin.name + suffix
        self.uses[name] = self.uses.get(name, 0) + 1
        name = name if self.uses[name] == 1 else f"{name} ({self.uses[name]})"
        self.nodes.append(kind(name, origin.channels if channels is None else channels, size=size, **fields))
        return self.nodes[-1]

    def _x(self, step, index=0):
        return self.values[step.inputs[index]]

    # --------------------------------------------------------------------------------------------------------- maps
    def _image(self, step):
        signed = bool((step.shift > 0).any())
        return self._add_node(graph.Image, step, size=step.size, signed=signed, step=_step_of(step.grid, signed))

    def _range(self, step):
        """How a step that ends in a cut says so: relu, signed, limit, step."""
        relu = step.low == 0
        if step.high < inf and step.low not in (0, -step.high):
            raise unsupported(
                step.label, f"limits {step.low:g} and {step.high:g}", "0 and any, or a number and its negative"
            )
        limit = step.high if step.high < inf else None
        return {"relu": relu, "signed": not relu, "limit": limit, "step": _step_of(step.grid, not relu)}

    def _conv(self, step):
        add = self.values[step.inputs[1]] if len(step.inputs) > 1 else None
        x, weight, bias = self._x(step), _floats(step.weight), _floats(step.bias)
        fields = {"size": step.size, "stride": step.stride, "unit": step.unit}
        most = isa.LANE_BYTES // weight[0, 0].size  # input channels whose weights a lane holds
        for first in range(0, x.channels - most, most):  # the others are added by convolutions of their own
            part = self._add_node(graph.Slice, step, most, x.size, ".part", x=x, first=first, signed=x.signed)
            own = {"weight": weight[:, first : first + most], "bias": bias, "relu": False, "signed": True}
            add = self._add_node(graph.Convolution, step, suffix=".sum", x=part, add=add, **own, **fields)
            bias = np.zeros_like(bias)
        first = (x.channels - 1) // most * most
        if first:
            x = self._add_node(
                graph.Slice, step, x.channels - first, x.size, ".part", x=x, first=first, signed=x.signed
            )
        fields |= {"weight": weight[:, first:], "bias": bias, **self._range(step)}
        return self._add_node(graph.Convolution, step, x=x, add=add, **fields)

    def _add(self, step):
        """A convolution by one, onto the other map."""
        one, other = self._x(step, 0), self._x(step, 1)
        weight = _floats(np.eye(step.channels)[:, :, None, None])
        if step.channels > isa.LANE_BYTES:
            raise unsupported(step.label, f"a sum of {step.channels} channels", f"at most {isa.LANE_BYTES}")
        numbers = {"weight": weight, "bias": np.zeros(step.channels, np.float32), "stride": 1}
        return self._add_node(graph.Convolution, step, size=step.size, x=one, add=other, **numbers, **self._range(step))

    def _affine(self, step):
        if step.size is None:
            return self._diagonal(step, step.scale, step.shift)
        return self._line(step, step.scale, step.shift)

    def _line(self, step, scale, shift):
        numbers = {"scale": _floats(scale), "shift": _floats(shift)}
        return self._add_node(graph.Affine, step, size=step.size, x=self._x(step), **numbers, **self._range(step))

    def _diagonal(self, step, scale, shift):
        """A line on a vector."""
        if step.high < inf:
            raise unsupported(step.label, f"an upper limit of {step.high:g} on a vector", "Relu")
        if step.channels > isa.LANE_BYTES:
            raise unsupported(step.label, f"a vector of {step.channels} values", f"at most {isa.LANE_BYTES}")
        weight, x = _floats(np.diag(scale)), self._vector(step)
        return self._add_node(graph.Linear, step, x=x, weight=weight, bias=_floats(shift), relu=step.low == 0)

    def _cut(self, step):
        """A line by one, unless nothing is cut."""
        x = self._x(step)
        if step.low == 0 and step.high == inf and _is_positive(x):
            return x
        ones, zeros = np.ones(step.channels), np.zeros(step.channels)
        return self._line(step, ones, zeros) if step.size else self._diagonal(step, ones, zeros)

    def _concat(self, step):
        parts = tuple(self.values[x] for x in step.inputs)
        if step.channels > isa.MAX_CHANNELS:
            raise unsupported(step.label, f"{step.channels} channels", f"at most {isa.MAX_CHANNELS}")
        signed, limits = any(part.signed for part in parts), {part.limit for part in parts}
        limit = limits.pop() if len(limits) == 1 else None
        fields = {"parts": parts, "signed": signed, "limit": limit, "step": _step_of(step.grid, signed)}
        return self._add_node(graph.Concat, step, size=step.size, **fields)

    def _view(self, step):
        x = self._x(step)
        if any(one > other for one, other in zip(step.size, x.size)) and isinstance(x, graph.View):
            x = self._add_node(graph.Pad, step, x.channels, x.size, ".whole", x=x, before=0, stride=1, signed=x.signed)
        return self._add_node(graph.View, step, x.channels, step.size, x=x, signed=x.signed)

    def _padded(self, step):
        """Zeros at the bottom and the right, where there is room in the map's tiles."""
        top, left, *_ = step.window.pads
        fits = all(tile_count(one) == tile_count(other) for one, other in zip(step.size, step.inputs[0].size))
        if top or left or not fits:
            raise unsupported(step.label, f"padding {step.window.pads} on its own", "padding before a Conv or a pool")
        return self._view(step)

    def _thin(self, step):
        """Every second pixel, between channels of zeros."""
        x = self._x(step)
        fields = {"before": step.before, "stride": step.stride, "signed": x.signed}
        return self._add_node(graph.Pad, step, size=step.size, x=x, **fields)

    def _max(self, step):
        x = self._x(step)
        if step.window.counted and x.signed:
            raise unsupported(
                step.label, "a maximum over zeros that pad a map with negative values", "a Relu before the Pad"
            )
        try:
            stages = max_stages(x.size, step.window, step.size, not x.signed)
            for stage in stages:
                chain(stage.kernel, stage.stride, stage.padding)
        except (NoFit, LowerError) as fault:
            found, nearest = (
                (fault.found, fault.nearest) if isinstance(fault, NoFit) else str(fault).split(": expected ")[:2]
            )
            raise unsupported(step.label, found, nearest.partition(":")[0]) from None
        for stage in stages:
            if stage.size != x.size:
                x = self._add_node(graph.View, step, x.channels, stage.size, ".grown", x=x, signed=x.signed)
            if (stage.kernel, stage.stride) != (1, 1):
                fields = {"kernel": stage.kernel, "stride": stage.stride, "padding": stage.padding, "average": False}
                x = self._add_node(graph.Pool, step, x.channels, stage.output, x=x, signed=x.signed, **fields)
        return x

    def _average(self, step):
        x, window = self._x(step), step.window
        fields = {"kernel": window.kernel[0], "stride": window.stride[0], "padding": 0, "average": True}
        return self._add_node(graph.Pool, step, size=step.size, x=x, signed=x.signed, **fields)

    # ------------------------------------------------------------------------------------------------------ vectors
    def _mean(self, step):
        return self._add_node(graph.Mean, step, x=self._x(step))

    def _flatten(self, step):
        x = self._x(step)
        if max(x.size) > isa.TILE or step.channels > isa.VECTOR_WORDS // 2:
            found = f"a map of {x.channels}×{x.size[0]}×{x.size[1]} as a vector"
            nearest = f"at most {isa.TILE}×{isa.TILE} pixels and {isa.VECTOR_WORDS // 2} values: pool it before"
            raise unsupported(step.label, found, nearest)
        return self._add_node(graph.Flatten, step, x=x)

    def _linear(self, step):
        if step.channels > isa.VECTOR_WORDS // 2:
            raise unsupported(step.label, f"{step.channels} outputs", f"at most {isa.VECTOR_WORDS // 2}")
        if step.high < inf:
            raise unsupported(step.label, f"an upper limit of {step.high:g} on a vector", "Relu")
        numbers = {"weight": _floats(step.weight), "bias": _floats(step.bias), "unit": step.unit}
        return self._add_node(graph.Linear, step, x=self._vector(step, True), relu=step.low == 0, **numbers)

    def _vector(self, step, permuted=False):
        if step.inputs[0].order is not None and not permuted:
            raise unsupported(step.label, "a vector with channels last", "a Gemm directly behind the Flatten")
        return self._x(step)


def _is_positive(node):
    """Whether a node has no negative values."""
    return not node.signed if node.size else isinstance(node, (graph.Mean, graph.Flatten)) and not node.x.signed


def _step_of(grid, signed):
    """The step of a map's codes for the file's: the same, or for codes that lie askew one that holds both ends."""
    if grid is None:
        return None
    ends = abs(grid.low), grid.high
    askew = signed and abs(ends[0] - ends[1]) > 2 * grid.step
    return max(ends) / 127 if askew else grid.step


def _floats(values):
    return np.ascontiguousarray(values, np.float32)
