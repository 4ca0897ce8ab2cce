"""Binary branches on a frozen network: for each class a line on the averaged maps, learnt as logistic regression.

    weight, bias = learn(train, labels, held_out, its_labels, targets)    # (targets, features), (targets,)

The network is frozen, so its maps are computed once, and the branches of all classes learn side by side: none shares
anything with another. Each ends where it has not got better on validation images for PATIENCE epochs (section 3.2),
with its best weights. Better is a lower cross-entropy, where the paper has accuracy: what is chosen by is a confidence.
A sigmoid of one score is the paper's softmax of two.
"""

import numpy as np
import torch
from torch.nn import functional

PATIENCE, MOST = 10, 200  # epochs
BATCH, RATE = 256, 0.01


def learn(columns, labels, held_out, held_out_labels, targets, seed=0):
    """(weight (targets, features), bias (targets,)) float64 on the columns as they are, (N, features) float32."""
    mean, std = columns.mean(0), np.maximum(columns.std(0), 1e-6)
    x, held = (torch.from_numpy((one - mean) / std) for one in (columns, held_out))
    wanted, held_wanted = (torch.from_numpy(one[:, None] == np.asarray(targets)) for one in (labels, held_out_labels))
    weight = torch.zeros(len(targets), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(targets), requires_grad=True)
    optimizer, rng = torch.optim.Adam([weight, bias], RATE), np.random.default_rng(seed)
    best, since = _Best(weight, bias), 0
    for _ in range(MOST):
        order = torch.from_numpy(rng.permutation(len(x)))
        for chosen in order.split(BATCH):
            loss = functional.binary_cross_entropy_with_logits(
                functional.linear(x[chosen], weight, bias), wanted[chosen].float(), reduction="sum"
            )
            optimizer.zero_grad()
            (loss / len(chosen)).backward()
            optimizer.step()
        with torch.no_grad():
            scores = functional.linear(held, weight, bias)
            losses = functional.binary_cross_entropy_with_logits(scores, held_wanted.float(), reduction="none").mean(0)
        since = 0 if best.update(losses, weight, bias) else since + 1
        if since == PATIENCE:
            break
    weight, bias = best.weight.double().numpy() / std, best.bias.double().numpy()
    return weight, bias - weight @ mean


class _Best:
    """Of each target the weights with the lowest loss so far."""

    def __init__(self, weight, bias):
        self.losses = torch.full((len(bias),), torch.inf)
        self.weight, self.bias = weight.detach().clone(), bias.detach().clone()

    def update(self, losses, weight, bias):
        """Whether any of them got better."""
        better = losses < self.losses
        self.losses[better] = losses[better]
        self.weight[better], self.bias[better] = weight.detach()[better], bias.detach()[better]
        return bool(better.any())
