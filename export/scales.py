"""Which values share a scale: a skipped unit or channel is a map left as it is, so its codes must mean the same.

    group = groups(network)      # node → the first node of its group

One scale have both sides of a layer gate and what stands after it; a convolution and the map that it is added to, so
that a stage's residual stream keeps one; a pool and what it pools; the inputs of one LSTM; and the logits of all exits.
"""

from export import graph
from hls.errors import UserError


def groups(network):
    """Node → the first node of those that share its scale."""
    parent, inputs, logits = {}, {}, None

    def root(node):
        while node in parent:
            node = parent[node]
        return node

    def unite(one, other):
        one, other = root(one), root(other)
        if one is not other:
            parent[other] = one

    for node in graph.walk(network.nodes):
        if isinstance(node, graph.Convolution) and node.add is not None:
            if node.add.signed == node.signed:
                unite(node.add, node)
            elif node.out_mask is not None:
                raise UserError(
                    f"{node.name}: closed channels keep a map with a ReLU, open ones have none, or the reverse"
                )
        elif isinstance(node, graph.Pool):
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
