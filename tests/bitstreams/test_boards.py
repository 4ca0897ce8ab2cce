"""boards.json is what the boards' files say, and a wrong file is named with its key."""

import json

import pytest

from bitstreams import design
from bitstreams.generate import BOARDS, CHIP, FOLDER, OUTPUT, chip, generate, main, read_board
from hls.errors import UserError
from host.board import catalog as host_boards

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
        ("TILE_WORDS = 2048", "LANES = 4", r"points\.safe: no size LANES in hls"),
        ("MAX_KERNEL = 3", "DDR_LATENCY = 40", "points.safe.sizes has DDR_LATENCY: give memory.ddr_latency_cycles"),
        ("axi_hp_bits = 64", "axi_hp_bits = 32", "axi_hp_bits is 32, expected the 64 bits"),
        ("cycles = 24 ", "cycles = 10001 ", "ddr_latency_cycles is 10001, expected at most 10,000"),
        ("cycles = 24 ", "cycles = 0 ", "ddr_latency_cycles is 0"),
        ("[limits]", "[[limits]]", "limits is .*expected a table"),
        ("dsp = 220", "dsp = ", "expected a TOML file"),
        ("board_parts = [", "board_parts = [3, ", "board_parts is .*expected a list of texts"),
        ('preset = "ZedBoard"', "", "neither preset nor properties"),
        (
            'preset = "ZedBoard"',
            "properties = { PCW_UART1_PERIPHERAL_ENABLE = 1 }",
            "PCW_UART1_.* is 1, expected a text",
        ),
        ('connector = "J21"', "", "one of shunt_ohm and connector"),
        ('title = "', 'chip_as = "zedboard"\ntitle = "', "limits is there as well"),
        ('title = "', 'chip_as = "../zedboard"\ntitle = "', "expected the name of a board's file"),
    ],
)
def test_wrong_files(tmp_path, old, new, expected):
    assert old in TEXT
    path = tmp_path / "zedboard.toml"
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(UserError, match=expected) as error:
        read_board(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_no_board(tmp_path, monkeypatch, capsys):
    with pytest.raises(UserError, match="has no"):
        generate(tmp_path)
    monkeypatch.setattr("bitstreams.generate.generate", lambda: generate(tmp_path))
    assert main([]) == 2
    assert "expected one per board" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TEXT.replace("xc7z020clg484-1", "xc7z010clg400-1"), "which has xc7z010; this board has xc7z020"),
        ('chip_as = "zedboard"\n' + TEXT, "zedboard itself has chip_as"),
        (TEXT.replace("[limits]", "[limit]"), "no key limits"),
        (None, "expected a TOML file"),
    ],
)
def test_tables_of_the_chip_come_from_a_board_that_has_it(tmp_path, text, expected):
    path = tmp_path / "pynq-z2.toml"
    path.write_text((BOARDS / "pynq-z2.toml").read_text())
    if text is not None:
        (tmp_path / "zedboard.toml").write_text(text)
    with pytest.raises(UserError, match=expected):
        read_board(path)


def test_a_board_with_the_chip_of_another_has_its_limits_and_energies():
    boards = json.loads(OUTPUT.read_text())
    assert sorted(boards) == ["pynq-z1", "pynq-z2", "zedboard", "zybo-z7-20"]
    for name, board in boards.items():
        assert chip(board["part"]) == "xc7z020" and board["memory"]["axi_hp_ports"] == 4
        assert all(board[key] == boards["zedboard"][key] for key in CHIP)
        assert host_boards.read(name).shunt_ohm == (0.01 if name == "zedboard" else None)
        assert "J21" in board["power"]["measure"] or "no point to measure at" in board["power"]["measure"]
        crystal = board["processing_system"].get("properties", {}).get("PCW_CRYSTAL_PERIPHERAL_FREQMHZ")
        assert crystal is None or float(crystal) == board["processing_system"]["crystal_mhz"]


def test_the_list_of_boards(capsys, monkeypatch):
    assert design.main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["board", *design.board_names()]
    assert "safe 100, large 143" in next(line for line in lines if line.startswith("zedboard"))
    data = design.read("zedboard")
    assert " 143 " in design.table({"zedboard": {key: data[key] for key in data if key != "points"}}).splitlines()[1]
    monkeypatch.setattr(design, "read", lambda name: read_board(FOLDER / "nothing.toml"))
    assert design.main() == 2
    assert "cannot" in (error := capsys.readouterr().err) or "No such file" in error
