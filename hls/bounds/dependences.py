"""Dependences through memories: which load of a later iteration may read what a store has written.

    for pair in pairs(accesses, values, claims): print(pair.path, pair.distance, pair.claimed)

Two addresses that differ by a constant number of a counter's steps have a distance, and no more than that is lost.
Where the difference is not known the sources need a dependence pragma, or the loop is wrong as it is: a tool that can't
tell the addresses apart lets the load wait for the store.
"""

from dataclasses import dataclass

from hls.bounds.layout import PORT, QUEUE
from hls.bounds.memory import Access
from hls.lint import cpp

UNKNOWN = 0  # distance


@dataclass(frozen=True)
class Pair:
    """A store and a load that may meet. `distance`: iterations from one to the other, UNKNOWN where no sum tells it;
    `within`: both are of one iteration, the store first; `claimed`: a pragma says that it never happens."""

    store: Access
    load: Access
    distance: int
    within: bool
    claimed: bool

    @property
    def path(self):
        return self.store.array.path

    @property
    def is_open(self):
        """Does nothing tell the two apart, or how far they are?"""
        return self.distance == UNKNOWN and not self.claimed and not self.within


@dataclass(frozen=True)
class Claim:
    """A dependence pragma of a loop: of which array, between iterations or within one, in which directions."""

    variable: str
    inter: bool
    directions: frozenset
    distance: int  # of a true dependence; 0 of a false one
    ports: frozenset  # of the top function, that the variable may stand for

    def covers(self, access):
        """Is its array meant? A pragma names it as the loop's function does: by its last names, or as a parameter that
        a port of the top function is handed to."""
        if access.array.unit == PORT:
            return access.root.lstrip("%") in self.ports
        parts, path = self.variable.split("."), access.array.path
        return any(path == each or path.endswith("." + each) for each in (self.variable, ".".join(parts[1:])) if each)


def claims(sources, loop):
    """The Claims that stand in a loop of the sources."""
    found = []
    for pragma in sources.pragmas_of(loop, "dependence"):
        words = {*pragma.words, *(pragma.text(key) for key in ("type", "direction", "dependent", "class"))}
        distance = int(pragma.text("distance") or 0) if "false" not in words else 0
        if "false" in words or distance:
            directions = frozenset(words & {"RAW", "WAR", "WAW"}) or frozenset({"RAW", "WAR", "WAW"})
            ports = frozenset(handed(sources, loop.function, pragma.text("variable")))
            found.append(Claim(pragma.text("variable"), "intra" not in words, directions, distance, ports))
    return found


def handed(sources, function, name):
    """What the sources' calls hand to a parameter of a function: names of the outermost functions' parameters."""
    names = [each.spelling for each in function.get_arguments()]
    calls = [(cursor, around) for cursor, around in cpp.walk(sources.unit, sources.folder)
             if cursor.kind.name == "CALL_EXPR" and cursor.referenced and cursor.referenced == function]  # fmt: skip
    if name not in names or not calls:
        return {name}.intersection(names)
    found = set()
    for cursor, around in calls:
        given = list(cursor.get_arguments())[names.index(name)].referenced
        if given is not None and given.kind.name == "PARM_DECL":
            caller = next(each for each in reversed(around) if each.kind.name in cpp.FUNCTIONS)
            found |= handed(sources, caller, given.spelling)
    return found


def pairs(accesses, values, said=()):
    """The Pairs of a loop's accesses. Registers are left out, which Circuit follows from block to block, and queues,
    whose items have no address in the sources."""
    loop, found = values.loop, []
    place = {id(each): index for index, each in enumerate(loop.instructions())}
    for store in accesses:
        if not store.writes or store.in_registers or store.array.unit == QUEUE:
            continue
        block = store.instruction.block
        for load in accesses:
            same = load.array is store.array or (load.array.unit == PORT and load.array.path == store.array.path)
            if load.writes or not same or not store.meets(load):
                continue
            mine = [claim for claim in said if claim.covers(store) and claim.covers(load) and "RAW" in claim.directions]
            found += _between(store, load, distance_of(store, load, values), mine)
            later = place[id(load.instruction)] > place[id(store.instruction)]
            if load.instruction.block in loop.behind(block) or (load.instruction.block == block and later):
                found += _within(store, load, values, mine)
    return found


def _between(store, load, distance, said):
    """The Pair of different iterations, if there is one."""
    if distance is None:
        return []
    far = next((claim.distance for claim in said if claim.inter and claim.distance), 0)
    return [Pair(store, load, far or distance, False, any(claim.inter and not claim.distance for claim in said))]


def _within(store, load, values, said):
    """The Pair of one iteration, if the addresses may be the same in it."""
    apart = store.address.plus(load.address, -1)
    if not apart.terms and abs(apart.constant) >= max(store.element, load.element):
        return []
    return [Pair(store, load, UNKNOWN if apart.terms else 1, True, any(not claim.inter for claim in said))]


def distance_of(store, load, values):
    """Iterations from the store to the load that meets it, UNKNOWN, or None where they never meet."""
    apart = store.address.plus(load.address, -1)
    size = max(store.element, load.element)
    varying = {name for name in {*store.address.terms, *load.address.terms} if name in values.inside}
    if apart.terms:
        return UNKNOWN
    if not varying:
        return 1 if abs(apart.constant) < size else None
    if varying - set(values.steps):
        return UNKNOWN
    step = sum(store.address.terms[name] * values.steps[name] for name in varying)
    if step == 0:
        return 1 if abs(apart.constant) < size else None
    iterations, rest = divmod(apart.constant, step)
    if rest:
        return None if size <= abs(rest) <= abs(step) - size else max(1, iterations)
    return iterations if iterations > 0 else None
