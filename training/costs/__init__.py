"""What a network costs in more than FLOPs, for losses: a measure is a price of operations (counting.py).

    share = share_of(step, "energy")       # mean over the images, as a share of the whole network's; differentiable

MEASURES names them: a new one is a function from an Operation to its price, and one line here.
"""

import torch

from hls.errors import UserError
from training.costs.counting import UNIT, full, operations
from training.costs.cycles import cycles_of
from training.costs.energy import energy_of
from training.costs.flops import flops_of

MEASURES = {"cycles": cycles_of, "energy": energy_of}
PLAIN = ("flops", "layers")  # what a forward pass has counted anyway
PRICES = MEASURES | {"flops": flops_of}


def check(measure):
    """Raises UserError for an unknown measure."""
    if measure not in (*PLAIN, *MEASURES):
        raise UserError(f"measure = {measure!r}: expected one of {', '.join((*PLAIN, *MEASURES))}")


def share_of(step, measure):
    """Mean cost of a batch as a share of the whole network's: a float64 scalar, differentiable by the decisions.

    flops: of the static network, gates included. layers: every unit costs 1 (Wang et al., JSTSP 2020, section IV-B).
    """
    if measure == "flops":
        return step.out.flops[:, -1].mean() / step.full_flops
    if measure == "layers":
        ran = [part.ran for part in step.out.parts if part.role == UNIT]
        return torch.stack([step.out.flops.new_ones(()) if one is None else one.double().mean() for one in ran]).mean()
    return spent(step.out.parts, measure).mean() / whole(step.out.parts, measure)


def spent(parts, measure):
    """(N,) float64: what each image of a batch cost, gates included; a scalar where no gate decides."""
    price, total = PRICES[measure], 0.0
    for operation, ran in operations(parts):
        total = total + (price(operation) if ran is None else price(operation) * ran.double())
    return torch.as_tensor(total, dtype=torch.float64)


def whole(parts, measure):
    """What the static network costs: all of it, without gates."""
    return float(sum(MEASURES[measure](full(operation)) for operation, _ in operations(parts, gates=False)))
