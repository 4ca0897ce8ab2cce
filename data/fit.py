"""How a picture of any size becomes one of the network's size: a stated rule, followed once, on bytes.

    fit = Fit(size=(64, 64), channels=3, how="crop")
    pixels = fit.apply(picture)          # (H, W, C) uint8 → (64, 64, 3) uint8

crop     scaled so that the shorter side fits, the middle cut out
pad      scaled so that the longer side fits, black beside it
stretch  scaled to the size, whatever its shape
none     must have the size already

Scaling is linear, over the area that a pixel covers (a triangle filter as wide as the scale). Weights are whole numbers
of 2^-14 and their sums are exact in floating point, so that every machine gives the same bytes.
"""

from dataclasses import dataclass

import numpy as np

from data.errors import DataError
from hls import isa

HOWS = ("crop", "pad", "stretch", "none")
ONE = 1 << 14  # a weight of 1; 255 · 2^14 is exact in float32, 255 · 2^28 in float64
LEAST, MOST = 8, isa.MAX_MAP  # of a side: less has no room for three stages, more is no map of the engine
GREY = (4899, 9617, 1868)  # ITU-R BT.601 luma, of 2^14


@dataclass(frozen=True)
class Fit:
    """The rule: size (height, width), channels (1 grey, 3 RGB), how it is reached."""

    size: tuple[int, int]
    channels: int = 3
    how: str = "crop"

    def __post_init__(self):
        whole = all(type(side) is int and LEAST <= side <= MOST for side in self.size)
        if len(self.size) != 2 or not whole:
            raise DataError(f"size {list(self.size)}: expected [height, width], each {LEAST} to {MOST}")
        if self.channels not in (1, 3):
            raise DataError(f"channels {self.channels}: expected 1 (grey) or 3 (RGB)")
        if self.how not in HOWS:
            raise DataError(f"fit {self.how!r}: expected one of {', '.join(HOWS)}")

    def apply(self, pixels, name="the picture"):
        """(H, W, 1 or 3) uint8 → (*size, channels) uint8. DataError for another size without a rule."""
        found = pixels.shape[:2]
        if found == self.size:
            return as_channels(pixels, self.channels)
        if self.how == "none":
            sizes = " × ".join(map(str, found)), " × ".join(map(str, self.size))
            rule = "let python -m training new write another rule (--fit crop)"
            raise DataError(f"{name} is {sizes[0]}, expected {sizes[1]}: make it so, or {rule}")
        pixels = as_channels(pixels, self.channels)
        if self.how == "crop":
            pixels = _middle(pixels, self.size)
        inside = self._inside(found)
        return _centred(scale(pixels, inside), self.size)

    def _inside(self, found):
        """The size that the picture is scaled to; under "pad" a part of the whole."""
        if self.how != "pad":
            return self.size
        ratio = min(side / own for side, own in zip(self.size, found))
        return tuple(min(max(round(own * ratio), 1), side) for own, side in zip(found, self.size))


def rule_of(package):
    """The Fit of a package's pictures (an hls.package.Package): the one that it was trained with, else "crop"."""
    height, width, channels = package.image_shape
    return Fit((height, width), channels, package.own_images.get("fit", "crop"))


def as_channels(pixels, channels):
    """Grey as RGB or RGB as grey where the other is wanted."""
    if pixels.shape[-1] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=-1)
    return ((pixels.astype(np.uint32) @ np.array(GREY, np.uint32) + ONE // 2) // ONE).astype(np.uint8)[..., None]


def _middle(pixels, size):
    """The largest part in the middle that has the shape of `size`."""
    height, width = pixels.shape[:2]
    ratio = min(height / size[0], width / size[1])
    rows, columns = (max(round(side * ratio), 1) for side in size)
    y, x = (height - rows) // 2, (width - columns) // 2
    return pixels[y : y + rows, x : x + columns]


def _centred(pixels, size):
    """`pixels` in the middle of black ones."""
    if pixels.shape[:2] == size:
        return pixels
    out = np.zeros((*size, pixels.shape[-1]), np.uint8)
    y, x = ((side - own) // 2 for side, own in zip(size, pixels.shape))
    out[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return out


def scale(pixels, size):
    """(H, W, C) uint8 at `size`, rounded once, half up."""
    height, width, channels = pixels.shape
    flat, columns = np.ascontiguousarray(pixels).reshape(height, width * channels), _weights(width, size[1])
    sums = np.empty((size[0], width * channels))
    for row, weights in zip(sums, _weights(height, size[0]).astype(np.float32)):
        first, last = np.flatnonzero(weights)[[0, -1]]
        row[:] = weights[first : last + 1] @ flat[first : last + 1].astype(np.float32)
    sums = columns @ sums.reshape(size[0], width, channels)  # (rows, columns, channels)
    return np.floor((sums + ONE * ONE // 2) / (ONE * ONE)).astype(np.uint8)


def _weights(before, after):
    """(after, before) float64 whole numbers, each row's sum ONE: what each pixel gives to each new one."""
    ratio = before / after
    centres, reach = (np.arange(after) + 0.5) * ratio, max(ratio, 1.0)
    far = np.abs(np.arange(before) + 0.5 - centres[:, None]) / reach
    weights = np.maximum(1 - far, 0)
    weights = np.floor(weights / weights.sum(1, keepdims=True) * ONE)
    weights[np.arange(after), weights.argmax(1)] += ONE - weights.sum(1)
    return weights
