"""Write a recipe that makes a plain network dynamic: gates and exits at its residual blocks, its weights to begin with.

    python -m training dynamic model.onnx --data photos/ -o mine.toml
    python -m training mine.toml --data photos/ --out runs/mine

Beside mine.toml stands mine.pt, which holds the weights. The recipe has the network layer by layer; training reads it
alone, the ONNX file is not needed any more. First the exits are trained and the network stays as it is, then all of it
learns to skip. A network without residual blocks gets exits alone. The recipe is meant to be read and changed.
"""

import argparse
import json
from pathlib import Path

import torch

from data import own
from data.arguments import HELP, path_of, split
from data.datasets import official
from data.parts import images_for
from export.measure import float_accuracy
from export.onnx_reader import blocks
from export.onnx_reader.reading import Opened, check_fits
from hls import isa
from hls.command.arguments import THREADS, Parser, Real, Several, Whole
from hls.command.entry import guarded, say
from hls.command.outputs import Outputs
from hls.command.words import counted
from hls.errors import UserError
from training import new, published, recipe
from training.data import Split
from training.exits import fits, positions
from training.network import Network
from training.published.readings import HALF, out_of_range

MEASURED = 512  # training images that the network as it is is measured on
LR = 0.01  # of all parts together: the network is trained already
TEXT = """\
# Made dynamic from {file} by python -m training dynamic; phases: docs/training.md, the layers: docs/networks.md.
name = {name}
dataset = {dataset}
init = {init}
mean = {mean}
std = {std}
batch = {batch}
average = 0.98
crop_pad = {pad}
flip = true  # a mirrored picture is of the same class: false for letters, arrows, left and right hands
validate_every = {validate}
checkpoint_every = {validate}

{images}[network]
{gates}{exits}
[network.backbone]
kind = "layers"
{backbone}
{phases}"""
EXIT_PHASE = """
[[phases]]
name = "exits"
steps = {steps}
lr = 0.05
gated = false
train = ["exits"]
terms.classification = {{ exits = 1.0 }}
terms.distillation = {{ weight = 0.5 }}
"""
GATE_PHASE = """
[[phases]]
name = "gates"
steps = {steps}
lr = {lr}
warmup = {warmup}
terms.classification = {{ exits = 0.3 }}
terms.distillation = {{ weight = 0.1 }}
terms.cost = {{ weight = 1.0, target = 0.7, ramp = 0.3 }}
terms.need = {{ weight = 0.1 }}
"""


def main(argv=None):
    """Exit code 0 when recipe and weights were written, 2 for bad input, with neither."""
    arguments = _parser().parse_args(argv)
    return guarded("training dynamic", lambda: write(arguments))


def _parser():
    raw = argparse.RawTextHelpFormatter
    parser = Parser(prog="python -m training dynamic", description=__doc__, formatter_class=raw)
    add = parser.add_argument
    add("model", type=Path, help="an ONNX file of a plain network (docs/networks.md)")
    add("--data", required=True, help=HELP)
    add("-o", "--output", type=Path, required=True, help="the recipe to write (.toml); its weights stand beside it")
    add("--mean", type=Several(3, Real(-1e6, 1e6)), help="r,g,b of its normalisation, pixels in [0, 1]")
    add("--std", type=Several(3, Real(0, 1e6, without_least=True)), help="r,g,b likewise (default: the data set's)")
    add("--static", action="store_true", help="exits alone, no gates")
    add("--epochs", type=Whole(1), help="times each picture is shown in the last phase (default: by their number)")
    add("--minutes", type=new.MINUTES, help="fewer steps, so that training takes about so long here")
    add("--threads", type=THREADS, help="CPU threads (default: torch's choice)")
    return parser


def write(arguments):
    """Follow the parsed command line; the exit code."""
    output = arguments.output
    if output.suffix != ".toml":
        raise UserError(f"-o {output}: expected a file .toml")
    weights = output.with_suffix(".pt")
    for path in (output, weights):
        if path.exists():
            raise UserError(f"{path} is there already: give another -o, or delete it")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    read = [arguments.model, path_of(arguments.data)]
    with Outputs({"-o": output, "the weights": weights}, read) as outputs:
        text, backbone, told = _made(arguments, weights)
        outputs.write({"the weights": published.encoded(backbone), "-o": text})
    print(told)
    return 0


