"""Queues between processes: calls of ddi::Queue, and requests to a bus, as the FIFOs that they become.

    call_of(instruction)                # "Push", "Pop", "Empty", "Full", or "" for anything else
    queues = Queues(circuit)
    queues.shown(made), queues.change(made, name)    # nodes: of what a queue gives, of a push or a pop

A FIFO takes an item and gives one a cycle. What it gives, and whether it is empty or full, stands in registers that
the pushes and pops of the iteration before have set. No item meets another one's address, so nothing waits for a
memory: what is carried goes from the conditions of a push or a pop, through a LUT, into those registers.
"""

import re

from hls.bounds.ir import BoundsError

_METHOD = re.compile(r"_ZN3ddi5QueueI\w+E[345](Push|Pop|Empty|Full)E\w+")
_REQUEST = re.compile(r"_ZN3ddi12RequestBurstE\w+")
CHANGES = ("Push", "Pop")  # a port each


def call_of(made):
    """What a call does with a queue: Push, Pop, Empty or Full; "" for other instructions. A request is pushed."""
    if made.op != "call":
        return ""
    method = _METHOD.fullmatch(made.detail)
    return method.group(1) if method else "Push" if _REQUEST.fullmatch(made.detail) else ""


def path_of(made, places, module):
    """Name of a call's queue among (root, constant bytes, further bytes) of its pointer: weights[1]."""
    (root, constant, further), *others = places
    if others or further.terms:
        file, line = module.line(made.place)
        raise BoundsError(f"a queue is chosen while the loop runs at {file}:{line}: unroll the loop over queues")
    if _REQUEST.fullmatch(made.detail):
        return f"{root.lstrip('%')}, requests"
    kind = module.globals.get(root, "")
    index = f"[{constant // module.layout(kind[kind.index(' x ') + 3 : -1])[0]}]" if kind.startswith("[") else ""
    return _unmangled(root) + index


def _unmangled(root):
    """weights of @_ZZN3ddi3RunEvE7weights, and of a name as it is."""
    name = re.sub(r'^[%@]"?|"$|\.\d+"?$', "", root)
    parts = re.finditer(r"(?=(?<!\d)(\d+)([A-Za-z_]\w*)$)", name)
    return next((part.group(2) for part in parts if int(part.group(1)) == len(part.group(2))), name)


class Queues:
    """The queues' registers while a Circuit is built. A queue goes by its pointer, as the IR prints it."""

    def __init__(self, circuit):
        self.circuit = circuit
        self.registers = {}  # (queue, Pop or Empty or Full) → node
        self.changes = {}  # queue → nodes of the pushes and pops

    def change(self, made, name):
        """The node of a push or a pop: that it is made. An item goes into the FIFO's memory, and leads nowhere else."""
        node = self.circuit.lut(name, self.circuit.running(made.block))
        node = self.circuit.new(name) if node is None else node
        self.changes.setdefault(made.operands[0], []).append(node)
        return node

    def shown(self, made):
        """The node of what a queue gives, or of whether it is empty or full."""
        register = made.operands[0], call_of(made)
        if register not in self.registers:
            self.registers[register] = self.circuit.new(f"register {register[1]} of {register[0]}")
        return self.registers[register]

    def close(self):
        """From each push and pop to what the queue shows in the next iteration."""
        for (queue, _), register in self.registers.items():
            for node in self.changes.get(queue, ()):
                self.circuit.carry(node, register)
