"""Write bitstreams/boards.json from bitstreams/boards/*.toml; the board's Python 3.10 reads no TOML.

    python -m bitstreams.generate           # write it
    python -m bitstreams.generate --check   # 1 if the committed one is stale

A board's file has exactly the keys of SCHEMA; a value of another type, or an unknown or missing key, is named with its
file.
"""

import argparse
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OUTPUT = FOLDER / "boards.json"
CLOCK_KINDS = ("target", "met", "measured")
_LEVEL = {"published_pj": float, "scale": float, "source": str}  # energy of one access, host/energy_model.py
SCHEMA = {
    "title": str,
    "part": str,
    "clock_mhz": float,
    "clock_kind": str,
    "limits": {"dsp": int, "bram36": int, "bram18": int, "lut": int, "ff": int},
    "memory": {"ddr_mb": int, "axi_hp_ports": int, "axi_hp_bits": int},
    "processing_system": {"preset": str, "cores": int, "core": str, "core_mhz": float},
    "power": {"supply_v": float, "shunt_ohm": float, "connector": str},
    "energy": {
        "kind": str,
        **dict.fromkeys(("mac", "register", "block_ram", "ddr"), _LEVEL),
        "static": {"watt": float, "source": str},
    },
}


class BoardError(ValueError):
    """A board's file that is not as SCHEMA says; the message is one line."""


def read_board(path):
    """The contents of one board's TOML file, checked. BoardError names the file and the key."""
    import tomllib  # Python 3.11; this module's table is not needed on a board

    try:
        board = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise BoardError(f"{path}: {' '.join(str(error).split())}: expected a TOML file") from None
    _check(path, board, SCHEMA, "")
    if board["clock_kind"] not in CLOCK_KINDS:
        raise BoardError(f"{path}: clock_kind is {board['clock_kind']!r}, expected one of {', '.join(CLOCK_KINDS)}")
    if board["limits"]["bram18"] != 2 * board["limits"]["bram36"]:
        raise BoardError(f"{path}: limits.bram18 must be twice limits.bram36 ({board['limits']['bram36']})")
    return board


def _check(path, found, schema, prefix):
    unknown, missing = sorted(set(found) - set(schema)), sorted(set(schema) - set(found))
    if unknown:
        raise BoardError(f"{path}: unknown key {prefix}{unknown[0]}: expected {', '.join(schema)}")
    if missing:
        raise BoardError(f"{path}: no key {prefix}{missing[0]}: add it, as in boards/zedboard.toml")
    for key, kind in schema.items():
        value = found[key]
        if isinstance(kind, dict) and isinstance(value, dict):
            _check(path, value, kind, f"{key}.")
        elif isinstance(kind, dict) or not _is(value, kind):
            name = "table" if isinstance(kind, dict) else {str: "text", int: "count", float: "number"}[kind]
            raise BoardError(f"{path}: {prefix}{key} is {value!r}, expected a {name} above 0 or not empty")


def _is(value, kind):
    if kind is str:
        return isinstance(value, str) and value != ""
    return isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool) and 0 < value < 1e12


def generate(folder=FOLDER / "boards"):
    """The text of boards.json: file name without .toml → its contents. BoardError when there is no board."""
    boards = {path.stem: read_board(path) for path in sorted(Path(folder).glob("*.toml"))}
    if not boards:
        raise BoardError(f"{folder} has no .toml file: expected one per board")
    return json.dumps(boards, indent=2, ensure_ascii=False) + "\n"


def main(argv=None):
    """Write or check boards.json; 0, 1 when it is stale, 2 when a board's file is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the committed file is stale")
    arguments = parser.parse_args(argv)
    try:
        text = generate()
    except BoardError as error:
        print(f"bitstreams.generate: {error}", file=sys.stderr)
        return 2
    if not arguments.check:
        OUTPUT.write_text(text, encoding="utf-8")
        return 0
    if OUTPUT.exists() and OUTPUT.read_text(encoding="utf-8") == text:
        return 0
    print(f"{OUTPUT.name} is stale: run python -m bitstreams.generate and commit it", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
