"""Export a network: fold, equalise, calibrate, quantise, correct, compile; a package for the engine, and ONNX.

python -m export runs/resnet74-ddi/model.pt -o packages/resnet74-ddi.npz --onnx resnet74-ddi.onnx --data DIR
python -m export model.onnx -o model.npz --data DIR --mean 0,0,0 --std 1,1,1 --exits auto
python -m export --arch resnet20 --weights FILE --dataset cifar10 -o packages/resnet20.npz --data DIR
python -m export mine.npz --hls4ml project              # its static part, for hls4ml (docs/hls4ml.md)
python -m export check mine.npz --data DIR     # where it differs from the float network (export/check/command.py)
"""

import argparse
import importlib
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve everything else on small machines

import torch

from data.arguments import HELP, folder_of, path_of, split
from data.datasets import official
from data.parts import check_same, images_for
from data.sets import DATASETS
from export import graph
from export.build import Source
from export.check.command import main as check
from export.float_network import FloatNetwork
from export.fold import fold
from export.measure import check_expected, surprises
from export.onnx_graph import onnx_model
from export.onnx_reader.exits import with_exits
from export.onnx_reader.reading import Opened, check_fits
from export.packing import CALIBRATION, MEASURED, THOROUGH, Parts, pack, thorough
from hls import package as packages
from hls.command.arguments import THREADS, Parser, Real, Several, Whole
from hls.command.entry import guarded
from hls.command.outputs import Outputs
from hls.errors import UserError
from training import published
from training import recipe as recipes
from training.checkpoint import load_model, read_checkpoint
from training.class_exits.exits import ClassExits
from training.data import Split
from training.dynamic import Dynamic
from training.published import readings

MEAN, STD = Several(3, Real(-1e6, 1e6)), Several(3, Real(0, 1e6, without_least=True))
PERCENT = Real(1, 100)
IMPORTED = 2000  # test images that an ONNX file is measured on, or all with --expect
OF_WEIGHTS, OF_FILES = ("arch", "shortcut"), ("dataset", "mean", "std")  # options of published checkpoints, of ONNX too


@dataclass(frozen=True)
class Job:
    """What to export, the images to calibrate it and to measure it on, and what to say of them."""

    network: graph.Network
    source: Source
    parts: Parts
    warnings: tuple = ()
    whole: graph.Network | None = None  # the network with its class exits, where it has some
    class_exits: dict = field(default_factory=dict)  # how they were chosen, by class


