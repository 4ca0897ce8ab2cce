"""A network as a graph of operations with numpy weights, in the order in which they run. It knows no class of training.

    network = fold(model, channels, size)      # export/fold.py makes it
    for node in walk(network.nodes): print(node.name, node.channels, node.size)

A node is its own output: a map (channels and size), a vector (channels) or a mask (channels). A layer gate and an exit
hold the nodes of a body of their own; bodies see what stands before them outside. Everything after (calibration,
quantisation, the interpreters, the compiler, ONNX) goes by these classes alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """What all have. `name` is its own: that of the module that it was made of, or of what it reads."""

    name: str
    channels: int
    size: tuple | None = None  # (height, width) of a map; None for vectors and masks
    signed: bool = False  # whether a map has negative values
    limit: float | None = None  # what a map's values are cut at, as by a ReLU6; those below -limit likewise if signed
    step: float | None = None  # the value of one step of a map's codes, where the source fixes it

    def __repr__(self):
        return f"<{self.kind} {self.name}>"

    @property
    def kind(self):
        """The name of the method that handles it."""
        return type(self).__name__.lower()

    @property
    def inputs(self):
        """The nodes that it reads."""
        x = getattr(self, "x", None)
        return () if x is None else (x,)


@dataclass(frozen=True, eq=False, repr=False)
class Image(Node):
    """Normalised pixels."""


@dataclass(frozen=True, eq=False, repr=False)
class ChannelGate(Node):
    """A mask: the channels with a positive logit. `gate`: the trace word that takes their number, or -1."""

    x: Node = field(kw_only=True)
    gate: int = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Convolution(Node):
    """With padding kernel // 2, then plus the map `add`, then ReLU.

    Only channels open in `out_mask` are computed; the others are those of `add` or of `over`, or 0. Channels that
    `in_mask` closes count as 0.
    """

    x: Node = field(kw_only=True)
    weight: np.ndarray = field(kw_only=True)  # (out, in, k, k) float32
    bias: np.ndarray = field(kw_only=True)  # (out,) float32
    stride: int = field(kw_only=True)
    relu: bool = field(kw_only=True)
    unit: np.ndarray | None = field(kw_only=True, default=None)  # (out,) one step of the weights, where it is fixed
    add: Node | None = field(kw_only=True, default=None)
    over: Node | None = field(kw_only=True, default=None)  # whose closed channels stay, where nothing is added
    in_mask: ChannelGate | None = field(kw_only=True, default=None)
    out_mask: ChannelGate | None = field(kw_only=True, default=None)

    @property
    def inputs(self):
        """The map, and where there are such the map that stays in part and the masks."""
        return tuple(node for node in (self.x, self.under, self.in_mask, self.out_mask) if node is not None)

    @property
    def under(self):
        """The map whose channels closed ones are, or None: 0."""
        return self.over if self.add is None else self.add


@dataclass(frozen=True, eq=False, repr=False)
class Pad(Node):
    """Every stride-th pixel, `before` channels of zeros in front, the rest of them behind."""

    x: Node = field(kw_only=True)
    before: int = field(kw_only=True)
    stride: int = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Affine(Node):
    """Each channel times its `scale` plus its `shift`, then ReLU: a batch norm that stands alone."""

    x: Node = field(kw_only=True)
    scale: np.ndarray = field(kw_only=True)  # (channels,) float32
    shift: np.ndarray = field(kw_only=True)  # (channels,) float32
    relu: bool = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Concat(Node):
    """The channels of some maps, one behind the other."""

    parts: tuple = field(kw_only=True)

    @property
    def inputs(self):
        """The maps."""
        return self.parts


@dataclass(frozen=True, eq=False, repr=False)
class Slice(Node):
    """Some channels of a map, from `first` on."""

    x: Node = field(kw_only=True)
    first: int = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class View(Node):
    """A map of another size: rows and columns at the bottom and the right are cut off, or zeros are added there."""

    x: Node = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Flatten(Node):
    """A map's pixels as a vector: all of the first channel, then all of the second."""

    x: Node = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Pool(Node):
    """Max or average pooling; pixels outside the map are left out."""

    x: Node = field(kw_only=True)
    kernel: int = field(kw_only=True)
    stride: int = field(kw_only=True)
    padding: int = field(kw_only=True)
    average: bool = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Mean(Node):
    """A map's global average, a vector."""

    x: Node = field(kw_only=True)


@dataclass(frozen=True, eq=False, repr=False)
class Linear(Node):
    """A fully connected layer."""

    x: Node = field(kw_only=True)
    weight: np.ndarray = field(kw_only=True)  # (out, in) float32
    bias: np.ndarray = field(kw_only=True)  # (out,) float32
    relu: bool = field(kw_only=True)
    unit: np.ndarray | None = field(kw_only=True, default=None)  # as a Convolution's


@dataclass(frozen=True, eq=False, repr=False)
class Cell:
    """An LSTM's weights; rows are input, forget, cell and output gates (torch's and the engine's order)."""

    name: str
    weight_input: np.ndarray  # (4·hidden, inputs) float32
    weight_hidden: np.ndarray  # (4·hidden, hidden) float32
    bias: np.ndarray  # (4·hidden,) float32, both of torch's


