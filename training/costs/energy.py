"""Energy as a cost (Wang et al., JSTSP 2020, Eq. 6): accesses to each memory level times their energy, and the MACs'.

    price = energy_of(operation)      # in energies of one MAC; (N,) where channels are masked

E = Σ accesses_i · e_i + MACs · e_MAC. Accesses to the main memory and to the cache are those that SCALE-Sim counts for
a layer's shape (accesses.csv, made by scalesim.py; its first line is the command). It does not count registers: a MAC
reads two operands and a sum there and writes the sum. The energies are those of Chen, Emer and Sze (Eyeriss, ISCA 2016,
Table IV), relative to a MAC. A layer that runs in part costs its share of the MACs: the paper gives the energy of "a
layer or channel" and no more. What multiplies nothing costs nothing, as in the paper.
"""

import csv
from functools import cache
from pathlib import Path

from hls.errors import UserError

ACCESSES = Path(__file__).parent / "accesses.csv"
SHAPE = ("height", "width", "kernel", "stride", "inputs", "outputs")  # of a layer: its input's size, padding left out
COUNTS = ("cache_reads", "cache_writes", "main_reads", "main_writes")
MAIN, CACHE, REGISTER, MAC = 200.0, 6.0, 1.0, 1.0  # energies of an access, and of a MAC
REGISTERS = 4  # accesses a MAC


def shape_of(operation):
    """The layer of an Operation as a row's key, or None where nothing is multiplied."""
    inputs = operation.inputs + (operation.outputs if operation.kind == "lstm" else 0)
    outputs = operation.outputs * (4 if operation.kind == "lstm" else 1)
    if operation.kind not in ("conv", "fc", "lstm"):
        return None
    return (*operation.size, operation.kernel, operation.stride, inputs, outputs)


def energy_of(operation):
    """Energy of an Operation. Raises UserError for a layer that accesses.csv does not have."""
    shape = shape_of(operation)
    if shape is None:
        return 0.0
    if shape not in accesses():
        sizes = ", ".join(f"{name} {value}" for name, value in zip(SHAPE, shape))
        raise UserError(
            f"no SCALE-Sim counts of a layer of {sizes}: add your network's with `python -m training.costs.scalesim "
            "RECIPE.toml --python VENV/bin/python`"
        )
    reads, writes, main_reads, main_writes = accesses()[shape]
    kernel, (height, width) = operation.kernel, operation.output_size
    macs = height * width * kernel**2 * shape[-2] * shape[-1]
    whole = MAIN * (main_reads + main_writes) + CACHE * (reads + writes) + (REGISTER * REGISTERS + MAC) * macs
    for active, count in ((operation.active_in, operation.inputs), (operation.active_out, operation.outputs)):
        whole = whole if active is None else whole * active.double() / count
    return whole


@cache
def accesses():
    """Shape → (cache reads, cache writes, main memory reads, writes), numbers of words."""
    with ACCESSES.open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(line for line in handle if not line.startswith("#"))
        return {tuple(int(row[k]) for k in SHAPE): tuple(int(row[k]) for k in COUNTS) for row in rows}
