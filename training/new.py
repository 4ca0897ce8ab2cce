"""Write a recipe for pictures of one's own: size, parts, a network, and steps that suit how many there are.

    python -m training new --data photos/ --depth 20 -o mine.toml
    python -m training new --data photos/ --minutes 5 -o mine.toml     # as many steps as that time has

Prints how long the training will take here, from steps that are measured now. The recipe is meant to be read and
changed.
"""

import argparse
import json
import re
from pathlib import Path

import torch

from data import own
from data.arguments import split
from data.fit import HOWS
from data.sets import DATASETS
from hls.command.arguments import THREADS, Parser, Real, Whole
from hls.command.entry import guarded
from hls.command.outputs import Output
from hls.command.words import counted
from hls.errors import UserError
from training import recipe
from training.estimate import measured

EPOCHS, AT, MOST_EPOCHS = 40, 50_000, 80  # fewer pictures are shown more often: EPOCHS · √(AT / pictures)
BATCHES = ((20_000, 128), (2_000, 64), (0, 32))  # from so many training pictures on
LEAST_STEPS = 20  # of a phase
MINUTES = Real(0, 1e6, without_least=True)
REHEARSED = 4  # steps of a phase that are measured
OVERHEAD = 1.1  # reading, validation, checkpoints
TEXT = """\
# Pictures of one's own. Written by python -m training new; phases: docs/training.md, the rest: docs/own.md.
name = {name}
dataset = {dataset}
batch = {batch}
average = 0.98
crop_pad = {pad}
flip = true  # a mirrored picture is of the same class: false for letters, arrows, left and right hands
validate_every = {validate}
checkpoint_every = {checkpoint}

{images}[network]
backbone = {{ kind = "resnet", depth = {depth} }}
{gates}exits = {{ after = "radi" }}

[[phases]]
name = "backbone"
steps = {steps}
lr = 0.05
warmup = {warmup}
gated = false
train = ["backbone", "exits"]
terms.classification = {{ exits = 0.3, smoothing = 0.1 }}
terms.distillation = {{ weight = 0.1 }}
{phase}"""
IMAGES = """\
[images]
size = [{height}, {width}]
channels = {channels}
fit = {fit}
validation = {validation}
test = {test}
seed = {seed}

"""
GATES = """\
layer_gates = { kind = "pooled", base = 1, rate = 0.7 }
channel_gates = { kind = "pooled", base = 1, masks = ["hidden"], rate = 0.7 }
"""
PHASE = """
[[phases]]
name = "gates"
steps = {steps}
lr = 0.02
terms.classification = {{ exits = 0.3, smoothing = 0.1 }}
terms.distillation = {{ weight = 0.1 }}
terms.cost = {{ weight = 1.0, target = 0.7, ramp = 0.3 }}
terms.need = {{ weight = 0.1 }}
"""


def main(argv=None):
    """Exit code 0 when the recipe was written, 2 for bad input."""
    arguments = _parser().parse_args(argv)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return guarded("training new", lambda: write(arguments))


