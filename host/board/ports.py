"""What goes to which port of the engine: a table that must have an entry for every port of the contract.

check_ports(isa.PORTS)                        # UserError names one that is not in the tables
first, size = charges_at(start)               # of the pool's history, in bytes of the port maps
"""

from hls import isa
from hls.errors import UserError
from hls.pool import CHARGE_BYTES
from hls.record import SIZES, Start

CONSTANT = ("program", "weights", "tables")  # a package's arrays, put in place once
BATCHED = ("images", "results")  # those of a batch, in two sets
SCRATCH = {"maps": lambda start: sum(charges_at(start))}  # memory for the engine's own use, and its bytes
MEMORY = {name: name for name in (*CONSTANT, *BATCHED, *SCRATCH)}  # port → what is there
MEMORY |= {f"weights{bus}": "weights" for bus in range(3)}  # the same bytes, each port on a bus of its own


def check_ports(ports):
    """UserError naming a port of the engine that this driver does not serve: the contract has grown."""
    known = {"memory": MEMORY, "scalar": (*SIZES, *vars(Start(0, 0)))}
    for name, (kind, _) in ports.items():
        if name not in known.get(kind, ()):
            raise UserError(
                f"the engine has a {kind} port {name} that the driver does not know: add it in host/board/ports.py"
            )


def charges_at(start):
    """Where the pool's history is in the engine's own memory: (first byte, bytes)."""
    return start.map_words * isa.TILE**2, (start.pool - 1) * CHARGE_BYTES


def room(count, item_bytes=1):
    """`count` items, or as many more as fill whole words of the widest port: the engine reads words."""
    word = max(int(bits) // 8 for kind, bits in isa.PORTS.values() if kind == "memory")
    return -(-max(count, 1) * item_bytes // word) * word // item_bytes
