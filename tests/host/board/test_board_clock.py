"""The engine's clock: read from the processor's registers with the board's own crystal, and against pynq's own code.

    pip download --no-deps --no-binary :all: -d build/pynq pynq==3.0.1      # and pynq==3.1.2
    PYNQ_SDIST=DIR pytest tests/host/board/test_board_clock.py

$PYNQ_SDIST names a folder with pynq's source archives (default: build/pynq); without them those tests are skipped.
"""

import functools
import importlib
import os
import sys
import tarfile
import types
from pathlib import Path
from typing import Any

import pytest

from bench.standin.board import Bench
from bench.standin.machine import CRYSTAL_HZ, Machine
from bench.standin.software_pynq import module
from hls.errors import UserError
from host.board import catalog, machine

ROOT = Path(__file__).resolve().parents[3]
SDISTS = Path(os.environ.get("PYNQ_SDIST", ROOT / "build" / "pynq"))
ZEDBOARD = catalog.read("zedboard")


class Registers:
    """The processor's registers by offset, as pynq.MMIO gives them."""

    def __init__(self, values):
        self.MMIO = lambda base, size: self
        self._values = values

    def read(self, offset):
        return self._values[offset]


@pytest.mark.parametrize(
    ("clock", "pll", "crystal_hz", "expected"),
    [
        (1 << 20 | 7 << 8, {0x108: 30 << 12}, 33_333_333, 142.857141e6),  # a ZedBoard's
        (1 << 20 | 7 << 8, {0x108: 20 << 12}, 50_000_000, 142.857143e6),  # a PYNQ-Z1's
        (2 << 20 | 5 << 8 | 1 << 4, {0x108: 30 << 12}, 33_333_333, 99.999999e6),  # SRCSEL 01 is the IO PLL too
        (1 << 20 | 8 << 8 | 2 << 4, {0x100: 40 << 12}, 33_333_333, 166.666665e6),  # the ARM's
        (1 << 20 | 8 << 8 | 3 << 4, {0x104: 32 << 12}, 33_333_333, 133.333332e6),  # the memory's
        (1 << 20 | 1 << 8, {0x108: 30 << 12 | 1 << 4}, 33_333_333, 33.333333e6),  # bypassed
        (63 << 20 | 63 << 8, {0x108: 127 << 12}, 33_333_333, 1.066599e6),  # all bits of the fields
    ],
)
def test_the_clock_is_what_the_registers_say(clock, pll, crystal_hz, expected):
    found, how = machine.logic_clock(Registers({0x170: clock, **pll}), crystal_hz)
    assert found == pytest.approx(expected, rel=1e-6) and "÷" in how


def test_a_zedboard_has_its_own_crystal():
    assert ZEDBOARD.crystal_hz == CRYSTAL_HZ
    assert catalog.read("pynq-z1").crystal_hz == 50_000_000


@pytest.mark.parametrize("divisors", [(7, 1), (1, 7)])
def test_pynqs_50_mhz_are_not_believed(tmp_path, divisors):
    """What pynq calls 214.286 MHz on a ZedBoard is 142.857 MHz, whichever divisor it is."""
    with Bench(tmp_path, golden_model=True) as bench:
        bench.machine.faults["divisors"] = divisors
        with bench.board() as board:
            assert board.clock_hz == pytest.approx(142.857e6, rel=1e-5)
        assert sys.modules["pynq"].Clocks.fclk0_mhz == pytest.approx(214.286, rel=1e-5)


def test_a_bitstream_of_another_board_is_found_out(tmp_path):
    """The registers of a ZedBoard behind a crystal of 50 MHz: the timer counts half as much again."""
    refused = pytest.raises(UserError, match=r"counts at [12]\d\d[.\d]* MHz, its clock is set to 142.857 MHz .*--board")
    with Bench(tmp_path, golden_model=True, faults={"crystal": 50_000_000}) as bench, refused:
        bench.board()


