"""The quantised network in PyTorch, integer for integer what the engine computes, from the description alone.

    model = IntegerNetwork(network8)
    out = model(images)      # (N, H, W, C) uint8 → logits of every exit, decisions

Integers are held exactly in float64 for the convolutions (accumulators stay far below 2^53) and in int64 elsewhere. It
knows nothing of instructions or placement, so equality with hls/golden.py proves the compiler, not only the arithmetic.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from export.fold import Output
from export.layers8 import POOL_UNIT, scale_word
from hls import isa

INT16, INT32 = (-(2**15), 2**15 - 1), (-(2**31), 2**31 - 1)


def requantize(values, words):
    """int64 (N, C, …) times the scale words (C,) or one word: multiply, shift, round half up."""
    words = torch.as_tensor(np.asarray(words, np.int64))
    words = words.view(-1, *[1] * (values.ndim - 2)) if words.ndim else words
    multiplier = torch.where(words < 0, -(words & 0xFFFF), words & 0xFFFF)
    shift = words >> 16 & 0x3F
    half = torch.where(shift > 0, 1 << (shift - 1).clamp(min=0), 0)
    return (values * multiplier + half) >> shift


class IntegerNetwork(nn.Module):
    """Runs a Network8; no parameters to train, no state between calls."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    @torch.no_grad()
    def forward(self, images):
        """(N, H, W, C) uint8 numpy images → Output, logits in int64."""
        network, shape = self.network, self.network.shape
        x, state = stem(network, images), None  # int64 codes (N, C, H, W)
        layers, channels, logits = [], [], []
        for block in network.blocks:
            keep = torch.ones(len(x), dtype=torch.bool)
            kept_channels = torch.ones(len(x), block.shape.channels, dtype=torch.bool)
            if block.embed is not None:
                logit, state = layer_logit(network, block, x, state)
                keep = logit > block.threshold
            if block.channel_gate is not None:
                kept_channels = channel_logits(block, x) > 0
            x = run_block(block, x, keep, kept_channels)
            if block.shape.gated:
                layers.append(keep)
                channels.append(kept_channels)
            if block.exit:
                logits.append(_run_exit(block.exit, x))
        logits.append(_multiply(_pool(x), network.head))
        keeps = torch.stack(layers, 1) if shape.gates else torch.ones(len(x), 0, dtype=torch.bool)
        return Output(logits, keeps, channels)


def stem(network, images):
    """(N, H, W, C) uint8 images → int64 codes (N, channels, H, W)."""
    return _convolve(_load(images, network.image_table), network.stem)


def layer_logit(network, block, x, state):
    """G^L: codes, the LSTM's state or None → the decision's accumulator (N,), new state (hidden 2^-15, cell 2^-12)."""
    size = len(network.lstm.bias) // 4
    hidden, cell = state if state else (x.new_zeros(len(x), size),) * 2
    embedded = _multiply(_pool(x), block.embed)
    rows = _multiply(torch.cat([embedded, hidden], 1), network.lstm)  # (N, 4·hidden), 2^-10
    i, f, g, o = rows.chunk(4, 1)
    i, f, o = (_look_up(isa.SIGMOID_TABLE, (part + (8 << 10)) >> 4) for part in (i, f, o))
    g = _look_up(isa.TANH_TABLE, (g + (4 << 10)) >> 3)
    cell = ((f * cell + ((i * g) >> 3) + (1 << 14)) >> 15).clamp(*INT16)
    hidden = ((o * _look_up(isa.TANH_TABLE, (cell + (4 << 12)) >> 5) + (1 << 14)) >> 15).clamp(*INT16)
    return _multiply(hidden, network.decision)[:, 0], (hidden, cell)


def channel_logits(block, x):
    """G^C: codes → accumulators (N, channels)."""
    return _multiply(_pool(_convolve(x, block.channel_gate.conv)), block.channel_gate.linear)


def run_block(block, x, keep, channels):
    """Kept channels of kept blocks, the identity elsewhere: codes → codes."""
    identity, mask = _shortcut(block, x), channels[:, :, None, None]
    y = _convolve(_convolve(x, block.conv1) * mask, block.conv2, identity)
    return torch.where(mask & keep[:, None, None, None], y, identity)


def _load(images, table):
    """uint8 (N, H, W, C) → int64 codes (N, C, H, W)."""
    codes = [table[c][images[..., c]] for c in range(images.shape[-1])]
    return torch.from_numpy(np.stack(codes, 1).astype(np.int64))


def _convolve(x, conv, identity=None):
    """int64 codes in, int64 codes out, clamped to the output's range."""
    weight = torch.from_numpy(conv.weight.astype(np.float64))
    sums = functional.conv2d(x.double(), weight, None, conv.stride, conv.weight.shape[-1] // 2).to(torch.int64)
    y = requantize(sums + torch.from_numpy(conv.bias.astype(np.int64))[:, None, None], conv.scale)
    if identity is not None:
        y = y + requantize(identity, conv.identity_scale)
    return y.clamp(0, 255) if conv.relu else y.clamp(-128, 127)


def _shortcut(block, x):
    """The identity in this block's scale: (N, in, H, W) → (N, channels, H/stride, W/stride) codes."""
    shape = block.shape
    if block.projection is not None:
        return _convolve(x, block.projection)
    if not shape.reshapes:
        return x
    scaled = requantize(x[:, :, :: shape.stride, :: shape.stride] << isa.FRACTION_BITS, block.rescale).clamp(0, 255)
    before, after = shape.channel_offset, shape.channels - shape.in_channels - shape.channel_offset
    return functional.pad(scaled, (0, 0, 0, 0, before, after))


def _pool(x):
    """(N, C, H, W) codes → (N, C) means · POOL_UNIT."""
    word = scale_word(POOL_UNIT / (x.shape[2] * x.shape[3]))
    return requantize(x.sum((2, 3)), word).clamp(*INT16)


def _multiply(vectors, layer):
    """(N, in) int64 → (N, out): int16 where the layer has scales, else the accumulator in int32."""
    sums = vectors @ torch.from_numpy(layer.weight.astype(np.int64)).T + torch.from_numpy(layer.bias.astype(np.int64))
    return sums.clamp(*INT32) if layer.scale is None else requantize(sums, layer.scale).clamp(*INT16)


def _look_up(table, index):
    return torch.tensor(table)[index.clamp(0, len(table) - 1)]


def _run_exit(branch, x):
    x = _max_pool(x, branch.pool)
    for j, conv in enumerate(branch.convs):
        x = _convolve(_max_pool(x, 2) if j else x, conv)
    return _multiply(_pool(x), branch.linear)


def _max_pool(x, size):
    return functional.max_pool2d(x.double(), size).to(torch.int64)
