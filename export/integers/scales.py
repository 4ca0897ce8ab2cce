"""Which values share a scale: a skipped unit or channel is a map left as it is, so its codes must mean the same.

    group = groups(network)      # node → the first node of its group

One scale have both sides of a layer gate and what stands after it; a convolution and the map that it is added to, so
that a stage's residual stream keeps one; the maps of a concatenation; a pool and what it pools; the inputs of one LSTM;
and the logits of all exits. Sums and concatenations can also rescale what they take: they do where one of two maps has
a step or a limit of its own, as an image has.
"""

from export import graph
from hls.errors import UserError


def groups(network):
    """Node → the first node of those that share its scale."""
    parent, inputs, logits = {}, {}, None
    own = {node: (node.step, node.limit) for node in graph.walk(network.nodes)} | {network.image: "its own"}

    def root(node):
        while node in parent:
            node = parent[node]
        return node

    def unite(one, other):
        one, other = root(one), root(other)
        if one is not other:
            parent[other] = one

    def alike(one, other):
        return one.signed == other.signed and own[root(one)] == own[root(other)]

    for node in graph.walk(network.nodes):
        if isinstance(node, graph.Convolution) and node.add is not None:
            if alike(node.add, node):
                unite(node.add, node)
            elif node.out_mask is not None:
                raise UserError(
                    f"{node.name}: closed channels keep a map with a ReLU, open ones have none, or the reverse"
                )
        elif isinstance(node, graph.Convolution) and node.over is not None:
            unite(node.over, node)
        elif isinstance(node, graph.Concat):
            for part in filter(lambda part: alike(part, node), node.parts):
                unite(part, node)
        elif isinstance(node, (graph.Pool, graph.Slice, graph.View)):
            unite(node.x, node)
        elif isinstance(node, graph.LayerGate):
            unite(node.otherwise, node.result)
            unite(node.otherwise, node)
        elif isinstance(node, graph.Lstm):
            unite(inputs.setdefault(node.cell, node.x), node.x)
        elif isinstance(node, graph.Exit):
            logits = logits or node.logits
            unite(logits, node.logits)
    return {node: root(node) for node in graph.walk(network.nodes)}
