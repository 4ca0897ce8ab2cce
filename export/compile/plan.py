"""What the compiler must know of a graph before it writes the first instruction.

    plan = Plan(network)
    plan.last[node] <= plan.order[other]      # nobody reads `node` behind `other`, so `other` may take its place

A layer gate's result is written in place of what stands there otherwise: skipping leaves the map where it is. Likewise
closed channels are those of the map that a convolution adds, or that it stands over. A mean of such a map is kept up
to date beside it, so whatever the map was before needs its mean too. A map of a concatenation is written where the
whole has it, if it has the whole's codes; else it is copied there. What is written in place of another map lies where
that one does. An exit whose map nobody writes over keeps the map itself, and pools it when it classifies.
"""

from itertools import pairwise

from export.graph import Affine, Concat, Convolution, Join, LayerGate, Mean, Pad, Pool, Slice, View, readers_of, walk
from export.integers.scales import groups


class Plan:
    """`order`: node → its number; `last`: node → the number of the last node that reads it, or its mean;

    `place`: node → the node in whose place it must be written; `parts`: node → (the Concat that it is written into, the
    first of its channels there); `pooled`: the maps whose mean is wanted; `own`: means of class exits, which
    stay as they are when the map goes on; `joins`: such a mean → its first word in the joined vector,
    `joined`: that one's words; `late`: whether classifiers pool; `whole`: the exits that then keep a map as it is.
    """

    def __init__(self, network, late=False):
        nodes = list(walk(network.nodes))
        self.order = {node: number for number, node in enumerate(nodes)}
        self.last, self.place, self.parts, self.pooled = {}, {}, {}, set()
        self.joins, self.joined = _joins(nodes)
        self.own = set(self.joins) | {leave.x.x for leave in network.class_exits}
        for node, readers in readers_of(network.nodes).items():
            self.last[node] = max((self._read_at(node, reader) for reader in readers), default=-1)
        for node in reversed(nodes):
            if isinstance(node, (Mean, Slice, View)) and node not in self.own:
                self.last[node.x] = max(self.last[node.x], self.last.get(node, -1))
        for node in nodes:
            if isinstance(node, Convolution) and node.out_mask is not None and node.under is not None:
                self.place.setdefault(node, node.under)
            elif isinstance(node, LayerGate) and node.result in node.body:
                self.place[node.result] = node.otherwise
        self.late, self.whole = late, self._keep_maps(network.exits) if late else set()
        self._find_parts(nodes, groups(network))
        own = {leave.body[0] for leave in network.exits[:-1]}  # an exit that was passed keeps a mean of its own
        for node in reversed(nodes):
            if node not in own | self.own:
                self._want_mean(node)

    def _keep_maps(self, exits):
        """The exits whose map may stay as it is up to the next exit; it counts as read there."""
        found, places = set(), set(self.place.values())
        for leave, following in pairwise(exits):
            first = leave.body[0]
            alone = isinstance(first.inputs[0], (Affine, Convolution, LayerGate, Pool))
            if isinstance(first, Pool) and alone and first.inputs[0] not in places:
                found.add(leave)
                self.last[first.x] = max(self.last[first.x], self.order[following])
        return found

    def _find_parts(self, nodes, group):
        for whole in (node for node in nodes if isinstance(node, Concat)):
            first = 0
            for part in whole.parts:
                home = self.home(part)
                writes = isinstance(home, (Affine, Concat, Convolution, Pad, Pool)) and home not in self.place
                alike = group[part] is group[whole] and part.signed == whole.signed
                if writes and alike and home not in self.parts:
                    self.parts[home] = whole, first
                first += part.channels

    def home(self, node):
        """The node in whose place a part of a concatenation is written: its own, or that of a map under it."""
        home = node.otherwise if isinstance(node, LayerGate) else self.place.get(node, node)
        return home if isinstance(home, Affine) else node

    def _read_at(self, node, reader):
        """When `reader` reads `node`; a layer gate takes its two sides as they lie."""
        sides = isinstance(reader, LayerGate) and node is not reader.logit
        return -1 if sides else self.order[reader]

    def _want_mean(self, node):
        if isinstance(node, Mean):
            self.pooled.add(node.x)
        if node not in self.pooled:
            return
        if isinstance(node, LayerGate):
            self.pooled |= {node.result, node.otherwise}
        elif isinstance(node, Convolution) and node.out_mask is not None and node.under is not None:
            self.pooled.add(node.under)


def _joins(nodes):
    """(part → its first word, words) of the longest Join, of which all others are the beginning."""
    longest = max((node.parts for node in nodes if isinstance(node, Join)), key=len, default=())
    starts, words = {}, 0
    for part in longest:
        starts[part], words = words, words + part.channels
    return starts, words
