"""Random networks in the making: each layer is compiled and, at once, computed on one image.

    draft = Draft(seed, size, classes)
    x = draft.convolve(draft.input, 16, 3)
    compiled = draft.finish(x)             # Compiled, its sample the image and the logits that came out here

Scales and biases follow from what a layer's accumulators were on that image, as a batch norm's would, so that values
are neither all zero nor all saturated in any depth. The arithmetic is on whole maps: it knows neither bands nor
addresses, so that equal logits prove the compiler.
"""

from typing import NamedTuple

import numpy as np

from export.compile.builder import Builder, Sample
from export.compile.maps import Map
from export.integers.layers8 import POOL_UNIT, Convolution8, Linear8, scale_word
from hls import isa
from hls.golden.maps import clamp8, requantize, sat16

SPREAD = 40  # standard deviation of a layer's codes
LOGIT_SPREAD, LOGIT_SCALE = 4096, scale_word(1 / 8)  # of int16 logits; a step is 1/8 of nats · 2^-8


class Layer(NamedTuple):
    """A layer's output: its map in the program, and its codes on the image."""

    map: Map
    codes: np.ndarray  # (channels, height, width) int64
    signed: bool = False


class Draft:
    """A network that grows layer by layer; `input` is its image."""

    def __init__(self, seed, size, classes, tile_words=isa.TILE_WORDS):
        self.rng, self.classes = np.random.default_rng(seed), classes
        self.builder, self.pooled = Builder(tile_words), None
        self.image = random_image(self.rng, size)
        table = np.stack([np.clip(np.arange(256) - 128 + shift, -128, 127) for shift in (3, 0, -5)]).astype(np.int8)
        codes = np.stack([table[c][self.image[..., c]] for c in range(3)]).astype(np.int64)
        self.input = Layer(self.builder.image(table, size, size), codes, signed=True)

    def new_map(self, channels, height, width):
        """An empty map, to be filled by parts."""
        return Layer(self.builder.new_map(channels, height, width), np.zeros((channels, height, width), np.int64))

    def convolve(self, x, channels, kernel, stride=1, relu=True, identity=None, spread=SPREAD, target=None, pool=False):
        """A convolution with random weights, onto the identity in its place, or into `target`, a map or part of one."""
        weight = np.clip(np.round(self.rng.normal(0, 32, (channels, len(x.codes), kernel, kernel))), -127, 127)
        sums = convolve(x.codes, weight, stride)
        bias, scale = self._standardise(sums, spread)
        y = requantize(sums + bias[:, None, None], scale[:, None, None])
        word, into = 0, target
        if identity is not None:
            word, into = scale_word(1), target or identity.map
            y = y + requantize(identity.codes, word)
        signed = identity is not None and identity.signed
        rows = weight.astype(np.int8), bias.astype(np.int32), scale.astype(np.int32)
        conv = Convolution8(*rows, stride, x.signed, relu, word, signed)
        added = None if identity is None else identity.map
        self.pooled = self.builder.new_vector(channels) if pool else None
        into = self.builder.convolve(conv, x.map, into, added, pool=self.pooled)
        return Layer(into, clamp8(y, isa.FLAG_RELU * relu), not relu)

    def _standardise(self, sums, spread):
        """(channels,) biases and scale words that give sums (channels, height, width) such a spread, near zero."""
        mean, std = sums.mean((1, 2)), np.maximum(sums.std((1, 2)), 1)
        bias = np.round(self.rng.normal(0, 0.25, len(sums)) * std - mean).astype(np.int64)
        return bias, np.array([scale_word(ratio) for ratio in spread / std])

    def normalise(self, x):
        """AFFINE as batch norm and ReLU, some of its factors negative."""
        bias, scale = self._standardise(x.codes << isa.FRACTION_BITS, SPREAD)
        scale = np.where(self.rng.random(len(scale)) < 0.1, scale - 2**31, scale)
        y = requantize((x.codes << isa.FRACTION_BITS) + bias[:, None, None], scale[:, None, None])
        return Layer(self.builder.affine(x.map, bias, scale, in_signed=x.signed), clamp8(y, isa.FLAG_RELU))

    def pad(self, x, channels, stride=2):
        """The shortcut without weights: every stride-th pixel at half its value, between channels of zeros."""
        before, word = (channels - len(x.codes)) // 2, scale_word(0.5 / 2**isa.FRACTION_BITS)
        rows = np.zeros(channels, np.int64), np.full(channels, word)
        into = self.builder.affine(x.map, *rows, before, stride, x.signed)
        codes = requantize(x.codes[:, ::stride, ::stride] << isa.FRACTION_BITS, word)
        codes = np.pad(codes, ((before, channels - len(x.codes) - before), (0, 0), (0, 0)))
        return Layer(into, clamp8(codes, isa.FLAG_RELU))

    def pool(self, x, kernel, stride, padding=0, average=False, signed=False, target=None):
        """Max or average pooling; codes from [0, 255] are cut to [0, 127] where a `signed` map takes them."""
        flags = isa.FLAG_IN_SIGNED * x.signed | isa.FLAG_RELU * (not signed) | isa.FLAG_AVERAGE * average
        word = scale_word(1 / kernel**2) if average else 0
        edges = ((0, 0), (padding, padding), (padding, padding))
        padded = np.pad(x.codes, edges, constant_values=-(2**15))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]
        y = requantize(windows.sum((3, 4)), word) if average else windows.max((3, 4))
        into = self.builder.pool(x.map, kernel, stride, padding, flags, word, target)
        return Layer(into, clamp8(y, flags), signed)

    def finish(self, x, pooled=False):
        """Global average, a fully connected layer, EXIT; the Compiled. `pooled`: the last convolution has pooled."""
        pool = self.pooled if pooled else self.builder.new_vector(len(x.codes))
        if not pooled:
            self.builder.global_pool(x.map, pool, x.signed)
        word = scale_word(POOL_UNIT / x.codes[0].size)
        vector = sat16(requantize(x.codes.sum((1, 2)), word))
        weight = np.clip(np.round(self.rng.normal(0, 32, (self.classes, len(vector)))), -127, 127).astype(np.int64)
        sums = weight @ vector
        bias = np.full(self.classes, -round(sums.mean()), np.int32)
        scale = np.full(self.classes, scale_word(LOGIT_SPREAD / max(sums.std(), 1)), np.int32)
        at = self.builder.multiply(Linear8(weight.astype(np.int8), bias, np.ones(self.classes), scale), pool)
        logits = sat16(requantize(sums + bias, scale))
        self.builder.emit(isa.EXIT, exit=0, input=at, classes=self.classes, scale=LOGIT_SCALE)
        return self.builder.compile(self.input.map, 0, self.classes, Sample(self.image, logits))


