"""Static timing of a flat netlist of xc7 cells, as yosys writes it (write_json).

    timing = Timing.of(netlist, "maps", grade="-1")
    timing.period_ns, timing.path              # the longest way from register to register, and what it leads through

Every net counts a wire of hls/bounds/delays.toml, but for those inside of a slice or along a column: from a LUT into
its carry chain, along the chain, between LUTs and their multiplexers, from DSP to DSP. No placement is known: a long
net or one of a large fan-out costs more on a chip.
"""

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from hls.bounds.operators import Table
from hls.errors import UserError

CELLS = Path(__file__).with_name("cells.toml")
_NEVER = float("-inf")
_DSP_PORTS = {"A": ("AREG", "ADREG", "MREG", "PREG"), "B": ("BREG", "MREG", "PREG"), "C": ("CREG", "PREG"),
              "D": ("DREG", "ADREG", "MREG", "PREG")}  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """The longest way. path: (cell's kind, name of the net behind it), from its start on."""

    period_ns: float
    path: tuple

    @classmethod
    def of(cls, netlist, top, grade, still=()):
        """Of the module `top` of yosys's netlist, a dict. still: inputs that do not change while it works.

        UserError for a grade or a cell without delays.
        """
        return _Graph(netlist["modules"][top], grade, still).longest()


