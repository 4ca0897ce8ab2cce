"""Engines of other sizes that a board can be built with: its file names them, each is a contract of its own.

    python -m bitstreams.points zedboard                                         # the points that the board has
    python -m bitstreams.points zedboard safe bitstreams.vitis.synth zedboard    # a module, run with that engine
    make synth BOARD=zedboard POINT=safe                                         # the same

The module finds hls/ of these sizes in build/points/BOARD-POINT/, and beside it the packages of packages/ that this
engine holds, priced by its schedule (bitstreams/reprice.py). The shipped engine is a point, too.
"""

import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bitstreams import design, reprice
from hls import isa
from hls.command import tools
from hls.command.arguments import Parser
from hls.command.entry import guarded, say
from hls.errors import UserError
from hls.generate import variant
from hls.package import read as read_package

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "points"
WORDS = 3  # of the command line: board, point, module; what follows is the module's


class Point(NamedTuple):
    """A clock, and sizes of the contract that are not the shipped ones."""

    name: str
    title: str
    clock_mhz: float
    sizes: dict
    hash: str  # of its contract, which its packages must have


def read(board, data=None):
    """Name → Point of a board's file, or of its contents (design.read). UserError."""
    entries = (data or design.read(board)).get("points", {})
    return {
        name: Point(name, entry["title"], entry["clock_mhz"], entry.get("sizes", {}), entry["isa_hash"])
        for name, entry in entries.items()
    }


def point(board, name):
    """A board's Point. UserError for a name that it does not have."""
    found = read(board)
    if name not in found:
        known = f"expected one of {', '.join(found)}" if found else "its file names none"
        raise UserError(f"no point {name!r} of {board}: {known}")
    return found[name]


def running(board, data=None):
    """The board's Point that the running engine is, or None."""
    return next((found for found in read(board, data).values() if found.hash == isa.HASH), None)


def clock_mhz(board, data):
    """Clock of the board's point that the running engine is, or the board's own."""
    found = running(board, data)
    return found.clock_mhz if found else data["clock_mhz"]


def place(board, chosen):
    """The name of a folder for what is made of a board's Point, or of an engine that is none of them."""
    return f"{board}-{chosen.name}" if chosen else board


def asked(board, chosen):
    """What `make` takes for a board's Point, or for an engine that is none of them."""
    return f"BOARD={board}" + (f" POINT={chosen.name}" if chosen else "")


def prepare(board, chosen, build=BUILD):
    """The folder with the point's hls/ and packages/, which is left as it is where it is so already. UserError."""
    folder = Path(build) / place(board, chosen)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as fresh:
        variant.write(fresh, chosen.sizes)
        if not _same(Path(fresh) / "hls", folder / "hls"):  # another process may be running it
            shutil.rmtree(folder / "hls", ignore_errors=True)
            (Path(fresh) / "hls").rename(folder / "hls")
    for path in sorted((ROOT / "packages").glob("*.npz")):
        try:
            reprice_into(folder, path)
        except UserError as error:
            say("bitstreams.points", f"{board}'s {chosen.name} has no package {path.stem}: {error}")
    return folder


def _same(one, other):
    """Whether two folders hold the same files."""
    names = [sorted(path.relative_to(top) for path in top.rglob("*") if path.is_file()) for top in (one, other)]
    return names[0] == names[1] and filecmp.cmpfiles(one, other, names[0], shallow=False)[1:] == ([], [])


def reprice_into(folder, path):
    """The path of a package of this engine as one of the engine in `folder`, in folder/packages/. UserError."""
    target = Path(folder) / "packages" / Path(path).name
    target.parent.mkdir(exist_ok=True)
    try:
        with tempfile.NamedTemporaryFile(suffix=".npz") as parts:
            reprice.save_parts(parts, read_package(path))
            parts.flush()
            command = [sys.executable, "-m", "bitstreams.reprice", parts.name, str(target)]
            made = tools.run(command, cwd=folder, changes=environment(folder))
        if made.returncode:
            raise UserError((made.stderr.splitlines() or ["no message"])[-1])
    except UserError:
        target.unlink(missing_ok=True)  # made of an older one
        raise
    sys.stderr.write(made.stderr)
    return str(target)


def environment(folder):
    """What a process needs to find the point's hls first, and all else here, whatever folder it runs in."""
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(board, chosen, module, arguments, build=BUILD):
    """Become a module of the project with the point's engine: signals and the exit code are its own. No return.

    UserError for one that there is not.
    """
    check_module(module, [Path(build) / place(board, chosen), ROOT])
    folder = prepare(board, chosen, build)
    sys.stdout.flush()
    command = [sys.executable, "-m", module, *arguments]
    os.execve(command[0], command, {**os.environ, **environment(folder)})


def check_module(name, folders):
    """UserError for a name that `python -m` finds nothing to run by in any of the folders."""
    parts = name.split(".")
    files = Path(*parts[:-1], f"{parts[-1]}.py"), Path(*parts, "__main__.py")
    if all(map(str.isidentifier, parts)) and any((folder / file).is_file() for folder in folders for file in files):
        return
    raise UserError(f"no module {name!r} to run: expected one of the project's, such as host.run or export")


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
    parser.add_argument("module", nargs="?", help="such as host.run or export; what follows is the module's")
    given = sys.argv[1:] if argv is None else argv
    arguments = parser.parse_args(given[:WORDS])
    return guarded("bitstreams.points", lambda: _main(arguments, given[WORDS:]))


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
