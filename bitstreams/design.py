"""The facts of one board's design, from its data file, overlay.json and the contract; flow/*.tcl gets them as one file.

    make boards                                # or python -m bitstreams.design: the boards that have a file
    facts = design.facts("zedboard", clock_mhz=143)
    Path("parameters.tcl").write_text(design.tcl(facts))

Nothing of these facts stands in the TCL: addresses, ports and clocks are data.
"""

import json
import sys
from dataclasses import dataclass

from bitstreams.generate import BOARDS, FOLDER, read_board
from hls import isa
from hls.command.entry import guarded
from hls.errors import UserError

OVERLAY = FOLDER / "overlay.json"
BUS_BITS = 32  # the narrowest AXI memory port that HLS makes
CLOCK_RANGE = (10, 250)  # MHz
DIVISORS = range(1, 64)  # each of the two behind the processor's PLL
OWN = '{}\\"$[];\n'  # letters of TCL
UNCERTAINTY_PERCENT = 12.5  # of the period, which HLS leaves to placement and routing


@dataclass(frozen=True)
class MemoryPort:
    """A memory port of the engine: its AXI bus, the bits that may be, and the processor's port it goes to."""

    name: str
    bits: int  # of an element, in the contract
    low: int  # bits of the bus, at least
    high: int  # and at most, where HLS may widen it
    to: str

    @property
    def bus(self):
        return f"m_axi_{self.name}"


def board_names(folder=BOARDS):
    """Names of the boards that have a file, in order."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def read(name, folder=BOARDS):
    """The board `name`, checked. UserError when there is none, or its file is wrong."""
    if name not in board_names(folder):
        raise UserError(f"no board {name!r}: expected one of {', '.join(board_names(folder))}, or add a file for it")
    return read_board(folder / f"{name}.toml")


def overlay():
    """The contents of overlay.json: blocks, addresses, and where the memory ports go."""
    return json.loads(OVERLAY.read_text(encoding="utf-8"))


def logic_clock(clock_mhz, io_pll_mhz):
    """The clock nearest to `clock_mhz` that two divisors of the PLL's make, in MHz. UserError outside CLOCK_RANGE."""
    low, high = CLOCK_RANGE
    if not low <= clock_mhz <= high:
        raise UserError(f"a clock of {clock_mhz:g} MHz: expected {low} to {high}")
    divisors = {first * second for first in DIVISORS for second in DIVISORS}
    return min((io_pll_mhz / divisor for divisor in divisors), key=lambda found: abs(found - clock_mhz))


def memory_ports(ports, places, widened=()):
    """The MemoryPort of each bus of the memories in `ports` (isa.PORTS); `places`: name → port of the processor.

    `widened`: name → bits that HLS may widen the bus to. UserError for a port without a place, and for ports of one bus
    (isa.BUSES) in different places or of different widths.
    """
    found = {}
    for name, (kind, bits) in ports.items():
        if kind != "memory":
            continue
        if name not in places:
            raise UserError(f"the engine has a memory port {name} without a place: add it in {OVERLAY.name}")
        bus, low = isa.BUSES.get(name, name), max(BUS_BITS, bits)
        port = MemoryPort(bus, bits, low, max(low, dict(widened).get(name, 0)), places[name])
        other = found.setdefault(bus, port)
        if (other.to, other.low) != (port.to, port.low):
            raise UserError(
                f"{name} goes to {port.to} with {port.low} bits, others of its bus {bus} to {other.to} with "
                f"{other.low}: give them one place in {OVERLAY.name}"
            )
        found[bus] = max(port, other, key=lambda each: each.high)
    return list(found.values())