def join(whole, parts):
    """The first channels of a map, as `parts` (Layers) have filled them one behind the other."""
    codes = np.concatenate([part.codes for part in parts])
    return Layer(whole.map.part(0, len(codes)), codes, parts[0].signed)


def random_image(rng, size):
    """(size, size, 3) uint8: blotches and noise."""
    coarse = rng.normal(0, 50, (-(-size // 8), -(-size // 8), 3)).repeat(8, 0).repeat(8, 1)[:size, :size]
    return np.clip(128 + coarse + rng.normal(0, 20, coarse.shape), 0, 255).astype(np.uint8)


def convolve(codes, weight, stride):
    """(in, H, W) integers and (out, in, k, k) weights → exact sums (out, H/stride, W/stride) int64."""
    outs, ins, kernel, _ = weight.shape
    pad, (height, width) = kernel // 2, (-(-n // stride) for n in codes.shape[1:])
    x = np.pad(codes, ((0, 0), (pad, pad), (pad, pad))).astype(np.float64)
    sums = np.zeros((outs, height * width))
    for ky in range(kernel):
        for kx in range(kernel):
            tap = x[:, ky::stride, kx::stride][:, :height, :width]
            sums += weight[:, :, ky, kx] @ tap.reshape(ins, -1)
    return sums.astype(np.int64).reshape(outs, height, width)
