"""Which samples of a board's supply cannot be: no sensor's word is taken for what the supply itself cannot do.

    keep = plausible(volt, ampere, Supply(12.0, 8.2))     # (N,) bool; Supply() where nothing is known of it

Left out is a sample

- whose voltage is not near the board's supply (or, where that is not known, near the trace's own median);
- whose current is next to nothing or below zero while the board runs, or more than the sensor can see on the shunt;
- that stands alone outside all that the others do: its current is beyond the range of the running median by several
  times the noise, and so are no more than ALONE in a row. A load that changes moves the running median along, and dips
  between idle and running stay within the range.
"""

from dataclasses import dataclass

import numpy as np

LOWEST, HIGHEST = 0.5, 1.25  # of the supply's voltage: below, the board would have stopped
NOTHING = 0.1  # of the usual current; a board's idle takes half of what it takes at work, or more
SENSOR_V = 0.08192  # over the shunt, the most that an INA226 sees (SBOS547)
MEDIAN = 5  # samples of the running median: two of them may be wrong
OUTSIDE = 0.01  # of the running median's values may lie beyond its range, at either end
NOISES, LEVEL, RANGE = 8.0, 0.01, 0.05  # the margin: times the noise, of the usual current, of the range
ALONE = 3  # samples in a row that may be a fault of the sensor; more are the load's


@dataclass(frozen=True)
class Supply:
    """What is known of a board's supply: its volts, and the most amperes that a sensor can see there."""

    volt: float | None = None
    most_ampere: float = float("inf")


def supply_of(board):
    """The Supply of a board (host.board.catalog.Board)."""
    return Supply(board.supply_v, SENSOR_V / board.shunt_ohm if board.shunt_ohm else float("inf"))


def plausible(volt, ampere, supply=None):
    """Which samples (N,) can be. Of fewer than MEDIAN samples, all."""
    supply = supply or Supply()
    if len(volt) < MEDIAN:
        return np.ones(len(volt), bool)
    usual_v = supply.volt or float(np.median(volt))
    keep = (volt >= LOWEST * usual_v) & (volt <= HIGHEST * usual_v)
    keep &= (ampere >= NOTHING * max(float(np.median(ampere)), 0.0)) & (ampere <= supply.most_ampere)
    if keep.sum() >= MEDIAN:
        keep[keep] = ~_alone_outside(ampere[keep])
    return keep


def _alone_outside(ampere):
    """Which samples (N,) of current stand alone outside the range of the running median."""
    padded = np.pad(ampere, MEDIAN // 2, mode="edge")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN), axis=1)
    low, high = np.quantile(middle, [OUTSIDE, 1 - OUTSIDE])
    noise = 1.4826 * float(np.median(np.abs(ampere - middle)))  # of a normal distribution, the standard deviation
    margin = NOISES * noise + LEVEL * abs(float(np.median(middle))) + RANGE * (high - low)
    return _short_runs((ampere < low - margin) | (ampere > high + margin))


def _short_runs(found):
    """Those True of `found` (N,) that have at most ALONE of them in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], found, [False]])))
    short = np.zeros(len(found), bool)
    for start, end in edges.reshape(-1, 2):
        short[start:end] = end - start <= ALONE
    return short
