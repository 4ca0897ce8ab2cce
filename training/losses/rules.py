"""How the weight α of the resource term is chosen: L + α · E (Wang et al., JSTSP 2020, Eq. 5; Zou et al. 2023, Eq. 5).

terms.budget_cost = { target = 0.5, measure = "energy" }      # α until the budget is reached, then 0
terms.resource_cost = { weight = 0.5 }                        # α as it is
terms.signed_cost = { target = 0.5 }                          # α with a sign by the target

E is what the gates let run, as a share of the whole network times its units, so that papers' values of α fit: a unit's
cost is about 1.
"""

from dataclasses import dataclass

import torch

from training.costs import check, share_of


@dataclass(frozen=True)
class ResourceCost:
    """α · E: how large α is decides how much is skipped (Zou et al. 2023, Eq. 5, and Table 5 for α)."""

    weight: float = 0.5
    measure: str = "flops"

    def __post_init__(self):
        check(self.measure)

    def __call__(self, step):
        """Scalar, differentiable through the decisions."""
        return _executed(step, share_of(step, self.measure))


@dataclass(frozen=True)
class _Targeted:
    """What rules with a target have."""

    weight: float = 2e-4
    target: float = 0.5
    measure: str = "flops"

    def __post_init__(self):
        check(self.measure)


@dataclass(frozen=True)
class BudgetCost(_Targeted):
    """α · E while a batch is above the budget, 0 where it is not (ICCV submission, section 4.1, Train IADI).

    There the two steps alternate: skip until the budget is reached, then let α be 0 and restore accuracy. Here each
    batch takes the step that it needs.
    """

    def __call__(self, step):
        """Scalar."""
        share = share_of(step, self.measure)
        return _executed(step, share) * (share.detach() > self.target)


@dataclass(frozen=True)
class SignedCost(_Targeted):
    """±α · E, α > 0 while more runs than wanted (Wang et al., JSTSP 2020, Eq. 5 and section IV-A)."""

    def __call__(self, step):
        """Scalar."""
        share = share_of(step, self.measure)
        return _executed(step, share) * torch.where(share.detach() > self.target, 1.0, -1.0)


def _executed(step, share):
    """E in units, where `share` of the whole network's cost ran: a scalar."""
    return (share * len(step.out.ran)).float()
