"""What a phase's loss is made of: terms that are added up, each by its own weight.

    terms = build({"classification": {"smoothing": 0.1}, "cost": {"target": 0.5, "weight": 2.0}})
    loss, figures = total(terms, Step(out, labels, full_flops, progress=0.3))

A term is a frozen dataclass with `__call__(step) → scalar tensor`; its fields are its options in a recipe. TERMS names
them.
"""

import dataclasses
import math
import sys
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional

from hls.errors import UserError
from training.costs import check, share_of
from training.dynamic import LAYER, Output
from training.losses.balanced import BalancedExits
from training.losses.rules import BudgetCost, ResourceCost, SignedCost
from training.options import typed, within

SMALLEST = sys.float_info.min  # of numbers above 0


class TermError(UserError):
    """A term that no recipe may ask for; the message is one line."""


class Step(NamedTuple):
    """What a term sees of a training step; N images."""

    out: Output
    labels: torch.Tensor  # (N,)
    full_flops: float  # of the static network
    progress: float  # share of the phase that is done
    taught: torch.Tensor | None = None  # (N, classes) logits of the recipe's teacher


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of the network's own output, and of every exit with weight `exits`.

    exits = 1 is the plain sum of Wang et al., JSTSP 2020, Eq. 4.
    """

    weight: float = 1.0
    exits: float = 1.0
    smoothing: float = 0.0

    def __call__(self, step):
        """(N, classes) logits and labels → scalar."""
        losses = [
            functional.cross_entropy(logits.float(), step.labels, label_smoothing=self.smoothing)
            for logits in step.out.logits
        ]
        return losses[-1] + self.exits * sum(losses[:-1])


@dataclass(frozen=True)
class Distillation:
    """Exits learn from the network's own last output: KL divergence at a temperature (Hinton et al. 2015, 2)."""

    weight: float = 1.0
    temperature: float = 2.0

    def __call__(self, step):
        """Scalar; 0 where there is no exit."""
        target, students = step.out.logits[-1].detach().float(), step.out.logits[:-1]
        if not students:
            return target.new_zeros(())
        return sum(_divergences(students, target, self.temperature))


@dataclass(frozen=True)
class Teacher:
    """Every output learns from another network, the recipe's `teacher`, as in Hinton et al. 2015, 2.

    The exits count by `exits`, the network's own output by 1.
    """

    weight: float = 1.0
    exits: float = 1.0
    temperature: float = 4.0

    def __call__(self, step):
        """Scalar."""
        found = _divergences(step.out.logits, step.taught.float(), self.temperature)
        return found[-1] + self.exits * sum(found[:-1])


def _divergences(students, target, temperature):
    """KL divergence from softened `target` logits (N, classes) of each student's, times the temperature squared."""
    wanted = functional.log_softmax(target / temperature, 1)
    softened = [functional.log_softmax(logits.float() / temperature, 1) for logits in students]
    return [
        temperature**2 * functional.kl_div(student, wanted, reduction="batchmean", log_target=True)
        for student in softened
    ]


@dataclass(frozen=True)
class Cost:
    """Pulls the mean cost of a batch to a target: weight · ((share - target) / target)², one-sided if `only_above`.

    The share is of the static network's, by `measure` (training/costs); the target falls from `start` over the first
    `ramp` of the phase.
    """

    weight: float = 1.0
    target: float = 0.5
    start: float = 1.0
    ramp: float = 0.5
    only_above: bool = False
    measure: str = "flops"

    def __post_init__(self):
        check(self.measure)

    def target_at(self, progress):
        """The share aimed at when `progress` of the phase is done."""
        if self.ramp <= 0:
            return self.target
        return self.start - (self.start - self.target) * min(1.0, progress / self.ramp)

    def __call__(self, step):
        """Scalar, differentiable through the decisions."""
        target = self.target_at(step.progress)
        distance = share_of(step, self.measure) / target - 1
        return (distance.clamp(min=0) if self.only_above else distance).square().float()


@dataclass(frozen=True)
class Opening:
    """How far gates are from letting everything through: Σ over gates of max(0, margin - logit), mean over images."""

    weight: float = 1.0
    margin: float = 1.0

    def __call__(self, step):
        """Scalar."""
        return sum(
            functional.relu(self.margin - decision.logits.float()).sum() / len(decision.logits)
            for decision in step.out.decisions
        )


