"""What one iteration of a loop computes, as a graph of operators with their delays: values carried to the next
iteration go through registers, loads through memories.

    circuit = Circuit(loop, values, accesses, pairs, table).built()
    circuit.edges           # Edges: source, target, ns, …

LUTs are shared as a mapper would: an operator of single bits takes in those before it while it has no more than six
inputs. What comes from outside of the loop stands still in registers and costs nothing.
"""

from collections import defaultdict
from math import ceil, log2
from typing import NamedTuple

from hls.bounds import queues, registers
from hls.bounds.flow import Decisions
from hls.bounds.ir import BINARY, CASTS, BoundsError, is_number, width
from hls.bounds.layout import PORT
from hls.bounds.operators import LUT_INPUTS, division_cycles

_FREE = ("llvm.lifetime", "llvm.experimental.noalias", "llvm.assume", "llvm.dbg")
_BITWISE = ("and", "or", "xor")


class Edge(NamedTuple):
    """`target` needs `source`: ns later, and `cycles` whole ones; over `clocks` clock edges, as a memory takes its
    address at one; `distance` iterations later."""

    source: int
    target: int
    ns: float
    cycles: int = 0
    clocks: int = 0
    distance: int = 0


class Circuit:
    """The graph of a loop. Nodes are numbers; `names[node]` says what it is, for reports."""

    def __init__(self, loop, values, accesses, pairs, table):
        self.loop, self.values, self.table = loop, values, table
        self.pairs = [pair for pair in pairs if not pair.claimed]
        self.decisions = Decisions(loop)
        self.names, self.edges = [], []
        self.leaves = {}  # node of a LUT → the nodes that it reads
        self.depth = []  # ns from registers to the node
        self.node_of = {}  # name of the IR → node; those from outside have none
        self.accesses = defaultdict(list)
        for access in accesses:
            self.accesses[id(access.instruction)].append(access)
        self.cells, self.queues = registers.Cells(self), queues.Queues(self)
        self.reads, self.writes = defaultdict(list), defaultdict(list)  # by id of the instruction

    def built(self):
        """Make the graph."""
        header = self.loop.function.blocks[self.loop.header]
        carried = {each.name: self.new(f"register {each.name}") for each in header.instructions if each.op == "phi"}
        self.node_of |= carried
        for name in self.loop.order:
            self.cells.enter(name)
            for instruction in self.loop.function.blocks[name].instructions:
                if instruction.name not in carried:
                    self._read(instruction)
            self.cells.leave(name)
        for each in header.instructions:
            for value, label in zip(each.operands, each.labels if each.op == "phi" else ()):
                if label in self.loop.latches:
                    self.carry(self.of(value), carried[each.name])
        self.cells.close()
        self.queues.close()
        self._join_memories()
        return self

    def new(self, name, depth=0.0):
        """A node."""
        self.names.append(name)
        self.depth.append(depth)
        return len(self.names) - 1

    def of(self, operand):
        """The node of an operand, None of a constant and of what comes from outside."""
        return None if is_number(operand) else self.node_of.get(operand)

    def edge(self, source, target, ns, cycles=0, clocks=0, distance=0):
        """Add an Edge, unless its source is constant."""
        if source is not None:
            self.edges.append(Edge(source, target, ns, cycles, clocks, distance))
            if distance == 0:
                self.depth[target] = max(self.depth[target], self.depth[source] + ns)

    def carry(self, source, target):
        """A register between iterations."""
        if source != target:
            self.edge(source, target, self.table.register, distance=1)

    def operator(self, name, sources, delay, cycles=0):
        """A node that all of `sources` lead to; None where there are none."""
        sources = {each for each in sources if each is not None}
        if not sources:
            return None
        node = self.new(name)
        for each in sources:
            self.edge(each, node, delay, cycles, cycles)
        return node

    def lut(self, name, sources):
        """A node of single-bit logic, in as few LUTs behind each other as its inputs take."""
        sources = list(dict.fromkeys(each for each in sources if each is not None))
        if not sources:
            return None
        while len(sources) > LUT_INPUTS:  # the earliest first
            sources.sort(key=lambda node: self.depth[node])
            sources = [self._single(name, sources[:LUT_INPUTS]), *sources[LUT_INPUTS:]]
        return self._single(name, sources)

    def _single(self, name, sources):
        inputs = list(sources)
        for each in sorted(sources, key=lambda node: -self.depth[node]):
            merged = list(
                dict.fromkeys([*(other for other in inputs if other != each), *self.leaves.get(each, [each])])
            )
            if each in self.leaves and len(merged) <= LUT_INPUTS:
                inputs = merged
        node = self.operator(name, inputs, self.table.logic)
        self.leaves[node] = inputs
        return node

    def chosen(self, name, index, sources):
        """A node that picks one of `sources` by an index: four of them a LUT, with two bits of it."""
        sources = list(dict.fromkeys(each for each in sources if each is not None))
        levels = max(1, ceil(log2(max(2, len(sources))) / 2))
        return self.operator(name, [*sources, index], levels * self.table.logic)

    def running(self, block):
        """The nodes of the conditions that decide whether a block runs."""
        return [self.of(each) for each in self.decisions.running(block)]

    def joined(self, name, block, nodes):
        """The node of what reaches a block as one of `nodes`, in the order of the blocks before it."""
        conditions = [self.of(each) for each in self.decisions.choosing(block, nodes)]
        return self.lut(name, [*dict.fromkeys(nodes), *conditions])

    def _read(self, made):
        name = f"{made.op} {made.name or made.type} @{made.place}"
        if made.op == "load":
            self.node_of[made.name] = self._loaded(made, name)
        elif made.op == "store":
            self._stored(made, name)
        elif queues.call_of(made):
            self._queued(made, name)
        elif made.op == "call" and made.detail.startswith(_FREE):
            if made.detail.startswith("llvm.lifetime.start"):
                self.cells.forget(made.operands[-1])
        elif made.name and made.type != "ptr":
            self.node_of[made.name] = self._computed(made, name)
        elif made.op == "call":
            raise BoundsError(f"a call of {made.detail} in a loop: hls/bounds/circuit.py has no delay for it")

    def _computed(self, made, name):
        """The node of what an instruction computes."""
        op, nodes = made.op, [self.of(each) for each in made.operands]
        if all(each is None for each in nodes) and op != "phi":
            return None
        if op in CASTS:
            return nodes[0]
        if op == "phi":
            return self._joined(made, nodes, name)
        if op in _BITWISE:
            return nodes[0] if is_number(made.operands[1]) else self.lut(name, nodes)
        if op == "select":
            return self.lut(name, nodes)
        if op == "call":
            return self._called(made, nodes, name)
        return self._arithmetic(made, nodes, name)

    def _joined(self, made, nodes, name):
        """A phi: what comes from a block is a node, a constant, or anything where the IR says so."""
        known = [node if node is not None else each for node, each in zip(nodes, made.operands)]
        anything = [each for each in known if each in ("undef", "poison")]
        rest = [each for each in known if each not in ("undef", "poison")]
        by_block = dict(zip(made.labels, known))
        came = [by_block[each] for each in self.loop.before(made.block)]
        came = [rest[0] if anything and each in anything and rest else each for each in came]
        conditions = [self.of(each) for each in self.decisions.choosing(made.block, came)]
        return self.lut(name, [*(each for each in came if isinstance(each, int)), *conditions])

    def _called(self, made, nodes, name):
        kind = made.detail.split(".")[1] if made.detail.startswith("llvm.") else made.detail
        if kind not in ("smin", "smax", "umin", "umax", "abs"):
            raise BoundsError(f"a call of {made.detail} in a loop: hls/bounds/circuit.py has no delay for it")
        compare = self.operator(name, nodes, self.table.compare(self._widest(made.operands[:2])))
        return self.lut(name, [compare, *nodes])

    def _arithmetic(self, made, nodes, name):
        op, (left, right) = made.op, (*made.operands, "0")[:2]
        constant, widest = is_number(right), self._widest(made.operands)
        if op == "icmp":
            return self._compared(made, nodes, name)
        if op in ("add", "sub"):
            return self._added(made, name)
        if op in ("shl", "lshr", "ashr"):
            if constant:
                return nodes[0]
            bits = min(self.values.bits(right), max(1, (width(made.type) - 1).bit_length()))
            return self.operator(name, nodes, self.table.shift(bits))
        if op == "mul":
            if constant:
                delay = self.table.scaled(int(right), width(made.type))
                return self.operator(name, nodes, delay) if delay else nodes[0]
            return self.operator(name, nodes, self.table.product(self.values.bits(left), self.values.bits(right)))
        if op in BINARY:  # divisions
            low = self.values.range(right)[0]
            if constant and low > 0 and low & (low - 1) == 0:
                return nodes[0]
            return self.operator(name, nodes, self.table.register, division_cycles(widest))
        raise BoundsError(f"{op} in a loop: hls/bounds/circuit.py has no delay for it")

    def _added(self, made, name):
        """A sum: those of its parts that come last are added last, since a tool may add in any order."""
        parts = [self.of(each) for each in self._parts(made)]
        parts = [each for each in parts if each is not None]
        delay = self.table.sum(min(width(made.type), self._widest(made.operands) + 1))
        while len(parts) > 2:
            parts.sort(key=lambda node: self.depth[node])
            parts = [self.operator(name, parts[:2], delay), *parts[2:]]
        return self.operator(name, parts, delay)

    def _parts(self, made):
        """The operands of a sum, and those of the sums among them that nothing else needs."""
        found = []
        for each in made.operands:
            inner = self.values.made.get(each)
            whole = inner is not None and inner.op in ("add", "sub") and self.values.uses[each] == 1
            whole = whole and inner.name in self.values.inside and inner.type == made.type
            found += self._parts(inner) if whole else [each]
        return found

    def _compared(self, made, nodes, name):
        predicate, right = made.detail.partition(" ")[0], made.operands[1]
        bits, constant = self._widest(made.operands), is_number(right)
        if predicate in ("slt", "sgt") and right in ("0", "-1"):  # the sign
            return nodes[0]
        if bits == 1:
            return self.lut(name, nodes)
        if bits * (1 if constant else 2) <= LUT_INPUTS:
            return self.operator(name, nodes, self.table.logic)
        if predicate in ("eq", "ne"):
            return self.operator(name, nodes, self.table.equal(bits, constant))
        return self.operator(name, nodes, self.table.compare(bits))

    def _widest(self, operands):
        return max(self.values.bits(each) for each in operands)

    def _loaded(self, made, name):
        """The node of a load's data: of registers at once, of a memory a cycle later, of a port after its latency."""
        parts, found = self.table.parts, []
        for access in self.accesses[id(made)]:
            array, index = access.array, self._index(access)
            if array.unit == PORT:
                node = self.new(name)
                for each in [*index, *self.running(made.block)]:
                    self.edge(each, node, self.table.register, self.table.port_latency, self.table.port_latency)
            elif access.in_registers:
                found.append(self.cells.read(access, index, name))
                continue
            else:
                node = self.new(name)
                lutram = array.place == "lutram"
                delay = parts["lutram_in"] + parts["register_out"] if lutram else parts["bram_in"] + parts["bram_out"]
                for each in index:
                    self.edge(each, node, self.table.wire + delay, clocks=1)
            self.reads[id(made)].append((access, node))
            found.append(node if len(access.banks or ()) <= 1 else self.chosen(name, None, [node]))
        found = [each for each in found if each is not None]
        return found[0] if len(found) == 1 else self.operator(name, found, 0.0)

    def _stored(self, made, name):
        """The nodes of what a store writes: registers' new values, or a memory's inputs at the end of a cycle."""
        value = self.of(made.operands[0])
        for access in self.accesses[id(made)]:
            index = self._index(access)
            if access.in_registers:
                self.cells.write(access, value, index, name)
                continue
            node = self.new(name)
            for each in {value, *index, *self.running(made.block)} - {None}:
                self.edge(each, node, self.table.wire + self.table.parts["bram_in"], clocks=1)
            self.writes[id(made)].append((access, node))

    def _queued(self, made, name):
        """The node of what a queue gives, and that of a push or a pop, where it is made."""
        if made.name:
            self.node_of[made.name] = self.queues.shown(made)
        for access in self.accesses[id(made)]:
            node = self.queues.change(made, name)
            (self.writes if access.writes else self.reads)[id(made)].append((access, node))

    def _index(self, access):
        """The nodes that an access's address comes from."""
        found = [self.of(name) for name in access.address.terms]
        return [each for each in found if each is not None]

    def _join_memories(self):
        """From each store to the loads that may read it: a cycle, or a port's latency, `distance` iterations later."""
        parts = self.table.parts
        for pair in self.pairs:
            store = self._node(self.writes, pair.store)
            load = self._node(self.reads, pair.load)
            port = pair.store.array.unit == PORT
            cycles = self.table.port_latency if port else 1
            delay = (
                self.table.parts["register_out"] if port or pair.store.array.place == "lutram" else parts["bram_out"]
            )
            distance = 0 if pair.within else max(1, pair.distance)
            self.edge(store, load, delay, cycles, cycles, distance)

    def node(self, access):
        """The node of a memory's access: a load's data, or a store behind its clock edge."""
        return self._node(self.writes if access.writes else self.reads, access)

    @staticmethod
    def _node(kept, access):
        return next(node for each, node in kept[id(access.instruction)] if each is access)