def facts(name, clock_mhz=None, ports=None, widened=(), board=None):
    """All that flow/*.tcl needs, as nested dictionaries of texts and numbers. UserError.

    name: of a board; clock_mhz: of the engine, the board's own without; ports: isa.PORTS without.
    """
    board, plan = read(name) if board is None else board, overlay()
    system = board["processing_system"]
    asked = float(board["clock_mhz"] if clock_mhz is None else clock_mhz)
    clock = logic_clock(asked, system["io_pll_mhz"])
    found = memory_ports(isa.PORTS if ports is None else ports, plan["memory_ports"], widened)
    used = sorted({port.to for port in found})
    if len(used) > board["memory"]["axi_hp_ports"]:
        raise UserError(f"{len(used)} memory ports of the processor, {name} has {board['memory']['axi_hp_ports']}")
    return {
        "design": plan["design"],
        "board": name,
        "part": board["part"],
        "board_parts": board["board_parts"],
        "clock_mhz": f"{clock:.6f}",
        "period_ns": f"{1000 / clock:.3f}",
        "uncertainty_percent": f"{UNCERTAINTY_PERCENT:g}",
        "top": plan["engine"]["vlnv"].split(":")[2],
        "preset": system.get("preset", ""),
        "preset_properties": _config(system.get("properties", {})),
        "processor": plan["processing_system"],
        "processor_properties": _config(_processor(asked, used, board["memory"]["axi_hp_bits"])),
        "clock_pin": plan["clock"]["name"],
        "reset": plan["reset"],
        "interconnect": plan["interconnect"],
        "slaves": {plan[key]["ip"]: plan[key] for key in ("engine", "timer", "interrupt_controller")},
        "engine": plan["engine"]["ip"],
        "timer": plan["timer"]["ip"],
        "interrupt_controller": plan["interrupt_controller"]["ip"],
        "memory_ports": {port.name: {"bus": port.bus, "low": port.low, "high": port.high} for port in found},
        "memory_groups": {to: [port.name for port in found if port.to == to] for to in used},
    }


def _processor(clock_mhz, used, bits):
    """Properties of the processing system that the design needs whatever the board."""
    properties = {"PCW_FPGA0_PERIPHERAL_FREQMHZ": f"{clock_mhz:g}", "PCW_EN_CLK0_PORT": 1, "PCW_EN_RST0_PORT": 1}
    properties |= {"PCW_USE_M_AXI_GP0": 1, "PCW_USE_FABRIC_INTERRUPT": 1, "PCW_IRQ_F2P_INTR": 1}
    for port in used:
        short = port.removeprefix("S_AXI_")
        properties |= {f"PCW_USE_S_AXI_{short}": 1, f"PCW_S_AXI_{short}_DATA_WIDTH": bits}
    return properties


def _config(properties):
    return {f"CONFIG.{key}": value for key, value in properties.items()}


def tcl(values):
    """TCL that sets a variable for each of `values`: dictionaries and lists become TCL's."""
    head = (
        "# Made by bitstreams.vitis.synth of the board's file, overlay.json and the contract: change those, not this."
    )
    return "\n".join([head, *(f"set {name} {word(value)}" for name, value in values.items())]) + "\n"


def word(value):
    """`value` as one word of TCL."""
    if isinstance(value, dict):
        return "{" + " ".join(f"{word(key)} {word(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "{" + " ".join(word(item) for item in value) + "}"
    text = str(value)
    if any(letter in text for letter in OWN):
        raise UserError(f"{text!r} has a letter that TCL reads as its own: give another name or folder")
    return f"{{{text}}}" if not text or any(letter.isspace() for letter in text) else text


def check_path(path, what):
    """Refuse a path that the tools do not bear, before anything is written. UserError.

    A space parts a word in their scripts and makefiles, and they do not open names with letters beyond ASCII.
    """
    text = str(path)
    wrong = next((letter for letter in text if letter in OWN or letter.isspace() or not letter.isascii()), None)
    if wrong is not None:
        kind = "a space" if wrong.isspace() else f"the letter {wrong!r}"
        raise UserError(f"{what} {text} has {kind}, which the tools do not bear in a path: use another folder")


def table(boards):
    """The boards as lines of text, with the clocks of their points: name → data."""
    lines = [f"{'board':12} {'part':16} {'points, MHz':22} {'DDR':>8}  power is measured with"]
    for name, board in boards.items():
        named = [f"{point} {found['clock_mhz']:g}" for point, found in board.get("points", {}).items()]
        clocks, memory = ", ".join(named) or f"{board['clock_mhz']:g}", f"{board['memory']['ddr_mb']} MB"
        lines.append(f"{name:12} {board['part']:16} {clocks:22} {memory:>8}  {board['power']['measure']}")
    return "\n".join(lines)


def main():
    """List the boards; 0, or 2 when a board's file is wrong."""
    return guarded("bitstreams.design", lambda: print(table({name: read(name) for name in board_names()})) or 0)


if __name__ == "__main__":
    sys.exit(main())
