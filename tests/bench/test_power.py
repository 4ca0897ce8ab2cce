"""The benchmark of measured energy's interval: its row, and that it can fail."""

import numpy as np
import pytest

from bench import power
from bench.rows import Rows
from host.energy import measure
from host.meters import trace


def test_the_row_says_what_was_drawn(monkeypatch):
    monkeypatch.setattr(power, "DRAWS", 40)
    monkeypatch.setattr(power, "LOW", 0.8)
    monkeypatch.setattr(power, "HIGH", 1.0)
    rows = Rows("power", "python -m bench power")
    power.run(rows, {}, None)
    assert [row["name"] for row in rows.rows[::2]] == ["power.coverage", "power.coverage_glitches"]
    for row in rows.rows[::2]:
        assert (row["kind"], row["n"], row["seed"]) == ("simulated", 40, power.SEED) and 0.8 <= row["value"] <= 1


def test_glitches_that_are_not_left_out_are_found_out(monkeypatch):
    """They fall on idle and on loops alike, so that the interval holds the truth but tells nothing of it."""
    monkeypatch.setattr(power, "DRAWS", 30)
    monkeypatch.setattr(trace, "plausible", lambda volt, ampere, supply: np.ones(len(volt), bool))
    with pytest.raises(SystemExit, match=r"glitches make the interval .* times as wide: they are not left out"):
        power.run(Rows("power", "c"), {}, None)


@pytest.mark.parametrize("factor", [0.5, 4.0])
def test_an_interval_of_another_width_is_found_out(monkeypatch, factor):
    """Half as wide holds the truth too seldom, four times as wide too often."""
    monkeypatch.setattr(power, "DRAWS", 60)
    exact = measure.student_t
    monkeypatch.setattr(measure, "student_t", lambda freedom: factor * exact(freedom))
    with pytest.raises(SystemExit, match="the method is wrong"):
        power.run(Rows("power", "c"), {}, None)


def test_a_draw_is_the_same_again():
    first, second = (power.coverage(5, 9) for _ in range(2))
    assert first[0] == second[0] and (first[1] == second[1]).all()


def test_a_wrong_gain_is_found_out(monkeypatch):
    """A meter that is wrong by more than its calibration says: the truth is outside too often."""
    monkeypatch.setattr(power, "DRAWS", 60)
    plain = power.SimulatedMeter.__init__

    def wrong(self, world, glitches=0.0):
        plain(self, world, glitches)
        self._gain = 1.05

    monkeypatch.setattr(power.SimulatedMeter, "__init__", wrong)
    with pytest.raises(SystemExit, match="the method is wrong"):
        power.run(Rows("power", "c"), {}, None)
