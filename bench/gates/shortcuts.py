"""What shortens training, and what does not: small changes of one short run, each alone, on the validation images.

    python -m bench shortcuts --data cifar10=DIR --json rows.jsonl

Every bench/gates/quick/NAME.toml is a run of as many steps. Rows shortcuts.NAME.accuracy, .first_exit (its accuracy,
where there is one) and .processor_minutes, which other work on the machine does not lengthen much. `seed` is the same
run by another seed: what differs by less is chance.
"""

import tempfile
import time
from pathlib import Path

from hls.command.arguments import check_names
from training.data import Split
from training.evaluate import evaluate
from training.loop import Trainer
from training.recipe import read

QUICK = Path(__file__).resolve().parent / "quick"


def run(rows, folders, options):
    """Add the rows of every recipe, or of those of --method; the plain one first."""
    paths = sorted(QUICK.glob("*.toml"), key=lambda path: (path.stem != "plain", path.stem))
    plans = {path.stem: read(path) for path in paths}
    some = plans["plain"]
    splits = Split.load(some.dataset, folders.get(some.dataset), "cpu", some.validation)
    check_names("--method", options.method, plans)
    for name in options.method or plans:
        plan = plans[name]
        figures, minutes = follow(plan, splits)
        found = {"accuracy": (figures["accuracy"], "share"), "processor_minutes": (minutes, "minutes")}
        if len(figures["accuracy_at"]) > 1:
            found["first_exit"] = figures["accuracy_at"][0], "share"
        for key, (value, unit) in found.items():
            rows.add(f"shortcuts.{name}.{key}", value, unit, "measured", figures["images"])


def follow(plan, splits):
    """(figures of the trained network on validation images, processor minutes) of a recipe."""
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(plan, splits, folder, "cpu")
        trainer.run()
        return evaluate(trainer.model, splits[1]), (time.process_time() - started) / 60
