"""The engine's loops: their names, their parts, and whether a constant bounds their trip count.

for loop in loops(cpp.parse(SOURCES / "engine.cpp")): print(loop.name, has_static_bound(loop))
"""

from dataclasses import dataclass

from clang.cindex import Cursor

from hls.cosim import SOURCES
from hls.lint import cpp

LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT", "CXX_FOR_RANGE_STMT")


@dataclass(frozen=True)
class Loop:
    """A loop with its label, "" without one; `function` is the cursor of the function it stands in."""

    function: Cursor
    label: str
    cursor: Cursor

    @property
    def name(self):
        """Function::Label, as hls/isa.toml names loops."""
        return f"{self.function.spelling}::{self.label}"

    @property
    def body(self):
        return cpp.children(self.cursor)[-1 if self.cursor.kind.name != "DO_STMT" else 0]


def loops(unit, folder=SOURCES):
    """Every loop in the functions of the engine's own files."""
    found = []
    for cursor, ancestors in cpp.walk(unit, folder):
        if cursor.kind.name in LOOPS:
            function = next((each for each in reversed(ancestors) if each.kind.name in cpp.FUNCTIONS), None)
            parent = ancestors[-1]
            label = parent.spelling if parent.kind.name == "LABEL_STMT" else ""
            if function is not None:
                found.append(Loop(function, label, cursor))
    return found


def for_parts(loop):
    """(initialisation, condition, step) of a `for`; None for a part that is empty."""
    cursors, parts, depth, part = cpp.children(loop)[:-1], [None, None, None], 0, 0
    for token in loop.get_tokens():
        at = token.extent.start.offset
        depth += {"(": 1, ")": -1}.get(token.spelling, 0)
        if token.spelling == ")" and depth == 0:
            break
        if token.spelling == ";" and depth == 1:
            part += 1
        elif parts[part] is None:
            # an initialisation's extent takes its semicolon in
            parts[part] = next((each for each in cursors if each.extent.start.offset == at), None)
    return tuple(parts)


def has_static_bound(loop):
    """Does a counter run from a constant, in constant steps, up or down to a constant, changed by nothing else?"""
    start, condition, step = for_parts(loop.cursor)
    if start is None or condition is None or step is None or start.kind.name != "DECL_STMT":
        return False
    counters = {each.spelling: each for each in start.get_children() if each.kind.name == "VAR_DECL"}
    moved, direction = _step(cpp.bare(step))
    counter = counters.get(moved)
    value = counter and cpp.initializer(counter)
    if not direction or value is None or not cpp.is_constant(value):
        return False
    changed = filter(None, map(cpp.changed, loop.body.walk_preorder()))
    return counter not in list(changed) and any(_stops(part, moved, direction) for part in _conjuncts(condition))


def _step(cursor):
    """(counter, +1 or -1) of ++i, i += constant and the like; ("", 0) for other steps."""
    named, parts = cpp.changed(cursor), cpp.children(cursor)
    if named is None or (len(parts) == 2 and not cpp.is_constant(parts[1])):
        return "", 0
    return named.spelling, {"++": 1, "+=": 1, "--": -1, "-=": -1}.get(cpp.operator(cursor), 0)


def _conjuncts(cursor):
    cursor = cpp.bare(cursor)
    if cursor.kind.name == "BINARY_OPERATOR" and cpp.operator(cursor) == "&&":
        return [part for side in cursor.get_children() for part in _conjuncts(side)]
    return [cursor]


def _stops(cursor, counter, direction):
    """Is this `counter < constant` on the way up, or `counter > constant` on the way down?"""
    if cursor.kind.name != "BINARY_OPERATOR":
        return False
    left, right = (cpp.bare(side) for side in cursor.get_children())
    wanted = ("<", "<=") if direction > 0 else (">", ">=")
    return left.spelling == counter and cpp.operator(cursor) in wanted and cpp.is_constant(right)
