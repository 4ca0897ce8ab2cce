"""Registers in the State: an array that is cut completely is one register an element, and carries its values from
iteration to iteration like a variable does.

Cells follows their values through an iteration's blocks, as LLVM does for variables (a phi where paths join).
"""

from math import prod


class Cells:
    """The registers' nodes while a Circuit is built. A cell is (root, path, index of the element)."""

    def __init__(self, circuit):
        self.circuit = circuit
        self.carried = {}  # cell → its node at the start of an iteration
        self.now = {}  # cell → node, in the block that is read; None: a constant
        self.new = frozenset()  # roots of local arrays that started anew
        self.ends = {}  # block → (cells, roots) at its end

    def enter(self, block):
        """Take the cells from the blocks that lead to this one."""
        before = [self.ends[each] for each in self.circuit.loop.before(block)]
        self.now = dict(before[0][0]) if before else {}
        self.new = frozenset().union(*(roots for _, roots in before))
        if len(before) > 1:
            for cell in dict.fromkeys(cell for cells, _ in before for cell in cells):
                nodes = [self._in(cells, roots, cell) for cells, roots in before]
                same = len(set(nodes)) == 1
                self.now[cell] = nodes[0] if same else self.circuit.joined(_name(cell), block, nodes)

    def leave(self, block):
        """Keep the cells of a block for those behind it."""
        self.ends[block] = self.now, self.new

    def close(self):
        """Carry what the latches leave to the next iteration."""
        for cell, start in list(self.carried.items()):
            for latch in self.circuit.loop.latches:
                self.circuit.carry(self._in(*self.ends[latch], cell), start)

    def forget(self, root):
        """A local array starts anew: nothing of it is carried."""
        self.new |= {root}
        self.now = {cell: node for cell, node in self.now.items() if cell[0] != root}

    def read(self, access, index, name):
        """The node of what a load takes."""
        cells = _cells(access)
        nodes = [self._in(self.now, self.new, cell) for cell in cells]
        if len(cells) == 1:
            return nodes[0]
        return self.circuit.chosen(name, index[0] if index else None, [*nodes, *index[1:]])

    def write(self, access, value, index, name):
        """Give a store's value to its cell, or to each that it may be, by the index."""
        cells = _cells(access)
        for cell in cells:
            old = self._in(self.now, self.new, cell)
            self.now[cell] = value if len(cells) == 1 else self.circuit.lut(name, [old, value, *index])

    def _in(self, cells, roots, cell):
        """The node of a cell where some are known and some arrays are new."""
        if cell in cells:
            return cells[cell]
        if cell[0] in roots:
            return None
        if cell not in self.carried:
            self.carried[cell] = self.circuit.new(_name(cell))
        return self.carried[cell]


def _name(cell):
    return f"register {cell[1]}[{cell[2]}]"


def _cells(access):
    """The cells that an access may meet."""
    return [(access.root, access.array.path, each) for each in access.elements or range(prod(access.array.sizes))]
