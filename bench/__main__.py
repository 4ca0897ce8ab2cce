"""Run one benchmark: its rows go to bench/results/NAME.jsonl, or to a file of their own.

    python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench controls --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench shortcuts --data cifar10=DIR
    python -m bench pool --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench papers --data cifar10=DIR --data fashion-mnist=DIR --method skipnet
    python -m bench table1 --meter serial:/dev/ttyUSB0 --backend remote:xilinx@192.168.2.99
    python -m bench training
    python -m bench speed --data cifar10=DIR --json rows.jsonl
    python -m bench main_command
    python -m bench densenet
    python -m bench engine
    python -m bench equalise --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench dse
    python -m bench points
    python -m bench newcomer
    python -m bench imports --data cifar10=DIR --files resnet20.th
    python -m bench hls4ml
    python -m bench peers
    python -m bench dynamic
    python -m bench where --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench lockstep
    python -m bench mutants
    python -m bench all                # all documents, tables and figures from the newest rows
    python -m bench all --figure fig9

Figures of the same run are comparable; those of different machines are not.
"""

import argparse
import importlib
import shlex
import sys
from pathlib import Path

from bench.packages import PACKAGES
from bench.rows import Rows, own_file
from data.arguments import HELP, Folders, split
from data.sets import DATASETS
from hls.command.arguments import THREADS, Parser, Whole
from hls.command.entry import guarded
from hls.command.outputs import Output
from hls.errors import UserError
from hls.package import read

BENCHMARKS = {  # name → module of bench
    "packages": "packages",
    "controls": "gates.controls",
    "shortcuts": "gates.shortcuts",
    "pool": "gates.pool",
    "papers": "papers.command",
    "table1": "papers.table1",
    "training": "gates.training",
    "speed": "speed",
    "main_command": "front.main_command",
    "engine": "engine",
    "equalise": "published.equalise",
    "dse": "dse",
    "points": "sizes.points",
    "densenet": "networks.densenet",
    "newcomer": "front.newcomer",
    "faults": "faults",
    "power": "power",
    "fuzz": "fuzz",
    "rtl": "circuits.rtl",
    "lockstep": "circuits.lockstep",
    "imports": "published.imports",
    "hls4ml": "published.peer",
    "peers": "published.runtimes",
    "dynamic": "published.dynamic",
    "where": "published.where",
    "mutants": "mutants",
}


ALL = "all"  # makes documents of rows, and no row


def main(argv=None):
    """Exit code 0, or 2 for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m bench", description=__doc__, formatter_class=raw)
    parser.add_argument("name", choices=[*BENCHMARKS, ALL])
    parser.add_argument("--data", action="append", default=[], metavar="SET=DIR", help=HELP)
    parser.add_argument("--images", type=Whole(1), help="first N test images (default: all)")
    parser.add_argument("--threads", type=THREADS, default=2, help="of the co-simulation (default: %(default)s)")
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help="papers: one of bench/papers/methods.toml; controls, packages, shortcuts, newcomer: a part",
    )
    parser.add_argument("--package", metavar="NAME", help="controls: one of packages/ (default: all)")
    parser.add_argument("--out", type=Path, default="runs/papers", metavar="DIR", help="papers: where runs are kept")
    parser.add_argument("--files", nargs="+", metavar="FILE", help="imports: trained networks, .onnx or resnet20.th")
    parser.add_argument("--meter", metavar="M", help="table1: measure energy, as host/run.py --meter does")
    parser.add_argument("--backend", metavar="B", help="table1: where to run, as host/run.py --backend (default: auto)")
    parser.add_argument("--figure", action="append", metavar="NAME", help="all: one table or figure of docs/figures.md")
    parser.add_argument("--check", action="store_true", help="all: write nothing; fail where something is stale")
    parser.add_argument("--folder", action="append", metavar="NAME", help="mutants: of this one, such as host")
    parser.add_argument("--json", metavar="FILE", help="write the rows here instead of appending to bench/results/")
    options = parser.parse_args(argv)
    return guarded("bench", lambda: _run(options, argv), "interrupted: no row was kept")


def _run(options, argv):
    if options.name == ALL:
        return importlib.import_module("bench.front.page.everything").run(options.figure, options.check)
    folders = Folders(options.data)
    folders.check(sorted({*DATASETS, *(read(path).dataset for path in PACKAGES.glob("*.npz"))}))
    with Output(options.json or own_file(options.name), "--json" if options.json else "") as output:
        rows = Rows(options.name, shlex.join(["python", "-m", "bench", *_shown(argv, options)]))
        try:
            importlib.import_module(f"bench.{BENCHMARKS[options.name]}").run(rows, folders, options)
        except (UserError, KeyboardInterrupt) as error:
            if not (options.json and rows.rows):
                raise
            kept = f"{len(rows.rows)} rows so far are in {rows.write(output)}"
            raise UserError(f"{str(error) or 'interrupted'}; {kept}") from None
        print(f"wrote {rows.write(output if options.json else None)}")
    return 0


def _shown(argv, options):
    """The command with DIR in place of folders, and files by their names: a path of this machine is nobody else's."""
    shown = {item: "=".join((*filter(None, split(item)[:1]), "DIR")) for item in options.data}
    shown |= {item: Path(item).name for item in (*(options.files or ()), *filter(None, [options.json]))}
    shown[str(options.out)] = "DIR"
    return [shown.get(item, item) for item in argv]


if __name__ == "__main__":
    sys.exit(main())
