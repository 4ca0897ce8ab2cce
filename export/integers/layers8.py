"""What every quantised network is made of, without torch: layers in integers, scales as words (docs/engine.md).

word = scale_word(0.37)      # the engine's multiplication by 0.37
"""

from dataclasses import dataclass

import numpy as np

from hls.errors import UserError

POOL_UNIT = 128  # pooled vectors are means · POOL_UNIT: 255 · 128 still fits int16


@dataclass(frozen=True)
class Convolution8:
    """An int8 convolution; `scale` holds scale words, `identity_scale` is one where an identity is added, else 0."""

    weight: np.ndarray  # (out, in, k, k) int8
    bias: np.ndarray  # (out,) int32, in units of the accumulator
    scale: np.ndarray  # (out,) int32 words
    stride: int
    in_signed: bool = False
    relu: bool = True
    identity_scale: int = 0
    identity_signed: bool = False
    moved: np.ndarray | int = 0  # (out,) steps of the bias that set the layer right on average, among them


@dataclass(frozen=True)
class Linear8:
    """An int8 fully connected layer on int16 vectors; without `scale` its output is the accumulator."""

    weight: np.ndarray  # (out, in) int8
    bias: np.ndarray  # (out,) int32
    unit: np.ndarray  # (out,) float64, value of one step of the accumulator
    scale: np.ndarray | None = None  # (out,) int32 words
    relu: bool = False


@dataclass(frozen=True)
class ClassExit8:
    """A class exit: scores above `threshold` (in steps of the score) stop; `answer` makes logits of a score."""

    threshold: int
    answer: Linear8


def scale_word(ratio):
    """The engine's word for a multiplication by `ratio` in [0, 65535]: 16-bit multiplier, shift in bits 16 to 21.

    Raises UserError for another ratio.
    """
    if not 0 <= ratio <= 65535:
        raise UserError(f"a scale of {ratio:g} is outside [0, 65535]: the checkpoint's weights are not usable")
    if ratio == 0:
        return 0
    shift = int(min(63, 16 - np.frexp(ratio)[1]))
    multiplier = round(ratio * 2.0**shift)
    if multiplier == 65536:
        multiplier, shift = 32768, shift - 1
    return multiplier | shift << 16


def word_value(words):
    """float64: what scale words multiply by, an array of them or one."""
    words = np.asarray(words).astype(np.int64)
    return np.where(words < 0, -1.0, 1.0) * (words & 0xFFFF) / 2.0 ** (words >> 16 & 0x3F)
