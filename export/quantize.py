"""A folded network in integers: int8 weights, 8-bit maps, int32 biases, scales as words (docs/engine.md).

    ranges = calibrate(network, batches)
    quantised = quantize(network, ranges, mean, std)     # what integer.py computes and compile/lower.py compiles

A map's values are integer · scale: uint8 after a ReLU, int8 otherwise. The residual stream has one scale per stage, so
that a skipped block or channel is a map left as it is. A pooled vector's unit is its map's scale / 128.
"""

from dataclasses import dataclass

import numpy as np

from export import fold
from export.layers8 import POOL_UNIT, Convolution8, Linear8, scale_word
from hls import isa

UNSIGNED, SIGNED = 255, 127  # largest code of a map with and without ReLU; weights are in [-SIGNED, SIGNED]
VECTOR_MAX = 32767
HIDDEN_UNIT = 2.0**-15  # of an LSTM's hidden state
PREACTIVATION_UNIT = 2.0**-10
LOGIT_UNIT = 2.0**-8  # what EXIT works in, nats
BIAS_LIMIT = 2**30  # keeps accumulator + bias within int32


@dataclass(frozen=True)
class ChannelGate8:
    """G^C in integers; a channel is kept if its logit is positive."""

    conv: Convolution8
    linear: Linear8


@dataclass(frozen=True)
class Exit8:
    """A branch in integers."""

    pool: int
    convs: tuple[Convolution8, ...]
    linear: Linear8


@dataclass(frozen=True)
class Block8:
    """A block in integers; `shape` is its folded description, for geometry only."""

    shape: fold.Block
    conv1: Convolution8
    conv2: Convolution8
    projection: Convolution8 | None
    rescale: int  # word that takes the identity, · 2^FRACTION_BITS, to this stage's scale, where the block reshapes
    embed: Linear8 | None
    channel_gate: ChannelGate8 | None
    exit: Exit8 | None
    threshold: int = 0  # of the layer gate's logit, in steps of the decision's accumulator


@dataclass(frozen=True)
class Network8:
    """The whole network in integers."""

    shape: fold.Network
    image_table: np.ndarray  # (channels, 256) int8
    stem: Convolution8
    blocks: tuple[Block8, ...]
    head: Linear8
    lstm: Linear8 | None  # rows over (inputs, hidden), output in PREACTIVATION_UNIT
    decision: Linear8 | None
    exit_scale: int  # word that takes logits to LOGIT_UNIT
    scales: dict  # by name, for the package's meta: a code times its scale is the float value


def quantize(network, ranges, mean, std, clip="mse"):
    """A Network8 from a folded network, its calibrated ranges, and the normalisation of pixels in [0, 1].

    `clip`: "mse", "max", or a percentile as a share such as 0.9999. Raises QuantizeError.
    """
    return _Quantizer(network, ranges, clip).run(mean, std)


