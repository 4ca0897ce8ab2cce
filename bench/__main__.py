"""Run one benchmark: its rows go to bench/results/NAME.jsonl, or to a file of their own.

    python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench controls --data cifar10=DIR --data fashion-mnist=DIR
    python -m bench speed --data cifar10=DIR --json rows.jsonl
    python -m bench main_command
    python -m bench densenet
    python -m bench engine
    python -m bench dse
    python -m bench imports
    python -m bench.documents          # put the newest rows into README.md

Figures of the same run are comparable; those of different machines are not.
"""

import argparse
import importlib
import shlex
import sys

from bench.rows import Rows
from data.datasets import DATASETS
from hls.errors import UserError

BENCHMARKS = (
    "packages",
    "controls",
    "speed",
    "main_command",
    "engine",
    "dse",
    "densenet",
    "faults",
    "power",
    "fuzz",
    "rtl",
    "imports",
)


def main(argv=None):
    """Exit code 0, or 2 for bad input."""
    argv = sys.argv[1:] if argv is None else argv
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__, formatter_class=raw)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--data", action="append", default=[], metavar="SET=DIR", help="folder of a data set's archive")
    parser.add_argument("--images", type=int, help="first N test images (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="of the co-simulation (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write the rows here instead of appending to bench/results/")
    options = parser.parse_args(argv)
    folders = dict(item.partition("=")[::2] for item in options.data)
    unknown = sorted(set(folders) - set(DATASETS))
    if unknown:
        print(f"bench: --data {unknown[0]}: expected SET=DIR with SET one of {', '.join(DATASETS)}", file=sys.stderr)
        return 2
    # A path of this machine is nobody else's: the command is kept with DIR in its place.
    shown = [f"{item.partition('=')[0]}=DIR" if item in options.data else item for item in argv]
    rows = Rows(options.name, shlex.join(["python", "-m", "bench", *shown]))
    try:
        importlib.import_module(f"bench.{options.name}").run(rows, folders, options)
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"wrote {rows.write(options.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
