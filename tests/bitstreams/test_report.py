"""The synthesis report: what has run is shown, what has not is not, and what is modelled never passes for more."""

import json

import pytest

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")

from xml.etree import ElementTree

from bitstreams import points, report, sources
from hls import isa
from tests.bitstreams import samples

MODELLED = {"dsp": 211, "bram18": 243, "lut": 64001, "ff": 50002}
HLS = {"dsp": 205, "bram18": 261, "lut": 61234, "ff": 58211}
NAMES = list(report.modelled_loops())
LABELS = [name.split("::")[1] for name in NAMES]


def stages(loops=(), **changes):
    """What synth.py notes of each stage."""
    return {
        "csim": {"passed": True},
        "hls": {"version": "2022.2", "target_ns": 7.0, "estimated_ns": 6.25, "used": HLS, "loops": list(loops)},
        "cosim": {"passed": True, "images": 2, "cycles": 272379, "modelled_cycles": 272298},
        "impl": {"clock_mhz": 142.857, "slack": {"setup_ns": 0.112}, "used": samples.PLACED},
    } | changes


def collect(folder, found, source=None, rtl=None):
    (folder / "zedboard-large").mkdir(exist_ok=True)
    kept = {"sources": source or sources.digest(), "stages": found}
    (folder / "zedboard-large" / "results.json").write_text(json.dumps(kept))
    (folder / "rtl.json").write_text(json.dumps(rtl or {}))
    return report.collect("zedboard", folder, folder / "rtl.json", lambda: MODELLED)


def rows(text, heading):
    """Cells of a table below `heading`: title → list of cells."""
    part = text.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in lines}


def test_each_origin_has_a_column_of_its_own(tmp_path):
    rtl = {"passed": True, "sources": sources.digest(), "used": {"dsp": 7, "bram18": 8, "lut": 9, "ff": 10}}
    text = report.markdown(collect(tmp_path, stages(), rtl=rtl))
    found = rows(text, "Resources")
    assert found["DSP48E1"] == ["220", "211 (96 %)", "7 (3 %)", "205 (93 %)", "204 (93 %)"]
    assert found["BRAM18"] == ["280", "243 (87 %)", "8 (3 %)", "261 (93 %)", "259 (92 %)"]
    assert found["LUT"][1:] == ["64,001 (120 %)", "9 (0 %)", "61,234 (115 %)", "41,234 (78 %)"]
    headings = text.split("## Resources\n\n")[1].splitlines()[0].split("|")[3:-1]
    assert [cell.strip() for cell in headings] == [heading for heading, _ in report.ORIGINS.values()]
    assert "160 MHz, asked for 142.9 MHz | 142.9 MHz, met with 0.112 ns to spare" in text
    assert "2 images, 272,379 cycles; modelled 272,298" in text and "not there" not in text


def test_what_has_not_run_is_a_dash_with_what_would_make_it(tmp_path):
    text = report.markdown(collect(tmp_path, {}))
    assert rows(text, "Resources")["DSP48E1"] == ["220", "211 (96 %)", "–", "–", "–"]
    for stage in ("make rtl", "make synth BOARD=zedboard POINT=large STAGE=hls", "POINT=large STAGE=impl"):
        assert stage in text
    assert "run on these sources: none" in text and "| – | – |" in text
    schedule = rows(text, "Schedule")
    assert [schedule[name][-1].strip() for name in NAMES] == ["not reported"] * len(NAMES)


def test_a_report_is_of_the_point_that_runs(tmp_path, monkeypatch):
    """Its clock, and the stages in its folder alone."""
    collect(tmp_path, stages())
    safe = points.point("zedboard", "safe")
    monkeypatch.setattr(points, "running", lambda board, data=None: safe)
    found = report.collect("zedboard", tmp_path, tmp_path / "nothing", lambda: {})
    assert (found.title, found.clock, found.stages) == ("Digilent ZedBoard, point safe", "100 MHz (target)", ())
    (tmp_path / "zedboard-large").rename(tmp_path / "zedboard-safe")
    assert report.collect("zedboard", tmp_path, tmp_path / "nothing", lambda: {}).stages != ()