def _parser():
    raw = argparse.RawTextHelpFormatter
    parser = Parser(prog="python -m training new", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("--data", required=True, help="DIR or SET=DIR: class folders of pictures, or a .npz with images and labels")
    add("-o", "--output", type=Path, required=True, help="the recipe to write (.toml)")
    add("--depth", type=Whole(8, 2000), default=14, help="layers of the ResNet, 6n + 2 (default: %(default)s)")
    add(
        "--size",
        type=Whole(1, 4096),
        help="height and width of the network's pictures (default: their own, at most 64)",
    )
    add("--fit", choices=HOWS, help="how other sizes become that one (default: crop, where it is needed)")
    add("--channels", type=Whole(1), choices=(1, 3), help="1 grey, 3 RGB (default: as the pictures are)")
    add("--static", action="store_true", help="exits alone, no gates")
    add("--epochs", type=Whole(1), help="times each picture is shown in the first phase (default: by their number)")
    add("--minutes", type=MINUTES, help="fewer steps, so that training takes about so long here")
    add("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    return parser


def write(arguments):
    """Follow the parsed command line; the exit code."""
    output = arguments.output
    if output.exists():
        raise UserError(f"{output} is there already: give another -o, or delete it")
    if output.suffix != ".toml":
        raise UserError(f"-o {output}: expected a file .toml")
    with Output(output, "-o") as file:
        return _write(arguments, file)


def _write(arguments, file):
    output = arguments.output
    name, folder = split(arguments.data)
    collection = own.collect(folder)
    size = (arguments.size, arguments.size) if arguments.size is not None else None
    images = own.suggest(collection, size, arguments.fit, arguments.channels)
    parts = own.divide(collection, images)
    counts = [len(labels) for _, labels in parts]
    name = name or dataset_name(folder)
    if name in DATASETS:
        raise UserError(f"{name} is an official data set: copy one of training/recipes, or give --data OTHER={folder}")
    values = _values(arguments, name, images, counts[0])
    plan = _recipe(values, arguments)
    seconds = estimate(plan, len(collection.classes), images)
    if arguments.minutes is not None and seconds > 60 * arguments.minutes:
        values["steps"] = max(round(values["steps"] * 60 * arguments.minutes / seconds), LEAST_STEPS)
        seconds *= sum(phase.steps for phase in _recipe(values, arguments).phases) / sum(p.steps for p in plan.phases)
    file.write(_text(values, arguments))
    print(_told(output, collection, images, counts, seconds, arguments))
    return 0


def dataset_name(folder):
    """A name for the data: the folder's, in letters that any file name takes."""
    path = Path(folder).resolve()
    name = re.sub(r"[^\w.-]+", "-", path.stem if path.is_file() else path.name).strip("-.") or "pictures"
    return f"own-{name}" if name in DATASETS else name


def batch_and_steps(count, epochs=None):
    """Images of a batch, and steps of a phase that shows each of `count` training pictures `epochs` times."""
    batch = min(next(size for least, size in BATCHES if count >= least), count)
    epochs = epochs or min(round(EPOCHS * (AT / count) ** 0.5), MOST_EPOCHS)
    return max(batch, 2), max(epochs * (count // batch), LEAST_STEPS)


def _values(arguments, name, images, count):
    """What the recipe's text needs, for `count` training pictures."""
    batch, steps = batch_and_steps(count, arguments.epochs)
    found = {"name": arguments.output.stem, "dataset": name, "batch": batch, "steps": steps}
    return {**found, "images": images, "depth": arguments.depth}


def images_text(images):
    """The table [images] of a recipe as TOML."""
    height, width = images.size
    rest = {name: getattr(images, name) for name in ("channels", "validation", "test", "seed")}
    return IMAGES.format(height=height, width=width, fit=json.dumps(images.fit), **rest)


def _text(values, arguments):
    """The recipe as TOML."""
    images, steps = values["images"], values["steps"]
    later = max(steps // 2, LEAST_STEPS)
    return TEXT.format(
        name=json.dumps(values["name"], ensure_ascii=False),
        dataset=json.dumps(values["dataset"], ensure_ascii=False),
        batch=values["batch"],
        pad=max(min(images.size) // 10, 1),
        validate=max(steps // 4, LEAST_STEPS),
        checkpoint=max(steps // 4, LEAST_STEPS),
        images=images_text(images),
        depth=values["depth"],
        gates="" if arguments.static else GATES,
        steps=steps,
        warmup=min(max(steps // 20, 1), 200),
        phase="" if arguments.static else PHASE.format(steps=later),
    )


def _recipe(values, arguments):
    """The recipe as training reads it: a text that cannot be followed is never written."""
    return recipe.parse(_text(values, arguments))


def estimate(plan, classes, images):
    """Seconds that training takes here: a few steps of each phase on noise are measured."""
    return OVERHEAD * measured(plan, classes, images.channels, images.size, steps=REHEARSED)


def _told(output, collection, images, counts, seconds, arguments):
    """What was written, for people."""
    kind = "grey" if images.channels == 1 else "RGB"
    size = f"{images.size[0]} × {images.size[1]} {kind}"
    fit = "as they are" if images.fit == "none" else f"by {images.fit}"
    train, validation, test = counts
    return (
        f"{sum(counts)} pictures of {len(collection.classes)} classes: {train} to train, {validation} to validate, "
        f"{test} to test; {size}, {fit}\n"
        f"wrote {output}: {promised(seconds)}\n"
        f"next: python -m training {output} --data {arguments.data} --out runs/{output.stem}"
    )


def promised(seconds):
    """How long a training will take, for people."""
    long = counted(round(seconds / 60), "minute") if seconds >= 90 else counted(round(seconds), "second")
    return f"about {long} of training here, on {counted(torch.get_num_threads(), 'thread')}"
