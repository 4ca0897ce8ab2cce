"""What goes to which port of the engine: a table that must have an entry for every port of the contract.

check_ports(isa.PORTS)                                   # UserError names one that is not in the tables
values = scalars(package, start, count, image_bytes)     # name → value of every scalar argument
"""

from hls import isa
from hls.errors import UserError

CONSTANT = ("program", "weights", "tables")  # a package's arrays, put in place once
BATCHED = ("images", "results")  # those of a batch, in two sets
SCRATCH = {"maps": lambda start: start.map_words * isa.TILE**2}  # memory for the engine's own use, and its bytes
MEMORY = {name: name for name in (*CONSTANT, *BATCHED, *SCRATCH)}  # port → what is there
MEMORY |= {f"weights{bus}": "weights" for bus in range(3)}  # the same bytes, each port on a bus of its own
SCALARS = {
    "instructions": lambda package, start: len(package.program),
    "weight_bytes": lambda package, start: package.weights.size,
    "table_words": lambda package, start: package.tables.size,
    "map_words": lambda package, start: start.map_words,
    "images_count": lambda package, start: 0,  # these two are a batch's
    "image_bytes": lambda package, start: 0,
    "gates": lambda package, start: start.gates,
    "classes": lambda package, start: start.classes,
    "budget_flops": lambda package, start: start.budget_flops,
    "budget_cycles": lambda package, start: start.budget_cycles,
    "rule": lambda package, start: start.rule,
    "threshold": lambda package, start: start.threshold,
    "target_class": lambda package, start: start.target_class,
}


def check_ports(ports):
    """UserError naming a port of the engine that this driver does not serve: the contract has grown."""
    known = {"memory": MEMORY, "scalar": SCALARS}
    for name, (kind, _) in ports.items():
        if name not in known.get(kind, ()):
            raise UserError(
                f"the engine has a {kind} port {name} that the driver does not know: add it in host/board/ports.py"
            )


def scalars(package, start, count, image_bytes):
    """The engine's scalar arguments, those that the contract has, for `count` images."""
    values = {name: value(package, start) for name, value in SCALARS.items() if name in isa.PORTS}
    return values | {"images_count": count, "image_bytes": image_bytes}


def room(count, item_bytes=1):
    """`count` items, or as many more as fill whole words of the widest port: the engine reads words."""
    word = max(int(bits) // 8 for kind, bits in isa.PORTS.values() if kind == "memory")
    return -(-max(count, 1) * item_bytes // word) * word // item_bytes
