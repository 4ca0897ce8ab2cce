"""Calibration of a meter against a multimeter: gain and offset of its current, gain of its voltage.

    calibration = fit(pairs, multimeter_share=0.005)    # pairs: meter's V, A and multimeter's V, A at several loads
    write_calibration("cal.json", calibration)          # then serial:/dev/ttyUSB0?calibration=cal.json

`python -m host.meters calibrate` asks for the readings. The offset cancels where idle is subtracted; the gain does
not, and its uncertainty is part of every energy's interval.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from hls.command import outputs
from hls.errors import UserError

UNCALIBRATED = 0.02  # relative standard uncertainty without a calibration: shunt, solder and sensor (docs/power.md)


@dataclass(frozen=True)
class Calibration:
    """True value = gain · (reading - offset); `gain_uncertainty` is the relative standard uncertainty of the power."""

    ampere_gain: float
    ampere_offset: float
    volt_gain: float
    gain_uncertainty: float
    points: int

    def ampere(self, reading):
        """Current in A from the meter's, a number or an array."""
        return self.ampere_gain * (reading - self.ampere_offset)

    def volt(self, reading):
        """Voltage in V from the meter's."""
        return self.volt_gain * reading


def fit(pairs, multimeter_share):
    """The Calibration by least squares from pairs (N, 4): meter's V and A, multimeter's V and A, at N ≥ 3 loads.

    `multimeter_share` is the multimeter's own relative standard uncertainty, of current and of voltage alike; it is
    common to all points and adds to what their scatter about the line gives. UserError when the points do not do.
    """
    pairs = np.asarray(pairs, float)
    if pairs.ndim != 2 or pairs.shape[1:] != (4,) or len(pairs) < 3 or not np.isfinite(pairs).all():
        raise UserError(f"{len(pairs)} points of calibration, expected 3 or more of four numbers: take more loads")
    meter_v, meter_a, true_v, true_a = pairs.T
    if np.ptp(meter_a) < 0.2 * np.abs(meter_a).max() or (meter_v <= 0).any() or (true_v <= 0).any():
        raise UserError("the loads are too alike, expected currents that differ by 20 % or more: change the load")
    (gain, intercept), residual = _line(meter_a, true_a)
    if not 0.5 < gain < 2:
        raise UserError(f"the current's gain is {gain:.3g}, expected about 1: check the units (A) and the shunt")
    spread = math.sqrt(residual / (len(pairs) - 2) / ((meter_a - meter_a.mean()) ** 2).sum()) / gain
    volt_ratio = true_v / meter_v
    volt_spread = float(volt_ratio.std(ddof=1)) / math.sqrt(len(pairs))
    uncertainty = math.sqrt(spread**2 + volt_spread**2 + 2 * multimeter_share**2)
    return Calibration(float(gain), float(-intercept / gain), float(volt_ratio.mean()), uncertainty, len(pairs))


def _line(x, y):
    """((slope, intercept), sum of squared residuals) of the straight line through (x, y)."""
    slope, intercept = np.polyfit(x, y, 1)
    return (slope, intercept), float(((y - slope * x - intercept) ** 2).sum())


def write_calibration(target, calibration):
    """Write it as JSON to a path or an Output (hls/command/outputs.py). OutputError."""
    outputs.write(target, json.dumps(asdict(calibration), indent=2) + "\n")


def read_calibration(path):
    """The Calibration in a file. UserError when it is missing or damaged."""
    remedy = "make it anew: python -m host.meters calibrate"
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        calibration = Calibration(**found)
        numbers = [float(value) for value in asdict(calibration).values()]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no calibration ({' '.join(str(error).split())}): {remedy}") from None
    gains_fit = 0.5 < calibration.ampere_gain < 2 and 0.5 < calibration.volt_gain < 2
    if not all(map(math.isfinite, numbers)) or not gains_fit or not 0 <= calibration.gain_uncertainty < 1:
        raise UserError(f"{path} has a gain or an uncertainty out of range: {remedy}")
    return calibration
