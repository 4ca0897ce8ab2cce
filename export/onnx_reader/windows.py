"""Any padding, kernel and stride in what the engine has: odd square kernels padded by kernel // 2, stride 1 or 2.

    places = [fit(n, k, stride, before, after) for each axis]       # Place(before, reach, shift, grown, size)
    weight = embed(weight, places, dilations)                       # zeros around the taps

Output y of a convolution reads input y·stride - before + tap. The engine's padding is fixed, so the kernel is put into
a larger one, off its centre. Where it would reach further than the largest kernel does, the result comes out some
pixels too far down, and a kernel of a single one moves it up. What is too much at the bottom is cut off (graph.View);
where the file pads so much that the output is larger than the engine's, the input is first given more zeros there.
"""

from typing import NamedTuple

import numpy as np

from hls import isa

REACH = isa.MAX_KERNEL // 2


class NoFit(Exception):
    """Why an axis of a window cannot be had, and what can."""

    def __init__(self, found, nearest):
        super().__init__(found)
        self.found, self.nearest = found, nearest


class Place(NamedTuple):
    """Of one axis; pixels of the output but for `grown`, the input's with zeros behind."""

    before: int  # padding before the first tap, the shift among it
    reach: int  # of the taps, to either side of the centre
    shift: int  # that the result is to be moved up by
    grown: int
    size: int


def output_size(n, kernel, stride, before, after, ceil=False):
    """Pixels of the output; NoFit where there is none."""
    size = (n + before + after - kernel + (stride - 1) * ceil) // stride + 1
    if ceil and (size - 1) * stride >= n + before:
        size -= 1  # a window must begin within the map or its padding before
    if size < 1:
        raise NoFit(f"a kernel of {kernel} on {n} pixels", "a kernel within the map")
    return size


def fit(n, kernel, stride, before, after):
    """The Place of one axis of a convolution. Raises NoFit."""
    size = output_size(n, kernel, stride, before, after)
    shift = max(0, -(-(kernel - 1 - before - REACH) // stride))
    moved = before + shift * stride
    reach = max(moved, kernel - 1 - moved)
    if reach > REACH or shift > REACH:
        raise NoFit(f"a kernel of {kernel} with padding {before}, {after}", f"kernels of 1 to {isa.MAX_KERNEL}, "
                    f"dilation counted, padded by less than half")  # fmt: skip
    grown = max(n, (size + shift - 1) * stride + 1)
    if tile_count(grown) != tile_count(n):
        raise NoFit(f"padding {before}, {after} of a kernel of {kernel}", "padding that keeps the map's size or less")
    return Place(moved, reach, shift, grown, size)


def tile_count(n):
    """Tiles that so many pixels take."""
    return -(-n // isa.TILE)


def embed(weight, places, dilations):
    """(out, in, kh, kw) → (out, in, k, k) with the taps where the places want them."""
    reach = max(place.reach for place in places)
    found = np.zeros((*weight.shape[:2], 2 * reach + 1, 2 * reach + 1))
    rows, columns = (
        reach - place.before + dilation * np.arange(count)
        for place, dilation, count in zip(places, dilations, weight.shape[2:])
    )
    found[:, :, rows[:, None], columns[None]] = weight
    return found


def diagonal(channels, kernel, row, column, value=1.0):
    """(channels, channels, kernel, kernel) that takes each channel's pixel under one tap."""
    found = np.zeros((channels, channels, kernel, kernel))
    found[np.arange(channels), np.arange(channels), row, column] = value
    return found


class Stage(NamedTuple):
    """One graph.Pool, on a map of `size` pixels a side that zeros were added to, or not."""

    size: tuple
    kernel: int
    stride: int
    padding: int
    output: tuple


def max_stages(size, window, output, unsigned):
    """The Stages that together are one max pool. Raises NoFit.

    A map without negative values may have zeros added, as far as its tiles reach: a window of k pixels is a pool of a,
    at stride 1, then one of k + 1 - a on the result with zeros below.
    """
    (kernel, *_), (stride, *_), (top, left, *_) = window.kernel, window.stride, window.pads
    if output == (1, 1) and all(k - before >= n for k, before, n in zip(window.kernel, (top, left), size)):
        return _whole(size)
    if len(set(window.kernel)) > 1 or len(set(window.stride)) > 1:
        raise NoFit(f"a max pool of {window.kernel} at stride {window.stride}", "square kernels and strides")
    if top == left:
        plain = tuple((n + 2 * top - kernel) // stride + 1 for n in size)
        if plain == output and top <= kernel // 2:
            return [Stage(size, kernel, stride, top, output)]
    for first in range(kernel if unsigned and stride <= 2 and top == left else 0, 0, -1):
        stages = _two(size, kernel, stride, top, output, first)
        if stages:
            return stages
    raise NoFit(
        f"a max pool of {kernel} at stride {stride} with padding {window.pads} on a map of {size[0]}×{size[1]}",
        "padding alike on all sides, at most half the kernel"
        + ("" if unsigned else "; behind a Relu also more at the bottom and right"),
    )


def _whole(size):
    """The largest of all pixels: windows of 3 at stride 2, until one pixel is left."""
    stages = []
    while size != (1, 1):
        smaller = tuple(-(-n // 2) for n in size)
        stages.append(Stage(size, 3, 2, 1, smaller))
        size = smaller
    return stages or [Stage(size, 1, 1, 0, size)]


def _two(size, kernel, stride, before, output, first):
    """A pool of `first` pixels at stride 1, then the rest of the window on its output with zeros below; or None."""
    second = kernel + 1 - first
    between = tuple(n + 2 * before - first + 1 for n in size)
    grown = tuple(max(m, (o - 1) * stride + second) for m, o in zip(between, output))
    exact = all((g - second) // stride + 1 == o for g, o in zip(grown, output))
    fits = min(between) > 0 and before <= first // 2 and stride <= second and exact
    if not fits or any(tile_count(g) != tile_count(m) for g, m in zip(grown, between)):
        return None
    if any((o - 1) * stride >= m for m, o in zip(between, output)):
        return None
    return [Stage(size, first, 1, before, between), Stage(grown, second, stride, 0, output)]
