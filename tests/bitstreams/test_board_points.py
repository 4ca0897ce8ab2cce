"""Points of a board: engines of other sizes, their contract, clock, ports and packages."""

import json

import numpy as np
import pytest

from bitstreams import design, points, reprice
from hls import isa
from hls.errors import UserError
from hls.package import PackageError, encoded, read

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
PACKAGE = read(points.ROOT / "packages" / "fashion-mnist.npz")
PARTS = PACKAGE.program, PACKAGE.weights, PACKAGE.tables
BEGINS = reprice.starts(PACKAGE.program, PACKAGE.exits)


def with_points(**found):
    return {**design.read("zedboard"), "points": found}


def test_the_zedboard_s_points():
    found = points.read("zedboard")
    assert list(found) == ["safe", "large"]
    assert found["large"].hash == isa.HASH != found["safe"].hash
    assert found["large"].clock_mhz == design.read("zedboard")["clock_mhz"] == 143 and found["safe"].clock_mhz == 100
    assert found["safe"].sizes["TILE_WORDS"] * isa.TILE**2 == 128 * 1024
    assert points.read("pynq-z2") == found, "boards with the same chip have its points"


def test_the_clock_is_that_of_the_point_that_runs():
    other = {"title": "x", "clock_mhz": 77, "sizes": {"TILE_WORDS": 64}}
    own = {"title": "y", "clock_mhz": 88}
    assert points.clock_mhz("zedboard", with_points(a=other, b=own)) == 88
    assert points.clock_mhz("zedboard", with_points(a=other)) == 143
    assert points.clock_mhz("zedboard", {"clock_mhz": 143.0}) == 143


def test_wrong_points_are_named():
    with pytest.raises(UserError, match="no point 'huge' of zedboard: expected one of safe, large"):
        points.point("zedboard", "huge")
    wrong = with_points(a={"title": "x", "clock_mhz": 1, "sizes": {"LANES": 4}})
    with pytest.raises(UserError, match=r"points\.a: no size LANES in hls"):
        points.read("zedboard", wrong)


def test_main_lists_and_refuses(capsys):
    assert points.main(["zedboard"]) == 0
    assert capsys.readouterr().out.count("MHz, contract ") == 2
    assert points.main(["zedboard", "huge"]) == 2
    assert "no point 'huge'" in capsys.readouterr().err


def test_a_module_runs_with_the_point_s_engine(tmp_path, capfd):
    ask = tmp_path / "ask.py"
    ask.write_text("import sys\nfrom hls import isa\nprint(isa.HASH, isa.ROW_TAPS, list(isa.BUSES), sys.argv[1:])\n")
    chosen = points.point("zedboard", "safe")
    folder = points.prepare("zedboard", chosen, tmp_path)
    (folder / "ask.py").write_bytes(ask.read_bytes())
    assert points.run("zedboard", chosen, "ask", ["--x", "1"], tmp_path) == 0
    buses = ["program", "weights0", "tables", "images", "maps", "results"]
    assert capfd.readouterr().out.splitlines()[-1] == f"{chosen.hash} 2 {buses} ['--x', '1']"
    held = sorted(path.name for path in (folder / "packages").iterdir())
    assert held == sorted(path.name for path in (points.ROOT / "packages").glob("*.npz"))
    with pytest.raises(PackageError, match=f"package is for engine {chosen.hash}, this is {isa.HASH}"):
        read(folder / "packages" / "fashion-mnist.npz")


def test_a_package_priced_again_for_the_same_engine_is_the_same():
    meta = {key: value for key, value in PACKAGE.meta.items() if key != "class_exits"}
    found = reprice.repriced(*PARTS, BEGINS, PACKAGE.meta)
    assert np.array_equal(found.program, PACKAGE.program) and found.meta == meta
    encoded(found)  # valid


def test_prices_that_are_wrong_are_made_anew():
    program, meta = PACKAGE.program.copy(), json.loads(json.dumps(PACKAGE.meta))
    program[program[:, 0] == isa.TAP, 1 + isa.FIELDS[isa.TAP].index("cycles")] = 7
    for entry in meta["exits"]:
        entry |= {"cycles": 1, "classifier_cycles": 2}
    found = reprice.repriced(program, *PARTS[1:], BEGINS, meta)
    assert np.array_equal(found.program, PACKAGE.program) and found.exits == PACKAGE.exits
    with pytest.raises(UserError, match="no classifier of exit 0 takes 1180928 FLOPs and 2 cycles"):
        reprice.starts(program, meta["exits"])


def test_the_safe_point_s_design_has_the_ports_that_are_left():
    """Its memory ports go where the others' do; nothing stands on the processor's ports of the two that are gone."""
    ports = {name: port for name, port in isa.PORTS.items() if name not in ("weights1", "weights2")}
    facts = design.facts("zedboard", 100, ports)
    assert sorted(facts["memory_ports"]) == ["side", "weights0"]
    assert sorted(facts["memory_groups"]) == ["S_AXI_HP0", "S_AXI_HP3"]