@dataclass(frozen=True)
class Shaping:
    """Keeps every gate between two rates over a batch: Σ over gates of the squared excess, weight fading to 0."""

    weight: float = 1.0
    least: float = 0.1
    most: float = 0.9
    until: float = 0.5  # share of the phase after which the term is gone
    layers: bool = True
    channels: bool = True

    def __call__(self, step):
        """Scalar."""
        total = step.out.flops.new_zeros(()).float()
        for decision in step.out.decisions:
            if self.layers if decision.mask == LAYER else self.channels:
                rate = torch.sigmoid(decision.logits.float()).mean(0)  # (outputs,)
                excess = functional.relu(self.least - rate) + functional.relu(rate - self.most)
                total = total + excess.square().sum()
        return total * max(0.0, 1 - step.progress / self.until)


@dataclass(frozen=True)
class Need:
    """Layer gates learn which images still need work: those on which the exit before the unit is most wrong.

    The target of a gate that opens for a share r of a batch is 1 for the r·N images with the largest cross-entropy at
    the last exit before its unit (the first exit where none is before it). r is the mean of the gate's present
    probabilities, so that the term says for whom and moves no rate: how much is the cost's affair.
    """

    weight: float = 1.0
    sharpness: float = 2.0

    def __call__(self, step):
        """Scalar; the gradient goes to the gates alone where they read detached features, as the pooled one does."""
        losses = [
            functional.cross_entropy(logits.detach().float(), step.labels, reduction="none")
            for logits in step.out.logits[:-1]
        ]
        total, gates = step.out.flops.new_zeros(()).float(), 0
        for decision in step.out.decisions:
            if decision.mask != LAYER or not losses:
                continue
            before = sum(unit < decision.unit for unit in step.out.exits)
            needed = losses[max(0, before - 1)]
            logits = decision.logits[:, 0].float()
            rank = needed.argsort(descending=True).argsort()  # 0 for the image that is most wrong
            wanted = (rank + 0.5 < torch.sigmoid(self.sharpness * logits.detach()).sum()).float()
            total = total + functional.binary_cross_entropy_with_logits(self.sharpness * logits, wanted)
            gates += 1
        return total / max(1, gates)


TERMS = {
    "classification": Classification,
    "distillation": Distillation,
    "teacher": Teacher,
    "cost": Cost,
    "signed_cost": SignedCost,
    "budget_cost": BudgetCost,
    "resource_cost": ResourceCost,
    "balanced_exits": BalancedExits,
    "opening": Opening,
    "need": Need,
    "shaping": Shaping,
}


BOUNDS = {  # of options, whichever the term: from … to
    **dict.fromkeys(("weight", "exits", "margin"), (0, math.inf)),
    **dict.fromkeys(("smoothing", "least", "most", "ramp"), (0, 1)),
    **dict.fromkeys(("target", "start", "until"), (SMALLEST, 1)),
    **dict.fromkeys(("temperature", "sharpness"), (SMALLEST, math.inf)),
}


def build(options):
    """Terms from a recipe's {name: {option: value}}. Raises TermError, or RecipeError for a value of another type."""
    terms = {}
    for name, values in options.items():
        if name not in TERMS:
            raise TermError(f"unknown term {name!r}: expected one of {', '.join(TERMS)}")
        if not isinstance(values, dict):
            raise TermError(f"terms.{name} = {values!r}: expected its options, {{}} for none")
        known = [field.name for field in dataclasses.fields(TERMS[name])]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise TermError(f"unknown option {unknown[0]!r} of the term {name}: expected {', '.join(known)}")
        terms[name] = _bounded(name, typed(TERMS[name], values, f"the term {name}"))
    return terms


def _bounded(name, values):
    """A term with options that can be followed."""
    for option, value in values.items():
        least, most = BOUNDS.get(option, (None, None))
        if least is not None and not within(value, least, most):
            above = "above 0" if least == SMALLEST else f"{least} or more"
            upper = "" if most == math.inf else f", at most {most}"
            raise TermError(f"{option} = {value} in the term {name}: expected a number, {above}{upper}")
    return TERMS[name](**values)


def total(terms, step):
    """The loss, and each term's own value (before its weight) as a detached tensor by name."""
    values = {name: term(step) for name, term in terms.items()}
    loss = sum(terms[name].weight * value for name, value in values.items())
    return loss, {name: value.detach() for name, value in values.items()}
