"""Gates decide at a threshold: take the mean error that quantisation gives their logits out of it.

    network8 = correct(network8, images, normalised)     # training images, as uint8 and as floats

The float and the integer network run side by side, both by the float decisions, block after block. A layer gate's mean
error goes into its threshold, a channel gate's into its bias, in steps of their accumulators.
"""

from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from export import fold, integer


@torch.no_grad()
def correct(network8, images, normalised):
    """A Network8 whose gates are right on average; `images` (N, H, W, C) uint8, `normalised` (N, C, H, W) float32."""
    shape, blocks = network8.shape, []
    if not shape.gates:
        return network8
    x, codes = functional.relu(fold.convolve(normalised, shape.stem)), integer.stem(network8, images)
    state = codes_state = None
    for i, block in enumerate(network8.blocks):
        keep = torch.ones(len(x), dtype=torch.bool)
        channels = torch.ones(len(x), block.shape.channels, dtype=torch.bool)
        if block.embed is not None:
            logit, state = fold.layer_logit(shape, block.shape, x, state)
            found, codes_state = integer.layer_logit(network8, block, codes, codes_state)
            block = replace(block, threshold=int(_mean_error(found[:, None], logit[:, None], network8.decision)[0]))
            keep = logit > 0
        if block.channel_gate is not None:
            logits = fold.channel_logits(block.shape, i, x, keep)
            block = _correct_channels(block, integer.channel_logits(block, codes), logits)
            channels = logits > 0
        blocks.append(block)
        x, codes = fold.run_block(block.shape, i, x, keep, channels), integer.run_block(block, codes, keep, channels)
    return replace(network8, blocks=tuple(blocks))


def _correct_channels(block, found, logits):
    gate = block.channel_gate
    error = _mean_error(found, logits, gate.linear)
    linear = replace(gate.linear, bias=(gate.linear.bias - error).astype(np.int32))
    return replace(block, channel_gate=replace(gate, linear=linear))


def _mean_error(found, logits, layer):
    """(out,) int64: mean of accumulators (N, out) less float logits (N, out), in steps; 0 for a row of zeros."""
    unit = np.where(layer.unit == 0, np.inf, layer.unit)
    error = found.double().numpy().mean(0) - logits.double().numpy().mean(0) / unit
    return np.round(np.where(layer.unit == 0, 0, error)).astype(np.int64)
