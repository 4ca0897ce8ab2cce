"""The cheap gate, made for this engine: two small layers on the pooled vector that every unit's input has anyway.

    gate = PooledGate(channels=64, outputs=64, rate=0.5)
    logits, state = gate(x, pooled, state)           # (N, 64)

Its logits are standardised over the batch, as batch norm does, and shifted so that each is positive for about `rate`
of the images: a gate cannot become the same for all images as long as its shift stays moderate, and what training
decides is *which* images it opens for. Both standardisations are folded into the layers at export. It reads the
features and does not shape them: no gradient goes back into the unit's input.

With `pairs` two neighbouring outputs are one decision. The engine multiplies two channels at once (docs/engine.md,
Cost), so an odd number of them costs as much as one more.
"""

import math
from statistics import NormalDist

import torch
from torch import nn
from torch.nn import functional

from hls import cost, isa

HIDDEN = 16
EPSILON = 1e-8  # of variances: logits may be small
SMALL = 1e-4  # of features: what varies by less than its root is lost in 8 bits, and may not count as much as the rest


class PooledGate(nn.Module):
    """standardise → fully connected → ReLU → fully connected → standardise → shift."""

    def __init__(self, channels, outputs, rate=0.5, hidden=HIDDEN, pairs=False):
        super().__init__()
        if not 0 < rate < 1:
            raise ValueError(f"rate {rate}: expected a share between 0 and 1")
        if hidden < 1:
            raise ValueError(f"hidden {hidden}: expected at least one feature")
        # Of each output, the decision that it takes.
        self.chosen = [output // isa.OUT_LANES if pairs else output for output in range(outputs)]
        decisions = self.chosen[-1] + 1
        self.standard_in = nn.BatchNorm1d(channels, affine=False, eps=SMALL)
        self.fc1 = nn.Linear(channels, hidden)
        self.fc2 = nn.Linear(hidden, decisions, bias=False)
        self.standard_out = nn.BatchNorm1d(decisions, affine=False, eps=EPSILON)
        self.shift = nn.Parameter(torch.full((decisions,), NormalDist().inv_cdf(rate)))
        nn.init.kaiming_normal_(self.fc1.weight)
        nn.init.normal_(self.fc2.weight, std=1 / math.sqrt(hidden))

    def forward(self, x, pooled, state):
        """The unit's input (N, C, H, W), its average (N, C), anything → logits (N, outputs), the same state."""
        features = functional.relu(self.fc1(self.standard_in(pooled.detach())))
        return (self.standard_out(self.fc2(features)) + self.shift)[:, self.chosen], state

    def cost(self, size):
        """FLOPs of one decision; the pooled vector is there anyway."""
        hidden, channels = self.fc1.weight.shape
        return cost.fc_flops(channels, hidden) + cost.fc_flops(hidden, len(self.chosen))

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes, standardisations folded."""
        features = graph.linear(pooled, self.fc1, before=self.standard_in, relu=True)
        logits = graph.linear(features, self.fc2, after=self.standard_out, shift=self.shift, outputs=self.chosen)
        return logits, state
