"""The golden model's arithmetic on arrays: requantisation, clamping, and maps as words of tile memory."""

import numpy as np

from hls import isa
from hls.shapes import tiles


def requantize(values, scale):
    """values · multiplier / 2^shift, rounded half up; `scale` holds sign, shift and multiplier."""
    scale = np.asarray(scale, np.int64)
    multiplier = (scale & 0xFFFF) * np.where(scale < 0, -1, 1)
    shift = (scale >> 16) & 0x3F
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    return (np.asarray(values, np.int64) * multiplier + half) >> shift


def requantize_sums(sums, scale):
    """Requantise sums of maps, saturated to SUM_BITS before: what one DSP multiplies."""
    most = 2 ** (isa.SUM_BITS - 1)
    return requantize(np.clip(sums, -most, most - 1), scale)


def sat16(values):
    return np.clip(values, -(2**15), 2**15 - 1)


def clamp8(values, flags):
    return np.clip(values, 0, 255) if flags & isa.FLAG_RELU else np.clip(values, -128, 127)


def to_words(values):
    """Pixels (channels, height, width) as words (channels, tiles, 64) uint8; zero outside the map."""
    count, height, width = values.shape
    down, across = -(-height // isa.TILE), -(-width // isa.TILE)
    padded = np.zeros((count, down * isa.TILE, across * isa.TILE), np.uint8)
    padded[:, :height, :width] = values & 0xFF
    padded = padded.reshape(count, down, isa.TILE, across, isa.TILE).transpose(0, 1, 3, 2, 4)
    return padded.reshape(count, tiles(height, width), isa.TILE * isa.TILE)


def to_pixels(words, channels, height, width, signed):
    """What to_words made words (channels · tiles, 64) of, as (channels, height, width) int64."""
    down, across = -(-height // isa.TILE), -(-width // isa.TILE)
    words = words.view(np.int8 if signed else np.uint8)
    words = words.reshape(channels, down, across, isa.TILE, isa.TILE).transpose(0, 1, 3, 2, 4)
    return words.reshape(channels, down * isa.TILE, across * isa.TILE)[:, :height, :width].astype(np.int64)
