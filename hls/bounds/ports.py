"""Ports: how many accesses an iteration makes of each memory, and the II that its ports allow.

A memory of two ports takes two accesses in a cycle. Those on different sides of a branch take turns: what counts is
the path with the most. They can only take turns where both are made at the same stage; `together` is the II without
that, as it would be if a tool put them in different ones.
"""

from collections import defaultdict
from dataclasses import dataclass
from math import ceil

from hls.bounds.layout import PORT, QUEUE


@dataclass(frozen=True)
class Use:
    """One array in one loop: the most reads and writes on a path through an iteration, of its busiest bank."""

    path: str
    reads: int
    writes: int
    ii: int
    together: int
    ports: str

    @property
    def text(self):
        return f"{self.path}: {self.reads} reads and {self.writes} writes on a path; {self.ports}"


def turns(loop, accesses):
    """Accesses of one bank that are never on one path, group by group: they share a port, at one stage."""
    groups, reach = [], {}
    for access in accesses:
        if access.in_registers or access.array.unit == PORT:
            continue
        block = access.instruction.block
        if block not in reach:
            reach[block] = loop.behind(block) | {block}
        for group in groups:
            if all(_alternate(access, other, reach) for other in group):
                group.append(access)
                break
        else:
            groups.append([access])
    return [group for group in groups if len(group) > 1]


def _alternate(one, other, reach):
    """Are two accesses of the same banks, on different sides of a branch?"""
    here, there = one.instruction.block, other.instruction.block
    same = one.array is other.array and one.banks == other.banks
    same = same and (one.array.unit != QUEUE or one.writes == other.writes)  # which has a port for each
    return same and here not in reach[there] and there not in reach[here]


def uses(loop, accesses):
    """A Use for every memory that the loop accesses; registers have none."""
    by_array = defaultdict(list)
    for access in accesses:
        if access.array.unit in (PORT, QUEUE) or access.array.place != "registers":
            by_array[access.array.path, id(access.array)].append(access)
    return [
        _use(loop, found[0].array.path, found) for _, found in sorted(by_array.items(), key=lambda each: each[0][0])
    ]


def _use(loop, path, found):
    array = found[0].array
    banks = {bank for access in found for bank in access.banks or ()} or {None}
    worst = None
    alike = {}  # banks that the same accesses meet in the same blocks count once
    for bank in banks:
        here = [access for access in found if access.banks is None or bank in access.banks]
        alike.setdefault(tuple((each.instruction.block, each.writes) for each in here), here)
    for here in alike.values():
        use = _of_bank(loop, path, array, here)
        if worst is None or (use.ii, use.together) > (worst.ii, worst.together):
            worst = use
    return worst


def _of_bank(loop, path, array, found):
    """The Use of those accesses, all of one bank."""
    reads, writes = _words(array, found, False), _words(array, found, True)
    both = {name: reads.get(name, 0) + writes.get(name, 0) for name in {*reads, *writes}}
    longest = [loop.longest(each) for each in (reads, writes, both)]
    everything = [sum(each.values()) for each in (reads, writes, both)]
    ports = _ports(array)
    return Use(path, longest[0], longest[1], _needed(ports, *longest), _needed(ports, *everything), ports)


def _words(array, found, writes):
    """Block → different words that it reads or writes."""
    words = defaultdict(set)
    group = max(1, array.width // max(1, array.bits))
    for access in found:
        if access.writes == writes:
            size = access.element * group
            terms = tuple(sorted(access.address.terms.items()))
            word = id(access) if array.unit == QUEUE else (terms, access.address.constant // size)
            words[access.instruction.block].add(word)
    return {name: len(each) for name, each in words.items()}


def _ports(array):
    if array.unit == PORT:
        return "one read and one write of a bus a cycle"
    if array.unit == QUEUE:
        return "one pop and one push a cycle"
    storage = array.storage.get("type", "")
    if storage == "ram_1p":
        return "one port"
    if storage == "ram_1wnr":
        return "one port that writes, any number that read"
    if storage == "ram_s2p":
        return "one port that reads, one that writes"
    if storage.startswith("rom_n"):
        return "any number of ports that read"
    return "two ports, one that writes" if array.storage.get("impl") == "lutram" else "two ports"


def _needed(ports, reads, writes, both):
    """Cycles that an iteration's accesses take."""
    by_ports = {
        "one port": both,
        "one port that writes, any number that read": writes,
        "any number of ports that read": 0,
        "two ports, one that writes": max(writes, ceil(both / 2)),
        "two ports": ceil(both / 2),
    }
    return max(1, by_ports.get(ports, max(reads, writes)))
