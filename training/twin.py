"""The static twin of a dynamic network: the same weights, every decision the same for all images, equal FLOPs.

    twin = static_twin(model, rates, flops, size)     # a Twin, batch norms still the dynamic network's
    renew_statistics(twin, split)                # training/average.py
    retrain(twin, split, steps=400)

What a gate is worth is what the dynamic network has over this twin. Decisions are ranked by how many images they keep,
and taken from the top until the FLOPs are those asked for; the gates' own cost is the twin's to spend. The last unit
taken gets as many hidden channels as still fit. Units that have no gate run for all images, so they go last, and the
first of a stage never: a network whose images leave early spends less than what no gate can close.
"""

import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.dynamic import LAYER

BATCH = 128  # images of a step


class Twin(nn.Module):
    """A backbone some of whose units and channels are gone."""

    def __init__(self, backbone, keep):
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        self.keep = keep  # unit → {mask: (channels,) of 0/1}; a unit that is missing passes its identity

    def forward(self, x):
        """Normalised images (N, C, H, W) → (N, classes) logits."""
        x = self.backbone.stem(x)
        for i, unit in enumerate(self.backbone.units):
            if i not in self.keep:
                x = unit.skip(x)
            else:
                x = unit.run(x, {mask: kept.to(x).expand(len(x), -1) for mask, kept in self.keep[i].items()})
        return self.backbone.head(x)

    def cost(self, size):
        """FLOPs of an image of `size`."""
        return cost_of(self.backbone, self.keep, size)


def cost_of(backbone, keep, size):
    """FLOPs of a backbone with the units and channels of `keep`."""
    total = backbone.stem.cost(size) + backbone.head.cost(size)
    for i, place in enumerate(backbone.places(size)):
        if i in keep:
            active = {mask: int(kept.sum()) for mask, kept in keep[i].items()}
            total += backbone.units[i].cost(place.size, active)
    return total


def static_twin(model, rates, flops, size):
    """The Twin of a Dynamic whose FLOPs for an image of `size` are at most `flops`, and as near as its channels allow.

    `rates`: {(unit, mask): (outputs,) share of images that keep it} (training/evaluate.py).
    """
    backbone, ranked = model.backbone, _ranked(model, rates)
    gated = {unit for _, unit, *_ in ranked}
    ranked = [(1.0, unit, LAYER, 0) for unit in _spare(backbone) if unit not in gated] + ranked
    least = {i: {} for i in range(len(backbone.units)) if not any(i == unit for _, unit, *_ in ranked)}
    low, high = 0, len(ranked)
    while low < high:  # the most decisions from the top that fit
        middle = (low + high + 1) // 2
        fits = cost_of(backbone, _taken(backbone, least, ranked[:middle]), size) <= flops
        low, high = (middle, high) if fits else (low, middle - 1)
    taken = ranked[:low]
    for decision in ranked[low:]:  # and of the others those that still fit
        if cost_of(backbone, _taken(backbone, least, [*taken, decision]), size) <= flops:
            taken.append(decision)
    keep = _taken(backbone, least, taken)
    left = next((unit for _, unit, name, _ in ranked if name == LAYER and unit not in keep), None)
    return Twin(backbone, keep if left is None else _fill(backbone, keep, left, flops, size))


def _spare(backbone):
    """Units that change no shape, so that a network can do without them."""
    widths = [unit.out_channels for unit in backbone.units]
    return [i for i, unit in enumerate(backbone.units) if i and unit.skippable and widths[i] == widths[i - 1]]


def _ranked(model, rates):
    """(rate, unit, mask or LAYER, channel), the most kept first; a channel's rate is its unit's times its own."""
    ranked, layer = [], {unit: rate.item() for (unit, mask), rate in rates.items() if mask == LAYER}
    gated = {unit for unit, mask in rates if mask != LAYER}
    for (unit, mask), kept in rates.items():
        if mask == LAYER and unit not in gated:
            ranked.append((kept.item(), unit, LAYER, 0))
        elif mask != LAYER:
            ranked += [(layer.get(unit, 1.0) * rate, unit, mask, c) for c, rate in enumerate(kept.tolist())]
    return sorted(ranked, key=lambda decision: -decision[0])


def _taken(backbone, least, ranked):
    """Unit → masks, of the units without gates and the decisions taken."""
    keep = {unit: dict(masks) for unit, masks in least.items()}
    for _, unit, name, channel in ranked:
        masks = keep.setdefault(unit, {})
        if name == LAYER:
            continue
        for mask in name.split("+"):
            masks.setdefault(mask, torch.zeros(backbone.units[unit].masks[mask]))[channel] = 1
    return keep


def _fill(backbone, keep, unit, flops, size):
    """The next unit with as many hidden channels as fit."""
    channels = backbone.units[unit].masks["hidden"]
    for count in range(channels, 0, -1):
        mask = (torch.arange(channels) < count).float()
        fuller = keep | {unit: {"hidden": mask}}
        if cost_of(backbone, fuller, size) <= flops:
            return fuller
    return keep


def retrain(model, split, steps, lr=0.02, size=BATCH, seed=0, smoothing=0.0):
    """Train a static model briefly: SGD with Nesterov's momentum, the rate falling to 0."""
    optimizer = torch.optim.SGD(model.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    model.train()
    for step, (images, labels) in enumerate(split.batches(0, steps, size, seed)):
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 20) * (1 - step / steps)
        loss = functional.cross_entropy(model(images), labels, label_smoothing=smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    model.eval()


@torch.no_grad()
def right(model, split, size=250):
    """Of each image of a split, whether a static model is right (N,) bool, and how sure it is (N,) in 0 … 1."""
    model.eval()
    hits, sure = [], []
    for images, labels in split.plain_batches(size):
        largest, labelled = model(images).softmax(1).max(1)
        hits.append((labelled == labels).numpy())
        sure.append(largest.numpy())
    return np.concatenate(hits), np.concatenate(sure)