@dataclass(frozen=True, eq=False, repr=False)
class Lstm(Node):
    """The hidden state after one step; `before`: the step whose state it begins with, or None."""

    x: Node = field(kw_only=True)
    cell: Cell = field(kw_only=True)
    before: "Lstm | None" = field(kw_only=True)

    @property
    def inputs(self):
        """The vector, and the step before."""
        return (self.x,) if self.before is None else (self.x, self.before)


@dataclass(frozen=True, eq=False, repr=False)
class LayerGate(Node):
    """`body` runs only where the logit is positive; the value is then its `result`, else `otherwise`."""

    logit: Node = field(kw_only=True)
    gate: int = field(kw_only=True)  # the trace word
    body: list = field(kw_only=True)
    result: Node = field(kw_only=True)
    otherwise: Node = field(kw_only=True)

    @property
    def inputs(self):
        """The logit and both sides."""
        return self.logit, self.result, self.otherwise


@dataclass(frozen=True, eq=False, repr=False)
class Exit(Node):
    """A classifier; `unit` is the one that it stands behind. The last exit of a network is its own end."""

    unit: int = field(kw_only=True)
    body: list = field(kw_only=True)
    logits: Node = field(kw_only=True)

    @property
    def inputs(self):
        """The logits."""
        return (self.logits,)


@dataclass(frozen=True, eq=False, repr=False)
class Join(Node):
    """Vectors, one behind the other."""

    parts: tuple = field(kw_only=True)

    @property
    def inputs(self):
        """The vectors."""
        return self.parts


@dataclass(frozen=True, eq=False, repr=False)
class ClassExit(Node):
    """Images whose score is at least `threshold` end here, as of class `target`; `channels` are all classes.

    The score x (nats) is the log-odds of the class. Logits are x for it, and for each of the others what lets them
    share the rest evenly: the softmax of the target is then 1 / (1 + e^-x).
    """

    x: Node = field(kw_only=True)
    gate: int = field(kw_only=True, default=-1)  # the trace word
    unit: int = field(kw_only=True)  # that it stands behind, -1 for the stem
    target: int = field(kw_only=True)
    threshold: float = field(kw_only=True)  # nats

    @property
    def others(self):
        """The logit of each other class."""
        return -float(np.log(max(self.channels - 1, 1)))


@dataclass(frozen=True)
class Gate:
    """A unit with gates, and what its trace word may count up to."""

    unit: int
    stage: int
    channels: int


@dataclass(frozen=True)
class Network:
    """`nodes` begin with the image; gate numbers index `gates`."""

    name: str  # such as resnet74-ddi
    nodes: list
    gates: tuple

    @property
    def image(self):
        """The input."""
        return self.nodes[0]

    @property
    def exits(self):
        """In order, the network's own end last."""
        return [node for node in self.nodes if isinstance(node, Exit)]

    @property
    def classes(self):
        """Number of logits."""
        return self.exits[-1].channels

    @property
    def class_exits(self):
        """Those of all classes, in order."""
        return [node for node in self.nodes if isinstance(node, ClassExit)]


def prune(nodes, used=None):
    """Leave out, in place, the nodes that nobody reads; `used` grows by what the others read."""
    used = set() if used is None else used
    for node in reversed(list(nodes)):
        if node not in used and not isinstance(node, (Exit, ClassExit)):
            nodes.remove(node)
            continue
        used.update(node.inputs)
        if isinstance(node, (LayerGate, Exit)):
            prune(node.body, used)


def with_class_gates(network, stages):
    """The Network whose class exits have trace words, behind those of all gates; `stages`: of each unit."""
    items = network.class_exits
    gates = [Gate(max(item.unit, 0), stages[max(item.unit, 0)], 0) for item in items]
    moved = {item: replace(item, gate=len(network.gates) + number) for number, item in enumerate(items)}
    return Network(network.name, [moved.get(node, node) for node in network.nodes], (*network.gates, *gates))


def for_class(network, target=None):
    """The Network with the class exits of class `target` alone, or with none; all other nodes are the same."""
    kept = [item for item in network.class_exits if item.target == target]
    nodes = [node for node in network.nodes if not isinstance(node, ClassExit) or node in kept]
    prune(nodes)
    used, own = ({item.gate for item in items} for items in (kept, network.class_exits))
    numbers = [number for number in range(len(network.gates)) if number not in own or number in used]
    gates = tuple(network.gates[number] for number in numbers)
    moved = {item: replace(item, gate=numbers.index(item.gate)) for item in kept}
    return Network(network.name, [moved.get(node, node) for node in nodes], gates)


def walk(nodes) -> Iterator[Node]:
    """All nodes in the order they run; layer gates and exits come behind their bodies."""
    for node in nodes:
        if isinstance(node, (LayerGate, Exit)):
            yield from walk(node.body)
        yield node


def readers_of(nodes):
    """Node → the nodes that read it, in the order they run."""
    readers = {}
    for node in walk(nodes):
        for source in dict.fromkeys(node.inputs):
            readers.setdefault(source, []).append(node)
    return readers
