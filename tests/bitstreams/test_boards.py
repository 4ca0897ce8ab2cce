"""boards.json is what the boards' files say, and a wrong file is named with its key."""

import json

import pytest

from bitstreams.generate import FOLDER, OUTPUT, BoardError, generate, main, read_board

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
TEXT = (FOLDER / "boards" / "zedboard.toml").read_text()


def test_the_committed_file_is_fresh(capsys):
    assert main(["--check"]) == 0
    assert OUTPUT.read_text() == generate()


def test_a_stale_file_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("bitstreams.generate.OUTPUT", tmp_path / "boards.json")
    assert main(["--check"]) == 1
    assert "is stale" in capsys.readouterr().err
    assert main([]) == 0 and main(["--check"]) == 0
    assert json.loads((tmp_path / "boards.json").read_text())["zedboard"]["limits"]["dsp"] == 220


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("dsp = 220", "", "no key limits.dsp"),
        ("dsp = 220", "dsp = 220\ndps = 1", "unknown key limits.dps"),
        ("clock_mhz = 143", "clock_mhz = 143\nfan = 1", "unknown key fan"),
        ("dsp = 220", 'dsp = "220"', "limits.dsp is '220', expected a count"),
        ("dsp = 220", "dsp = -1", "limits.dsp is -1"),
        ("dsp = 220", "dsp = true", "limits.dsp is True"),
        ("shunt_ohm = 0.010", "shunt_ohm = inf", "power.shunt_ohm is inf, expected a number"),
        ('"target"', '"guess"', "clock_kind is 'guess'"),
        ("bram18 = 280", "bram18 = 140", "must be twice"),
        ("[limits]", "limits = 3\n[other]", "unknown key other"),
        ("[limits]", "[[limits]]", "limits is .*expected a table"),
        ("dsp = 220", "dsp = ", "expected a TOML file"),
    ],
)
def test_wrong_files(tmp_path, old, new, expected):
    assert old in TEXT
    path = tmp_path / "zedboard.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(BoardError, match=expected) as error:
        read_board(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_no_board(tmp_path, monkeypatch, capsys):
    with pytest.raises(BoardError, match="has no"):
        generate(tmp_path)
    monkeypatch.setattr("bitstreams.generate.generate", lambda: generate(tmp_path))
    assert main([]) == 2
    assert "expected one per board" in capsys.readouterr().err
