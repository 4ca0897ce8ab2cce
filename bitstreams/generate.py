"""Write bitstreams/boards.json from bitstreams/boards/*.toml; the board's Python 3.10 reads no TOML.

    python -m bitstreams.generate           # write it
    python -m bitstreams.generate --check   # 1 if the committed one is stale

A board's file has the keys of SCHEMA and no other; a value of another type, or an unknown or missing key, is named with
its file. `chip_as = "zedboard"` takes the tables of CHIP from the file of another board that has the same chip. Each
point gets the hash of its contract, `isa_hash`, which tells on a board which of them an engine is.
"""

import json
import re
import sys
from pathlib import Path

from hls import isa
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.generated import renewed
from hls.errors import UserError
from hls.generate import variant

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER / "boards.json"
BOARDS = FOLDER / "boards"
CHIP = ("limits", "energy", "points")  # tables that belong to the chip and not to the board
MAX_LATENCY = 10_000  # cycles of a read of the DDR
CLOCK_KINDS = ("target", "met", "measured")
_LEVEL = {"published_pj": float, "scale": float, "source": str}  # energy of one access, host/energy/model.py
SCHEMA = {
    "title": str,
    "part": str,
    "board_parts": list,  # vendor:board:part0 of its board files, the one preferred first; the version is the tool's
    "clock_mhz": float,
    "clock_kind": str,
    "limits": {"dsp": int, "bram36": int, "bram18": int, "lut": int, "ff": int},
    "points": {str: {"title": str, "clock_mhz": float, "sizes": {str: int}}},  # bitstreams/points.py
    "memory": {"ddr_mb": int, "axi_hp_ports": int, "axi_hp_bits": int, "ddr_latency_cycles": int},
    "processing_system": {
        "preset": str,  # built into the IP; for a tool without the board's files
        "cores": int,
        "core": str,
        "core_mhz": float,
        "crystal_mhz": float,
        "io_pll_mhz": float,  # what the logic's clock is divided from
        "properties": {str: str},  # of the IP (PCW_…); for a tool without the board's files, where there is no preset
    },
    "power": {"supply_v": float, "shunt_ohm": float, "connector": str, "measure": str},
    "energy": {
        "kind": str,
        **dict.fromkeys(("mac", "register", "block_ram", "ddr"), _LEVEL),
        "static": {"watt": float, "source": str},
    },
}

OPTIONAL = {"points", "processing_system.preset", "processing_system.properties", "power.shunt_ohm", "power.connector"}

OPTIONAL_SIZES = r"points\.[^.]+\.sizes"  # where they are the shipped ones


def read_board(path):
    """The contents of one board's TOML file, checked. UserError names the file and the key."""
    board = _load(path)
    other = board.pop("chip_as", None)
    if other is not None:
        board = _with_chip(path, board, other)
    _check(path, board, SCHEMA, "")
    if board["clock_kind"] not in CLOCK_KINDS:
        raise UserError(f"{path}: clock_kind is {board['clock_kind']!r}, expected one of {', '.join(CLOCK_KINDS)}")
    if board["limits"]["bram18"] != 2 * board["limits"]["bram36"]:
        raise UserError(f"{path}: limits.bram18 must be twice limits.bram36 ({board['limits']['bram36']})")
    if not board["processing_system"].keys() & {"preset", "properties"}:
        raise UserError(f"{path}: processing_system has neither preset nor properties: give one, for want of its files")
    if ("shunt_ohm" in board["power"]) != ("connector" in board["power"]):
        raise UserError(f"{path}: power has one of shunt_ohm and connector: give both, or neither where there is none")
    if board["memory"]["axi_hp_bits"] < 8 * isa.PORT_BYTES:
        wanted = f"expected the {8 * isa.PORT_BYTES} bits that a port of the engine moves a cycle"
        raise UserError(f"{path}: memory.axi_hp_bits is {board['memory']['axi_hp_bits']}, {wanted}")
    latency = board["memory"]["ddr_latency_cycles"]
    if latency > MAX_LATENCY:
        raise UserError(f"{path}: memory.ddr_latency_cycles is {latency}, expected at most {MAX_LATENCY:,}")
    own = {} if latency == variant.DDR_LATENCY else {variant.LATENCY: latency}
    for name, point in board.get("points", {}).items():
        if variant.LATENCY in point.get("sizes", {}):
            raise UserError(
                f"{path}: points.{name}.sizes has {variant.LATENCY}: give memory.ddr_latency_cycles instead"
            )
        sizes = {**point.get("sizes", {}), **own}
        point |= {"sizes": sizes} if sizes else {}
        point["isa_hash"] = _isa_hash(path, name, sizes)
    return board


