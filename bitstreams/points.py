"""Engines of other sizes that a board can be built with: its file names them, each is a contract of its own.

    python -m bitstreams.points zedboard                                         # the points that the board has
    python -m bitstreams.points zedboard safe bitstreams.vitis.synth zedboard    # a module, run with that engine
    make synth BOARD=zedboard POINT=safe                                         # the same

The module runs in a process of its own, which finds hls/ of these sizes in build/points/BOARD-POINT/, and beside it the
committed packages that this engine holds, priced by its schedule (bitstreams/reprice.py). The shipped
engine is a point, too.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from bitstreams import design, reprice
from hls import isa
from hls.command import tools
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.contract import contract_hash
from hls.errors import UserError
from hls.generate import sources, variant
from hls.package import read as read_package

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "points"


class Point(NamedTuple):
    """A clock, and sizes of the contract that are not the shipped ones."""

    name: str
    title: str
    clock_mhz: float
    sizes: dict

    @property
    def hash(self):
        """The hash of its contract, which its packages must have."""
        contract = tomllib.loads(sources.SOURCE.read_text(encoding="utf-8"))
        return contract_hash(variant.changed(contract, self.sizes))


def read(board, data=None):
    """Name → Point of a board's file, or of its contents. UserError for a size that the contract does not have."""
    found = {}
    for name, entry in (data or design.read(board)).get("points", {}).items():
        found[name] = Point(name, entry["title"], entry["clock_mhz"], dict(entry.get("sizes", {})))
        try:
            variant.changed(tomllib.loads(sources.SOURCE.read_text(encoding="utf-8")), found[name].sizes)
        except ValueError as error:
            raise UserError(f"boards/{board}.toml: points.{name}: {error}") from None
    return found


def point(board, name):
    """A board's Point. UserError for a name that it does not have."""
    found = read(board)
    if name not in found:
        known = f"expected one of {', '.join(found)}" if found else "its file names none"
        raise UserError(f"no point {name!r} of {board}: {known}")
    return found[name]


def clock_mhz(board, data):
    """Clock of the board's point that the running engine is, or the board's own."""
    clocks = [found.clock_mhz for found in read(board, data).values() if found.hash == isa.HASH]
    return clocks[0] if clocks else data["clock_mhz"]


def prepare(board, chosen, build=BUILD):
    """The folder with the point's hls/ and packages/, made anew."""
    folder = Path(build) / f"{board}-{chosen.name}"
    shutil.rmtree(folder / "hls", ignore_errors=True)
    (folder / "packages").mkdir(parents=True, exist_ok=True)
    variant.write(folder, chosen.sizes)
    for path in sorted((ROOT / "packages").glob("*.npz")):
        try:
            reprice_into(folder, path.stem)
        except UserError as error:
            print(f"{board}'s {chosen.name} has no package {path.stem}: {error}")
    return folder


def reprice_into(folder, name):
    """The path of folder/packages/NAME.npz, made of the committed package for the engine in `folder`. UserError."""
    parts, target = (Path(folder) / "packages" / f"{name}.{kind}" for kind in ("parts", "npz"))
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    with parts.open("wb") as file:
        reprice.save_parts(file, read_package(ROOT / "packages" / f"{name}.npz"))
    command = [sys.executable, "-m", "bitstreams.reprice", str(parts), str(target)]
    made = tools.run(command, cwd=folder, changes=environment(folder))
    parts.unlink()
    if made.returncode:
        raise UserError((made.stderr.splitlines() or ["no message"])[-1])
    return str(target)


def environment(folder):
    """What a process needs to find the point's hls first, and all else here, whatever folder it runs in."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(board, chosen, module, arguments, build=BUILD):
    """Run a module of the project with the point's engine; its exit code."""
    folder = prepare(board, chosen, build)
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env={**os.environ, **environment(folder)}, check=False).returncode


def listed(board):
    """Lines on the points of a board."""
    for name, found in read(board).items():
        sizes = ", ".join(f"{key} {value}" for key, value in found.sizes.items()) or "the shipped sizes"
        yield f"{name:8} {found.clock_mhz:g} MHz, contract {found.hash}: {found.title} ({sizes})"


def main(argv=None):
    """The module's exit code; 0 for the list; 2 for a board or a point that there is not."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("board", help="one of `make boards`")
    parser.add_argument("point", nargs="?", help="one of the board's (default: list them)")
    parser.add_argument("module", nargs="?", help="such as bitstreams.vitis.synth, host.run or export")
    arguments, rest = parser.parse_known_args(argv)
    return guarded("bitstreams.points", lambda: _main(arguments, rest))


def _main(arguments, rest):
    if arguments.point is None:
        print("\n".join(listed(arguments.board)))
        return 0
    chosen = point(arguments.board, arguments.point)
    if arguments.module is None:
        print(prepare(arguments.board, chosen))
        return 0
    return run(arguments.board, chosen, arguments.module, rest)


if __name__ == "__main__":
    sys.exit(main())
