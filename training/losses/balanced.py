"""Exits whose losses weigh alike: w_i = C_o / C_i for every batch (ICCV submission, section 3.2, Eq. 4).

    terms.balanced_exits = {}          # in place of terms.classification, whose exits are the plain sum (JSTSP, Eq. 4)

C_o and C_i are the present losses of the last output and of exit i. They set weights and get no gradient, so that every
classifier has "comparable impact on parameter updating".
"""

from dataclasses import dataclass

from torch.nn import functional

LEAST = 1e-6  # of a loss that divides


@dataclass(frozen=True)
class BalancedExits:
    """L_o + Σ (C_o / C_i) · L_i, cross-entropies."""

    weight: float = 1.0
    smoothing: float = 0.0

    def __call__(self, step):
        """(N, classes) logits and labels → scalar."""
        *branches, last = [
            functional.cross_entropy(logits.float(), step.labels, label_smoothing=self.smoothing)
            for logits in step.out.logits
        ]
        weights = [last.detach() / loss.detach().clamp(min=LEAST) for loss in branches]
        return last + sum(weight * loss for weight, loss in zip(weights, branches))
