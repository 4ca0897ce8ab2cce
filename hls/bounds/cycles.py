"""The cycle of a graph whose mean is largest: what bounds a pipelined loop's II, or its period.

    worst = worst_cycle(edges)       # edges: (source, target, weight, distance)
    worst.mean, worst.nodes          # Σ weight / Σ distance, over the cycle with the largest

Edges of distance 0 must form no cycle. A mean is tried, and where a cycle is heavier than it allows, that cycle's own
mean is tried next, until none is (after Lawler, Combinatorial Optimization, 1976, with steps in place of halves).
"""

from collections import defaultdict
from typing import NamedTuple

_SLACK = 1e-9


class Cycle(NamedTuple):
    """The heaviest cycle: its mean weight by distance, and its nodes in order; 0 and () without cycles."""

    mean: float
    nodes: tuple


def worst_cycle(edges):
    """The Cycle with the largest mean."""
    worst = Cycle(0.0, ())
    for inside in components(edges):
        found = _of_component(inside, worst.mean)
        worst = found if found.mean > worst.mean else worst
    return worst


def components(edges):
    """The edges of each strongly connected part that has a cycle (Tarjan, 1972)."""
    after = defaultdict(list)
    for edge in edges:
        after[edge[0]].append(edge)
    part = _parts(after)
    inside = defaultdict(list)
    for edge in edges:
        if part[edge[0]] == part.get(edge[1], -1):
            inside[part[edge[0]]].append(edge)
    return list(inside.values())


def _parts(after):
    """Node → number of its strongly connected part."""
    index, low, part, stack = {}, {}, {}, []
    for root in list(after):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        work = [(root, iter(after[root]))]
        while work:
            node, rest = work[-1]
            for _, target, *_ in rest:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    work.append((target, iter(after.get(target, ()))))
                    break
                if target not in part:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    while node not in part:
                        part[stack.pop()] = index[node]
    return part


def _of_component(edges, mean):
    """The Cycle of a strongly connected part, if it is worse than `mean`."""
    order = _ordered(edges)
    worst = Cycle(mean, ())
    while True:
        cycle = _heavier(order, worst.mean)
        if not cycle:
            return worst
        weight, distance = sum(edge[2] for edge in cycle), sum(edge[3] for edge in cycle)
        worst = Cycle(weight / distance, tuple(edge[0] for edge in cycle))


def _ordered(edges):
    """The edges, those into a node behind those into the nodes that lead to it within an iteration."""
    into, waiting = defaultdict(list), defaultdict(int)
    for source, target, _, distance in edges:
        waiting[source] += 0
        if distance == 0:
            into[source].append(target)
            waiting[target] += 1
    ready, place = [node for node, count in waiting.items() if count == 0], {}
    while ready:
        node = ready.pop()
        place[node] = len(place)
        for target in into[node]:
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    if len(place) < len(waiting):
        raise ValueError("a cycle within one iteration")
    return sorted(edges, key=lambda edge: place[edge[0]])


def _heavier(edges, mean):
    """The edges of a cycle whose mean is larger, None where there is none."""
    far, came = defaultdict(float), {}
    while True:
        changed = False
        for edge in edges:
            source, target, weight, distance = edge
            reached = far[source] + weight - mean * distance
            if reached > far[target] + _SLACK:
                far[target], came[target], changed = reached, edge, True
        if not changed:
            return None
        cycle = _closed(came)
        if cycle:
            return cycle


def _closed(came):
    """A cycle among the edges by which nodes were reached, None without one."""
    seen = {}
    for start in came:
        node = start
        while node in came and node not in seen:
            seen[node] = start
            node = came[node][0]
        if node in came and seen[node] == start:
            cycle, at = [came[node]], came[node][0]
            while at != node:
                cycle.append(came[at])
                at = came[at][0]
            return cycle[::-1]
    return None
