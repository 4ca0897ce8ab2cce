"""What each way of training gates gives, from the same trained backbone, in as many steps.

    python -m bench trials --data cifar10=DIR --checkpoint runs/resnet24-ddi-cifar10/whole.pt

The checkpoint is a run's, stopped where its backbone was done. Every bench/gates/ways/NAME.toml takes the place of the
phases behind it. Rows trials.NAME.*, those of `python -m bench controls`: the network beside its static twin of equal
FLOPs and itself under other decisions, on the test images.
"""

import dataclasses
import tempfile
import tomllib
from pathlib import Path

from bench.gates.controls import Adder, measure
from training.checkpoint import load_model, read_checkpoint
from training.data import Split
from training.loop import Trainer
from training.recipe import from_dict

WAYS = Path(__file__).resolve().parent / "ways"


def run(rows, folders, options):
    """Add the rows of every way."""
    state = read_checkpoint(options.checkpoint)
    plan = from_dict(state["recipe"])
    train, validation, test = Split.load(plan.dataset, folders.get(plan.dataset), "cpu", plan.validation)
    for path in sorted(WAYS.glob("*.toml")):
        model, seconds = follow(way(plan, state, path), state, (train, validation, test))
        add = Adder(rows, f"trials.{path.stem}", len(test), None)
        add.one("minutes", seconds / 60, "minutes")
        measure(add, model, train, test)


def way(plan, state, path):
    """The recipe of a state with a way's phases in place of those that have not begun."""
    done = [dataclasses.asdict(phase) for phase in plan.phases[: state["phase"]]]
    return from_dict({**plan.to_dict(), "phases": [*done, *tomllib.loads(path.read_text(encoding="utf-8"))["phases"]]})


def follow(plan, state, splits):
    """(the trained Dynamic, seconds) of a recipe from a state on."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(dataclasses.replace(plan, init=""), splits, folder, "cpu")
        trainer.resume(state)
        before = trainer.seconds
        trainer.run()
        finished = read_checkpoint(trainer.checkpoint_path)
        return load_model(finished, splits[0].classes, splits[0].channels, splits[0].size), trainer.seconds - before
