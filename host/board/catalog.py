"""Boards as the host needs them, from bitstreams/boards.json (made of bitstreams/boards/*.toml).

board = read("zedboard")   # board.clock_hz, board.clock_kind, board.energy
point_of("zedboard", isa_hash)   # "safe": the board's point that has this contract

A board can be built with engines of other sizes, its points, each with a clock of its own: the clock is that of the
point whose contract is the running one.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from hls import isa
from hls.errors import UserError

FILE = Path(__file__).resolve().parents[2] / "bitstreams" / "boards.json"
REMEDY = "make it anew: python -m bitstreams.generate"
DEFAULT = "zedboard"


LEVELS = ("mac", "register", "block_ram", "ddr", "static")  # of the energy model, host/energy/model.py


@dataclass(frozen=True)
class Coefficients:
    """Energy of one count of each level: J a MAC, J an update of an accumulator, J a byte (block RAM, DDR), W."""

    mac: float
    register: float
    block_ram: float
    ddr: float
    static: float
    kind: str  # where they come from, in a few words
    source: str  # and in full
    fitted: bool = False  # to measured energy, from which idle was subtracted: so is it from `static`

    @classmethod
    def checked(cls, found):
        """Coefficients from a dictionary. ValueError, TypeError or KeyError when it does not hold numbers from 0 on."""
        numbers = {name: float(found[name]) for name in LEVELS}
        for name, value in numbers.items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"energy of {name} is {value}, expected a number from 0 on")
        if not any(numbers.values()):
            raise ValueError("every energy is 0, expected some above")
        return cls(**numbers, kind=str(found["kind"]), source=str(found["source"]), fitted=found.get("fitted") is True)


@dataclass(frozen=True)
class Board:
    """What the host knows of a board; `clock_kind` says whether its clock is a target, met in a report, or measured."""

    name: str
    title: str
    clock_hz: int
    clock_kind: str
    crystal_hz: int  # of the processor, which its clocks are made of
    shunt_ohm: float | None  # None: no point to measure power at
    supply_v: float
    energy: Coefficients | None = None  # None: the board's file has none

    def seconds(self, cycles):
        """Time of that many cycles of the engine's clock; a number or an array."""
        return cycles / self.clock_hz


def read(name=DEFAULT, path=FILE):
    """The board `name`. UserError when it is unknown, or the file is missing, damaged or lacks a key."""
    found = _entry(name, path)
    try:
        power, point = found["power"], _point_of(found, isa.HASH)
        clock_hz = round(float((found["points"][point] if point else found)["clock_mhz"]) * 1e6)
        crystal_hz = round(float(found["processing_system"]["crystal_mhz"]) * 1e6)
        shunt_ohm = float(power["shunt_ohm"]) if "shunt_ohm" in power else None
        numbers = {"shunt_ohm": shunt_ohm, "supply_v": float(power["supply_v"])}
        energy = _coefficients(found["energy"]) if "energy" in found else None
        kind = str(found["clock_kind"])
        board = Board(name, str(found["title"]), clock_hz, kind, crystal_hz, **numbers, energy=energy)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise UserError(f"{path}: board {name} is not as expected ({error}): {REMEDY}") from None
    for what, value in (("clock", board.clock_hz), ("crystal", board.crystal_hz)):
        if value <= 0:
            raise UserError(f"{path}: board {name} has a {what} of {value} Hz, expected more than 0: {REMEDY}")
    return board


def point_of(name, isa_hash, path=FILE):
    """The board's point that has this contract, or None. UserError, as `read`."""
    try:
        return _point_of(_entry(name, path), isa_hash)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: board {name} is not as expected ({error}): {REMEDY}") from None


def _point_of(found, isa_hash):
    points = found.get("points", {})
    return next((name for name, point in points.items() if point["isa_hash"] == isa_hash), None)


def _entry(name, path):
    """What boards.json says of a board. UserError when it is unknown, or the file is missing or damaged."""
    try:
        boards = json.loads(Path(path).read_text(encoding="utf-8"))
        found = boards.get(name)
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({' '.join(str(error).split())}): {REMEDY}") from None
    if found is None:
        raise UserError(f"unknown board {name!r}: expected one of {', '.join(sorted(boards))}")
    return found


def _coefficients(table):
    """Coefficients from the table [energy] of a board's file: published_pj × scale each."""
    numbers = {name: 1e-12 * table[name]["published_pj"] * table[name]["scale"] for name in LEVELS[:-1]}
    numbers["static"] = table["static"]["watt"]
    source = "; ".join(f"{name}: {table[name]['source']}" for name in LEVELS)
    return Coefficients.checked({**numbers, "kind": table["kind"], "source": f"{table['kind']}; {source}"})
