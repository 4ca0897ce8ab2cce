"""Export every committed package again from its checkpoint, as a change of the contract asks for; nothing is trained.

python -m export.again --data cifar10=DIR --data fashion-mnist=DIR      # packages/checkpoints/*.pt → packages/*.npz
python -m export.again cifar10 --data cifar10=DIR                       # one of them
"""

import argparse
import sys
from pathlib import Path

from data.arguments import Folders
from data.sets import DATASETS
from export.__main__ import main as export
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from training.checkpoint import CheckpointError, read_checkpoint

PACKAGES = Path(__file__).resolve().parents[1] / "packages"
IMAGES = 5000  # of the validation part, to measure on


def main(argv=None):
    """Exit code 0, or 2 at the first that fails, with its line."""
    arguments = _parser().parse_args(argv)
    return guarded("error", lambda: _export_all(arguments), "interrupted: packages that were done are kept")


def _export_all(arguments):
    folders = Folders(arguments.data)
    folders.check(sorted(DATASETS))
    for path in sorted((PACKAGES / "checkpoints").glob("*.pt")):
        if arguments.names and path.stem not in arguments.names:
            continue
        try:
            dataset = read_checkpoint(path)["recipe"]["dataset"]
        except (CheckpointError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path.name} has no recipe ({error}): train again") from None
        options = ["--data", folders.get(dataset)] if folders.get(dataset) else []
        target = PACKAGES / f"{path.stem}.npz"
        if export([str(path), "-o", str(target), "--images", str(arguments.images), *options]):
            return 2
    return 0


def _parser():
    parser = Parser(prog="python -m export.again", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = sorted(path.stem for path in (PACKAGES / "checkpoints").glob("*.pt"))
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*names, []], help=f"of {', '.join(names)}")
    parser.add_argument("--data", action="append", default=[], metavar="SET=DIR", help="official files")
    parser.add_argument("--images", type=Whole(1), default=IMAGES, help="validation images to measure on: %(default)s")
    return parser


if __name__ == "__main__":
    sys.exit(main())
