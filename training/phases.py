"""Phases of training: what is trained, by which terms, for how long, and what must hold at the end.

phase = Phase(name="gates", steps=4000, lr=0.05, terms={"classification": {}, "cost": {"target": 0.3}})
lr = learning_rate(phase, step)
check(phase, figures)            # PhaseError where the end is not what the recipe requires
"""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from hls.errors import UserError
from training.dynamic import LAYER
from training.options import whole, within

PARTS = ("backbone", "layer_gates", "channel_gates", "exits")
SCHEDULES = ("constant", "linear", "cosine", "step")
REQUIREMENTS = ("accuracy", "share", "dead_layer_gates", "varying_channels")


class PhaseError(UserError):
    """A phase that failed or cannot be followed; the message is one line."""


@dataclass(frozen=True)
class Phase:
    """One phase; a recipe's [[phases]]."""

    name: str
    steps: int
    lr: float
    terms: dict
    train: tuple = PARTS  # parts that learn; a frozen part's batch statistics stay as they are
    gated: bool = True  # False: every gate is open and costs nothing
    exits: bool = True
    schedule: str = "cosine"
    warmup: int = 0  # steps of linear increase
    bias_lr: float = 1.0  # learning rate of biases and batch norms relative to lr
    gate_lr: float = 1.0  # of the gates
    drop: float = 0.0  # stochastic depth by batch: chance that the last unit is left out, falling to 0 at the first
    units: tuple = ()  # per stage: how many units take part, spread evenly; () for all
    modes: tuple = ()  # chances that an image skips every gated unit, and that it runs them all; () where gates decide
    side: int = 0  # height and width that images are resized to; 0: as they are
    require: dict = field(default_factory=dict)  # figure → [least, most] at the end, on validation images
    prune: bool = False  # at the end, gates that hardly vary become fixed, units that never run or took no part go

    def check(self):
        """Raises PhaseError for values that cannot be followed."""
        for name, values, allowed in (
            ("schedule", (self.schedule,), SCHEDULES),
            ("train", self.train, PARTS),
            ("require", self.require, REQUIREMENTS),
        ):
            for value in values:
                if value not in allowed:
                    raise PhaseError(f"{name} = {value!r} in phase {self.name}: expected one of {', '.join(allowed)}")
        if self.steps < 1 or not 0 < self.lr < math.inf or not self.terms:
            raise PhaseError(f"phase {self.name}: expected at least one step, a learning rate above 0, and terms")
        for name in ("warmup", "bias_lr", "gate_lr", "side"):
            if not 0 <= getattr(self, name) < math.inf:
                raise PhaseError(f"{name} = {getattr(self, name)} in phase {self.name}: expected 0 or more")
        if not 0 <= self.drop < 1:
            raise PhaseError(f"drop = {self.drop} in phase {self.name}: expected a chance from 0 to below 1")
        if not self.train:
            raise PhaseError(f"train = [] in phase {self.name}: expected one or more of {', '.join(PARTS)}")
        if not all(whole(count, 0) for count in self.units):
            raise PhaseError(f"units = {self.units} in phase {self.name}: expected a whole number for each stage")
        chances = all(within(chance, 0, 1) for chance in self.modes)
        if self.modes and (len(self.modes) != 2 or not chances or sum(self.modes) > 1):
            raise PhaseError(f"modes = {self.modes} in phase {self.name}: expected two chances whose sum is at most 1")
        for name, bounds in self.require.items():
            pair = isinstance(bounds, (list, tuple)) and len(bounds) == 2
            if not pair or not within(bounds[0], 0, 1) or not within(bounds[1], bounds[0]):
                raise PhaseError(
                    f"require.{name} = {bounds!r} in phase {self.name}: expected [least, most], the least from 0 to 1"
                )


def learning_rate(phase, step):
    """lr of a step: linear warm-up, then constant, a line to 0, half a cosine, or ÷10 at 1/2 and 3/4."""
    if step < phase.warmup:
        return phase.lr * (step + 1) / phase.warmup
    progress = (step - phase.warmup) / max(1, phase.steps - phase.warmup)
    if phase.schedule == "linear":
        return phase.lr * (1 - progress)
    if phase.schedule == "cosine":
        return phase.lr * 0.5 * (1 + math.cos(math.pi * progress))
    if phase.schedule == "step":
        return phase.lr * (0.1 if progress >= 0.5 else 1) * (0.1 if progress >= 0.75 else 1)
    return phase.lr


def absent(phase, places):
    """Units that take no part in a phase and pass their identity; `places` are the backbone's."""
    out = set()
    if phase.units:
        for stage, start, count in stages(places):
            taking = np.unique(np.round(np.linspace(0, count - 1, min(phase.units[stage], count))).astype(int))
            out |= set(range(start, start + count)) - {start + int(i) for i in taking}
    return out


def left_out(phase, places, rng):
    """Units that pass their identity in one step: the absent ones, and those that stochastic depth drops.

    Huang et al. 2016, Eq. 4, decided for the whole batch, so that the unit is really not computed; a unit that begins
    a stage is never dropped.
    """
    out = absent(phase, places)
    if phase.drop:
        chances = phase.drop * np.arange(1, len(places) + 1) / len(places)
        dropped = {i for i, draw in enumerate(rng.random(len(places))) if draw < chances[i]}
        out |= dropped - {start for _, start, _ in stages(places)}
    return out


def drawn(phase, count, rng):
    """Layer decisions by chance, for `Dynamic.forward(forced=…)`, or None where the gates decide.

    Each of `count` images skips all gated units, runs them all, or runs each with a chance of its own between 0 and 1
    (the sandwich rule of Yu and Huang 2019, section 3.2, image by image): base and whole network are trained at once,
    and each batch norm sees the images that it will see. Channels stay the gates' own decision.
    """
    if not phase.modes:
        return None
    bare, full = phase.modes
    draw, chance = rng.random(count), rng.random(count)
    chance[draw < bare + full] = 1.0
    chance[draw < bare] = 0.0

    def forced(unit, mask, logits):
        if mask != LAYER:
            return None
        keep = rng.random(logits.shape) < chance[:, None]
        return torch.from_numpy(keep).to(logits.device)

    return forced


def extremes(phase):
    """{"bare": …, "full": …}: decisions as `drawn` gives them, for all images alike; {} where the gates decide."""
    return {name: _constant(keep) for name, keep in (("bare", 0.0), ("full", 1.0))} if phase.modes else {}


def _constant(keep):
    return lambda unit, mask, logits: torch.full_like(logits, keep) if mask == LAYER else None


def stages(places):
    """(stage, its first unit, number of units) of each stage."""
    stages = [place.stage for place in places]
    return [(stage, stages.index(stage), stages.count(stage)) for stage in sorted(set(stages))]


def check(phase, figures):
    """Raises PhaseError where a figure of the last validation is outside what the phase requires."""
    for name, (least, most) in phase.require.items():
        if figures[name] is None:
            raise PhaseError(f"phase {phase.name} ended without gates that {name} is counted of")
        if not least <= figures[name] <= most:
            raise PhaseError(
                f"phase {phase.name} ended with {name} {figures[name]:.4g}, its recipe requires {least} … {most}: "
                "the checkpoint before its end is kept; change the phase and train with another --out"
            )