def _made(arguments, weights):
    """(the recipe's text, the backbone with its weights, what to tell of it)."""
    opened, (name, folder) = Opened(arguments.model), split(arguments.data)
    name = name or official(folder) or new.dataset_name(folder)
    images = images_for(name, folder, opened.size, opened.channels)
    train, *_ = Split.load(name, folder, "cpu", 0 if images else 5000, images)
    network, mean, std = opened.network(arguments.mean or train.about.mean, arguments.std or train.about.std)
    check_fits(network, train, train.about.classes)
    train.normalise_by(mean, std)
    found = blocks.parts(network)
    shape = {"classes": train.classes, "channels": train.channels, "size": train.size}
    options = {"kind": "layers", **blocks.described(network, found)}
    backbone = Network(options).build(**shape).backbone.eval()
    blocks.fill(backbone, found)
    places = Places(backbone, train.size, arguments.static)
    batch, steps = new.batch_and_steps(len(train), arguments.epochs)
    values = {"name": arguments.output.stem, "dataset": name, "init": str(weights), "mean": mean, "std": std}
    values |= {"file": arguments.model.name, "batch": batch, "images": images, "steps": steps, "size": train.size}
    plan = recipe.parse(_text(values, options, places))
    seen = own.Images(train.size, channels=train.channels)
    seconds = new.estimate(plan, train.classes, seen)
    if arguments.minutes is not None and seconds > 60 * arguments.minutes:
        values["steps"] = max(round(steps * 60 * arguments.minutes / seconds), 2 * new.LEAST_STEPS)
        fewer = recipe.parse(_text(values, options, places))
        seconds *= sum(phase.steps for phase in fewer.phases) / sum(phase.steps for phase in plan.phases)
    share = _known(network, train, arguments)
    return _text(values, options, places), backbone, _told(arguments, found, places, share, seconds)


def _known(network, train, arguments):
    """The share of training images that the network calls rightly as it is; a warning where it knows few."""
    for text in [out_of_range(arguments.mean, arguments.std)] if arguments.mean and arguments.std else []:
        if text:
            say("training dynamic", f"warning: {text}")
    share = float_accuracy(network, train, min(MEASURED, len(train)))[-1]
    if share < HALF:
        few = f"{share:.1%} of training images are right in float, few for images that a network has learnt"
        say("training dynamic", f"warning: {few}: check --mean, --std, --data and the file")
    return share


class Places:
    """Where gates and exits go: `base` units of each stage without a gate, units that are `gated`, exits `after` units.

    UserError where there is a place for neither.
    """

    def __init__(self, backbone, size, static):
        places, units = backbone.places(size), backbone.units
        first = [i == 0 or place.stage != places[i - 1].stage for i, place in enumerate(places)]
        free = [i for i, unit in enumerate(units) if unit.skippable]
        later = [i for i in free if not first[i]]
        self.base = 1 if later else 0
        self.gated = [] if static else later or free
        self.hidden = [i for i in self.gated if "hidden" in units[i].masks]
        sizes = [unit.output_size(place.size) for unit, place in zip(units, places)]
        good = [
            i for i in range(len(units) - 1) if fits(sizes[i], units[i].out_channels, places[i].stage, isa.LANE_BYTES)
        ]
        self.after = [i for i in positions(places) if i in good] or good[:1]
        if not self.gated and not self.after:
            raise UserError("the network has no block that may be skipped and no map that an exit may stand behind")


# --------------------------------------------------------------------------------------------------------------- text
def _text(values, options, places):
    """The recipe as TOML."""
    steps, images = values["steps"], values["images"]
    phases = EXIT_PHASE.format(steps=max(steps // 4, new.LEAST_STEPS)) if places.after else ""
    later = max(steps // 2, new.LEAST_STEPS)
    phases += GATE_PHASE.format(steps=later, lr=LR, warmup=min(later // 10 + 1, 200)) if places.gated else ""
    return TEXT.format(
        **{key: json.dumps(values[key], ensure_ascii=False) for key in ("name", "dataset", "init", "mean", "std")},
        file=json.dumps(values["file"], ensure_ascii=False),
        batch=values["batch"],
        pad=max(min(values["size"]) // 10, 1),
        validate=max(steps // 4, new.LEAST_STEPS),
        images=new.images_text(images) if images else "",
        gates=_gates_text(places),
        exits=f"exits = {{ after = {places.after} }}\n" if places.after else "",
        backbone="\n".join(f"{name} = {_value(options[name])}" for name in ("name", "stem", "units", "head")),
        phases=phases,
    )


def _gates_text(places):
    kind = f'{{ kind = "pooled", base = {places.base}, rate = 0.7'
    lines = [f"layer_gates = {kind} }}"] if places.gated else []
    lines += [f'channel_gates = {kind}, masks = ["hidden"] }}'] if places.hidden else []
    return "".join(f"{line}\n" for line in lines)


def _value(value, indent=""):
    """A value as TOML; a list of tables or lists one a line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    if isinstance(value, list) and value and isinstance(value[0], (dict, list)):
        inner = indent + "    "
        return "[\n" + "".join(f"{inner}{_value(one, inner)},\n" for one in value) + f"{indent}]"
    return json.dumps(value, ensure_ascii=False)


def _told(arguments, found, places, share, seconds):
    """What was found and written, for people."""
    output, gates = arguments.output, f"gates at {len(places.gated)} of them" if places.gated else "no gates"
    return (
        f"{arguments.model}: {counted(found.residual, 'residual block')}, {gates}, exits behind "
        f"{counted(len(places.after), 'unit')}; "
        f"{share:.1%} of training images right as it is\n"
        f"wrote {output} and {output.with_suffix('.pt')}: {new.promised(seconds)}\n"
        f"next: python -m training {output} --data {arguments.data} --out runs/{output.stem}"
    )
