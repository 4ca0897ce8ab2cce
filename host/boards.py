"""Boards as the host needs them, from bitstreams/boards.json (made of bitstreams/boards/*.toml).

board = read("zedboard")   # board.clock_hz, board.clock_kind
"""

import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / "bitstreams" / "boards.json"
DEFAULT = "zedboard"


class BoardError(ValueError):
    """A board that is not known, or a damaged list of boards; the message is one line."""


@dataclass(frozen=True)
class Board:
    """What the host knows of a board; `clock_kind` says whether its clock is a target, met in a report, or measured."""

    name: str
    title: str
    clock_hz: int
    clock_kind: str
    shunt_ohm: float
    supply_v: float

    def seconds(self, cycles):
        """Time of that many cycles of the engine's clock; a number or an array."""
        return cycles / self.clock_hz


def read(name=DEFAULT, path=FILE):
    """The board `name`. BoardError when it is unknown, or the file is missing, damaged or lacks a key."""
    path = Path(path)
    remedy = "make it anew: python -m bitstreams.generate"
    try:
        boards = json.loads(path.read_text(encoding="utf-8"))
        found = boards.get(name)
    except (OSError, ValueError, AttributeError) as error:
        raise BoardError(f"{path} cannot be read ({' '.join(str(error).split())}): {remedy}") from None
    if found is None:
        raise BoardError(f"unknown board {name!r}: expected one of {', '.join(sorted(boards))}")
    try:
        power = found["power"]
        clock_hz = round(float(found["clock_mhz"]) * 1e6)
        numbers = {"shunt_ohm": float(power["shunt_ohm"]), "supply_v": float(power["supply_v"])}
        board = Board(name, str(found["title"]), clock_hz, str(found["clock_kind"]), **numbers)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BoardError(f"{path}: board {name} is not as expected ({error}): {remedy}") from None
    if board.clock_hz <= 0:
        raise BoardError(f"{path}: board {name} has a clock of {board.clock_hz} Hz, expected more than 0: {remedy}")
    return board
