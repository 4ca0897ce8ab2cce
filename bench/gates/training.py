"""What gates cost in training: images a second of a gated step beside those of the plain backbone, in one run.

    python -m bench training

Steps of both kinds take turns on the same noise, for every recipe in training/recipes/ that has gates. Rows:
training.RECIPE.plain_images_per_s, .gated_images_per_s and .gated_over_plain (the median of the turns' ratios).
"""

import dataclasses
import tempfile
import time

import numpy as np

from bench.rows import ROOT
from training.data import Split
from training.loop import Trainer
from training.phases import Phase
from training.recipe import read

BATCH = 128  # images of a step at most, and floats: what a processor trains by
PLAIN = Phase("plain", 1, 0.01, {"classification": {}}, train=("backbone",), gated=False, exits=False)
GATED = Phase("gated", 1, 0.01, {"classification": {}, "need": {}, "cost": {"target": 0.5}})
TURNS, STEPS = 7, 3


def run(rows, folders, options):
    """Add the rows of every recipe."""
    for path in sorted((ROOT / "training" / "recipes").glob("*.toml")):
        plan = read(path)
        if plan.network.layer_gates or plan.network.channel_gates:
            _measure(rows, plan)


def _measure(rows, plan):
    plan = dataclasses.replace(plan, init="", teacher="", batch=min(plan.batch, BATCH), bf16=False)
    rng = np.random.default_rng(plan.seed)
    images = rng.integers(0, 256, (plan.batch * 4, 32, 32, 3), np.uint8)
    split = Split.from_arrays(images, rng.integers(0, 10, len(images)), (0.5,) * 3, (0.25,) * 3, 10)
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        trainers = {
            phase.name: Trainer(dataclasses.replace(plan, phases=(phase,)), [split] * 3, folder, "cpu")
            for phase in (PLAIN, GATED)
        }
        for name, trainer in trainers.items():
            _seconds(trainer, split)  # warms up
            rates[name] = []
        for _ in range(TURNS):
            for name, trainer in trainers.items():
                rates[name].append(STEPS * plan.batch / _seconds(trainer, split))
    ratio = float(np.median(np.array(rates["gated"]) / np.array(rates["plain"])))
    for name, found in rates.items():
        median = float(np.median(found))
        rows.add(f"training.{plan.name}.{name}_images_per_s", median, "images/s", "measured", TURNS * STEPS, None)
    rows.add(f"training.{plan.name}.gated_over_plain", ratio, "ratio", "measured", TURNS * STEPS, None)


def _seconds(trainer, split):
    """How long STEPS steps of a trainer's only phase take."""
    phase = trainer.recipe.phases[0]
    batches = list(split.batches(0, STEPS, trainer.recipe.batch, 1))
    started = time.perf_counter()
    for images, labels in batches:
        trainer._train_step(phase, 1, images, labels)
    return time.perf_counter() - started