def _isa_hash(path, name, sizes):
    """The hash of the contract with a point's sizes."""
    try:
        return variant.hash_of(sizes)
    except ValueError as error:
        raise UserError(f"{path}: points.{name}: {error}") from None


def chip(part):
    """The chip of a part, without package and speed: xc7z020 of xc7z020clg484-1."""
    found = re.match(r"[a-z]+\d[a-z]\d+s?", part)
    return found[0] if found else part


def _load(path):
    try:
        import tomllib  # nothing on a board needs it
    except ModuleNotFoundError:
        raise UserError(f"{path}: boards' files are read with Python 3.11 or newer: use one") from None
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise UserError(f"{path}: {' '.join(str(error).split())}: expected a TOML file") from None


def _with_chip(path, board, name):
    """`board` with the tables of CHIP from the board `name`, which must have the same chip."""
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9-]+", name):
        raise UserError(f"{path}: chip_as is {name!r}, expected the name of a board's file, without .toml")
    other = _load(Path(path).with_name(f"{name}.toml"))
    twice = [key for key in CHIP if key in board]
    if twice or "chip_as" in other:
        problem = f"{twice[0]} is there as well" if twice else f"{name} itself has chip_as"
        raise UserError(f"{path}: chip_as names {name}, but {problem}: expected {', '.join(CHIP)} in one place")
    found, expected = (chip(str(each.get("part"))) for each in (board, other))
    if found != expected:
        raise UserError(f"{path}: chip_as names {name}, which has {expected}; this board has {found}")
    return {**board, **{key: other[key] for key in CHIP if key in other}}


def _check(path, found, schema, prefix):
    if str in schema:  # any keys, all of one kind
        schema = dict.fromkeys(found, schema[str])
    optional = {key for key in schema if prefix + key in OPTIONAL or re.fullmatch(OPTIONAL_SIZES, prefix + key)}
    unknown, missing = sorted(set(found) - set(schema)), sorted(set(schema) - set(found) - optional)
    if unknown:
        raise UserError(f"{path}: unknown key {prefix}{unknown[0]}: expected {', '.join(schema)}")
    if missing:
        raise UserError(f"{path}: no key {prefix}{missing[0]}: add it, as in boards/zedboard.toml")
    for key, value in found.items():
        kind = schema[key]
        if isinstance(kind, dict) and isinstance(value, dict):
            _check(path, value, kind, f"{prefix}{key}.")
        elif isinstance(kind, dict) or not _is(value, kind):
            name = "table" if isinstance(kind, dict) else _NAMES[kind]
            raise UserError(f"{path}: {prefix}{key} is {value!r}, expected a {name} above 0 or not empty")


_NAMES = {str: "text", int: "count", float: "number", list: "list of texts"}


def _is(value, kind):
    if kind is str:
        return isinstance(value, str) and value != ""
    if kind is list:
        return isinstance(value, list) and value != [] and all(_is(item, str) for item in value)
    return isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool) and 0 < value < 1e12


def generate(folder=BOARDS):
    """The text of boards.json: file name without .toml → its contents. UserError when there is no board."""
    boards = {path.stem: read_board(path) for path in sorted(Path(folder).glob("*.toml"))}
    if not boards:
        raise UserError(f"{folder} has no .toml file: expected one per board")
    return json.dumps(boards, indent=2, ensure_ascii=False) + "\n"


def main(argv=None):
    """Write or check boards.json; 0, 1 when it is stale, 2 when a board's file is wrong."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the committed file is stale")
    arguments = parser.parse_args(argv)
    command = "python -m bitstreams.generate and commit it"
    return guarded("bitstreams.generate", lambda: renewed({OUTPUT: generate()}, FOLDER, command, arguments.check))


if __name__ == "__main__":
    sys.exit(main())
