"""Where a package goes wrong: float against integer layer by layer, and the golden model against an engine.

    python -m export check mine.npz --data photos/ --source runs/mine/model.pt
    python -m export check model.npz --data DIR --picture check.svg --json check.json
    python -m export check mine.npz --data photos/ --backend remote:zed1   # the golden model and a board

The package's float network is read from what it was made of: --source, or a file of its name beside it. It is
calibrated and quantised again, by the same images, and must come out as the package.

Exit codes: 0 no fault; 2 bad input; 3 a layer beyond its bound, or an engine whose records are not the golden model's.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import torch

from data.arguments import HELP, path_of
from export.check.layers import compare
from export.check.picture import draw
from export.check.records import first_difference
from export.check.report import summary, table
from export.check.source import check_made, found_beside
from export.compile.lower import lower
from export.packing import in_integers
from hls import golden
from hls import package as packages
from hls.command.arguments import THREADS, Parser, Real, Several, Whole
from hls.command.entry import guarded, say
from hls.command.outputs import Outputs
from hls.errors import UserError
from host.backend import BackendMissing
from host.backends import NAMES, open_backend
from host.board import catalog
from training.data import Split

IMAGES, RECORDS = 64, 8  # that networks are compared on; that records are
FAULT = 3
ARCH = "its name, of a published checkpoint (default: the package's)"


class Fault(Exception):
    """The package or the engine is wrong; one line."""


def main(argv, job_of):
    """The exit code. `job_of`: arguments of python -m export → its Job."""
    arguments = _parser().parse_args(argv)
    return guarded("export check", lambda: check(arguments, job_of), "interrupted", {Fault: FAULT})


def _parser():
    parser = Parser(prog="python -m export check", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("package", type=Path, help="the package (.npz)")
    add("--data", help=f"{HELP}, that it was made with (default: download)")
    add("--source", type=Path, help="the checkpoint, weights or ONNX file that it was made of")
    add("--arch", help=ARCH)
    add("--shortcut", choices=("pad", "behind"), help="as at its export")
    add("--mean", type=Several(3, Real(-1e6, 1e6)), help="as at its export")
    add("--std", type=Several(3, Real(0, 1e6, without_least=True)), help="as at its export")
    add("--calibration", type=Whole(1), help="as at its export (default: what export usually takes)")
    add("--images", type=Whole(1), default=IMAGES, help="images to compare on (default: %(default)s)")
    add("--records", type=Whole(1), default=RECORDS, help="of them, to compare records on (default: %(default)s)")
    add("--backend", default="cosim", help=f"the engine: {', '.join(NAMES)} or remote:HOST (default: %(default)s)")
    add("--board", default=catalog.DEFAULT, help="of --backend (default: %(default)s)")
    add("--json", metavar="FILE", type=Path, help="write all of it as JSON")
    add("--picture", metavar="FILE", type=Path, help="draw the layers, an .svg")
    add("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    return parser


def check(arguments, job_of):
    """Follow the parsed command line; the exit code."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.picture and arguments.picture.suffix != ".svg":
        raise UserError(f"--picture {arguments.picture} has another ending than .svg, the only format: name it so")
    read = [arguments.package, arguments.source, path_of(arguments.data)]
    with Outputs({"--json": arguments.json, "--picture": arguments.picture}, read) as outputs:
        package = packages.read(arguments.package)
        values = found(package, arguments, job_of)
        contents = {"--json": json.dumps(values, indent=2, ensure_ascii=False) + "\n", "--picture": draw(values)}
        try:
            outputs.write({name: contents[name] for name in contents if name in outputs})
        finally:
            print(table(values))
    beyond, records = values["first_beyond"], values["records"]
    if beyond:
        raise Fault(f"{beyond['layer']} is beyond its bound: its integers are not what its float weights say")
    if records and records["difference"]:
        raise Fault(f"{records['backend']} and the golden model differ, {records['difference']}")
    return 0


def found(package, arguments, job_of):
    """What report.summary gives."""
    source = arguments.source or found_beside(arguments.package, package)
    job = job_of(as_export(package, source, arguments))
    calibration = arguments.calibration or job.parts.calibration
    parts = replace(job.parts, calibration=min(calibration, len(job.parts.train)))
    parts.normalise_by(job.source)
    network8 = in_integers(job.network, job.source, parts)
    share = check_made(package, lower(network8), source)
    made = f"its weights are those of {source}" if not share else f"{share:.3%} of its weights are others by {source}"
    held: Split = parts.held_out
    count = min(arguments.images, len(held))
    pixels = held.images[:count].permute(0, 2, 3, 1).contiguous().numpy()
    comparison = compare(network8, pixels, held.normalise(held.images[:count]))
    records = _records(package, pixels[: arguments.records], arguments)
    return summary(package, made, comparison, held.labels[:count].numpy(), records)


def as_export(package, source, arguments):
    """The arguments of python -m export that made a package of its source."""
    training, is_onnx = package.meta["training"], source.suffix == ".onnx"
    published = "published" in training
    idle = [name for name in ("arch", "shortcut", "mean", "std") if getattr(arguments, name)]
    if idle and not (published or (is_onnx and idle[0] in ("mean", "std"))):
        raise UserError(f"--{idle[0]} changes nothing of {source}, which says it itself: leave it away")
    given = {"data": arguments.data, "mean": arguments.mean, "std": arguments.std, "shortcut": arguments.shortcut}
    given["expect"] = None
    given |= {"dataset": package.dataset if published or is_onnx else None, "weights": source if published else None}
    given |= {"checkpoint": None if published else source}
    given |= {"arch": (arguments.arch or package.meta["architecture"]) if published else None}
    return argparse.Namespace(**given, exits="auto" if is_onnx and len(package.exits) > 1 else None)


def _records(package, pixels, arguments):
    """Records of the golden model and of --backend; None without a compiler for the usual one."""
    try:
        options = {"backend": arguments.backend, "board": arguments.board, "threads": 1, "interrupt": False}
        backend = open_backend(argparse.Namespace(**options), lambda text: say("export check", text))
    except BackendMissing:
        if arguments.backend != "cosim":
            raise
        return None
    with backend:
        start, title = package.start(), backend.title
        records = backend.run(package, pixels, start)
    expected = golden.run(package.program, package.weights, package.tables, pixels, start)
    difference = first_difference(expected, records, start)
    return {"backend": title, "images": len(pixels), "difference": str(difference) if difference else None}