class _Quantizer:
    """Holds the scales while the parts are made."""

    def __init__(self, network, ranges, clip):
        self.network, self.ranges, self.clip = network, ranges, clip
        self.stages = [self._step(f"stage{stage}") for stage in range(network.blocks[-1].stage + 1)]
        self.logit = ranges["logits"].maximum * 1.25 / VECTOR_MAX or 1.0  # room for images not seen
        self.embed = ranges["embed"].maximum * 1.25 / VECTOR_MAX or 1.0 if "embed" in ranges else 1.0

    def _step(self, name, levels=UNSIGNED):
        histogram = self.ranges[name]
        if self.clip == "mse":
            return histogram.best_clip(levels) / levels
        return (histogram.maximum or 1.0 if self.clip == "max" else histogram.percentile(self.clip)) / levels

    def run(self, mean, std):
        """The whole network."""
        network, image, table = self.network, *image_table(mean, std)
        stem = convolution(network.stem, image, self.stages[0], in_signed=True)
        blocks, stage_scale = [], self.stages[0]
        for i, block in enumerate(network.blocks):
            blocks.append(self._block(i, block, stage_scale))
            stage_scale = self.stages[block.stage]
        lstm = decision = None
        if network.lstm:
            lstm = _lstm(network.lstm, self.embed)
            decision = linear(network.decision, HIDDEN_UNIT)
        scales = {"image": image, "stages": self.stages, "logits": self.logit, "embed": self.embed}
        head = linear(network.head, stage_scale / POOL_UNIT, self.logit)
        exit_scale = scale_word(self.logit / LOGIT_UNIT)
        return Network8(network, table, stem, tuple(blocks), head, lstm, decision, exit_scale, scales)

    def _block(self, i, block, before):
        """Block `i`, whose input has scale `before`."""
        after = self.stages[block.stage]
        middle = self._step(f"block{i}.mid")
        projection, identity, signed = None, after, False
        if block.projection is not None:
            identity, signed = self._step(f"block{i}.projection", SIGNED), True
            projection = convolution(block.projection, before, identity, relu=False)
        conv1 = convolution(block.conv1, before, middle)
        conv2 = convolution(block.conv2, middle, after, identity=identity, identity_signed=signed)
        rescale = scale_word(before / after / 2**isa.FRACTION_BITS) if block.reshapes else 0
        embed = gate = branch = None
        if block.embed is not None:
            embed = linear(block.embed, before / POOL_UNIT, self.embed)
        if block.channel_gate is not None:
            features = self._step(f"block{i}.gate")
            gate = ChannelGate8(
                convolution(block.channel_gate.conv, before, features),
                linear(block.channel_gate.linear, features / POOL_UNIT),
            )
        if block.exit is not None:
            branch = self._exit(i, block.exit, after)
        return Block8(block, conv1, conv2, projection, rescale, embed, gate, branch)

    def _exit(self, i, branch, scale):
        convs = []
        for j, conv in enumerate(branch.convs):
            features = self._step(f"block{i}.exit{j}")
            convs.append(convolution(conv, scale, features))
            scale = features
        return Exit8(branch.pool, tuple(convs), linear(branch.linear, scale / POOL_UNIT, self.logit))


def image_table(mean, std):
    """The scale of normalised pixels, and (channels, 256) int8: the code of every pixel value."""
    pixels = np.arange(256) / 255
    values = (pixels - np.asarray(mean, np.float64)[:, None]) / np.asarray(std, np.float64)[:, None]
    scale = float(np.abs(values).max() / SIGNED)
    return scale, np.round(values / scale).astype(np.int8)


def convolution(conv, scale_in, scale_out, in_signed=False, relu=True, identity=None, identity_signed=False):
    """A Convolution8 from a folded one and the scales of the maps it reads, writes and adds."""
    rows, unit, bias = _rows(conv.weight.reshape(len(conv.weight), -1).astype(np.float64) * scale_in, conv.bias)
    words = _words(unit / scale_out)
    identity_scale = 0 if identity is None else scale_word(identity / scale_out)
    weight = rows.reshape(conv.weight.shape)
    return Convolution8(weight, bias, words, conv.stride, in_signed, relu, identity_scale, identity_signed)


def linear(layer, unit_in, unit_out=None):
    """A Linear8 whose output is in `unit_out`, or the bare accumulator, each row in its own unit."""
    rows, unit, bias = _rows(layer.weight.astype(np.float64) * unit_in, layer.bias)
    return Linear8(rows, bias, unit, None if unit_out is None else _words(unit / unit_out))


def _lstm(cell, unit_in):
    """Rows jointly over inputs and hidden state, each times the unit of what it multiplies."""
    joint = np.concatenate([cell.weight_input * float(unit_in), cell.weight_hidden * HIDDEN_UNIT], 1)
    rows, unit, bias = _rows(joint.astype(np.float64), cell.bias)
    return Linear8(rows, bias, unit, _words(unit / PREACTIVATION_UNIT))


def _rows(weight, bias):
    """Weights (out, n) in real units per input code → int8 rows, (out,) accumulator units, int32 biases."""
    bias = bias.astype(np.float64)
    unit = np.maximum(np.abs(weight).max(1) / SIGNED, np.abs(bias) / BIAS_LIMIT)
    divisor = np.where(unit == 0, 1.0, unit)  # a row of zeros stays one
    rows = np.clip(np.round(weight / divisor[:, None]), -SIGNED, SIGNED).astype(np.int8)
    return rows, unit, np.clip(np.round(bias / divisor), -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)


def _words(ratios):
    return np.array([scale_word(float(ratio)) for ratio in ratios], np.int64).astype(np.int32)
