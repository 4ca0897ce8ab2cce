"""Export a checkpoint: fold, calibrate, quantise, correct, compile; a package for the engine, and ONNX.

python -m export runs/resnet74-ddi/model.pt -o packages/resnet74-ddi.npz --onnx resnet74-ddi.onnx --data DIR
python -m export --arch resnet20 --weights FILE --dataset cifar10 -o packages/resnet20.npz --data DIR
"""

import argparse
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve everything else on small machines

import torch

from data.arguments import HELP, folder_of
from data.parts import check_same, images_for
from data.sets import DATASETS
from export.build import Source, build
from export.calibrate import calibrate
from export.correct import correct
from export.fold import fold
from export.measure import measure
from export.onnx_graph import onnx_model
from export.quantize import quantize
from hls import package as packages
from hls.errors import UserError
from training import published
from training import recipe as recipes
from training.checkpoint import CheckpointError, load_model, read_checkpoint
from training.data import Split
from training.dynamic import Dynamic

CORRECTION = 256  # training images to correct the gates on, all at once in memory
VALIDATION = 5000  # images of the training set kept apart for a published network, as recipes do


def main(argv=None):
    """Exit code 0 when everything was written, 2 for bad input or an interrupt, with nothing half-written."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.checkpoint) == bool(arguments.weights):
        parser.error("give either a CHECKPOINT, or --arch, --weights and --dataset")
    if arguments.weights and not (arguments.arch and arguments.dataset):
        parser.error("--weights needs --arch and --dataset")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        export(arguments)
        return 0
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted: no file is left half-written, run it again", file=sys.stderr)
    return 2


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m export", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("checkpoint", nargs="?", type=Path, help="model.pt or checkpoint.pt of python -m training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the package to write (.npz)")
    parser.add_argument("--onnx", type=Path, help="an ONNX model to write besides")
    parser.add_argument("--data", help=f"{HELP} (default: download)")
    parser.add_argument("--arch", help="a plain network of a published checkpoint, such as resnet20")
    parser.add_argument("--weights", type=Path, help="the published checkpoint (.pt, .pth, .th)")
    sets = ", ".join(sorted(DATASETS))
    parser.add_argument("--dataset", help=f"what the published network was trained on: {sets}, or a name for --data")
    parser.add_argument(
        "--mean", type=_numbers, help="r,g,b of its normalisation, pixels in [0, 1] (default: data set's)"
    )
    parser.add_argument("--std", type=_numbers, help="r,g,b likewise")
    parser.add_argument("--calibration", type=int, default=512, help="training images to calibrate on: %(default)s")
    parser.add_argument("--images", type=int, default=1000, help="validation images to measure on: %(default)s")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    return parser


def _numbers(text):
    return tuple(float(value) for value in text.split(","))


def export(arguments):
    """Follow the parsed command line."""
    for path in filter(None, (arguments.output, arguments.onnx)):
        if not path.resolve().parent.is_dir():
            raise FileNotFoundError(f"no folder {path.resolve().parent} for {path.name}: create it first")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, source, train, validation = _published(arguments) if arguments.weights else _trained(arguments)
    for split in (train, validation):
        split.mean, split.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (source.mean, source.std))
    network = fold(model, train.channels, train.size)
    ranges = calibrate(network, (images for images, _ in train.plain_batches(64, arguments.calibration)))
    quantised = quantize(network, ranges, source.mean, source.std)
    pixels = train.images[: min(arguments.calibration, CORRECTION)]
    quantised = correct(quantised, pixels.permute(0, 2, 3, 1).contiguous().numpy(), train.normalise(pixels))
    draft = build(quantised, source, {})
    accuracy, average = measure(model, quantised, draft, validation, arguments.images)
    package = build(quantised, source, accuracy, average)
    graph = onnx_model(network, _metadata(source)) if arguments.onnx else None
    packages.write(arguments.output, package)
    if graph:
        write_bytes(arguments.onnx, graph.SerializeToString())
    print(table(package, arguments.output))


def _trained(arguments):
    """Model, Source, training and validation part of a training checkpoint."""
    path = arguments.checkpoint
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not {"recipe", "model"} <= set(state):
        raise CheckpointError(f"{path} is not of python -m training: for published weights give --arch and --weights")
    recipe = recipes.from_dict(state["recipe"])
    train, validation, about = _read(recipe.dataset, arguments.data, recipe.validation, recipe.images)
    check_same(about, state.get("data"))
    model = load_model(state, train.classes, train.channels, train.size)
    training = {"recipe": recipe.to_dict(), "pruned": state["pruned"], "metrics": state.get("metrics", {})}
    source = Source(recipe.name, recipe.dataset, about.mean, about.std, about.classes, training, about.stored())
    return model, source, train, validation


def _read(name, given, count, images):
    """Training and validation part of a data set, and its About."""
    train, validation, _ = Split.load(name, folder_of(given, name), "cpu", count, images)
    return train, validation, train.about


def _published(arguments):
    """Model, Source, training and validation part of a published checkpoint."""
    dataset = arguments.dataset
    images = images_for(dataset, folder_of(arguments.data, dataset), channels=3)
    train, validation, about = _read(dataset, arguments.data, VALIDATION, images)
    model = Dynamic(published.load(arguments.weights, arguments.arch, len(about.classes))).eval()
    mean, std = arguments.mean or about.mean, arguments.std or about.std
    if len(mean) != len(about.mean) or len(std) != len(about.std) or min(std) <= 0:
        raise UserError(f"--mean {mean} --std {std}: expected {len(about.mean)} numbers each, the second above 0")
    name, training = f"{arguments.weights.stem}-{dataset}", {"published": arguments.weights.name}
    source = Source(name, dataset, mean, std, about.classes, training, about.stored())
    return model, source, train, validation


def _metadata(source):
    numbers = {key: ",".join(f"{value:g}" for value in getattr(source, key)) for key in ("mean", "std")}
    return {"name": source.name, "dataset": source.dataset, "classes": ",".join(source.classes), **numbers}


def write_bytes(path, data):
    """Write beside the target, then rename over it."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def table(package, path):
    """What was written, for people: accuracy and cost of every exit."""
    accuracy, size = package.meta["accuracy"], path.stat().st_size / 1024
    lines = [f"{package.meta['architecture']} on {package.dataset}: {path}, {size:.0f} KB"]
    lines.append(f"{'exit':24} {'float':>7} {'int8':>7} {'FLOPs, worst case':>18}  {'cycles':>8}")
    for item, before, after in zip(package.exits, accuracy["float"], accuracy["int8"]):
        costs = f"{item['flops'] / 1e6:17.1f}M  {item['cycles']:8d}"
        lines.append(f"{item['name']:24} {before:7.2%} {after:7.2%} {costs}")
    lines.append(f"accuracy on {accuracy['images']} {accuracy['split']} images, int8 by {accuracy['int8_by']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