def main(argv=None):
    """Exit code 0 when everything was written, 2 for bad input or an interrupt, with nothing half-written."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["check"]:
        return check(argv[1:], job_of)
    parser = _parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.checkpoint) == bool(arguments.weights):
        parser.error("give either a CHECKPOINT, or --arch, --weights and --dataset")
    if arguments.exits and (arguments.weights or arguments.checkpoint.suffix != ".onnx"):
        parser.error("--exits is for an ONNX file")
    if arguments.weights and not (arguments.arch and arguments.dataset):
        parser.error("--weights needs --arch and --dataset")
    if is_package(arguments.checkpoint):
        _check_alone(parser, arguments)
    elif not arguments.output:
        parser.error("give the package to write: -o FILE.npz")
    elif arguments.checkpoint:
        idle = OF_WEIGHTS if arguments.checkpoint.suffix == ".onnx" else (*OF_WEIGHTS, *OF_FILES)
        for name in idle:
            if getattr(arguments, name):
                parser.error(f"--{name} changes nothing of {arguments.checkpoint}, which says it itself: leave it away")
    return guarded("error", lambda: export(arguments), "interrupted: nothing was written, run it again")


def is_package(path):
    """Whether what is to be exported is a package already."""
    return path is not None and path.suffix == ".npz"


def _check_alone(parser, arguments):
    """Of a package --hls4ml is all there is to write."""
    given = [name for name, value in vars(arguments).items() if value not in (None, False)]
    idle = sorted(set(given) - {"checkpoint", "hls4ml"})
    if arguments.hls4ml is None:
        parser.error(f"{arguments.checkpoint} is a package already: give --hls4ml DIR, or a checkpoint or ONNX file")
    if idle:
        parser.error(f"--{idle[0]} changes nothing of {arguments.checkpoint}, a package already: leave it away")


def _parser():
    parser = Parser(prog="python -m export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "checkpoint",
        nargs="?",
        type=Path,
        help="model.pt or checkpoint.pt of python -m training, an ONNX file, or with --hls4ml a package",
    )
    parser.add_argument("-o", "--output", type=Path, help="the package to write (.npz)")
    parser.add_argument("--onnx", type=Path, help="an ONNX model to write besides")
    parser.add_argument(
        "--hls4ml", type=Path, metavar="DIR", help="an hls4ml project of the static part to write besides, or of P.npz"
    )
    parser.add_argument("--data", help=f"{HELP} (default: download)")
    parser.add_argument("--arch", help="a plain network of a published checkpoint, such as resnet20")
    parser.add_argument("--weights", type=Path, help="the published checkpoint (.pt, .pth, .th)")
    sets = ", ".join(sorted(DATASETS))
    parser.add_argument("--dataset", help=f"what the network was trained on: {sets}, or a name for --data")
    parser.add_argument("--mean", type=MEAN, help="r,g,b of its normalisation, pixels in [0, 1] (default: data set's)")
    parser.add_argument("--std", type=STD, help="r,g,b likewise")
    parser.add_argument(
        "--shortcut",
        choices=("pad", "behind"),
        help="where a shortcut's zero channels are in a published network: on both sides (pad, the default), or "
        "all behind",
    )
    parser.add_argument("--exits", choices=["auto"], help="of an ONNX file: exits behind its residual blocks")
    parser.add_argument(
        "--expect",
        type=PERCENT,
        metavar="PERCENT",
        help="accuracy that the network has, such as 91.7; write nothing where it is missed",
    )
    usual = f"usually {CALIBRATION}; {THOROUGH} of a checkpoint's small images"
    parser.add_argument("--calibration", type=Whole(1), help=f"training images to calibrate on ({usual})")
    parser.add_argument(
        "--images",
        type=Whole(1),
        help=f"images to measure on (usually {MEASURED} of validation; of an ONNX file {IMPORTED} test images; all of "
        "them with --expect, and of published weights)",
    )
    parser.add_argument("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    return parser


def _count(option, asked, usual, split):
    """How many images of `split` to take: those asked for, else the usual number or all there are. UserError."""
    if asked is not None and asked > len(split):
        raise UserError(f"{option} {asked} is more than the {len(split):,} images there are: give at most that")
    return asked or min(usual, len(split))


def export(arguments):
    """Follow the parsed command line."""
    if is_package(arguments.checkpoint):
        _peer(packages.read(arguments.checkpoint), arguments.hls4ml)
        return 0
    files = {"--output": arguments.output, "--onnx": arguments.onnx}
    if arguments.hls4ml:
        projects().check_new(arguments.hls4ml)
    with Outputs(files, [arguments.checkpoint, arguments.weights, path_of(arguments.data)]) as outputs:
        _export(arguments, outputs)
    return 0


def _export(arguments, outputs):
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    job = job_of(arguments)
    for text in job.warnings:
        _warn(text)
    parts = job.parts
    calibration = _count("--calibration", arguments.calibration, parts.calibration, parts.train)
    images = _count("--images", arguments.images, parts.images, parts.held_out)
    parts = replace(parts, calibration=calibration, images=images)
    package = pack(job.whole or job.network, job.source, parts, job.class_exits)
    learnt = "imported" in job.source.training and not job.warnings  # else its images are spoken of already
    for text in surprises(package.meta["accuracy"], learnt):
        _warn(text)
    if arguments.expect is not None:
        check_expected(package.meta["accuracy"], arguments.expect)
    onnx = onnx_model(job.network, _metadata(job.source)).SerializeToString() if arguments.onnx else None
    data = packages.encoded(package)
    try:
        outputs.write({"--output": data} | ({"--onnx": onnx} if onnx else {}))
    finally:
        print(table(package, arguments.output, len(data)))
    if arguments.hls4ml:
        _peer(package, arguments.hls4ml)


def projects():
    """The module that writes hls4ml's projects. UserError where hls4ml is not installed."""
    try:
        return importlib.import_module("export.with_hls4ml.project")
    except ModuleNotFoundError as error:
        raise UserError(f"--hls4ml needs {error.name}: pip install -r requirements/hls4ml.txt") from None


def _peer(package, folder):
    """An hls4ml project of a package's static part."""
    model = projects().write_project(package, folder)
    print(f"{folder}: hls4ml project of {len(model.graph)} layers, the static part of {package.name}")


def _warn(text):
    print(f"warning: {text}", file=sys.stderr)


def job_of(arguments):
    """The Job of the arguments, its images normalised, its network with the exits that are asked for. UserError."""
    job = _job(arguments)
    job.parts.normalise_by(job.source)
    return replace(job, network=with_exits(job.network, job.parts.train)) if arguments.exits else job


def _job(arguments):
    """The Job, by the kind of what is given."""
    if arguments.weights:
        return _published(arguments)
    return _imported(arguments) if arguments.checkpoint.suffix == ".onnx" else _trained(arguments)


