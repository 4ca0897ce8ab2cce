"""The worst cycle of a graph against all of its cycles, one by one."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from hls.bounds.cycles import worst_cycle


@st.composite
def graphs(draw):
    """Edges of up to six nodes; those of distance 0 lead to a higher node."""
    count = draw(st.integers(1, 6))
    edges = []
    for source in range(count):
        for target in range(count):
            if draw(st.booleans()):
                distance = draw(st.integers(0 if target > source else 1, 3))
                edges.append((source, target, draw(st.integers(0, 20)) / 4, distance))
    return edges


def means(edges):
    """The mean of every simple cycle, found by walking from its smallest node."""
    found = []

    def walk(start, node, seen, weight, distance):
        for source, target, more, further in edges:
            if source != node or target < start:
                continue
            if target == start:
                found.append((weight + more) / (distance + further))
            elif target not in seen:
                walk(start, target, seen | {target}, weight + more, distance + further)

    for start in {edge[0] for edge in edges}:
        walk(start, start, {start}, 0.0, 0)
    return found


@settings(max_examples=300, deadline=None)
@given(graphs())
def test_it_is_the_largest_of_all(edges):
    assert math.isclose(worst_cycle(edges).mean, max(means(edges), default=0.0), abs_tol=1e-6)


def test_it_tells_its_nodes():
    edges = [("a", "b", 2.0, 0), ("b", "a", 3.0, 1), ("b", "c", 9.0, 0), ("c", "c", 1.0, 1)]
    worst = worst_cycle(edges)
    assert worst.mean == 5.0 and set(worst.nodes) == {"a", "b"}
