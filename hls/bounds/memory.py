"""The memories that a loop reads and writes: which array, which of its banks, at which address.

    memory = Memory(sources)
    for access in memory.accesses(loop, values): print(access.array.path, access.banks, access.writes)

An address of the IR is taken apart into a root (the State, a port of the top function, a local array, a table), a
constant part, which tells the array, and a sum of bytes within it. layout.py says where arrays lie.
"""

from dataclasses import dataclass
from itertools import product
from math import ceil, prod

from hls.bounds import ir, queues
from hls.bounds.ir import BoundsError
from hls.bounds.layout import LOCAL, PORT, QUEUE, Layout, plain
from hls.bounds.values import Sum
from hls.estimate.arrays import Array

MANY = 4096  # so many elements or banks count as all


@dataclass
class Access:
    """One load or store. `banks`: those that it may meet, None for all; `address`: bytes from the array's first."""

    array: Array
    instruction: ir.Instruction
    writes: bool
    banks: frozenset | None
    address: Sum
    element: int  # bytes
    elements: tuple = ()  # indices of the elements that it may meet, () for all
    root: str = ""

    @property
    def in_registers(self):
        """Is it of registers? A function's own array counts as such here, whatever its ports are."""
        return self.array.unit == LOCAL or (self.array.unit not in (PORT, QUEUE) and self.array.place == "registers")

    def meets(self, other):
        """May both be of one bank?"""
        return self.banks is None or other.banks is None or not self.banks.isdisjoint(other.banks)


class Memory:
    """Reads the accesses of a Sources' loops."""

    def __init__(self, sources):
        self.module = sources.module
        self.layout = Layout(sources)
        self.queues = {}  # path → Array

    def accesses(self, loop, values):
        """Every Access of an iteration, in order."""
        found = []
        for instruction in loop.instructions():
            if instruction.op in ("load", "store"):
                for place in self.pointers(instruction.operands[-1], values):
                    found += self._access(loop, instruction, *place, values)
            elif queues.call_of(instruction) in queues.CHANGES:
                found.append(self._queued(instruction, values))
            elif instruction.op == "call" and instruction.detail.startswith(("llvm.mem", "mem")):
                file, line = self.module.line(instruction.place)
                raise BoundsError(f"{instruction.detail} in a loop at {file}:{line}: copy element by element")
        return found

    def _queued(self, instruction, values):
        """A push or a pop, whose addresses are the queue's own."""
        path = queues.path_of(instruction, self.pointers(instruction.operands[0], values), self.module)
        array = self.queues.setdefault(path, plain(path, QUEUE, 64, []))
        return Access(array, instruction, queues.call_of(instruction) == "Push", None, Sum(), 8)

    def pointers(self, operand, values):
        """(root, constant bytes, Sum of further bytes) of each place that a pointer may lead to."""
        if operand.startswith("@"):
            return [(operand, 0, Sum())]
        if operand.startswith("getelementptr"):
            parts = ir.split(operand[operand.index("(") + 1 : operand.rindex(")")])
            base, *indices = (each.partition(" ")[2] for each in parts[1:])
            return self._moved(self.pointers(base, values), parts[0], indices, values)
        made = values.made.get(operand)
        if made is None or made.op == "alloca":
            return [(operand, 0, Sum())]
        if made.op == "getelementptr":
            return self._moved(self.pointers(made.operands[0], values), made.detail, made.operands[1:], values)
        if made.op in ("phi", "select"):
            if made.op == "phi" and made.block == values.loop.header:
                raise BoundsError(f"the pointer {operand} moves from iteration to iteration: use an index")
            ends = made.operands[made.op == "select" :]
            return [place for each in ends for place in self.pointers(each, values)]
        raise BoundsError(f"a pointer made by {made.op} is not known to hls/bounds/memory.py: {operand}")

    def _moved(self, places, kind, indices, values):
        """The places behind a getelementptr's steps."""
        constant, further = 0, Sum()
        for position, index in enumerate(indices):
            if position:
                kind = self.module.types.get(kind, kind)
                if not kind.startswith("["):
                    offset, kind = self.module.offset(kind, int(index))
                    constant += offset
                    continue
                kind = kind[kind.index(" x ") + 3 : -1]
            step = values.sum(index).times(self.module.layout(kind)[0])
            if step.terms:
                further = further.plus(step)
            else:
                constant += step.constant
        return [(root, at + constant, sum_.plus(further)) for root, at, sum_ in places]

    def _access(self, loop, instruction, root, constant, further, values):
        """An Access for each element that a load or store takes, which may be wider than one."""
        size = max(1, ir.width(instruction.type) // 8)
        room = self.layout.room(loop, root, constant, instruction)
        writes, found = instruction.op == "store", []
        if not room.array.sizes and room.strides is None:  # a port
            return [Access(room.array, instruction, writes, None, Sum(constant).plus(further), size, (), root)]
        for byte in range(0, size, room.element):
            address = Sum(constant + byte - room.first).plus(further)
            elements = _elements(room, address, values)
            banks = _banks(room, address, elements, values)
            few = tuple(elements or ())
            found.append(Access(room.array, instruction, writes, banks, address, room.element, few, root))
        return found


def _elements(room, address, values):
    """Indices of the elements that an address may meet, None where they are many."""
    offsets = values.combined(address.terms, MANY) if address.terms else {0}
    if offsets is None:
        return None
    count = prod(room.array.sizes)
    found = sorted({(address.constant + each) // room.element for each in offsets})
    return [each for each in found if 0 <= each < count] or None


def _banks(room, address, elements, values):
    """The banks that an address may meet: a coordinate for each dimension that is cut; None for all of them."""
    array = room.array
    if array.memories == 1:
        return frozenset([(0,) * len(array.sizes)])
    if elements is not None:
        return frozenset(_bank_of(array, element) for element in elements)
    choices = []
    for dimension, (size, pieces, stride) in enumerate(zip(array.sizes, array.pieces, room.strides)):
        if pieces == 1:
            choices.append([0])
            continue
        cyclic = dimension in array.cyclic
        span = stride * (pieces if cyclic else size)
        moving = {
            name: factor % span
            for name, factor in address.terms.items()
            if (factor << values.zeros(name)) % span >= stride
        }
        offsets = values.combined(moving, MANY) if moving else {0}
        places = range(size) if offsets is None else {(address.constant + each) // stride % size for each in offsets}
        choices.append(sorted({place % pieces if cyclic else place // ceil(size / pieces) for place in places}))
    return frozenset(product(*choices)) if prod(map(len, choices)) <= MANY else None


def _bank_of(array, element):
    """The bank of the element with that index."""
    place = []
    for dimension in reversed(range(len(array.sizes))):
        element, index = divmod(element, array.sizes[dimension])
        pieces = array.pieces[dimension]
        place.append(index % pieces if dimension in array.cyclic else index // ceil(array.sizes[dimension] / pieces))
    return tuple(reversed(place))
