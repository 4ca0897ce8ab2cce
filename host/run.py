"""Run a package's network on images under a hard budget, and report what it took.

    python host/run.py --budget 74M                          # the default package on the embedded images
    python host/run.py --package cifar10 --budget 1.5ms --json result.json --picture result.svg

Exit codes: 0 done; 2 bad input or interrupted, with one line that says what to do and no file written; 3 an image spent
more than its budget, which is a fault of the engine.
"""

import argparse
import hashlib
import os
import shlex
import signal
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # a script has its own folder there, which hides no module

import numpy as np

from data.datasets import DATASETS, DataError, load, load_sample
from hls import isa
from hls.package import PackageError, read
from hls.record import Start, decode, explain
from host import boards, budget, picture, report
from host.backend import BackendError
from host.backends import NAMES, choose

PACKAGES = Path(__file__).resolve().parents[1] / "packages"
DEFAULT = "fashion-mnist"
BATCH = 256  # images between two looks at the clock and at Ctrl-C


class InputError(Exception):
    """An argument that cannot be used; the message is one line."""


class EngineError(Exception):
    """An image that the engine could not finish; the message is one line."""


ERRORS = (InputError, EngineError, budget.BudgetError, boards.BoardError, PackageError, DataError, BackendError)


def main(argv=None):
    """Run, report, and give the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser().parse_args(argv)
    try:
        run, images = execute(arguments, shlex.join(["python", "host/run.py", *argv]))
        _write(arguments, run, images)
        return 0
    except report.OverBudget as error:
        return _fail(error, 3)
    except ERRORS as error:
        return _fail(error, 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains when it ends
        return _fail("standard output was closed before the result was printed", 2)
    except OSError as error:
        return _fail(f"{error}: check that the file can be read or written", 2)
    except MemoryError:
        return _fail("not enough memory: give fewer --images", 2)
    except KeyboardInterrupt:
        return _fail("interrupted: nothing was written", 2)


def _fail(message, code):
    _clear_progress()
    print(f"run: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def _parser():
    parser = argparse.ArgumentParser(
        prog="host/run.py",
        description=__doc__.splitlines()[0],
        epilog=f"Exit codes:{__doc__.split('Exit codes:')[1]}",
    )
    add = parser.add_argument
    budgets = "FLOPs (74M, 0.85G), time on the board (1.5ms, 900us), or none"
    add("--budget", default="none", help=f"what an image may spend: {budgets} (default: %(default)s)")
    add("--package", default=DEFAULT, metavar="P", help="name in packages/, or a path (default: %(default)s)")
    add("--data", metavar="D", help="folder or archive of the official data (default: embedded sample, or download)")
    add("--images", type=int, metavar="N", help="run the first N images (default: all)")
    add("--backend", choices=NAMES, default="auto", help="auto: the best that this machine has (default: %(default)s)")
    add("--threads", type=int, default=1, metavar="N", help="threads of the co-simulation (default: %(default)s)")
    add("--json", metavar="FILE", help="write the result as JSON; - for standard output instead of the table")
    add("--picture", metavar="FILE", help="draw the result, an .svg")
    return parser


# --------------------------------------------------------------------------------------------------------------- run
def execute(arguments, command):
    """Run what the arguments ask for: (report.Run, images (N, height, width, channels) uint8). Raises ERRORS."""
    asked = budget.parse(arguments.budget)
    _check_arguments(arguments)
    board = boards.read()
    path = _package_path(arguments.package)
    package = read(path)
    budget.check(asked, package.exits, board)
    flops, cycles = budget.limits(asked, board)
    start = Start(gates=package.gates, classes=package.classes, budget_flops=flops, budget_cycles=cycles)
    images, labels, source = _images(package, arguments)
    with choose(arguments.backend, arguments.threads, _warn) as backend:
        results, seconds = run_batches(backend, package, images, start)
        report.check_spent(results, start)
        run = report.Run(
            package=package,
            package_file=path.name,
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            data=source,
            budget=asked,
            board=board,
            start=start,
            backend=backend.name,
            backend_title=backend.title,
            engine=backend.version,
            threads=backend.threads,
            seconds=seconds,
            command=command,
            results=results,
            labels=labels,
        )
    return run, images


def run_batches(backend, package, images, start):
    """(Results of all images, seconds spent on the backend). EngineError names the first image that failed."""
    records, seconds = [], 0.0
    for at in range(0, len(images), BATCH):
        before = time.perf_counter()
        batch = backend.run(package, images[at : at + BATCH], start)
        seconds += time.perf_counter() - before
        failed = np.flatnonzero(batch[:, isa.RECORD.index("status")] != isa.STATUS_OK)
        if len(failed):
            status, _, pc = (int(word) for word in batch[failed[0], :3])
            raise EngineError(explain(status, pc, at + int(failed[0])))
        batch[:, isa.RECORD.index("image")] += at
        records.append(batch)
        _progress(at + len(batch), len(images), seconds)
    _clear_progress()
    return decode(np.concatenate(records), start), seconds


def _check_arguments(arguments):
    """What can be refused before anything is read."""
    for option, least in (("images", 1), ("threads", 1)):
        value = getattr(arguments, option)
        if value is not None and value < least:
            raise InputError(f"--{option} {value} is too few: give {least} or more")
    if arguments.picture and Path(arguments.picture).suffix != ".svg":
        raise InputError(f"--picture {arguments.picture} has another ending than .svg, the only format: name it so")
    for option in ("json", "picture"):
        path = getattr(arguments, option)
        if path and path != "-" and (not Path(path).parent.is_dir() or Path(path).is_dir()):
            raise InputError(f"--{option} {path} cannot be written: its folder must exist, and it must be a file")


def _package_path(given):
    """The path of a package given by its name in packages/, or by path."""
    if Path(given).is_file():
        return Path(given)
    if not Path(given).suffix and (PACKAGES / f"{given}.npz").is_file():
        return PACKAGES / f"{given}.npz"
    names = ", ".join(sorted(path.stem for path in PACKAGES.glob("*.npz"))) or "none here: make one, python -m export"
    raise InputError(f"no package {given}: expected a path of one, or a name in packages/ ({names})")


def _images(package, arguments):
    """(images (N, height, width, channels) uint8, labels (N,), where they came from) for a package."""
    if package.dataset not in DATASETS:
        known = ", ".join(sorted(DATASETS))
        raise InputError(f"the package is for the data set {package.dataset!r}, expected one of {known}")
    if package.dataset == DEFAULT and not arguments.data:
        (images, labels), source = load_sample(), "the embedded sample of Fashion-MNIST's test set"
    else:
        images, labels = load(package.dataset, "test", arguments.data)
        source = f"the test set of {package.dataset}"
    if images.shape[1:] != package.image_shape:
        found, expected = (" × ".join(map(str, shape)) for shape in (images.shape[1:], package.image_shape))
        raise DataError(f"{source} has images of {found}, the package takes {expected}: give another --package")
    if labels.max() >= package.classes:
        found = f"labels up to {labels.max()}, the package {package.classes} classes"
        raise DataError(f"{source} has {found}: give another --package")
    count = arguments.images or len(images)
    if count > len(images):
        raise InputError(f"--images {count} is more than the {len(images)} of {source}: give at most {len(images)}")
    return images[:count], labels[:count], source


# ------------------------------------------------------------------------------------------------------------ output
def _write(arguments, run, images):
    """The table or JSON, and the picture; files appear whole, once all of them are made."""
    summary = report.summarize(run)
    files = {}
    if arguments.picture:
        files[arguments.picture] = picture.draw(run, summary, images)
    if arguments.json and arguments.json != "-":
        files[arguments.json] = report.json_text(summary)
    for path, text in files.items():
        report.write_text(path, text)
    text = report.json_text(summary) if arguments.json == "-" else report.table(summary) + "\n"
    print(text, end="", flush=True)


def _warn(message):
    print(f"run: {message}", file=sys.stderr)


def _progress(done, total, seconds):
    if sys.stderr.isatty():
        left = seconds / done * (total - done)
        print(f"\r{done:,} of {total:,} images, {left:.0f} s left \033[K", end="", file=sys.stderr, flush=True)


def _clear_progress():
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ended by another program: as by Ctrl-C
    sys.exit(main())
