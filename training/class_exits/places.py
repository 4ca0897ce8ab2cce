"""Where a class exit can stand, what it reads there, and what the network costs up to there.

    spots = spots_of(model, 20, (32, 32))                # behind the stem and behind units, at most 20 of them
    features = collect(model, split, spots)              # one pass over a split
    columns = features.columns(spot, keep_previous=True)

A place is the stream behind the stem or a unit: with gates, it is what every image has. Each map is read by a ReLU and
a global average. With KP On an exit reads the maps of all places before too (section 3.2, Fig. 3); of a dense layer,
whose map holds what was before, the new channels alone.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from training.costs import PRICES, spent
from training.costs.counting import Operation

STEM = -1  # the unit of the place behind the stem
PRICED = 256  # images that costs are averaged over
COSTS = "cycles", "flops"  # what time is counted in


@dataclass(frozen=True)
class Spot:
    """A place: the unit it stands behind, the channels of its map, and how many of them, the last, are new there."""

    unit: int
    channels: int
    new: int
    size: tuple  # height, width
    signed: bool = False  # whether its map has negative values


def spots_of(model, most, size):
    """Spots of a Dynamic for images of `size`, all of them or `most` spread evenly (section 3.2: p samples)."""
    backbone, found = model.backbone, []
    size = backbone.stem.output_size(size)
    channels = backbone.units[0].in_channels
    found.append(Spot(STEM, channels, channels, tuple(size)))
    for i, unit in enumerate(backbone.units[:-1]):
        size = unit.output_size(size)
        found.append(Spot(i, unit.out_channels, getattr(unit, "growth", unit.out_channels), tuple(size)))
    chosen = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).round().astype(int))
    return [found[i] for i in chosen]


@dataclass(frozen=True)
class Features:
    """Of N images: each spot's averaged channels, labels, the network's answers; costs up to each spot, and in all."""

    spots: list
    means: list  # of (N, channels) float32
    labels: np.ndarray  # (N,)
    answers: np.ndarray  # (N,) of the network's own end
    until: dict  # measure → (spots,) means: δ_i
    whole: dict  # measure → t

    def reads(self, at, keep_previous):
        """(spot number, channels from the first one on) that an exit at spot number `at` reads."""
        if not keep_previous:
            return [(at, 0)]
        return [(i, self.spots[i].channels - self.spots[i].new) for i in range(at + 1)]

    def columns(self, at, keep_previous):
        """(N, features) of an exit at spot number `at`."""
        return np.concatenate([self.means[i][:, first:] for i, first in self.reads(at, keep_previous)], 1)


@torch.no_grad()
def collect(model, split, spots, priced=True, limit=None):
    """Features of a split's images, at most `limit` of them; the model is not changed. Without `priced` no costs."""
    model.eval()
    wanted = {spot.unit: number for number, spot in enumerate(spots)}
    means, negative = [[] for _ in spots], np.zeros(len(spots), bool)
    answers, labels, ends = [], [], {}

    def watch(out, unit, x):
        if unit in wanted:
            negative[wanted[unit]] |= bool((x < 0).any())
            means[wanted[unit]].append(functional.relu(x).mean((2, 3)).float().cpu().numpy())
            ends[unit] = len(out.parts)

    for images, found in split.plain_batches(250, limit):
        answers.append(model(images, with_exits=False, watch=watch).logits[-1].argmax(1).cpu().numpy())
        labels.append(found.cpu().numpy())
    until, whole = _costs(model, split, spots, ends) if priced else ({}, {})
    spots = [Spot(s.unit, s.channels, s.new, s.size, bool(low)) for s, low in zip(spots, negative)]
    return Features(
        spots, [np.concatenate(one) for one in means], *map(np.concatenate, (labels, answers)), until, whole
    )


def _costs(model, split, spots, ends):
    """(measure → δ of each spot, measure → t), means over the first images."""
    images, _ = next(split.plain_batches(PRICED, PRICED))
    parts = model(images, with_exits=False).parts
    until = {name: np.array([_mean(parts[: ends[spot.unit]], name) for spot in spots]) for name in COSTS}
    return until, {name: _mean(parts, name) for name in COSTS}


def _mean(parts, measure):
    return float(spent(parts, measure).mean())


def exit_cost(features, at, keep_previous, measure, pooled=()):
    """e_i: what an exit at spot number `at` costs every image; spots in `pooled` were read by an exit before it."""
    found, inputs = [], 0
    for i, first in features.reads(at, keep_previous):
        spot = features.spots[i]
        count = spot.channels - first
        inputs += count
        if i not in pooled:
            found += [Operation("affine", count, count, spot.size)] * spot.signed
            found.append(Operation("global_pool", count, count, spot.size))
    found += [Operation("fc", inputs, 1), Operation("gate_layer", 1, 1)]
    return float(sum(PRICES[measure](operation) for operation in found))


def answer_cost(classes, measure):
    """What is added for an image that stops: logits made of the score, and EXIT."""
    return float(
        sum(PRICES[measure](one) for one in (Operation("fc", 1, classes), Operation("exit", classes, classes)))
    )
