"""What recipes ask for: parameters, FLOPs of an image, and the time that an accelerator would train them.

    python -m training estimate training/recipes/papers/iadi/*.toml                   # by FLOPs, at --rate
    python -m training estimate RECIPE.toml --measure --device cuda                   # by steps that are taken here

By FLOPs: a step costs three forward passes of its batch (forward, gradients of maps, gradients of weights), all gates
open; --rate is what the accelerator sustains. Small networks sustain little: their steps wait for launches. --measure
takes some steps of each phase on noise, on this machine's device, and is the better figure where there is one.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from data.sets import DATASETS
from hls.command.arguments import Parser, Real
from hls.command.entry import guarded
from training import loop, recipe
from training.data import Split

CLASSES = {name: len(dataset.classes) for name, dataset in DATASETS.items()} | {"imagenet": 1000}
PASSES = 3  # forward passes that a step's FLOPs come to
RATE, TERAFLOPS = 10.0, Real(0, 1e6, without_least=True)  # that an accelerator sustains, assumed, in TFLOP/s
REHEARSED = 3  # steps of each phase that --measure takes
PLAIN: dict = {"classification": {}}  # terms of a phase that a teacher alone teaches
RANDOM = {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.zero_}


class Unfilled(TorchFunctionMode):
    """Within it new weights are not drawn: what a network costs is known without."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in RANDOM and args:
            return args[0]
        return func(*args, **(kwargs or {}))


def main(argv=None):
    """The exit code."""
    parser = Parser(
        prog="python -m training estimate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("recipes", nargs="+", type=Path, metavar="RECIPE", help="recipes (training/recipes/…/*.toml)")
    parser.add_argument(
        "--rate", type=TERAFLOPS, default=RATE, help="TFLOP/s that it sustains, assumed (default: %(default)s)"
    )
    parser.add_argument("--measure", action="store_true", help="take steps on --device in place of --rate")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    return guarded("training estimate", lambda: _tell(arguments))


def _tell(arguments):
    how = f"measured on {arguments.device}" if arguments.measure else f"modelled at {arguments.rate:g} TFLOP/s"
    print(f"{'recipe':32} {'parameters':>11} {'FLOPs':>9} {'with gates, exits':>18} {'steps':>8}  hours, {how}")
    for path in arguments.recipes:
        plan = recipe.read(path)
        size = outline(plan)
        model = built(plan)
        seconds = (
            measured(plan, *size, arguments.device) if arguments.measure else modelled(plan, model, arguments.rate)
        )
        count = sum(value.numel() for value in model.parameters())
        own, full = float(model.backbone.cost(size[2])), flops(model, size[2])
        steps = sum(phase.steps for phase in plan.phases)
        figures = f"{count:11,} {own / 1e6:8.0f}M {full / 1e6:17.0f}M {steps:8,}"
        print(f"{plan.name:32} {figures}  {seconds / 3600:.2f}", flush=True)
    return 0


def outline(plan):
    """(classes, channels, (height, width)) of a recipe's images, as far as it says them: 10 classes of one's own."""
    if plan.images is None:
        return CLASSES[plan.dataset], 3, (32, 32)
    return CLASSES.get(plan.dataset, 10), plan.images.channels, tuple(plan.images.size)


def built(plan):
    """The Dynamic of a recipe, its weights not drawn."""
    with Unfilled():
        return plan.network.build(*outline(plan)).eval()


def flops(model, size, gated=True, exits=True):
    """FLOPs of an image of `size` where everything runs, gates and exits too."""
    total = float(model.backbone.cost(size))
    for i, (place, unit) in enumerate(zip(model.backbone.places(size), model.backbone.units)):
        layer, channels = model.gates_of(i) if gated else (None, ())
        gates = [gate.gate for gate in channels] + ([layer] if layer is not None else [])
        total += sum(float(gate.cost(place.size)) for gate in gates)
        if exits and str(i) in model.exits:
            total += float(model.exits[str(i)].cost(unit.output_size(place.size)))
    return total


def modelled(plan, model, rate):
    """Seconds of training at `rate` TFLOP/s."""
    size, total = outline(plan)[2], 0.0
    for phase in plan.phases:
        seen = (phase.side, phase.side) if phase.side else size
        total += PASSES * phase.steps * plan.batch * flops(model, seen, phase.gated, phase.exits)
    return total / (rate * 1e12)


def measured(plan, classes, channels, size, device="cpu", steps=REHEARSED):
    """Seconds of training on a device: some steps of each phase on noise are measured.

    What validation and a teacher take is left out.
    """
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (plan.batch, *size, channels), np.uint8)
    labels = random.integers(0, classes, plan.batch)
    noise = Split.from_arrays(pixels, labels, (0.5,) * channels, (0.25,) * channels, classes, device)
    with tempfile.TemporaryDirectory() as folder:
        plan = replace(plan, init="", teacher="", images=None, phases=tuple(map(_untaught, plan.phases)))
        trainer = loop.Trainer(plan, (noise,) * 3, folder, device)
        seconds = trainer.rehearse(steps)
    return sum(phase.steps * each for phase, each in zip(plan.phases, seconds))


def _untaught(phase):
    """A phase without its teacher, who may not be there yet."""
    return replace(phase, terms={name: term for name, term in phase.terms.items() if name != "teacher"} or PLAIN)
