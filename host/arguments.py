"""The options of host/run.py and host/sweep.py, and what can be refused before anything is read."""

import argparse
import stat
from pathlib import Path

from data.arguments import HELP
from hls import isa
from hls.command.arguments import THREADS, Parser, Real, Whole
from hls.errors import UserError
from host.backends import NAMES
from host.board import catalog
from host.budgets.limit import parse_limit
from host.job import DEFAULT, MOST_NATS

RATE, NATS = Real(0, 1e9, without_least=True), Real(0, MOST_NATS, without_least=True)
SIMULATIONS = ("cosim", "golden")
BUDGETS = "FLOPs (74M, 0.85G), time on the board (1.5ms, 900us), modelled energy (0.8mJ), or none"


def run_parser(text):
    """The parser of host/run.py, whose docstring `text` is."""
    parser = new_parser("host/run.py", text)
    add = parser.add_argument
    add("--budget", default="none", help=f"what an image may spend: {BUDGETS} (default: %(default)s)")
    add(
        "--schedule",
        metavar="FILE",
        help="budgets that change: lines `<images or seconds> <budget>`; - for standard input",
    )
    add(
        "--limit",
        metavar="L",
        help="keep average power (2.9W) or energy an image (0.8mJ) under L by choosing the budget",
    )
    add("--rate", type=RATE, metavar="N", help="images arrive at N a second (default: as fast as they are run)")
    add_common(parser)
    add("--image", nargs="+", metavar="FILE", help="predict pictures in files (PNG, JPEG, WebP, .npy); - for stdin")
    add("--camera", type=Whole(0), metavar="N", help="predict what camera N sees, until Ctrl-C (needs OpenCV)")
    add("--watch", action="store_true", help="show accuracy, images/s, power and exits while it runs")
    add("--layers", action="store_true", help="tell FLOPs, cycles, bytes and share of the time of each layer")
    add("--timeline", metavar="FILE", help="write what ran when as a trace for ui.perfetto.dev, a .json")
    add("--trace", metavar="FILE", help="write the power that --meter saw, a .csv")
    add("--json", metavar="FILE", help="write the result as JSON; - for standard output instead of the table")
    add("--picture", metavar="FILE", help="draw the result, an .svg")
    return parser


def add_common(parser):
    """What run and sweep share: package, images, backend, meter, stopping rule."""
    add = parser.add_argument
    add("--package", default=DEFAULT, metavar="P", help="name in packages/, or a path (default: %(default)s)")
    add("--data", metavar="D", help=f"{HELP} (default: embedded sample, or download)")
    add("--images", type=Whole(1), metavar="N", help="run the first N images (default: all)")
    names = f"{', '.join(NAMES)}, or remote:[USER@]HOST,… for boards over ssh"
    add(
        "--backend",
        type=_backend,
        default="auto",
        metavar="B",
        help=f"{names}; auto: the best here (default: %(default)s)",
    )
    add("--board", default=catalog.DEFAULT, metavar="NAME", help="its clock, energy, bitstream (default: %(default)s)")
    add("--threads", type=THREADS, default=1, metavar="N", help="threads of the co-simulation (default: %(default)s)")
    add("--interrupt", action="store_true", help="on a board: wait for the engine by its interrupt, not by polling")
    add("--energy", metavar="FILE", help="coefficients of modelled energy, as host.energy.fit writes them")
    add("--meter", metavar="M", help="measure energy: serial:/dev/ttyUSB0, visa:ADDRESS or replay:FILE")
    add(
        "--pool",
        type=Whole(1, isa.MAX_POOL),
        metavar="N",
        help="share the budget among any N images in a row: what easy ones leave is lent to hard ones "
        f"(1 to {isa.MAX_POOL}; default: each has its own)",
    )
    add(
        "--average-budget",
        metavar="B",
        help="stop each image at the first exit that is sure enough for it, so that FLOPs keep B (74M) on the average",
    )
    add(
        "--class-exit",
        metavar="NAME",
        help="stop early where an image is surely of this class, at the exits that the package has for it",
    )
    add(
        "--entropy",
        type=NATS,
        metavar="T",
        help="stop at the first exit whose entropy is under T nats (ten classes have at most 2.3); the budget holds",
    )


def new_parser(prog, text):
    """A parser with the first line of a docstring, and with its exit codes."""
    summary, codes = text.splitlines()[0], text.split("Exit codes:")[1]
    return Parser(prog=prog, description=summary, epilog=f"Exit codes:{codes}")


def _backend(text):
    if text in NAMES or (text.startswith("remote:") and len(text) > len("remote:")):
        return text
    raise argparse.ArgumentTypeError(f"unknown backend {text!r}: expected {', '.join(NAMES)} or remote:[USER@]HOST")


def check_common(arguments):
    """What cannot go together. UserError."""
    if arguments.interrupt and arguments.backend in SIMULATIONS:
        raise UserError(f"--interrupt is for a board, not for --backend {arguments.backend}: leave it away")
    if arguments.entropy is not None and arguments.average_budget:
        raise UserError("--entropy and --average-budget both choose when an exit is sure: give one of them")
    if arguments.class_exit is not None and arguments.average_budget:
        raise UserError("--class-exit changes what --average-budget's thresholds were found for: give one of them")


def check_run(arguments):
    """What cannot go together, and files of another kind than their option writes. UserError."""
    check_common(arguments)
    chosen = [name for name in ("schedule", "limit") if getattr(arguments, name)]
    if arguments.budget != "none" and arguments.limit:
        raise UserError("--limit chooses the budget itself: leave --budget away")
    if len(chosen) > 1:
        raise UserError("--schedule and --limit both choose the budget: give one of them")
    if arguments.limit:
        parse_limit(arguments.limit)
    if arguments.pool is not None and (chosen or arguments.budget == "none"):
        raise UserError(f"--pool {arguments.pool} shares one budget: give --budget, without --schedule and --limit")
    if arguments.trace and not arguments.meter:
        raise UserError("--trace writes what a meter saw: give --meter too")
    for option, ending in (("picture", ".svg"), ("trace", ".csv"), ("timeline", ".json")):
        path = getattr(arguments, option)
        if path and Path(path).suffix != ending and not _is_device(path):
            raise UserError(f"--{option} {path} has another ending than {ending}, the only format: name it so")


def _is_device(path):
    """Whether there is a device, a FIFO or a process substitution at `path`, whose name says nothing."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