def test_results_of_other_sources_do_not_count(tmp_path):
    rtl = {"passed": True, "sources": "another", "used": {"dsp": 7}}
    found = collect(tmp_path, stages(), source="another", rtl=rtl)
    assert list(found.used) == ["modelled"] and found.stages == () and found.simulated == []


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"stages": 3'])
def test_damaged_results_count_as_none(tmp_path, damage):
    collect(tmp_path, {})
    (tmp_path / "zedboard-large" / "results.json").write_text(damage)
    assert report.collect("zedboard", tmp_path, tmp_path / "nothing", lambda: {}).stages == ()


@pytest.mark.parametrize(
    ("loops", "verdict"),
    [
        ([{"name": LABELS[2], "ii": 1, "depth": 33}], "as modelled"),
        ([{"name": f"Outer_{LABELS[2]}", "ii": 1, "depth": 33}], "as modelled"),
        ([{"name": LABELS[2], "ii": 1, "depth": 3}, {"name": LABELS[2], "ii": 4, "depth": 9}], "slower, 4 for 1"),
        ([{"name": LABELS[2], "ii": None, "depth": None}], "not pipelined"),
        ([{"name": f"{LABELS[2]}s", "ii": 1, "depth": 3}], "not reported"),
    ],
)
def test_expected_against_reported_ii(tmp_path, loops, verdict):
    found = collect(tmp_path, stages([{"module": "m", "trips": None, **loop} for loop in loops]))
    assert found.loops[2].name == NAMES[2] and found.loops[2].verdict == verdict
    assert [row.verdict for row in found.loops[:2]] == ["not reported"] * 2


def test_every_loop_of_the_contract_has_a_label_of_its_own():
    assert set(NAMES) == {loop["name"] for loop in isa.LOOPS} and len(set(LABELS)) == len(LABELS)
    assert not [(a, b) for a in LABELS for b in LABELS if a != b and a.endswith(f"_{b}")]


def test_a_loop_that_several_instructions_run_stands_in_one_row(tmp_path, monkeypatch):
    told = ("Run::Cycles", "CONV", 2, 32), ("Run::Cycles", "POOL", 1, 40), ("Other::Beats", "MOVE", 1, 4)
    monkeypatch.setattr(isa, "LOOPS", [dict(zip(("name", "opcode", "ii", "depth"), loop)) for loop in told])
    reported = [{"module": "m", "trips": None, "name": "Cycles", "ii": 2, "depth": 33}]
    found = collect(tmp_path, stages(reported)).loops
    assert [(row.name, row.expected, row.verdict) for row in found] == [
        ("Run::Cycles", (1, 32), "slower, 2 for 1"),
        ("Other::Beats", (1, 4), "not reported"),
    ]


def test_the_picture_is_xml_and_says_what_is_modelled(tmp_path):
    loops = [{"module": "m", "name": LABELS[0], "trips": None, "ii": 3, "depth": 9}]
    text = report.draw(collect(tmp_path, stages(loops)))
    words = [element.text or "" for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert "modelled" in words and any("no tool has made it" in word for word in words)
    assert "64,001 (120 %)" in words and "slower, 3 for 1" in words and "open tools: not run" in words


def test_the_command_writes_both(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "modelled_resources", lambda: MODELLED)
    assert report.main(["pynq-z2", "--build", str(tmp_path)]) == 0
    assert "TUL PYNQ-Z2" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "pynq-z2-large").iterdir()} == {"report.md", "report.svg"}
    assert report.main(["nexys", "--build", str(tmp_path)]) == 2
    assert "no board 'nexys'" in capsys.readouterr().err


def test_what_is_modelled_counts_what_is_around_the_engine(monkeypatch):
    """As what Vivado places does: four adapters and ways, 42 registers' words, the interconnect of control."""
    resources = pytest.importorskip("hls.estimate.resources", reason="needs libclang")
    found = resources.Estimate({"a": {"dsp": 1.4, "bram18": 0, "lut": 2, "ff": 0}, "b": {"dsp": 1}}, [], [])
    assert set(found.total) == set(report.RESOURCES)
    monkeypatch.setattr(resources, "estimate", lambda: found)
    words = sum(count for _, count in isa.REGISTERS.values())
    lut = 2 + 4 * (774 + 350) + 60 * words + 950
    assert report.modelled_resources() == {"dsp": 2, "bram18": 8, "lut": lut, "ff": 4 * (705 + 400) + 33 * words + 1150}
