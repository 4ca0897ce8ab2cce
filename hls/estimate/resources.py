"""What the engine takes of a chip: DSP, block RAM, LUTs and flip-flops of each unit, estimated from its sources.

    estimate().total        # resource → amount; `python -m bitstreams.resources` holds it against a board

No synthesis has run: libclang reads hls/src as the board's compiler would. Memories come from the State's arrays and
their pragmas (arrays.py), the rest from every operator, as often as the unrolled loops repeat it (operators.py).
RULES says how.
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from hls.cosim import SOURCES
from hls.estimate import arrays, operators, sharing
from hls.lint import cpp

RESOURCES = ("dsp", "bram18", "lut", "ff")
REGISTER_BITS = 1 << 16  # up to so many bits an array that many write at once becomes registers

RULES = (
    "**Block RAM**: each array of the State, cut by its pragmas; a memory takes the best of 16K×1, 8K×2, 4K×4, 2K×9, "
    "1K×18 and, with one reader and one writer, 512×36; LUTs choose between those that stand for parts of its depth. "
    "Up to 1,024 bits go into LUTs: four hold 32 × 6 bits or 64 × 3. Lookup tables are block RAMs, two readers each.",
    "**Ports**: what stands on both sides of a branch takes turns. A memory whose copies in one pipelined loop read "
    "more than two addresses a cycle is doubled until it serves them; one that is written at several addresses a cycle "
    "becomes registers, since nothing else does it. Loops that use the same memory choose its addresses, and what they "
    "write.",
    "**DSP**: a product of two values that change takes ceil((a - 1) / 24) · ceil((b - 1) / 17) of them, a and b being "
    "the widths of its factors; up to 64 partial products go into LUTs, and more where a bind_op says so: a LUT each, "
    "since a row of LUTs adds two rows of them, and then these sums. Division by a constant is a product. "
    "A sum that a bind_op gives to a DSP costs nothing up to 48 bits.",
    "**LUT**: n for an n-bit sum, with a choice of up to three numbers in front of it; n/2 for a comparison, a tree of "
    "six inputs for equality, nothing for a sign; a bit chosen from two takes half a LUT, from 4, 8, 16 one, two, four "
    "(AMD UG474), and so do a shift's places; n + 1 for a stage of a division by subtraction. Registers that several "
    "statements write choose between them; a constant is a reset.",
    "**Flip-flops**: registers, variables, and half of the results of a pipelined loop (two operators in a row).",
    "**Copies**: an unrolled loop repeats what differs in its iterations, once for each different version. Inside a "
    "pipelined loop every call is a copy; outside, one instance of a function serves all its calls, for all that its "
    "parameters' types hold where it is not inlined. Nothing is shared "
    "between the bodies of different pipelined loops: neither is it by the tool, unless the sources say so.",
)


@dataclass(frozen=True)
class Estimate:
    """use: unit → resource → amount. largest: (amount, unit, resource, place, what). notes: memories short of ports."""

    use: dict
    largest: list
    notes: list

    @property
    def total(self):
        """Resource → amount of the whole engine."""
        return {name: sum(unit.get(name, 0) for unit in self.use.values()) for name in RESOURCES}


def estimate(folder=SOURCES):
    """The Estimate of the engine whose sources are in `folder`."""
    folder = Path(folder).resolve()
    unit = cpp.parse(folder / "engine.cpp", cpp.SYNTHESIS)
    found = arrays.arrays(unit, folder)
    walk = operators.Walk(unit, found, folder).run()
    use, notes = {}, []
    for (name, resource), amount in walk.use.items():
        use.setdefault(name, {})[resource] = amount
    largest = [(amount, *where) for where, amount in walk.largest.items()]
    for array in found:
        taken, note = _memory(array, *sharing.accesses(walk.ports, array.path))
        notes += [note] if note else []
        for resource, amount in taken.items():
            use.setdefault(array.unit, {}).setdefault(resource, 0)
            use[array.unit][resource] += amount
            largest += [(amount, array.unit, resource, array.path, f"{array.depth} × {array.width} bits")] * bool(
                amount
            )
    for (name, table), readers in walk.readers.items():
        blocks = walk.tables[table] * ceil(readers / 2)
        use.setdefault(name, {})["bram18"] = use.get(name, {}).get("bram18", 0) + blocks
    return Estimate(use, sorted(largest, reverse=True), notes)


def _memory(array, reads, writes):
    """({resource: amount}, note or "") of an array with so many accesses a cycle."""
    plain = {"bram18": array.bram18, "lut": array.lut, "ff": array.ff}
    if reads + writes <= 2 or array.place == "registers":
        return plain, ""
    what = f"`{array.path}`: {reads} reads and {writes} writes a cycle of one of its memories"
    bits = array.memories * array.depth * array.width
    if writes > 1 and bits <= REGISTER_BITS:
        return {"ff": bits}, f"{what}; counted as {bits:,} registers"
    if writes > 1:
        return plain, f"{what}; too large for registers, so the loop cannot start every cycle"
    copies = ceil(reads / 2)
    return {name: copies * amount for name, amount in plain.items()}, f"{what}; counted as {copies} copies"