# ------------------------------------------------------------------------------------------------------ pynq's own code
@functools.cache
def sources(version):
    """Name → bytes of the modules of a release that its clocks are made of; skips where its archive is not there."""
    archive = SDISTS / f"pynq-{version}.tar.gz"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there: see above how to download it")
    wanted, found = {f"pynq-{version}/pynq/{name}.py": name for name in ("ps", "registers")}, {}
    with tarfile.open(archive) as tar:
        for member in tar:  # as they come: the archive is large, and these are at its beginning
            if member.name in wanted:
                file = tar.extractfile(member)
                assert file is not None
                found[wanted[member.name]] = file.read()
            if len(found) == len(wanted):
                return found
    pytest.fail(f"{archive} has not {', '.join(wanted)}")


@pytest.fixture(params=["3.0.1", "3.1.2"])
def clocks(request, tmp_path, monkeypatch):
    """A function: Machine → pynq's own Clocks on its registers, of that release's source archive."""
    package = tmp_path / "real_pynq"
    package.mkdir()
    for name, text in sources(request.param).items():
        (package / f"{name}.py").write_bytes(text)
    (package / "__init__.py").touch()
    (package / "mmio.py").write_text("MMIO = None\n")  # of the machine, below
    monkeypatch.syspath_prepend(tmp_path)

    def on(board):
        for name in [name for name in sys.modules if name.partition(".")[0] == "real_pynq"]:
            monkeypatch.delitem(sys.modules, name)
        mmio: Any = importlib.import_module("real_pynq.mmio")
        mmio.MMIO = lambda base, size, device=None: types.SimpleNamespace(array=_words(board, base, size))
        ps: Any = importlib.import_module("real_pynq.ps")
        ps.CPU_ARCH = machine.ARCHITECTURE  # 3.0.1 asks the processor, 3.1.2 the device
        ps.Clocks.device = types.SimpleNamespace(arch=machine.ARCHITECTURE)
        return ps.Clocks

    return on


def _words(board, base, size):
    assert (base, size) == (machine.CONTROL, machine.CONTROL_SIZE)
    return board.control


@pytest.mark.parametrize(("divisors", "accepted"), [((7, 1), True), ((7, 2), False), ((5, 1), False), ((10, 1), False)])
def test_the_driver_on_pynqs_own_clocks(tmp_path, monkeypatch, clocks, divisors, accepted):
    """A ZedBoard's registers, set by pynq as it loads the .hwh: 142.857 MHz is accepted, and nothing else.

    (7, 2) is the clock that pynq would call 107.143 MHz; (10, 1) is 100 MHz, which it calls 150.
    """
    with Bench(tmp_path, golden_model=True) as bench:
        real = clocks(bench.machine)
        monkeypatch.setattr(sys.modules["pynq"], "Clocks", real)
        set_pl_clk = real._instance.set_pl_clk
        monkeypatch.setattr(real._instance, "set_pl_clk", lambda index, *_: set_pl_clk(index, *divisors))
        if accepted:
            with bench.board() as board:
                assert board.clock_hz == pytest.approx(142.857e6, rel=1e-5)
        else:
            with pytest.raises(UserError, match=rf"\(33\.3333 × 30 ÷ {divisors[0]} ÷ {divisors[1]}\)"):
                bench.board()
        megahertz = CRYSTAL_HZ * 30 / (divisors[0] * divisors[1]) / 1e6
        assert real.fclk0_mhz == pytest.approx(1.5 * megahertz, rel=1e-5)  # what the driver would have believed


def test_the_stand_in_tells_what_pynq_tells(clocks):
    board = Machine(golden_model=True)
    mine, theirs = module(board).Clocks, clocks(board)
    for divisors in ((7, 1), (5, 2), (63, 63)):
        theirs.set_pl_clk(0, *divisors)
        assert mine.fclk0_mhz == pytest.approx(theirs.fclk0_mhz, rel=1e-6)
        mine.set_pl_clk(0, *divisors)
        assert mine.fclk0_mhz == pytest.approx(theirs.fclk0_mhz, rel=1e-6)