class _Graph:
    """starts: net → ns after the clock. ends: (net, setup, cell). arcs: net → (net before, ns, cell's kind)."""

    def __init__(self, module, grade, still):
        data = tomllib.loads(CELLS.read_text(encoding="utf-8"))
        if grade not in data:
            raise UserError(f"no delays for speed grade {grade}: {CELLS.name} has {', '.join(data)}")
        table = Table.of(grade)
        self.parts, self.wire = {**table.parts, **data[grade]}, table.wire
        self.starts, self.ends, self.arcs, self.kinds = {}, [], defaultdict(list), {}
        ports = {name: port["bits"] for name, port in module.get("ports", {}).items() if port["direction"] == "input"}
        self.inputs = {bit for name, bits in ports.items() if name not in still for bit in bits}
        self.names = {}
        for name, net in module["netnames"].items():
            for index, bit in enumerate(net["bits"]):
                if isinstance(bit, int) and (bit not in self.names or not name.startswith("$")):
                    self.names[bit] = f"{name}[{index}]" if len(net["bits"]) > 1 else name
        for cell in module["cells"].values():
            self._add(cell["type"], cell["connections"], cell.get("parameters", {}))

    def _add(self, kind, ports, parameters):
        if re.fullmatch(r"LUT[1-6]|INV", kind):
            self._through(kind, ports, "O", {port: self.wire + self.parts["lut"] for port in ports if port != "O"})
        elif kind in ("MUXF7", "MUXF8"):
            part = kind.lower()
            chosen = self.parts[part]
            self._through(kind, ports, "O", {"I0": chosen, "I1": chosen, "S": self.wire + self.parts[f"{part}_select"]})
        elif kind == "CARRY4":
            self._carry(ports)
        elif kind.startswith("FD"):
            self._start(kind, ports["Q"], self.parts["register_out"])
            self._end(kind, [bit for port in ports if port not in ("Q", "C") for bit in ports[port]], "register_in")
        elif re.fullmatch(r"SRL\w+", kind):
            self._start(kind, ports["Q"], self.parts["srl_out"])
            self._end(kind, [bit for port in ("D", "CE") for bit in ports.get(port, ())], "register_in")
        elif kind.startswith("RAMB"):
            outputs = [bit for port in ports if port.startswith("DO") for bit in ports[port]]
            self._start(kind, outputs, self.parts["bram_out"])
            self._end(kind, [bit for port in ports if not port.startswith(("DO", "CLK")) for bit in ports[port]],
                      "bram_in")  # fmt: skip
        elif re.fullmatch(r"RAM\d+\w+", kind):
            self._lut_memory(kind, ports)
        elif kind == "DSP48E1":
            self._dsp(ports, parameters)
        else:
            raise UserError(f"no delays for a {kind}: bitstreams/lockstep/timing.py does not know it")

    def _start(self, kind, bits, ns):
        for bit in bits:
            self.starts[bit], self.kinds[bit] = ns, kind

    def _end(self, kind, bits, part):
        self.ends += [(bit, self.wire + self.parts[part], kind) for bit in bits if isinstance(bit, int)]

    def _through(self, kind, ports, output, delays):
        for port, ns in delays.items():
            for source in ports.get(port, ()):
                for target in ports[output]:
                    self._arc(kind, source, target, ns)

    def _arc(self, kind, source, target, ns):
        if isinstance(source, int) and target is not None:
            self.arcs[target].append((source, ns, kind))

    def _carry(self, ports):
        ports = {"CO": (None,) * 4, "O": (None,) * 4, **ports}  # those that nothing reads are not in the netlist
        for at in range(4):
            for source in (*ports["CI"], *ports.get("CYINIT", ())):
                self._arc("CARRY4", source, ports["CO"][at], self.parts["carry_next"])
                self._arc("CARRY4", source, ports["O"][at], self.parts["carry_end"])
            for before in range(at + 1):
                for port, wire in (("S", 0), ("DI", self.wire)):
                    source = ports[port][before]
                    self._arc("CARRY4", source, ports["CO"][at], wire + self.parts["carry_start"])
                    self._arc("CARRY4", source, ports["O"][at], wire + self.parts["carry_short"])

    def _lut_memory(self, kind, ports):
        """A LUT's RAM: read at an address in no cycle, written at a clock's edge."""
        outputs = [port for port in ports if port.startswith(("DO", "SPO", "DPO")) or port == "O"]
        addresses = [port for port in ports if port.startswith(("ADDR", "DPRA")) or re.fullmatch(r"A\d?", port)]
        for output in outputs:
            self._through(kind, ports, output, dict.fromkeys(addresses, self.wire + self.parts["lutram_in"]))
        inputs = [port for port in ports if port not in (*outputs, "WCLK")]
        self._end(kind, [bit for port in inputs for bit in ports[port]], "register_in")

    def _dsp(self, ports, parameters):
        has = {name: int(str(parameters.get(name, "0")), 2) != 0 for name in
               ("AREG", "BREG", "CREG", "DREG", "ADREG", "MREG", "PREG")}  # fmt: skip
        if "TRUE" not in str(parameters.get("USE_DPORT", "")):
            has["ADREG"] = False
        outputs = [bit for port in ("P", "PCOUT") for bit in ports.get(port, ())]
        registered = [name for name in ("PREG", "MREG") if has[name]]
        if registered:
            self._start("DSP48E1", outputs, self.parts["dsp_p_out" if has["PREG"] else "dsp_m_out"])
        for port, registers in _DSP_PORTS.items():
            first = next((name for name in registers if has[name]), None)
            if first is None:
                self._through("DSP48E1", ports, "P", {port: self.wire + self.parts["dsp"]})
            else:
                setup = self.parts["dsp_in"][f"{port}_{first}"]
                self.ends += [(bit, self.wire + setup, "DSP48E1") for bit in ports.get(port, ())
                              if isinstance(bit, int)]  # fmt: skip

    def longest(self):
        """The Timing. UserError where the netlist has a loop without a register."""
        arrival, before = dict(self.starts), {}
        for bit, *_ in self.ends:
            self._visit(bit, arrival, before)
        best = max(self.ends, key=lambda end: arrival[end[0]] + end[1])
        path, bit = [(best[2], "")], best[0]
        while bit in before:
            source, kind = before[bit]
            path.append((kind, self.names.get(bit, "")))
            bit = source
        path.append((self.kinds.get(bit, "input"), self.names.get(bit, "")))
        return Timing(arrival[best[0]] + best[1], tuple(reversed(path)))

    def _visit(self, root, arrival, before):
        """Arrival times of a net and of all before it; what depends on still inputs and constants alone has none."""
        stack, open_nets = [root], set()
        while stack:
            bit = stack[-1]
            if bit in arrival:
                stack.pop()
                continue
            waiting = [arc[0] for arc in self.arcs.get(bit, ()) if arc[0] not in arrival]
            if waiting:
                if bit in open_nets and any(each in open_nets for each in waiting):
                    raise UserError(f"the netlist has a loop without a register at {self.names.get(bit, bit)}")
                open_nets.add(bit)
                stack += waiting
                continue
            open_nets.discard(bit)
            best = max(self.arcs.get(bit, ()), key=lambda arc: arrival[arc[0]] + arc[1], default=None)
            if best and arrival[best[0]] > _NEVER:
                arrival[bit], before[bit] = arrival[best[0]] + best[1], (best[0], best[2])
            else:
                arrival[bit] = 0.0 if bit in self.inputs else _NEVER
            stack.pop()
