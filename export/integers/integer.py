"""The quantised network in PyTorch, integer for integer what the engine computes, from the description alone.

    out = IntegerNetwork(network8)(images)      # (N, H, W, C) uint8 → interpret.Output, logits in int64

Integers are held exactly in float64 for the convolutions (accumulators stay far below 2^53) and in int64 elsewhere. It
knows nothing of instructions or placement, so equality with hls/golden/ proves the compiler, not only the arithmetic.
"""

import numpy as np
import torch
from torch.nn import functional

from export.integers.layers8 import POOL_UNIT, ClassExit8, scale_word
from export.interpret import Interpreter, framed
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


class IntegerNetwork(Interpreter):
    """A Network8, one method a kind of node; maps are int64 codes (N, C, H, W), vectors int64 (N, C)."""

    def __init__(self, network8, observe=None, forced=None):
        super().__init__(network8.graph, observe, forced)
        self.numbers = network8.numbers

    def image(self, node):
        """uint8 (N, H, W, C) → codes."""
        table = self.numbers[node]
        table = table if node.signed else table.view(np.uint8)
        codes = [table[c][self.images[..., c]] for c in range(node.channels)]
        return torch.from_numpy(np.stack(codes, 1).astype(np.int64))

    def convolution(self, node):
        """Codes, clamped to the output's range."""
        return self.write(node, _clamp8(self.scaled(node, self.sums(node)), node))

    def sums(self, node):
        """A Convolution's accumulators, without its bias."""
        conv, x = self.numbers[node], self.read(node.x, node.in_mask).double()
        weight, padding = torch.from_numpy(conv.weight.astype(np.float64)), conv.weight.shape[-1] // 2
        return functional.conv2d(x, weight, None, conv.stride, padding).to(torch.int64)

    def scaled(self, node, sums):
        """Codes of a Convolution's accumulators, bias and added map among them, before they are clamped."""
        conv = self.numbers[node]
        y = requantize_sum(sums + torch.from_numpy(conv.bias.astype(np.int64))[:, None, None], conv.scale)
        if node.add is not None:
            y = y + requantize(self.values[node.add], conv.identity_scale)
        return y

    def pad(self, node):
        """Codes in another scale, between zeros."""
        behind = node.channels - node.x.channels - node.before
        x = self.values[node.x][:, :, :: node.stride, :: node.stride]
        scaled = _clamp8(requantize_sum(x << isa.FRACTION_BITS, self.numbers[node]), node)
        return functional.pad(scaled, (0, 0, 0, 0, node.before, behind))

    def affine(self, node):
        """Codes by their channels' rows."""
        bias, words = self.numbers[node]
        bias = torch.from_numpy(bias.astype(np.int64))[:, None, None]
        return _clamp8(requantize_sum((self.values[node.x] << isa.FRACTION_BITS) + bias, words), node)

    def concat(self, node):
        """Codes, those of parts with another scale in the whole's."""
        maps = [self.values[part] << isa.FRACTION_BITS for part in node.parts]
        return torch.cat([_clamp8(requantize_sum(x, word), node) for x, word in zip(maps, self.numbers[node])], 1)

    def view(self, node):
        """The same codes."""
        return framed(self.values[node.x], node.size)

    def flatten(self, node):
        """Pixels · POOL_UNIT."""
        return self.values[node.x].flatten(1) * POOL_UNIT

    def pool(self, node):
        """Maxima, or rounded averages."""
        x = self.values[node.x].double()
        if node.average:
            sums = functional.avg_pool2d(x, node.kernel, node.stride, divisor_override=1).to(torch.int64)
            return _clamp8(requantize_sum(sums, self.numbers[node]), node)
        return functional.max_pool2d(x, node.kernel, node.stride, node.padding).to(torch.int64)

    def mean(self, node):
        """Means · POOL_UNIT."""
        x = self.values[node.x]
        return requantize(x.sum((2, 3)), scale_word(POOL_UNIT / (x.shape[2] * x.shape[3]))).clamp(*INT16)

    def linear(self, node):
        """int16, or the bare accumulator in int32."""
        return _multiply(self.values[node.x], self.numbers[node])

    def lstm(self, node):
        """The hidden state, 2^-15; the cell's, 2^-12, is kept beside it."""
        x = self.values[node.x]
        before = (x.new_zeros(len(x), node.channels),) * 2 if node.before is None else self.state
        rows = _multiply(torch.cat([x, before[0]], 1), self.numbers[node])  # (N, 4·hidden), 2^-10
        i, f, g, o = rows.chunk(4, 1)
        i, f, o = (_look_up(isa.SIGMOID_TABLE, (part + (8 << 10)) >> 4) for part in (i, f, o))
        g = _look_up(isa.TANH_TABLE, (g + (4 << 10)) >> 3)
        cell = ((f * before[1] + ((i * g) >> 3) + (1 << 14)) >> 15).clamp(*INT16)
        hidden = ((o * _look_up(isa.TANH_TABLE, (cell + (4 << 12)) >> 5) + (1 << 14)) >> 15).clamp(*INT16)
        self.state = hidden, cell
        return hidden

    def threshold(self, gate):
        """A layer gate's or a class exit's own; a channel gate's is in its layer's biases."""
        found = self.numbers.get(gate, 0)
        return found.threshold if isinstance(found, ClassExit8) else found

    def answer(self, node, score):
        """The logits of a class exit, int16."""
        return _multiply(score, self.numbers[node].answer)


def requantize_sum(values, words):
    """`requantize` of sums saturated to SUM_BITS bits."""
    most = 2 ** (isa.SUM_BITS - 1)
    return requantize(values.clamp(-most, most - 1), words)


def _clamp8(values, node):
    return values.clamp(-128, 127) if node.signed else values.clamp(0, 255)


def _multiply(vectors, layer):
    """(N, in) int64 → (N, out): int16 where the layer has scales, else the accumulator in int32."""
    sums = vectors @ torch.from_numpy(layer.weight.astype(np.int64)).T + torch.from_numpy(layer.bias.astype(np.int64))
    if layer.scale is None:
        return sums.clamp(*INT32)
    return requantize(sums, layer.scale).clamp(0 if layer.relu else INT16[0], INT16[1])


def _look_up(table, index):
    return torch.tensor(table)[index.clamp(0, len(table) - 1)]
