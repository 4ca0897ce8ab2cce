"""Controls that show whether decisions matter: the same network with decisions fixed, or another image's.

hits, flops, keep = record(model, split)                    # every image's decisions
others, spent = replay(model, split, exchanged(keep))       # the same network with another image's
sparing = higher(model, split, flops=40e6)                  # what its layer gates need to spend as little on average

A network whose accuracy is the same with exchanged decisions has gates for show.
"""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.dynamic import LAYER

BATCH = 250
HALVINGS = 10  # of the range of a layer gate's threshold


@torch.no_grad()
def record(model, split, threshold=0.0, limit=None):
    """(hits (N,) bool, FLOPs (N,) float64, {(unit, mask): (N, outputs) of 0/1}) of the network's own decisions.

    A layer gate opens where its logit is above `threshold`; `limit`: of the first images alone.
    """
    model.eval()
    hits, flops, keep = [], [], {}

    def forced(_, mask, logits):
        return (logits > (threshold if mask == LAYER else 0)).to(logits.dtype)

    for images, labels in split.plain_batches(BATCH, limit):
        out = model(images, with_exits=False, forced=forced)
        hits.append(out.logits[-1].argmax(1) == labels)
        flops.append(out.flops[:, -1])
        for decision in out.decisions:
            keep.setdefault((decision.unit, decision.mask), []).append(decision.keep)
    return torch.cat(hits).numpy(), torch.cat(flops).numpy(), {key: torch.cat(parts) for key, parts in keep.items()}


def higher(model, split, flops, limit=2000):
    """The lowest threshold of the layer gates' logits by which an image costs `flops` or less on average."""
    low, high = 0.0, 8.0  # logits are standardised: none is higher
    if record(model, split, low, limit)[1].mean() <= flops:
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = record(model, split, middle, limit)[1].mean() <= flops
        low, high = (low, middle) if fits else (middle, high)
    return high


@torch.no_grad()
def replay(model, split, keep):
    """(hits (N,) bool, FLOPs (N,)) under given decisions, {(unit, mask): (N or 1, outputs)}."""
    model.eval()
    hits, flops, at = [], [], 0

    def forced(unit, mask, logits):
        given = keep[unit, mask]
        return given.expand_as(logits) if len(given) == 1 else given[at : at + len(logits)]

    for images, labels in split.plain_batches(BATCH):
        out = model(images, with_exits=False, forced=forced)
        hits.append(out.logits[-1].argmax(1) == labels)
        flops.append(out.flops[:, -1])
        at += len(images)
    return torch.cat(hits).numpy(), torch.cat(flops).numpy()


def majority(rates):
    """Every gate's most frequent decision, from keep rates: {(unit, mask): (1, outputs)}."""
    return {key: (rate > 0.5).float()[None] for key, rate in rates.items()}


def exchanged(keep, labels=None, seed=0):
    """Another image's decisions for each image: any other's, or with `labels` one of the same class."""
    rng = np.random.default_rng(seed)
    n = len(next(iter(keep.values())))
    order = np.arange(n)
    groups = [order] if labels is None else [np.flatnonzero(labels == value) for value in np.unique(labels)]
    for members in groups:
        shuffled = rng.permutation(members)
        order[shuffled] = np.roll(shuffled, 1)  # one cycle: nobody keeps his own
    return {key: decisions[torch.from_numpy(order)] for key, decisions in keep.items()}


def paired_p(hits, others):
    """Two-sided exact p-value of McNemar's test: whether two classifiers differ on the same images (N,) bool."""
    better, worse = int((hits & ~others).sum()), int((~hits & others).sum())
    n = better + worse
    if not n:
        return 1.0
    logs = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(min(better, worse) + 1)]
    tail = sum(math.exp(log - n * math.log(2)) for log in logs)
    return min(1.0, 2 * tail)


def pixels_alone(train, test, hidden=0, epochs=10, seed=0):
    """Test accuracy of logistic regression on the pixels, or of an MLP with one layer of `hidden` units; its FLOPs."""
    torch.manual_seed(seed)
    inputs = train.images[0].numel()
    layers = [nn.Linear(inputs, train.classes)]
    if hidden:
        layers = [nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, train.classes)]
    model = nn.Sequential(nn.Flatten(), *layers)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    steps = epochs * (len(train) // 256)
    for step, (images, labels) in enumerate(train.batches(0, steps, 256, seed, pad=0, flip=False)):
        optimizer.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        optimizer.zero_grad()
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    with torch.no_grad():
        right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in test.plain_batches(1000))
    flops = sum(2 * layer.weight.numel() for layer in layers if isinstance(layer, nn.Linear))
    return right / len(test), flops
