"""A graph in integers as a program of the engine: instructions, weights, tables, and where every map lies.

    compiled = lower(network8)            # Compiled(program, weights, tables, …)
    stop_after(compiled.program, 0)       # the same program, leaving at the first exit

A unit runs in place: its output lies where its identity lay, so a skipped unit or channel costs nothing and copies
nothing. Maps and vectors are placed by first fit over their lifetimes; what a passed exit keeps lives until the next
TAP. That is its map where nobody writes over it, else what the first POOL gives of it: the classifier does the others.
Where there is no room for that, the pooled map is kept.
"""

from dataclasses import dataclass

import numpy as np

from export.compile.builder import Builder
from export.compile.flatten import flatten
from export.compile.layout import LowerError
from export.compile.maps import Map, Vector
from export.compile.plan import Plan
from export.compile.pools import chain
from export.graph import Concat, Convolution, Exit, Mean, Pool, walk
from hls import isa
from hls.program import decode, encode


def lower(network8, tile_words=isa.TILE_WORDS, fuse=True, before=None):
    """Compile a Network8. Raises LowerError when maps, instructions or gates exceed the engine's sizes.

    `tile_words`: of tile memory that may be used; `fuse`: pool in the convolution that writes a map, not behind it;
    `before`: a Compiled whose weights and tables this one's begin with.
    """
    network = network8.graph
    if network.classes > isa.MAX_CLASSES or len(network.gates) > isa.MAX_GATES:
        found = f"{network.classes} classes or {len(network.gates)} gates"
        raise LowerError(f"{found} are more than the engine's {isa.MAX_CLASSES} and {isa.MAX_GATES}")
    _check_masks(network)
    if len(network.exits) > 1:
        try:
            compiled = _Lowering(network8, Builder(tile_words, fuse).going_on(before), Plan(network, late=True)).run()
        except LowerError:
            compiled = None
        if compiled is not None and not compiled.map_words:  # no map had to go to the DDR
            return compiled
    return _Lowering(network8, Builder(tile_words, fuse).going_on(before), Plan(network)).run()


def _check_masks(network):
    """Closed channels of a map that adds nothing are not written: whoever reads it must leave them out."""
    for node in walk(network.nodes):
        for x in node.inputs:
            partial = isinstance(x, Convolution) and x.out_mask is not None and x.under is None
            if partial and (getattr(node, "in_mask", None) is not x.out_mask or node.inputs[0] is not x):
                raise LowerError(f"{node.name} reads channels of {x.name} that its gate has closed")


def stop_after(program, number):
    """The program that ends at exit `number`, whatever the budget; the last exit's is the program itself."""
    program = program.copy()
    for pc, words in enumerate(program):
        if int(words[0]) == isa.TAP and decode(words)["exit"] == number:
            program[pc + 1] = encode(isa.END)
    return program


@dataclass
class _Tap:
    """An exit that was passed: the map or the vector kept for it, the Stages of its pool that its classifier does,
    its TAP's fields and time.
    """

    exit: Exit
    kept: Map | Vector
    stages: list
    fields: dict
    time: int


