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
    ("clock_mhz = 1", "a has clock_mhz: give board, point or clock_mhz, limits, source, title"),
    ('board = "zedboard"\npoint = "large"\nlimits = { dsp = 1 }', "a has board, limits, point: give"),
    ("", "a has nothing: give"),
    ('board = "zedboard"\npoint = "huge"', "no point 'huge' of zedboard"),
])  # fmt: skip
def test_a_file_that_is_wrong_is_refused(text, said, tmp_path):
    (tmp_path / "points.toml").write_text(f"[a]\n{text}\n")
    with pytest.raises(UserError, match=said):
        points.read(tmp_path / "points.toml")


def test_a_point_s_rows():
    rows, limits = Rows(), {"dsp": 400, "bram18": 800, "lut": 200, "ff": 1000}
    found = {"whole": dict.fromkeys(resources.RESOURCES, 200), "cycles": {"resnet8": 50_000}}
    points.add_point(rows, points.Point("a", "x", 100, {}, limits), found)
    assert rows == {"points.a.dsp_share": 0.5, "points.a.bram18_share": 0.25, "points.a.lut_share": 1.0,
                    "points.a.ff_share": 0.2,
                    "points.a.resnet8.images_per_s": 2000, "points.a.resnet8.cycles": 50_000}  # fmt: skip


def test_a_point_s_checks(monkeypatch):
    asked = {}
    monkeypatch.setattr(points.of_boards, "reprice_into", lambda place, path: path.name)
    monkeypatch.setattr(points, "ask", lambda place, question: asked.update(question) or
                        {"ii_gap": 0, "period_ns": 6.5, "same": {"cifar10": [3, 4]}})  # fmt: skip
    points.add_checks(rows := Rows(), points.Point("a", "x", 100, {"TILE_WORDS": 64}, {}))
    assert rows == {"points.a.ii_gap": 0, "points.a.period_ns": 6.5, "points.a.cifar10.same_records": 3}
    assert asked["bounds"] == 100 and asked["compared"]["cifar10"] == "cifar10.npz"
