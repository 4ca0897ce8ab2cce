"""Rows of the open tools' results, and the table of docs/synthesis.md."""

import json

import pytest

from bench import documents
from bench.circuits import rtl
from bench.rows import Rows
from bitstreams import sources
from bitstreams.open_hls import rtl as open_tools

RESULT = {"part": "decisions", "opcodes": ["FC", "END"], "images": 2, "sizes": {"TILE_WORDS": 8}, "passed": True,
          "simulated_cycles": 1234, "modelled_cycles": [20, 30], "used": {"lut": 56789, "dsp": 7},
          "modelled": {"lut": 1000}}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(open_tools, "BUILD", tmp_path / "build" / "rtl")

    def leave(**changes):
        folder = open_tools.place("decisions")
        folder.mkdir(parents=True, exist_ok=True)
        result = RESULT | {"sources": sources.digest()} | changes
        (folder / open_tools.RESULT).write_text(json.dumps(result))

    return leave


def run():
    rows = Rows("rtl", "c")
    rtl.run(rows, {}, None)
    return {row["name"]: row for row in rows.rows}


def test_each_figure_has_its_kind_and_the_model_s_beside_it(place):
    place()
    rows = run()
    assert {name: (row["value"], row["kind"]) for name, row in rows.items()} == {
        "rtl.decisions.passed": (2, "simulated"),
        "rtl.decisions.cycles": (1234, "simulated"),
        "rtl.decisions.cycles.modelled": (50, "modelled"),
        "rtl.decisions.lut": (56789, "estimated"),
        "rtl.decisions.lut.modelled": (1000, "modelled"),
        "rtl.decisions.dsp": (7, "estimated"),
    }
    lines = documents.rtl_table(rows)
    assert "| decisions | cycles of all images | 1,234 | simulated RTL | 50 |" in lines
    assert "| decisions | LUT | 56,789 | estimated by open tools | 1,000 |" in lines
    assert "| decisions | DSP | 7 | estimated by open tools |  |" in lines
    assert "| decisions | images whose records are the golden model's | 2 of 2 | simulated RTL | |" in lines
    assert any(line.startswith("- *decisions* has ") and "FC, END" in line for line in lines)


def test_a_part_that_differs_is_told_and_has_no_cycles(place):
    place(passed=False)
    rows = run()
    assert rows["rtl.decisions.passed"]["value"] == 0 and "rtl.decisions.cycles" not in rows


def test_results_of_other_sources_have_no_rows(place, capsys):
    place(sources="another")
    assert run() == {}
    out = capsys.readouterr().out
    assert "rtl/result.json is of other sources: python -m bitstreams.open_hls.rtl --part decisions" in out
    assert "rtl_layers/result.json is not there" in out
