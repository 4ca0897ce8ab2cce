"""Export a checkpoint: fold, equalise, calibrate, quantise, correct, compile; a package for the engine, and ONNX.

python -m export runs/resnet74-ddi/model.pt -o packages/resnet74-ddi.npz --onnx resnet74-ddi.onnx --data DIR
python -m export --arch resnet20 --weights FILE --dataset cifar10 -o packages/resnet20.npz --data DIR
"""

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve everything else on small machines

import torch

from data.arguments import HELP, folder_of
from data.parts import check_same, images_for
from data.sets import DATASETS
from export.build import Source, build
from export.calibrate import calibrate
from export.correct import correct
from export.equalise import equalise, peaks
from export.fold import fold
from export.measure import check_expected, measure, surprises
from export.onnx_graph import onnx_model
from export.quantize import quantize
from hls import package as packages
from hls.command.arguments import THREADS, Parser, Real, Several, Whole
from hls.command.entry import guarded
from hls.command.outputs import Outputs
from hls.errors import UserError
from training import published
from training import recipe as recipes
from training.checkpoint import load_model, read_checkpoint
from training.data import Split
from training.dynamic import Dynamic
from training.published import readings

CALIBRATION = 512  # training images, or all where there are fewer
CORRECTION = 256  # training images to correct the gates on, all at once in memory
MEAN, STD = Several(3, Real(-1e6, 1e6)), Several(3, Real(0, 1e6, without_least=True))
PERCENT = Real(1, 100)
VALIDATED = 1000  # validation images that a network of python -m training is measured on


@dataclass(frozen=True)
class Job:
    """What to export, what to calibrate it on, and what to measure it on."""

    model: Dynamic
    source: Source
    train: Split
    held_out: Split  # images that the network was not trained on
    part: str  # their name
    count: int  # how many to measure on
    warnings: tuple = ()


def main(argv=None):
    """Exit code 0 when everything was written, 2 for bad input or an interrupt, with nothing half-written."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.checkpoint) == bool(arguments.weights):
        parser.error("give either a CHECKPOINT, or --arch, --weights and --dataset")
    if arguments.weights and not (arguments.arch and arguments.dataset):
        parser.error("--weights needs --arch and --dataset")
    return guarded("error", lambda: export(arguments), "interrupted: nothing was written, run it again")


def _parser():
    parser = Parser(prog="python -m export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path, help="model.pt or checkpoint.pt of python -m training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the package to write (.npz)")
    parser.add_argument("--onnx", type=Path, help="an ONNX model to write besides")
    parser.add_argument("--data", help=f"{HELP} (default: download)")
    parser.add_argument("--arch", help="a plain network of a published checkpoint, such as resnet20")
    parser.add_argument("--weights", type=Path, help="the published checkpoint (.pt, .pth, .th)")
    sets = ", ".join(sorted(DATASETS))
    parser.add_argument("--dataset", help=f"what the published network was trained on: {sets}, or a name for --data")
    parser.add_argument("--mean", type=MEAN, help="r,g,b of its normalisation, pixels in [0, 1] (default: data set's)")
    parser.add_argument("--std", type=STD, help="r,g,b likewise")
    parser.add_argument(
        "--shortcut",
        choices=("pad", "behind"),
        default="pad",
        help="where a shortcut's zero channels are in a published network: on both sides, or all behind",
    )
    parser.add_argument(
        "--expect",
        type=PERCENT,
        metavar="PERCENT",
        help="accuracy that the network has, such as 91.7; write nothing where it is missed",
    )
    parser.add_argument("--calibration", type=Whole(1), help=f"training images to calibrate on (usually {CALIBRATION})")
    parser.add_argument(
        "--images",
        type=Whole(1),
        help=f"images to measure on (usually {VALIDATED} of validation; of an import all test images)",
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
    files = {"--output": arguments.output, "--onnx": arguments.onnx}
    with Outputs(files, [arguments.checkpoint, arguments.weights]) as outputs:
        _export(arguments, outputs)
    return 0


def _export(arguments, outputs):
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    job = _published(arguments) if arguments.weights else _trained(arguments)
    for text in job.warnings:
        _warn(text)
    source, train = job.source, job.train
    calibration = _count("--calibration", arguments.calibration, CALIBRATION, train)
    count = _count("--images", arguments.images, job.count, job.held_out)
    for split in (train, job.held_out):
        split.mean, split.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (source.mean, source.std))
    network = fold(job.model, train.channels, train.size)
    seen = [images for images, _ in train.plain_batches(64, calibration)]
    even = equalise(network, peaks(network, seen))
    quantised = quantize(even, calibrate(even, seen), source.mean, source.std)
    pixels = train.images[: min(calibration, CORRECTION)]
    quantised = correct(quantised, pixels.permute(0, 2, 3, 1).contiguous().numpy(), train.normalise(pixels))
    draft = build(quantised, source, {})
    accuracy, average = measure(quantised, draft, job.held_out, count, job.part, train)
    for text in surprises(accuracy):
        _warn(text)
    if arguments.expect is not None:
        check_expected(accuracy, arguments.expect)
    package = build(quantised, source, accuracy, average)
    graph = onnx_model(network, _metadata(source)) if arguments.onnx else None
    data = packages.encoded(package)
    try:
        outputs.write({"--output": data} | ({"--onnx": graph.SerializeToString()} if graph else {}))
    finally:
        print(table(package, arguments.output, len(data)))


def _warn(text):
    print(f"warning: {text}", file=sys.stderr)


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
    source = Source(recipe.name, recipe.dataset, about.mean, about.std, about.classes, training, about.stored())
    return Job(model, source, train, validation, "validation", VALIDATED)


def _published(arguments):
    """The Job of a published checkpoint: its training has seen all training images, so it is measured on the others."""
    dataset = arguments.dataset
    folder = folder_of(arguments.data, dataset)
    train, _, test = Split.load(dataset, folder, "cpu", 0, images_for(dataset, folder, channels=3))
    about = train.about
    mean, std = arguments.mean or about.mean, arguments.std or about.std
    if len(mean) != len(about.mean) or len(std) != len(about.std):
        raise UserError(f"--mean {mean} --std {std}: expected {len(about.mean)} numbers each")
    backbone = published.load(arguments.weights, arguments.arch, len(about.classes), arguments.shortcut)
    warnings = [text for text in [readings.out_of_range(mean, std)] if text]
    warnings += readings.doubts(backbone, train, mean, std, (about.mean, about.std))
    name, training = f"{arguments.weights.stem}-{dataset}", {"published": arguments.weights.name}
    source = Source(name, dataset, mean, std, about.classes, training, about.stored())
    return Job(Dynamic(backbone).eval(), source, train, test, "test", len(test), tuple(warnings))


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
    seen = accuracy["seen"]
    lines.append(f"{seen['float'][-1]:.2%} in float on {seen['images']} images seen in training")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
