"""The paper's equations: rates and accuracies from counts, times from rates (section 3.1, Eqs. 1-12).

    counts = count(accepted, arrived, labels, answers, target)
    gamma = counts.rate                                            # Eq. 4 and 12
    average(t, [Stage(delta, e, gamma)])                           # Eq. 3; of several exits Eq. 10 and 11

|V| are all images, k is the target class. Times are in any unit: FLOPs or the engine's cycles.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Counts:
    """What an exit and the network's own end say of the images that arrive at the exit."""

    true_positives: int  # of class k, accepted at the exit
    false_positives: int
    true_negatives: int
    false_negatives: int  # of class k, passed on
    right_target: int  # of class k, passed on, right at the end
    right_others: int  # of V - k, passed on, right at the end
    gone: int = 0  # of class k, accepted at exits before

    @property
    def accepted(self):
        """Images that stop at the exit."""
        return self.true_positives + self.false_positives

    @property
    def rate(self):
        """γ (Eq. 4): accepted images in the number of k's images that arrive (Eq. 12); above 1 nothing is meant."""
        members = self.true_positives + self.false_negatives
        return min(1.0, self.accepted / members) if members else 0.0

    @property
    def hits(self):
        """The share of k's arriving images that stop: the rate without what is falsely accepted."""
        members = self.true_positives + self.false_negatives
        return self.true_positives / members if members else 0.0

    @property
    def accuracy_others(self):
        """Eq. 5: of V - k at the network's own end."""
        return _share(self.right_others, self.true_negatives)

    @property
    def accuracy_exit(self):
        """Eq. 6: of the exit's binary decision."""
        right = self.true_positives + self.true_negatives
        return _share(right, right + self.false_positives + self.false_negatives)

    @property
    def accuracy_target(self):
        """Eq. 7: of k, at exits and end together."""
        early = self.gone + self.true_positives
        return _share(early + self.right_target, early + self.false_negatives)

    @property
    def precision(self):
        """Share of the accepted images that are of k; 1 where there are none."""
        return _share(self.true_positives, self.accepted)


def _share(part, whole):
    return part / whole if whole else 1.0


def count(accepted, arrived, labels, answers, target):
    """Counts of an exit, from bools (N,) of who it accepts and who arrives at it, labels and the network's answers."""
    member, right = labels == target, labels == answers
    passed = arrived & ~accepted
    return Counts(
        true_positives=int((arrived & accepted & member).sum()),
        false_positives=int((arrived & accepted & ~member).sum()),
        true_negatives=int((passed & ~member).sum()),
        false_negatives=int((passed & member).sum()),
        right_target=int((passed & member & right).sum()),
        right_others=int((passed & ~member & right).sum()),
        gone=int((~arrived & member).sum()),
    )


class Stage(NamedTuple):
    """An exit on the way: time from the exit before to here (δ), its own (e), the share of images that stop (γ)."""

    delta: float
    own: float
    rate: float


def average(whole, stages):
    """t'' (Eq. 3, 10, 11): mean time of an image that meets all `stages`, of a network that takes `whole` (t)."""
    if not stages:
        return whole
    first, *others = stages
    return first.delta + first.own + (1 - first.rate) * average(whole - first.delta, others)


def worst(whole, stages):
    """t' (Eq. 1, 2, 8, 9): the time of an image that stops at none of them."""
    return average(whole, [stage._replace(rate=0.0) for stage in stages])


def baseline(labels, answers, target):
    """(β, η): the network's own accuracy on V - k and on k."""
    member, right = labels == target, labels == answers
    return tuple(float(np.mean(right[some])) if some.any() else 1.0 for some in (~member, member))