class _Lowering:
    """One method a kind of node, each gives the Map, the Vector or the number of a mask."""

    def __init__(self, network8, builder, plan):
        self.network8, self.numbers, self.builder, self.plan = network8, network8.numbers, builder, plan
        self.values = {}  # node → Map, Vector or number of a mask
        self.means = {}  # Map → the Vector that holds its mean
        self.masks = {}  # number of a mask → the node that it holds
        self.state = None  # the Lstm whose state the engine holds
        self.joined = builder.new_vector(self.plan.joined) if self.plan.joined else None
        self.taps, self.count, self.end = [], 0, 0

    def run(self):
        """The Compiled."""
        network = self.network8.graph
        self._lower(network.nodes)
        for tap in self.taps:
            self.builder.now, tap.fields["target"] = tap.time, len(self.builder.steps)
            first, *body = tap.exit.body
            self.values[first] = self._pools(first, tap.kept, tap.stages) if tap.stages else tap.kept
            self._lower(body)
            self._classify(tap.exit, tap.fields["exit"])
        image = self.values[network.image]
        return self.builder.compile(image, len(network.gates), network.classes, end=self.end)

    def _lower(self, nodes):
        for node in nodes:
            self.values[node] = getattr(self, node.kind)(node)

    # ----------------------------------------------------------------------------------------------------- maps
    def image(self, node):
        """IMAGE."""
        return self._with_mean(node, self.builder.image(self.numbers[node], *node.size))

    def convolution(self, node):
        """CONV, in place of the map that it adds or replaces where nobody reads that any more."""
        masks = {"in_mask": self._mask(node.in_mask), "out_mask": self._mask(node.out_mask)}
        target, vector = self._target(node), self._vector(node)
        identity = None if node.add is None else self.values[node.add]
        if node.out_mask is not None and node.under is not None and target is not self.values[node.under]:
            raise LowerError(f"{node.name}: closed channels must lie where those of the map under them lie")
        made = self.builder.convolve(self.numbers[node], self.values[node.x], target, identity, pool=vector, **masks)
        return self._remember(made, vector)

    def _target(self, node):
        """The Map whose place a convolution takes, or None for a new one."""
        before = self.plan.place.get(node, node.add)
        if before is None or node in self.plan.parts:
            return self._part(node)
        shared = isinstance(before, Concat) or self.values[before].parent is not None
        if shared and node not in self.plan.place:
            return None
        if self.plan.last[before] <= self.plan.order[node] and before is not node.x:
            return self.values[before]
        if node in self.plan.place:
            raise LowerError(f"{node.name} is to be written in place of {before.name}, which is read again behind it")
        return None

    def _part(self, node):
        """The Map of a node within a concatenation, or None."""
        if node not in self.plan.parts:
            return None
        whole, first = self.plan.parts[node]
        return self._whole(whole).part(first, node.channels)

    def _whole(self, node):
        """The Map of a concatenation, from the first of its parts on."""
        if node not in self.values:
            self.values[node] = self._part(node) or self.builder.new_map(node.channels, *node.size)
        return self.values[node]

    def _vector(self, node):
        """The Vector that takes the mean of a map, where somebody wants it: that of the map in whose place it comes."""
        if node not in self.plan.pooled:
            return None
        before = self.values.get(self.plan.place.get(node))
        return self.means[before] if before in self.means else self.builder.new_vector(node.channels)

    def _remember(self, made, vector):
        if vector is not None:
            self.means[made] = vector
        return made

    def _with_mean(self, node, made):
        """A map of an instruction that cannot pool, with its mean where somebody wants it."""
        vector = self._vector(node)
        if vector is not None:
            self.builder.global_pool(made, vector, node.signed)
        return self._remember(made, vector)

    def _mask(self, node):
        return 0 if node is None else self.values[node]

    def pad(self, node):
        """AFFINE with zero rows for the channels around."""
        vector, channels = self._vector(node), node.channels
        rows = np.zeros(channels, np.int32), np.full(channels, self.numbers[node], np.int32)
        flags = {"in_signed": node.x.signed, "relu": not node.signed}
        into = {"pool": vector, "target": self._part(node)}
        made = self.builder.affine(self.values[node.x], *rows, node.before, node.stride, **flags, **into)
        return self._remember(made, vector)

    def affine(self, node):
        """AFFINE."""
        vector, flags = self._vector(node), {"in_signed": node.x.signed, "relu": node.relu}
        into = {"pool": vector, "target": self._part(node)}
        return self._remember(self.builder.affine(self.values[node.x], *self.numbers[node], **flags, **into), vector)

    def concat(self, node):
        """AFFINEs of the parts that were not written where they belong."""
        whole, first = self._whole(node), 0
        for part, word in zip(node.parts, self.numbers[node]):
            if self.plan.parts.get(self.plan.home(part)) != (node, first):
                rows = np.zeros(part.channels, np.int32), np.full(part.channels, word, np.int32)
                flags = {"in_signed": part.signed, "relu": not node.signed}
                self.builder.affine(self.values[part], *rows, **flags, target=whole.part(first, part.channels))
            first += part.channels
        return self._with_mean(node, whole)

    def slice(self, node):
        """Nothing."""
        return self._with_mean(node, self.values[node.x].part(node.first, node.channels))

    def view(self, node):
        """Nothing where as many tiles are left, else MOVEs."""
        source = self.values[node.x]
        if all(-(-one // isa.TILE) == -(-other // isa.TILE) for one, other in zip(node.size, node.x.size)):
            return self._with_mean(node, source.framed(*node.size))
        if any(one > other for one, other in zip(node.size, node.x.size)):
            raise LowerError(f"{node.name}: a map of {node.x.size} cannot grow to {node.size}: it needs more tiles")
        return self._with_mean(node, self.builder.crop(source, *node.size))

    def pool(self, node):
        """POOLs."""
        return self._with_mean(node, self._pools(node, self.values[node.x], _stages(node), target=self._part(node)))

    def _pools(self, node, source, stages, **where):
        flags = isa.FLAG_IN_SIGNED * node.signed | isa.FLAG_RELU * (not node.signed) | isa.FLAG_AVERAGE * node.average
        return self.builder.pools(source, stages, flags, self.numbers[node], **where)

    # -------------------------------------------------------------------------------------------------- vectors
    def mean(self, node):
        """Nothing where the instruction that wrote the map has pooled it."""
        if node in self.plan.own:
            return self._own_mean(node)
        source = self.values[node.x]
        if source not in self.means:
            self.means[source] = self.builder.new_vector(node.channels)
            self.builder.global_pool(source, self.means[source], node.x.signed)
        return self.means[source]

    def flatten(self, node):
        """GLOBAL_POOLs and FCs."""
        return flatten(self.builder, self.values[node.x], node.x.signed)

    def linear(self, node):
        """FC."""
        return self.builder.multiply(self.numbers[node], self.values[node.x])

    def lstm(self, node):
        """LSTM; the state is the engine's."""
        if node.before is not self.state:
            raise LowerError(f"{node.name}: the engine holds the state of one LSTM, each step must follow the last")
        self.state = node
        return self.builder.lstm(self.numbers[node], self.values[node.x])

    # ------------------------------------------------------------------------------------------- gates and exits
    def channelgate(self, node):
        """GATE_CHANNEL, into a mask that nobody reads any more."""
        now, last = self.plan.order[node], self.plan.last
        free = [number for number in range(1, isa.MASKS) if last.get(self.masks.get(number), -1) <= now]
        if not free:
            raise LowerError(f"{node.name}: more than {isa.MASKS - 1} masks are in use at once")
        self.masks[free[0]] = node
        fields = {"channels": node.channels, "threshold": 0, "mask": free[0], "gate": node.gate}
        self.builder.emit(isa.GATE_CHANNEL, input=self.values[node.x], **fields)
        return free[0]

    def layergate(self, node):
        """GATE_LAYER with a jump behind the body, which must leave its result in the other side's place."""
        fields = {"threshold": self.numbers[node], "gate": node.gate, "channels": node.channels}
        jump = self.builder.emit(isa.GATE_LAYER, input=self.values[node.logit], target=0, **fields)
        self._lower(node.body)
        jump["target"] = len(self.builder.steps)
        if self.values[node.result] is not self.values[node.otherwise]:
            raise LowerError(f"{node.name}: what runs must end in a convolution, in place of what a skip passes on")
        return self.values[node.otherwise]

    def join(self, node):
        """Nothing: its parts were written side by side."""
        if [self.plan.joins.get(part) for part in node.parts] != list(_starts(node.parts)):
            raise LowerError(f"{node.name}: what is joined must begin with what was joined before")
        return self.joined

    def classexit(self, node):
        """A gate whose body is the end for those who run it: logits made of the score, EXIT."""
        number, numbers = self.count, self.numbers[node]
        self.count += 1
        fields = {"threshold": numbers.threshold, "gate": node.gate, "channels": 0}
        jump = self.builder.emit(isa.GATE_LAYER, input=self.values[node.x], target=0, **fields)
        logits = self.builder.multiply(numbers.answer, self.values[node.x])
        self._end_of_life()
        self._leave(logits, node.channels, number)
        jump["target"] = len(self.builder.steps)
        return logits

    def exit(self, node):
        """A TAP that keeps the map, or what its classifier's first pool or average gives; or the network's own end."""
        if node is self.network8.graph.exits[-1]:
            self.end = len(self.builder.steps)
            self._lower(node.body)
            self._end_of_life()
            return self._classify(node, self.count)
        first, inside = node.body[0], set(node.body)
        if not isinstance(first, (Pool, Mean)) or any(x not in inside for rest in node.body[1:] for x in rest.inputs):
            raise LowerError(f"{node.name}: its classifier must begin with a pool, whose output is kept for it")
        (kept, stages), time = self._kept(node, first), len(self.builder.steps)
        kept.touch(time)
        self._end_of_life()
        fields = self.builder.emit(isa.TAP, exit=self.count, target=0, flops=0, cycles=0, threshold=0)
        self.count += 1
        self.taps.append(_Tap(node, kept, stages, fields, time))
        return None

    def _kept(self, node, first):
        """What an exit keeps of `first`, the pool or the mean that begins its classifier; the Stages left to do."""
        if isinstance(first, Mean):
            return self._own_mean(first), []
        source, stages = self.values[first.x], _stages(first)
        if node in self.plan.whole:
            source.root.pinned = True  # a classifier cannot reach the DDR
            return source, stages
        count = 1 if self.plan.late else len(stages)
        return self._pools(first, source, stages[:count], pinned=True), stages[count:]

    def _own_mean(self, node):
        """A mean that stays what it is when the map goes on."""
        start, joined = self.plan.joins.get(node), self.joined
        vector = joined.part(start, node.channels) if joined and start is not None else None
        vector = vector or self.builder.new_vector(node.channels)
        self.builder.global_pool(self.values[node.x], vector, node.x.signed)
        return vector

    def _end_of_life(self):
        """What the last exit kept is needed up to the next instruction, and no longer."""
        if self.taps:
            self.taps[-1].kept.touch(len(self.builder.steps))

    def _classify(self, node, number):
        self._leave(self.values[node.logits], node.channels, number)

    def _leave(self, logits, classes, number):
        self.builder.emit(isa.EXIT, exit=number, input=logits, classes=classes, scale=self.network8.exit_scale)


def _stages(node):
    return chain(node.kernel, node.stride, node.padding, node.average)


def _starts(parts):
    """The first word of each of some vectors, one behind the other."""
    return np.cumsum([0, *(part.channels for part in parts[:-1])])
