"""Ranges of activations, seen on training images, and the clipping that 8 bits want.

    ranges = calibrate(network, batches)     # node → Histogram, one for all nodes that share a scale
    clip = ranges[node].best_clip(255)

A value beyond the clip is cut, a smaller clip makes finer steps: the clip chosen has the least mean squared error.
"""

import math

import numpy as np
import torch

from export.float_network import FloatNetwork
from export.graph import Affine, Concat, Convolution, Linear, Pad
from export.integers.scales import groups
from hls.errors import UserError

BINS = 4096
LEAST_WIDTH = 1e-37  # of a bin: float32 divides by it
CANDIDATES = np.linspace(0.2, 1, 81)  # clips to try, as shares of the largest value


class Histogram:
    """Absolute values of one quantity in equal bins; the bins double in width when a larger value comes."""

    def __init__(self):
        self.counts = np.zeros(BINS, np.int64)
        self.width = 0.0
        self.maximum = 0.0
        self.zeros = 0

    def add(self, values):
        """Count a tensor's values. Exact zeros (a ReLU's) cost nothing at any clip and are kept apart.

        Raises UserError for values that are not finite.
        """
        values = _in_memory_order(values.detach()).abs()
        if not values.numel():
            return
        largest = float(values.max())
        if not math.isfinite(largest):  # a maximum is no number where one of the values is none
            raise UserError("the network's activations are not finite: train again, or give an earlier checkpoint")
        values = values.numpy()
        zeros = values.size - np.count_nonzero(values != 0)  # thrice as fast as counting without the comparison
        self.zeros += zeros
        if not largest:
            return
        self.maximum = max(self.maximum, largest)
        if not self.width:
            self.width = max(largest * 1.01 / BINS, LEAST_WIDTH)
        while largest >= self.width * BINS:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.width *= 2
        bins = (values / values.dtype.type(self.width)).astype(np.int16)
        self.counts += np.bincount(np.minimum(bins, BINS - 1, out=bins), minlength=BINS)
        self.counts[0] -= zeros

    def best_clip(self, levels):
        """The clip with the least squared error when [0, clip] gets `levels` steps; 1 if nothing was ever seen."""
        if not self.maximum:
            return 1.0
        centres = (np.arange(BINS) + 0.5) * self.width
        errors = []
        for clip in CANDIDATES * self.maximum:
            cut = np.maximum(centres - clip, 0) ** 2
            rounding = (centres <= clip) * (clip / levels) ** 2 / 12
            errors.append(float((self.counts * (cut + rounding)).sum()))
        return float(CANDIDATES[int(np.argmin(errors))] * self.maximum)

    def percentile(self, share):
        """The value below which `share` of all values lie, zeros among them."""
        target = share * (self.counts.sum() + self.zeros) - self.zeros
        at = int(np.searchsorted(np.cumsum(self.counts), target))
        return min(self.maximum, (min(at, BINS - 1) + 1) * self.width) or 1.0


def _in_memory_order(values):
    """A tensor's values in one row, as they lie in memory: a map with its channels last is not copied."""
    last = values.ndim == 4 and values.is_contiguous(memory_format=torch.channels_last)
    return values.permute(0, 2, 3, 1).flatten() if last else values.flatten()


def calibrate(network, batches):
    """Group (scales.groups) → Histogram of what its nodes compute, over batches of normalised images (N, C, H, W)."""
    ranges, group = {}, groups(network)

    def observe(node, values):
        if isinstance(node, (Convolution, Affine, Concat, Pad, Linear)):  # all others pass on what these computed
            ranges.setdefault(group[node], Histogram()).add(values)

    run = FloatNetwork(network, observe)
    for images in batches:
        run(images)
    return ranges