def _imported(arguments):
    """The Job of an ONNX file; its training may have seen all training images, so it is measured on the others."""
    path, (name, folder) = arguments.checkpoint, split(arguments.data) if arguments.data else (None, None)
    opened = Opened(path)
    name = arguments.dataset or name or _dataset_of(folder)
    train, _, test = Split.load(name, folder, "cpu", 0, images_for(name, folder, opened.size, opened.channels))
    about = train.about
    given = arguments.mean or about.mean, arguments.std or about.std
    network, mean, std = opened.network(*given)
    warnings = [text for text in [readings.out_of_range(*given)] if text]
    check_fits(network, train, about.classes)
    if (mean, std) == given:  # else the file normalises its pixels itself
        floats = FloatNetwork(network)
        warnings += readings.doubts(lambda x: floats(x).logits[-1], train, mean, std, (about.mean, about.std))
    source = Source(f"{network.name}-{name}", name, mean, std, about.classes, {"imported": path.name}, about.stored())
    images = len(test) if arguments.expect is not None else IMPORTED
    return Job(network, source, Parts(train, test, "test", images=images), tuple(warnings))


def _dataset_of(folder):
    """The official data set whose files a folder holds, or the folder's own name for pictures of one's own."""
    if not folder:
        raise UserError(f"give --data, and --dataset where it is one of {', '.join(sorted(DATASETS))}")
    return official(folder) or Path(folder).resolve().stem


def _trained(arguments):
    """The Job of a training checkpoint."""
    state = read_checkpoint(arguments.checkpoint)
    recipe = recipes.from_dict(state["recipe"])
    folder = folder_of(arguments.data, recipe.dataset)
    train, validation, _ = Split.load(recipe.dataset, folder, "cpu", recipe.validation, recipe.images)
    about = train.about
    check_same(about, state.get("data"))
    model = load_model(state, train.classes, train.channels, train.size)
    training = {"recipe": recipe.to_dict(), "pruned": state["pruned"], "metrics": state.get("metrics", {})}
    mean, std = recipe.mean or about.mean, recipe.std or about.std
    source = Source(recipe.name, recipe.dataset, mean, std, about.classes, training, about.stored())
    placed = ClassExits.of(state, model)
    whole = fold(model, train.channels, train.size, signed=max(mean) > 0, watch=placed.watch)
    parts = Parts(train, validation, "validation", thorough(train))
    return Job(graph.for_class(whole), source, parts, whole=whole, class_exits=placed.told())


def _published(arguments):
    """The Job of a published checkpoint: its training has seen all training images, so it is measured on the others."""
    dataset = arguments.dataset
    folder = folder_of(arguments.data, dataset)
    train, _, test = Split.load(dataset, folder, "cpu", 0, images_for(dataset, folder, channels=3))
    about = train.about
    mean, std = arguments.mean or about.mean, arguments.std or about.std
    if len(mean) != len(about.mean) or len(std) != len(about.std):
        raise UserError(f"--mean {mean} --std {std}: expected {len(about.mean)} numbers each")
    backbone = published.load(arguments.weights, arguments.arch, len(about.classes), arguments.shortcut or "pad")
    warnings = [text for text in [readings.out_of_range(mean, std)] if text]
    warnings += readings.doubts(backbone, train, mean, std, (about.mean, about.std))
    name, training = f"{arguments.weights.stem}-{dataset}", {"published": arguments.weights.name}
    source = Source(name, dataset, mean, std, about.classes, training, about.stored())
    network = fold(Dynamic(backbone).eval(), train.channels, train.size)
    return Job(network, source, Parts(train, test, "test", images=len(test)), tuple(warnings))


def _metadata(source):
    numbers = {key: ",".join(f"{value:g}" for value in getattr(source, key)) for key in ("mean", "std")}
    return {"name": source.name, "dataset": source.dataset, "classes": ",".join(source.classes), **numbers}


def table(package, path, size):
    """What was written, `size` bytes, for people: accuracy and cost of every exit."""
    accuracy = package.meta["accuracy"]
    lines = [f"{package.meta['architecture']} on {package.dataset}: {path}, {size / 1024:.0f} KB"]
    lines.append(f"{'exit':24} {'float':>7} {'int8':>7} {'FLOPs, worst case':>18}  {'cycles':>8}")
    for item, before, after in zip(package.exits, accuracy["float"], accuracy["int8"]):
        costs = f"{item['flops'] / 1e6:17.1f}M  {item['cycles']:8d}"
        lines.append(f"{item['name']:24} {before:7.2%} {after:7.2%} {costs}")
    lines.append(f"accuracy on {accuracy['images']} {accuracy['split']} images, int8 by {accuracy['int8_by']}")
    if package.class_exits:
        lines.append(f"class exits for {', '.join(package.class_exits)}: python host/run.py --class-exit NAME")
    seen = accuracy["seen"]
    lines.append(f"{seen['float'][-1]:.2%} in float on {seen['images']} images seen in training")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
