"""The bounds of every loop of the sources: what its II and the clock's period can't be less than.

    for bound in bounds(read(), clock_mhz=143, grade="-1", latency=32): print(bound.name, bound.ii, bound.period_ns)

II: the largest of what the memories' ports take (ports.py), and of what goes round through registers, operators and
memories (circuit.py, cycles.py), in cycles of the clock. Period: the longest way through operators from the registers
of one iteration to those of the next, over the iterations that it takes: no pipelining gets below it.
"""

from dataclasses import dataclass, replace
from math import ceil

from hls.bounds import dependences, flow, ports
from hls.bounds.circuit import Circuit
from hls.bounds.cycles import components, worst_cycle
from hls.bounds.ir import BoundsError
from hls.bounds.memory import Memory
from hls.bounds.operators import Table
from hls.bounds.values import Values
from hls.estimate import scopes
from hls.lint import cpp

_ROUNDING = 1e-6  # of a cycle


@dataclass(frozen=True)
class Bound:
    """A loop's bounds, its II promised by the model or else by its pipeline pragma (0: by none).

    uses: ports.Use of each memory. open: memories with a store and a load that nothing tells apart. claims: those that
    a dependence pragma says are apart. cycle and way: the operators, as (what, file, line), that bound II and period.
    """

    name: str
    place: tuple  # file, line
    promised: int
    asked: int  # II of the pragma
    ii_ports: int
    ii_carried: int
    period_ns: float  # at the promised II
    uses: tuple
    open: tuple
    claims: tuple
    cycle: tuple
    way: tuple

    @property
    def ii(self):
        """The least II; no tool goes below the one that a pragma asks for."""
        return max(self.asked, self.ii_ports, self.ii_carried)

    @property
    def gap(self):
        """By how much the promised II is too small."""
        return max(0, self.ii - self.promised) if self.promised else 0


def bounds(sources, clock_mhz, grade, latency, model=None, wire_ns=None):
    """The Bounds of every innermost or pipelined loop, by name; the worst where inlining repeats one.

    clock_mhz: for which a cycle counts. grade: of delays.toml. latency: cycles of a read of a memory port.
    model: Function::Label → the II that the cost model uses. BoundsError where it names a loop that is not there.
    """
    taken = list(_loops(sources))
    missing = set(model or {}) - {source.name for _, source in taken}
    if missing:
        raise BoundsError(f"the model counts {', '.join(sorted(missing))}, which the sources' IR has no loop for")
    table, memory, found = Table.of(grade, wire_ns, latency), Memory(sources), {}
    constants = scopes.constants(sources.unit, sources.folder)
    for loop, source in taken:
        asked = _asked(sources, source, constants)
        promised = (model or {}).get(source.name, asked)
        bound = _bound(sources, memory, loop, source, table, 1000 / clock_mhz, asked, promised)
        if bound.name not in found or found[bound.name].ii < bound.ii:
            found[bound.name] = bound
    return sorted(found.values(), key=lambda bound: bound.name)


def _loops(sources):
    """(loop of the IR, loop of the source) of each that is innermost or pipelined. BoundsError for one in which an II
    has no meaning."""
    named = {(cpp.path_of(loop.cursor), loop.cursor.location.line): loop for loop in sources.loops}
    for function in sources.module.functions.values():
        for loop in flow.loops(function):
            file, line = sources.module.loop_start(loop.number)
            source = named.get(((sources.folder / file).resolve(), line))
            if source is None or not (loop.innermost or sources.pragmas_of(source, "pipeline")):
                continue
            if not loop.innermost:
                raise BoundsError(f"{source.name} is pipelined, and a loop in it is not unrolled: unroll it")
            yield loop, source


def _bound(sources, memory, loop, source, table, period, asked, promised):
    values = Values(loop)
    accesses = memory.accesses(loop, values)
    pairs = dependences.pairs(accesses, values, dependences.claims(sources, source))
    circuit = Circuit(loop, values, accesses, pairs, table).built()
    carried, at_once = _carried(circuit, period)
    uses = [_staged(use, loop, accesses, circuit) for use in ports.uses(loop, accesses)]
    return Bound(
        source.name,
        (cpp.name_of(source.cursor, sources.folder), source.cursor.location.line),
        promised,
        asked,
        max((use.ii for use in uses), default=1),
        max(1, ceil(carried.mean - _ROUNDING)),
        at_once.mean / max(1, promised),
        tuple(uses),
        tuple(sorted({pair.path for pair in pairs if pair.is_open})),
        tuple(sorted({pair.path for pair in pairs if pair.claimed})),
        _places(sources, circuit, carried.nodes),
        _places(sources, circuit, at_once.nodes),
    )


def _staged(use, loop, accesses, circuit):
    """The Use of a memory whose accesses take turns: its II without that, where they can't be made at one stage.

    At II = 1 every stage works in every cycle, so that accesses that share a port are of one stage. Then they are one
    node, and where it needs itself, a clock edge later and in the same iteration, there is no such stage.
    """
    if use.together == use.ii:
        return use
    node = list(range(len(circuit.names)))
    for group in ports.turns(loop, accesses):
        for access in group:
            node[circuit.node(access)] = circuit.node(group[0])
    inside = [(node[edge.source], node[edge.target], edge.clocks, 0) for edge in circuit.edges if not edge.distance]
    clash = any(edge[2] for part in components(inside) for edge in part)
    return replace(use, ii=use.together) if clash else use


def _carried(circuit, period):
    """(what bounds II, what bounds the period) of a circuit: Cycles."""

    def worst(weight, edges):
        return worst_cycle([(edge.source, edge.target, weight(edge), edge.distance) for edge in edges])

    timed = worst(lambda edge: edge.ns / period + edge.cycles, circuit.edges)
    counted = worst(lambda edge: edge.clocks, circuit.edges)
    at_once = worst(lambda edge: edge.ns, [edge for edge in circuit.edges if not edge.clocks])
    return max(timed, counted, key=lambda cycle: ceil(cycle.mean - _ROUNDING)), at_once


def _asked(sources, source, constants):
    """II of a loop's pipeline pragma: 1 where it names none, 0 without a pragma."""
    for pragma in sources.pragmas_of(source, "pipeline"):
        return 0 if "off" in pragma.words else scopes.evaluated(pragma.text("II") or "1", constants)
    return 0


def _places(sources, circuit, nodes):
    """What a cycle leads through, as (operator, file, line) or (register, "", 0)."""
    found = []
    for node in nodes:
        words = circuit.names[node].split(" @")
        file, line = sources.module.line(words[1]) if len(words) > 1 else ("", 0)
        what = words[0].split(" ")[0] if len(words) > 1 else words[0]
        found.append((what, file, line))
    return tuple(found)
