"""What is shared: memories' ports by the accesses of a loop and by loops, registers by the statements that write them.

    reads, writes = accesses(walk.ports, "state.maps")     # a cycle, of the memory that is used most

`ports` counts accesses: (pipelined loop, array's path, labels of the memory by dimension, read or write) → accesses.
"""

from collections import Counter
from itertools import product
from math import gcd

from hls.estimate import fabric

KINDS = "read", "write"


def accesses(ports, path):
    """(reads, writes) a cycle of the memory of array `path` that is used most."""
    found = {}
    for (loop, name, piece, kind), count in ports.items():
        if name == path:
            found.setdefault((loop, piece), Counter())[kind] += count
    met = []
    for (loop, piece), counts in found.items():  # what may be any memory may be this one
        others = [
            each for (place, other), each in found.items() if place == loop and other != piece and meet(piece, other)
        ]
        met.append(counts + max(others, key=_load, default=Counter()))
    most = max(met, key=_load, default=Counter())
    return most["read"], most["write"]


def _load(counts):
    """Several writes cost more than any reads."""
    return counts["write"] > 1, counts.total()


def busier(branches):
    """The ports' accesses of branches of which one runs: for each memory those of the branch that has more of them.

    A write counts before a read, since it asks for more.
    """
    found = Counter()
    for memory in dict.fromkeys(key[:3] for counts in branches for key in counts):
        taken = [{kind: counts[(*memory, kind)] for kind in KINDS} for counts in branches]
        most = max(taken, key=lambda counts: (sum(counts.values()), counts["write"]))
        found.update({(*memory, kind): count for kind, count in most.items()})
    return found


def meet(one, other):
    """May two tuples of labels (values.memories), one for each dimension, be the same memory?"""
    return all(a == b or "any" in (a, b) or _congruent(a, b) for a, b in zip(one, other))


def _congruent(one, other):
    """May two labels of values.memories be the same memory: numbers, or (remainder, divisor)?"""
    (a, by), (b, to) = (each if isinstance(each, tuple) else (each, 0) for each in (one, other))
    common = gcd(by, to)
    return a % common == b % common if common else a == b


def note_source(sources, where, array, indices):
    """Another statement that writes the registers of `array`; `where` are its loop and unit."""
    elements = [()]
    for index, size in zip(indices, array.sizes):
        known = (set(index.each) if index.each else {index.low}) if index.static else range(size)
        elements = [(*element, at) for element in elements for at in known]
    sources.setdefault((*where, array.path), Counter()).update(elements)


def registers(sources, arrays):
    """((unit, "lut", path, what), LUTs) of the choices of registers between the statements that write them."""
    for (_, unit, path), elements in sources.items():
        for count, times in Counter(elements.values()).items():
            what = f"{count} statements write it"
            yield (unit, "lut", path, what), times * fabric.multiplexer(count, arrays[path].bits)


def memories(ports, arrays):
    """The same of the choices of each memory's ports between the loops that use them: of addresses and of data."""
    for path in dict.fromkeys(path for _, path, _, _ in ports):
        array, lut = arrays[path], 0
        for piece in product(*map(range, array.pieces)):
            users = [(loop, kind) for loop, name, other, kind in ports if name == path and meet(piece, other)]
            loops, writers = ({loop for loop, kind in users if kind in kinds} for kinds in (KINDS, KINDS[1:]))
            lut += fabric.multiplexer(len(loops), (array.depth - 1).bit_length())
            lut += fabric.multiplexer(len(writers), array.width)
        yield (array.unit, "lut", path, "loops share its ports"), lut
