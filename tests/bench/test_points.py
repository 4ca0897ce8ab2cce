"""Points of a board: their file is checked, and what they are made of is the engine's own."""

import pytest

from bench.sizes import points
from bitstreams import resources
from hls import isa
from hls.errors import UserError


class Rows(dict):
    """Rows by name, as bench.rows.Rows takes them."""

    def add(self, name, value, *_, **__):
        self[name] = value


def test_the_file_s_points():
    found = {point.name: point for point in points.read()}
    assert found["zedboard"].limits == resources.limits() and found["zedboard"].sizes == {}
    assert found["zedboard-safe"].sizes["TILE_WORDS"] * isa.TILE**2 == 128 * 1024
    assert found["zedboard-safe"].clock_mhz == 100 < found["zedboard"].clock_mhz == 143
    assert all(set(resources.RESOURCES) <= set(point.limits) for point in found.values())


@pytest.mark.parametrize("text, said", [
    ("clock = 3", "a.clock is 3, expected one of title, board"),
    ('clock_mhz = "fast"', "a.clock_mhz is 'fast', expected int"),
    ("clock_mhz = 1", "neither board nor limits"),
    ('board = "zedboard"\nlimits = { dsp = 1 }\nsource = "me"', "neither board nor limits, or both"),
    ("limits = { dsp = 1 }", "limits and their source"),
    ('board = "zedboard"', "a has no clock_mhz"),
])  # fmt: skip
def test_a_file_that_is_wrong_is_refused(text, said, tmp_path):
    (tmp_path / "points.toml").write_text(f"[a]\n{text}\n")
    with pytest.raises(UserError, match=said):
        points.read(tmp_path / "points.toml")


def test_a_point_s_rows(monkeypatch):
    parts = [[100, "chip/layer", name, "x"] for name in resources.RESOURCES]
    monkeypatch.setattr(points, "NETWORKS", {"resnet8": 16})
    monkeypatch.setattr(points.adapters, "total", lambda use: {name: 2 * amount for name, amount in use.items()})
    rows = Rows()
    points.add_point(rows, points.Point("a", "x", 100, {}, {"dsp": 400, "bram18": 800, "lut": 200, "ff": 1000}), parts)
    rates = {name: rows.pop(name) for name in list(rows) if name.endswith("images_per_s")}
    assert rows == {"points.a.dsp_share": 0.5, "points.a.bram18_share": 0.25, "points.a.lut_share": 1.0,
                    "points.a.ff_share": 0.2}  # fmt: skip
    points.add_point(fast := Rows(), points.Point("a", "x", 200, {}, {"dsp": 1, "bram18": 1, "lut": 1, "ff": 1}), parts)
    assert fast["points.a.resnet8_images_per_s"] == pytest.approx(2 * rates["points.a.resnet8_images_per_s"])
