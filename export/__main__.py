"""Export a network: fold, calibrate, quantise, correct, compile; a package for the engine, and ONNX.

python -m export runs/resnet74-ddi/model.pt -o packages/resnet74-ddi.npz --onnx resnet74-ddi.onnx --data DIR
python -m export model.onnx -o model.npz --data DIR [--mean 0,0,0 --std 1,1,1] [--exits auto]
python -m export --arch resnet20 --weights FILE --dataset cifar10 -o packages/resnet20.npz --data DIR
"""

import argparse
import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # spinning threads starve everything else on small machines

import torch

from data.datasets import DATASETS, DataError, load
from export.build import Source
from export.fold import fold
from export.onnx_graph import onnx_model
from export.onnx_reader.exits import with_exits
from export.onnx_reader.reading import check_fits, read
from export.packing import Parts, pack
from hls import package as packages
from hls.errors import UserError
from training import published
from training import recipe as recipes
from training.checkpoint import CheckpointError, load_model, read_checkpoint
from training.data import Split
from training.dynamic import Dynamic

VALIDATION = 5000  # images of the training set kept apart for a published network, as recipes do


def main(argv=None):
    """Exit code 0 when everything was written, 2 for bad input or an interrupt, with nothing half-written."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.checkpoint) == bool(arguments.weights):
        parser.error("give either a CHECKPOINT, or --arch, --weights and --dataset")
    if arguments.exits and (arguments.weights or arguments.checkpoint.suffix != ".onnx"):
        parser.error("--exits is for an ONNX file")
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
    parser.add_argument(
        "checkpoint", nargs="?", type=Path, help="model.pt or checkpoint.pt of python -m training, or an ONNX file"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the package to write (.npz)")
    parser.add_argument("--onnx", type=Path, help="an ONNX model to write besides")
    parser.add_argument("--data", type=Path, help="folder with the data set's official files (default: download)")
    parser.add_argument("--arch", help="a plain network of a published checkpoint, such as resnet20")
    parser.add_argument("--weights", type=Path, help="the published checkpoint (.pt, .pth, .th)")
    parser.add_argument("--dataset", choices=sorted(DATASETS), help="what the network was trained on")
    parser.add_argument(
        "--mean", type=_numbers, help="r,g,b of its normalisation, pixels in [0, 1] (default: data set's)"
    )
    parser.add_argument("--std", type=_numbers, help="r,g,b likewise")
    parser.add_argument("--exits", choices=["auto"], help="of an ONNX file: exits behind its residual blocks")
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
    network, source, train, held_out = _source(arguments)
    if arguments.exits:
        network = with_exits(network, train)
    part = "test" if "imported" in source.training else "validation"
    package = pack(network, source, Parts(train, held_out, part, arguments.calibration, arguments.images))
    graph = onnx_model(network, _metadata(source)) if arguments.onnx else None
    packages.write(arguments.output, package)
    if graph:
        write_bytes(arguments.onnx, graph.SerializeToString())
    print(table(package, arguments.output))


def _source(arguments):
    """Network, Source, training images and others to measure on, by the kind of what is given."""
    if arguments.checkpoint and arguments.checkpoint.suffix == ".onnx":
        return _imported(arguments)
    model, source, train, validation = _published(arguments) if arguments.weights else _trained(arguments)
    return fold(model, train.channels, train.size), source, train, validation


def _imported(arguments):
    """The same of an ONNX file; its training may have seen all training images, so it is measured on the others."""
    name = arguments.dataset or _dataset_of(arguments.data)
    dataset = DATASETS[name]
    given = arguments.mean or dataset.mean, arguments.std or dataset.std
    network, mean, std = read(arguments.checkpoint, *given)
    train, _, test = Split.load(name, arguments.data, "cpu", 0)
    check_fits(network, train, dataset.classes)
    train.mean, train.std = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
    training = {"imported": arguments.checkpoint.name}
    return network, Source(f"{network.name}-{name}", name, mean, std, dataset.classes, training), train, test


def _dataset_of(folder):
    """The data set whose files a folder holds."""
    for name in DATASETS if folder else ():
        try:
            load(name, "test", folder)
            return name
        except DataError:
            continue
    raise UserError(f"--data {folder}: give --dataset, one of {', '.join(sorted(DATASETS))}, and its folder as --data")


def _trained(arguments):
    """Model, Source, training and validation part of a training checkpoint."""
    path = arguments.checkpoint
    state = read_checkpoint(path)
    if not isinstance(state, dict) or not {"recipe", "model"} <= set(state):
        raise CheckpointError(f"{path} is not of python -m training: for published weights give --arch and --weights")
    recipe = recipes.from_dict(state["recipe"])
    train, validation, _ = Split.load(recipe.dataset, arguments.data, "cpu", recipe.validation)
    model, dataset = load_model(state, train.classes, train.channels, train.size), DATASETS[recipe.dataset]
    training = {"recipe": recipe.to_dict(), "pruned": state["pruned"], "metrics": state.get("metrics", {})}
    source = Source(recipe.name, recipe.dataset, dataset.mean, dataset.std, dataset.classes, training)
    return model, source, train, validation


def _published(arguments):
    """Model, Source, training and validation part of a published checkpoint."""
    dataset = DATASETS[arguments.dataset]
    model = Dynamic(published.load(arguments.weights, arguments.arch, len(dataset.classes))).eval()
    mean, std = arguments.mean or dataset.mean, arguments.std or dataset.std
    if len(mean) != len(dataset.mean) or len(std) != len(dataset.std) or min(std) <= 0:
        raise UserError(f"--mean {mean} --std {std}: expected {len(dataset.mean)} numbers each, the second above 0")
    train, validation, _ = Split.load(arguments.dataset, arguments.data, "cpu", VALIDATION)
    name, training = f"{arguments.weights.stem}-{arguments.dataset}", {"published": arguments.weights.name}
    source = Source(name, arguments.dataset, mean, std, dataset.classes, training)
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
