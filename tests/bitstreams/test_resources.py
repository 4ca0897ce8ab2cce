"""The engine on a board by the estimate: what does not fit, the command that checks it, and the page that tells it."""

import pytest

pytest.importorskip("clang", reason="the estimate needs libclang")

from bitstreams import resources
from hls.estimate.resources import Estimate


def test_what_does_not_fit_is_named():
    limit = resources.limits()
    fits = {name: limit[name] for name in resources.RESOURCES}
    assert resources.over(fits, limit) == []
    assert resources.over(fits | {"dsp": limit["dsp"] + 3}, limit) == [
        f"dsp {limit['dsp'] + 3} of {limit['dsp']}: 3 too many"
    ]


def test_what_is_too_crowded_to_close_is_named():
    limit = {"dsp": 220, "bram18": 280, "lut": 53200, "ff": 106400}
    assert resources.crowded({"dsp": 165, "bram18": 210, "lut": 39900, "ff": 106400}, limit) == []
    assert resources.crowded({"dsp": 166, "bram18": 210, "lut": 53200, "ff": 0}, limit) == [
        "dsp 166 of 220, 75%: 165 would do",
        "lut 53,200 of 53,200, 100%: 39,900 would do",
    ]


def test_an_engine_over_a_limit_fails_the_check(tmp_path, monkeypatch, capsys):
    found = Estimate({"conv": {"dsp": 10**6}}, [], [])
    monkeypatch.setattr(resources, "estimate", lambda: found)
    monkeypatch.setattr(resources, "PAGE", tmp_path / "resources.md")
    resources.PAGE.write_text(resources.page(found, resources.limits()))
    assert resources.main(["--check"]) == 1
    assert "does not fit zedboard: dsp 1,000,000" in capsys.readouterr().err


def test_the_page_of_another_engine_is_printed(tmp_path, monkeypatch, capsys):
    """docs/resources.md is of the shipped one, and stays."""
    found = Estimate({"conv": dict.fromkeys(resources.RESOURCES, 7)}, [], [])
    monkeypatch.setattr(resources, "estimate", lambda: found)
    monkeypatch.setattr(resources.variant, "is_shipped", lambda: False)
    monkeypatch.setattr(resources, "PAGE", tmp_path / "resources.md")
    assert resources.main([]) == 0 and not resources.PAGE.exists()
    assert "engine of other sizes" in capsys.readouterr().out
    found.use["conv"] = {"dsp": 10**6}
    assert resources.main([]) == 0 and "engine of other sizes" in capsys.readouterr().out
    assert resources.main(["--check"]) == 1 and capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def engine():
    return resources.estimate()


def test_the_page_is_fresh(engine):
    assert resources.PAGE.read_text() == resources.page(engine, resources.limits())


@pytest.mark.parametrize("resource", resources.RESOURCES)
def test_the_engine_fits_the_board(engine, resource):
    limit = resources.limits()
    assert set(limit) >= set(resources.RESOURCES) and resources.BOARD == "zedboard"
    assert 0 < engine.total[resource] <= limit[resource]
