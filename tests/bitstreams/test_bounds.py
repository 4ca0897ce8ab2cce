"""The page of the loops' bounds, and the check that lets no loop get worse."""

import shutil
from dataclasses import replace

import pytest

pytest.importorskip("clang", reason="the bounds need libclang")

from bitstreams import bounds
from hls import cosim
from hls.bounds.analysis import Bound
from hls.bounds.ir import BoundsError
from hls.bounds.ports import Use
from tests.hls.bounds.kernels import needs_clang

USE = Use("state.lanes", 8, 0, 4, 4, "two ports")
WHOLE = Bound("Run::Cycles", ("chip/x.hpp", 7), 1, 1, 1, 1, 3.5, (), (), (), (), ())
FAULT = replace(WHOLE, ii_ports=4, uses=(USE,), open=("state.lanes",), period_ns=8.25)
FREE = replace(WHOLE, name="Run::Rest", promised=0, asked=0, ii_carried=3, period_ns=20.0)
PERIOD = 7.0


def on_page(*loops):
    return bounds.page(loops, bounds.Board(1000 / PERIOD, "-1", 32))


def test_the_page_tells_what_a_check_reads():
    assert bounds.told(on_page(WHOLE, FREE)) == {"Run::Cycles": (1, 1, 3.5, 0)}
    assert bounds.told(on_page(FAULT)) == {"Run::Cycles": (4, 1, 8.25, 1)}
    text = on_page(FAULT)
    assert "Worst gap of II: **3**. Worst least period: **8.25 ns**." in text
    assert "`state.lanes` has 8 reads and 0 writes on a path, two ports: II 4" in text
    assert "needs a dependence pragma" in " ".join(text.split())


@pytest.mark.parametrize("change, found", [
    ({"ii_ports": 5}, "least II by ports 5, promised 1, and it was 4"),
    ({"ii_carried": 2}, "least II carried 2, promised 1, and it was 1"),
    ({"period_ns": 8.4}, "least period 8.40 ns, and it was 8.25 ns"),
    ({"open": ("state.lanes", "state.more")}, "of state.lanes, state.more, 2 are not told apart, and it was 1"),
])  # fmt: skip
def test_a_loop_that_gets_worse_is_refused(change, found):
    before = on_page(FAULT)
    assert bounds.worse([FAULT], before, PERIOD) == []
    (sentence,) = bounds.worse([replace(FAULT, **change)], before, PERIOD)
    assert found in sentence


def test_what_gets_better_or_stays_within_the_clock_is_not():
    better = replace(FAULT, ii_ports=2, open=(), period_ns=6.0)
    assert bounds.worse([better], on_page(FAULT), PERIOD) == []
    assert bounds.worse([replace(WHOLE, period_ns=6.9)], on_page(WHOLE), PERIOD) == []
    assert bounds.worse([FREE], on_page(WHOLE), PERIOD) == []


def test_a_new_loop_has_to_hold():
    other = on_page(replace(WHOLE, name="Run::Other"))
    assert bounds.worse([WHOLE], other, PERIOD) == []
    assert len(bounds.worse([FAULT], other, PERIOD)) == 3


def test_strict_names_every_miss():
    assert bounds.broken([WHOLE, FREE], PERIOD) == []
    assert [sentence.partition(": ")[2] for sentence in bounds.broken([FAULT], PERIOD)] == [
        "least II 4, promised 1",
        "least period 8.25 ns, the clock's is 7.00 ns",
        "state.lanes needs a dependence pragma",
    ]


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command on a page of its own; what it finds is a list to change."""
    loops = [FAULT]
    monkeypatch.setattr(bounds, "ROOT", tmp_path)
    monkeypatch.setattr(bounds, "PAGE", tmp_path / "bounds.md")
    monkeypatch.setattr(bounds, "found", lambda board=None: loops)
    return loops


def test_the_command_writes_checks_and_refuses(command, capsys):
    assert bounds.main(["--check"]) == 1 and "stale" in capsys.readouterr().err
    assert bounds.main([]) == 0 and bounds.main(["--check"]) == 0
    assert bounds.main(["--check", "--strict"]) == 1
    written = bounds.PAGE.read_text()
    command[0] = replace(FAULT, ii_ports=6)
    for arguments in ([], ["--check"]):
        assert bounds.main(arguments) == 1 and "by ports 6" in capsys.readouterr().err
    assert bounds.PAGE.read_text() == written
    command[0] = WHOLE
    assert bounds.main(["--check"]) == 1 and "stale" in capsys.readouterr().err
    assert bounds.main(["--strict"]) == 0 and bounds.main(["--check", "--strict"]) == 0


@pytest.mark.parametrize("arguments", [["--clock-mhz", "100"], ["--latency", "80"], []])
def test_what_is_not_the_page_s_engine_or_clock_is_printed(command, arguments, monkeypatch, capsys):
    """And judged by --strict; the page is left as it is."""
    monkeypatch.setattr(bounds.variant, "is_shipped", lambda: bool(arguments))
    assert bounds.main(arguments) == 0 and "least period" in capsys.readouterr().out
    assert bounds.main([*arguments, "--strict"]) == 1 and "least II 4, promised 1" in capsys.readouterr().err
    command[0] = WHOLE
    assert bounds.main([*arguments, "--strict"]) == 0 and not bounds.PAGE.exists()
    capsys.readouterr()
    assert bounds.main([*arguments, "--check", "--strict"]) == 0 and capsys.readouterr().out == ""


def test_what_can_not_be_read_ends_in_a_line(command, monkeypatch, capsys):
    def fail():
        raise BoundsError("no clang-16: apt-get install clang-16")

    monkeypatch.setattr(bounds, "found", fail)
    assert bounds.main([]) == 2
    assert capsys.readouterr().err == "bitstreams.bounds: no clang-16: apt-get install clang-16\n"


@needs_clang
@pytest.mark.cosim
def test_faults_put_into_the_engine_are_found(tmp_path):
    """A cut of tile memory less, and a loop that the model counts and the sources lack."""
    copy = tmp_path / "src"
    shutil.copytree(cosim.SOURCES, copy)
    text = (copy / "engine.cpp").read_text()
    cut = "#pragma HLS array_partition variable = state.maps complete dim = 2"
    assert cut in text
    (copy / "engine.cpp").write_text(text.replace(cut, ""))
    loops = bounds.found(copy)
    faults = bounds.worse(loops, bounds.PAGE.read_text(), 1000 / bounds.board_of().clock_mhz)
    found = {fault.partition(": ")[0] for fault in faults if "by ports" in fault}
    moves = {"MoveFromDdr::MoveIn", "MoveFromTiles::MoveOut"}
    assert found == {"LoadPixels::ImageBeats", "RunMaps::MapCycles", *moves}
    use = next(use for bound in loops if bound.name == "RunMaps::MapCycles" for use in bound.uses
               if use.path == "state.maps")  # fmt: skip
    assert (use.reads, use.writes, use.ii) == (128, 64, 64)
    with pytest.raises(BoundsError, match="the model counts Nowhere::Loop"):
        bounds.bounds(bounds.read(copy), 143, "-1", 32, {"Nowhere::Loop": 1})
