"""A plain network's parts: its residual blocks, found in the graph, as lists of layers that a recipe can hold.

    found = parts(network)                     # Parts(stem, units, head, residual) of nodes
    backbone = {"kind": "layers", **described(network, found)}
    fill(model.backbone, found)                # the file's weights into the backbone that a recipe has built

A unit ends where one map alone is read by what follows. Where a sum stands within, it is a residual block; what stands
between two of those is a unit without a sum. A network without sums is cut behind the last map of each size.
"""

from dataclasses import dataclass

import numpy as np
import torch

from export import graph
from hls.errors import UserError

PLAIN = {"channels": 0, "kernel": 1, "stride": 1, "padding": 0, "average": False, "before": 0, "relu": False}


@dataclass(frozen=True)
class Parts:
    """Nodes in order; `units` are lists of them. `residual`: how many of the units are residual blocks."""

    stem: list
    units: list
    head: list
    residual: int

    @property
    def lists(self):
        """All of them, the stem first."""
        return [self.stem, *self.units, self.head]


def parts(network):
    """The Parts of a plain network. UserError where it cannot be cut into any."""
    *nodes, end = network.nodes
    if network.gates or not isinstance(end, graph.Exit) or any(isinstance(node, graph.Exit) for node in nodes):
        raise UserError(f"{network.name} has gates or exits already: give the plain network")
    segments = _segments(nodes, end)
    blocks = [any(_is_sum(node) for node in segment) for segment in segments]
    groups = _grouped(segments, blocks)
    if len(groups) < 2:
        raise UserError(
            f"{network.name} has no place where one map alone is read by what follows, so none for a gate or an exit: "
            "export it as it is"
        )
    return Parts(groups[0], groups[1:], list(end.body), sum(blocks))


def _is_sum(node):
    return isinstance(node, graph.Convolution) and node.add is not None


def _segments(nodes, end):
    """Nodes behind the image, cut behind every map that alone is read by what follows it."""
    number = {node: index for index, node in enumerate(nodes)}
    last = [0] * len(nodes)  # of each node, its last reader
    for node in (*nodes, *end.body):
        for x in node.inputs:
            if x in number:
                last[number[x]] = max(last[number[x]], number.get(node, len(nodes)))
    found, begin, far = [], 1, last[0]  # far: the last reader of what stands before
    for index in range(1, len(nodes)):
        if far <= index:
            found.append(nodes[begin : index + 1])
            begin = index + 1
        far = max(far, last[index])
    if begin < len(nodes):
        raise UserError(f"{end.name}: the vectors behind the maps read more than the last of them: export it as it is")
    return found


def _grouped(segments, blocks):
    """Blocks by themselves, what is between them joined; the first of the groups is the stem."""
    if not any(blocks):
        return _by_size(segments)
    groups, joined = [], False
    for segment, is_block in zip(segments, blocks):
        if groups and not is_block and joined:
            groups[-1] = groups[-1] + segment
        else:
            groups.append(list(segment))
        joined = not is_block
    return groups


def _by_size(segments):
    """Joined as long as the size is the same; the first layer is the stem."""
    groups = [list(segments[0])]
    for number, segment in enumerate(segments[1:], 1):
        if number > 1 and segment[-1].size == groups[-1][-1].size:
            groups[-1] = groups[-1] + segment
        else:
            groups.append(list(segment))
    return groups


# ------------------------------------------------------------------------------------------------------ as plain values
def described(network, found):
    """What training.backbones.layers.layered takes: the name, and lists of tables."""
    stem, *units, head = (_listed(nodes) for nodes in found.lists)
    return {"name": network.name, "stem": stem, "units": units, "head": head}


def _listed(nodes):
    """One table a node; what it reads by number, 0 for what stands before the list."""
    numbers = {node: number for number, node in enumerate(nodes, 1)}
    return [_table(node, numbers, number) for number, node in enumerate(nodes, 1)]


def _table(node, numbers, number):
    kind, size = node.kind, node.size
    table = {"op": kind, "x": numbers.get(getattr(node, "x", None), 0)}
    if kind == "concat":
        table = {"op": kind, "parts": [numbers.get(part, 0) for part in node.parts]}
    if kind == "convolution":
        table |= {"channels": node.channels, "kernel": node.weight.shape[-1], "stride": node.stride}
        table |= {"add": numbers.get(node.add, 0)} if node.add is not None else {}
    if kind == "pool":
        table |= {name: getattr(node, name) for name in ("kernel", "stride", "padding", "average")}
    if kind == "pad":
        table |= {"channels": node.channels, "before": node.before, "stride": node.stride}
    if kind == "slice":
        table |= {"channels": node.channels, "before": node.first}
    if kind == "view":
        table |= {"rows": size[0] - node.x.size[0], "columns": size[1] - node.x.size[1]}
    if kind == "flatten":
        table |= {"side": list(node.x.size)}
    if kind == "linear":
        table |= {"channels": node.channels, "relu": node.relu}
    if kind in ("convolution", "affine"):
        table |= {"relu": node.relu} | ({"limit": float(node.limit)} if node.limit is not None else {})
    return {key: value for key, value in table.items() if PLAIN.get(key) != value and (key, value) != ("x", number - 1)}


# ------------------------------------------------------------------------------------------------------------- weights
@torch.no_grad()
def fill(backbone, found):
    """Put the weights of nodes into the backbone that was built of their description."""
    for layers, nodes in zip((backbone.stem, *backbone.units, backbone.head), found.lists):
        for member, node in zip(layers.members, nodes):
            for own, value in zip(("weight", "bias"), _numbers(node)):
                getattr(member, own).copy_(torch.from_numpy(np.ascontiguousarray(value)))


def _numbers(node):
    """(weight, bias) of a node, or nothing."""
    if isinstance(node, (graph.Convolution, graph.Linear)):
        return node.weight, node.bias
    return (node.scale, node.shift) if isinstance(node, graph.Affine) else ()
