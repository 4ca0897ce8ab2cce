"""A model as a graph: its parts lower themselves to nodes (training/lowering.py), batch norms are folded in.

    network = fold(model, channels=3, size=(32, 32))     # a Dynamic in any combination of units, gates and exits

The model is read by its running statistics and not changed. Folding is in float64, weights are kept in float32.
"""

from contextlib import contextmanager

import numpy as np
import torch

from export import graph
from hls.errors import UserError

SCORE_STEP = 2.0**-10  # nats, of a class exit's score: 16 bits hold 32 nats


def fold(model, channels, size, signed=True, watch=None):
    """The graph.Network of a Dynamic for images of `channels` × `size`, which hold negative values if `signed`.

    `watch`: as in `Dynamic.lower`, for class exits. Raises UserError.
    """
    builder = _Builder(model, size, signed)
    model.lower(builder, channels, size, watch)
    graph.prune(builder.nodes)
    dynamic = bool(model.layer_gates) or bool(model.channel_gates) or len(model.exits)
    name = model.backbone.name + ("-ddi" if dynamic else "")
    return graph.with_class_gates(graph.Network(name, builder.nodes, tuple(builder.gates.values())), builder.stages)


class _Builder:
    """training.lowering.Graph: each method appends a node to the body that is open, and returns it."""

    def __init__(self, model, size, signed):
        self.signed = signed  # whether pixels are
        self.nodes = []  # of the innermost open body
        self.names = {id(module): name.removeprefix("backbone.") for name, module in model.named_modules()}
        self.stages = [place.stage for place in model.backbone.places(size)]
        self.cells = {}  # id of an LSTMCell → Cell
        self.gates = {}  # unit → graph.Gate, in the order of the trace
        self.uses = {}  # name → how often it was given
        self.masked = set()  # units that have a channel gate

    def _add(self, kind, name, channels, **fields):
        self.nodes.append(kind(self._own(name), channels, **fields))
        return self.nodes[-1]

    def _own(self, name):
        """The name, numbered from its second use on: a module may be used more than once."""
        self.uses[name] = self.uses.get(name, 0) + 1
        return name if self.uses[name] == 1 else f"{name} ({self.uses[name]})"

    def _map(self, kind, name, channels, x, size, **fields):
        return self._add(kind, name, channels, x=x, size=tuple(size), **fields)

    # ----------------------------------------------------------------------------------------------------- maps
    def image(self, channels, size):
        """Normalised pixels."""
        return self._add(graph.Image, "image", channels, size=tuple(size), signed=self.signed)

    def convolution(
        self, x, conv, bn=None, relu=True, add=None, in_mask=None, out_mask=None, over=None, part=None, limit=None
    ):
        """`conv` with its batch norm, plus `add`, ReLU, a cut at `limit`; or the outputs and inputs of `part` alone."""
        name, kernel = self.names[id(conv)], conv.kernel_size[0]
        if (conv.kernel_size, conv.padding) != ((kernel,) * 2, (kernel // 2,) * 2) or not kernel % 2:
            found = f"kernel {conv.kernel_size}, padding {conv.padding}"
            raise UserError(f"{name}: {found}: the engine has odd square kernels with padding kernel // 2")
        if conv.groups != 1 or conv.dilation != (1, 1) or conv.stride not in ((1, 1), (2, 2)):
            found = f"groups {conv.groups}, dilation {conv.dilation}, stride {conv.stride}"
            raise UserError(f"{name}: {found}: the engine has one group, no dilation, and stride 1 or 2")
        weight, bias = conv.weight.detach().double(), _bias(conv)
        if bn is not None:
            scale, shift = _line(bn)
            weight, bias = weight * scale[:, None, None, None], bias * scale + shift
        if part is not None:
            outputs, inputs = (torch.as_tensor(channels) for channels in part)
            weight, bias = weight[outputs][:, inputs], bias[outputs]
        size, masks = (-(-side // conv.stride[0]) for side in x.size), {"in_mask": in_mask, "out_mask": out_mask}
        masks["over"] = over
        numbers = {"weight": _array(weight, name), "bias": _array(bias, name), "stride": conv.stride[0], "relu": relu}
        numbers |= {"signed": not relu, "limit": limit}
        return self._map(graph.Convolution, name, len(weight), x, size, add=add, **masks, **numbers)

    def view(self, x, rows, columns):
        """More or fewer rows and columns."""
        size = x.size[0] + rows, x.size[1] + columns
        return self._map(graph.View, f"{x.name}.view", x.channels, x, size, signed=x.signed)

    def affine(self, x, line=None, relu=True, limit=None):
        """Each channel by its `line`, a batch norm or a weight and a bias, then ReLU; without one a copy."""
        if line is None:
            return self._line(f"{x.name}.copy", x, np.ones(x.channels), relu)
        scale, shift = _line(line)
        return self._line(self.names[id(line)], x, scale.numpy(), relu, shift.numpy(), limit)

    def zeros(self, x):
        """A map like `x`, of zeros."""
        return self._line(f"{x.name}.zeros", x, np.zeros(x.channels), relu=False)

    def _line(self, name, x, scale, relu, shift=None, limit=None):
        lines = {"scale": scale, "shift": 0 * scale if shift is None else shift}
        lines = {key: _array(torch.as_tensor(values), name) for key, values in lines.items()}
        return self._map(graph.Affine, name, x.channels, x, x.size, signed=not relu, relu=relu, limit=limit, **lines)

    def channels(self, x, first, count):
        """`count` channels of a map from `first` on."""
        return self._map(graph.Slice, f"{x.name}.channels", count, x, x.size, signed=x.signed, first=first)

    def concat(self, parts):
        """The channels of some maps, one behind the other; a limit that all parts have."""
        parts = tuple(parts)
        limits = {part.limit for part in parts}
        fields = {"limit": limits.pop() if len(limits) == 1 else None, "signed": any(part.signed for part in parts)}
        channels = sum(part.channels for part in parts)
        return self._add(graph.Concat, f"{parts[0].name}.concat", channels, parts=parts, size=parts[0].size, **fields)

    def pad(self, x, before, after, stride):
        """Every stride-th pixel, between channels of zeros."""
        channels, size = before + x.channels + after, (-(-side // stride) for side in x.size)
        return self._map(graph.Pad, f"{x.name}.pad", channels, x, size, signed=x.signed, before=before, stride=stride)

    def pool(self, x, kernel, stride=None, padding=0, average=False):
        """Max or average pooling."""
        stride = stride or kernel
        size = [(side + 2 * padding - kernel) // stride + 1 for side in x.size]
        if min(size) < 1:
            raise UserError(f"{x.name}: a map of {x.size} is too small for a pool of {kernel}×{kernel}")
        if average and padding:
            found = f"an average pool of {kernel}×{kernel} with padding {padding}"
            raise UserError(f"{x.name}: {found}: the engine averages within a map alone, so this runs in PyTorch only")
        fields = {"kernel": kernel, "stride": stride, "padding": padding, "average": average, "signed": x.signed}
        return self._map(graph.Pool, f"{x.name}.pool", x.channels, x, size, **fields)

    # -------------------------------------------------------------------------------------------------- vectors
    def mean(self, x):
        """A map's global average."""
        return self._add(graph.Mean, f"{x.name}.mean", x.channels, x=x)

    def flatten(self, x):
        """A map's pixels."""
        return self._add(graph.Flatten, f"{x.name}.flatten", x.channels * x.size[0] * x.size[1], x=x)

    def linear(self, v, fc, before=None, after=None, shift=None, relu=False, inputs=None, outputs=None):
        """`fc` with the batch norms around it and a shift behind them, its `inputs` in the order of `v`.

        `outputs`: those of `fc` that are wanted, in order.
        """
        name, weight, bias = self.names[id(fc)], fc.weight.detach().double(), _bias(fc)
        if before is not None:
            scale, offset = _line(before)
            weight, bias = weight * scale, bias + weight @ offset
        if after is not None:
            scale, offset = _line(after)
            weight, bias = weight * scale[:, None], bias * scale + offset
        if shift is not None:
            bias = bias + shift.detach().double()
        if inputs is not None:
            weight = weight[:, torch.as_tensor(inputs)]
        if outputs is not None:
            weight, bias = weight[torch.as_tensor(outputs)], bias[torch.as_tensor(outputs)]
        numbers = {"weight": _array(weight, name), "bias": _array(bias, name)}
        return self._add(graph.Linear, name, len(weight), x=v, relu=relu, **numbers)

    def lstm(self, v, cell, state=None):
        """One step of an LSTMCell."""
        name = self.names[id(cell)]
        if id(cell) not in self.cells:
            numbers = cell.weight_ih, cell.weight_hh, cell.bias_ih + cell.bias_hh
            self.cells[id(cell)] = graph.Cell(name, *(_array(values, name) for values in numbers))
        return self._add(graph.Lstm, name, cell.hidden_size, x=v, cell=self.cells[id(cell)], before=state)

    # ------------------------------------------------------------------------------------------- gates and exits
    def channel_gate(self, logits, unit):
        """The mask of positive logits; a unit's trace word counts the first of its masks."""
        number = -1 if unit in self.masked else self._number(unit, logits.channels)
        self.masked.add(unit)
        return self._add(graph.ChannelGate, f"unit {unit}'s channel gate", logits.channels, x=logits, gate=number)

    def layer_gate(self, logit, unit, otherwise):
        """A context whose nodes run only where the logit is positive; it gives the function that ends it."""
        number = self._number(unit, otherwise.channels)

        def end(body, result):
            if any(getattr(result, key) != getattr(otherwise, key) for key in ("channels", "size", "signed")):
                raise UserError(f"unit {unit}: a skip passes on a map of another kind than running it gives")
            fields = {"gate": number, "body": body, "result": result, "otherwise": otherwise}
            shape = {"size": otherwise.size, "signed": otherwise.signed}
            return graph.LayerGate(self._own(f"unit {unit}"), otherwise.channels, logit=logit, **shape, **fields)

        return self._body(end)

    def exit(self, unit):
        """A context for the classifier of an exit; it gives the function that ends it."""
        name, unit = ("end", len(self.stages) - 1) if unit is None else (f"exit behind unit {unit}", unit)
        return self._body(lambda body, logits: graph.Exit(name, logits.channels, unit=unit, body=body, logits=logits))

    def join(self, vectors):
        """Vectors, one behind the other."""
        vectors = tuple(vectors)
        return self._add(graph.Join, "joined", sum(vector.channels for vector in vectors), parts=vectors)

    def class_exit(self, v, weight, bias, place):
        """The score of a class by a line on a vector, and its exit where that is high enough."""
        name = f"class {place.target}'s exit behind unit {place.unit}"
        numbers = {"weight": _array(weight[None], name), "bias": _array(bias.reshape(1), name)}
        score = self._add(graph.Linear, f"{name}, score", 1, x=v, relu=False, step=SCORE_STEP, **numbers)
        fields = {"unit": place.unit, "target": place.target, "threshold": place.threshold}
        return self._add(graph.ClassExit, name, place.classes, x=score, **fields)

    @contextmanager
    def _body(self, end):
        """Collect nodes in a body; the node that `end(body, value)` makes of it comes behind what was before."""
        outer, body, made = self.nodes, [], []
        self.nodes = body

        def finish(value):
            made.append(end(body, value))
            return made[0]

        yield finish
        outer += made
        self.nodes = outer

    def _number(self, unit, channels):
        """A unit's trace word, which may have to count up to `channels`."""
        most = max(channels, self.gates[unit].channels if unit in self.gates else 0)
        self.gates[unit] = graph.Gate(unit, self.stages[unit], most)
        return list(self.gates).index(unit)


def _line(bn):
    """A batch norm by its running statistics as (factor, offset), float64; a weight and a bias are that already."""
    if not hasattr(bn, "running_var"):
        return bn.weight.detach().double(), bn.bias.detach().double()
    factor = 1 / torch.sqrt(bn.running_var.double() + bn.eps)
    if bn.affine:
        factor = bn.weight.detach().double() * factor
    offset = -bn.running_mean.double() * factor
    return factor, offset + bn.bias.detach().double() if bn.affine else offset


def _bias(layer):
    """float64 zeros where a layer has none."""
    outputs = layer.weight.shape[0]
    return torch.zeros(outputs, dtype=torch.float64) if layer.bias is None else layer.bias.detach().double()


def _array(tensor, name):
    array = np.ascontiguousarray(tensor.detach().cpu().float().numpy())
    if not np.isfinite(array).all():
        raise UserError(f"{name} has weights that are not finite numbers: train again, or give an earlier checkpoint")
    return array
