"""Points of a board: engines of other sizes, their contract, clock, ports and packages."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from bitstreams import design, generate, points, reprice
from hls import isa
from hls.errors import UserError
from hls.generate import variant
from hls.package import PackageError, encoded, read
from host.board import catalog

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
PACKAGE = read(points.ROOT / "packages" / "fashion-mnist.npz")
PARTS = PACKAGE.program, PACKAGE.weights, PACKAGE.tables, PACKAGE.variants
BEGINS = [reprice.starts(PACKAGE.program, PACKAGE.exits)]


def with_points(**found):
    return {**design.read("zedboard"), "points": found}


def ask(folder, *command, **changes):
    """What `python -m command` of the safe point prints on standard output, whose folder is below `folder`."""
    chosen = points.point("zedboard", "safe")
    place = points.prepare("zedboard", chosen, folder)
    environment = {**os.environ, **points.environment(place), **changes}
    found = subprocess.run([sys.executable, "-m", *command], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-500:]
    return found.stdout


def test_the_zedboard_s_points():
    found = points.read("zedboard")
    assert list(found) == ["safe", "large"]
    assert found["large"].hash == isa.HASH != found["safe"].hash and variant.is_shipped()
    assert found["large"].clock_mhz == design.read("zedboard")["clock_mhz"] == 143 and found["safe"].clock_mhz == 100
    assert found["safe"].sizes["TILE_WORDS"] * isa.TILE**2 == 128 * 1024
    assert points.read("pynq-z2") == found, "boards with the same chip have its points"


def test_a_board_with_a_slower_memory_has_points_of_its_own(tmp_path):
    """Its file says the latency; its engines' contract and prices follow, packages of the shipped one do not fit."""
    text = (generate.BOARDS / "zedboard.toml").read_text()
    slower = tmp_path / "slower.toml"
    slower.write_text(text.replace("ddr_latency_cycles = 24 ", "ddr_latency_cycles = 40 "))
    found, own = points.read("slower", generate.read_board(slower)), points.read("zedboard")
    latency = {"DDR_LATENCY": 40}
    assert found["large"].sizes == latency and found["safe"].sizes == own["safe"].sizes | latency
    assert not {one.hash for one in found.values()} & {one.hash for one in own.values()}
    place = points.prepare("slower", found["large"], tmp_path / "build")
    environment = {**os.environ, **points.environment(place)}

    def reading(path):
        code = f"from hls.package import read; print(read({str(path)!r}).exits[-1]['cycles'])"
        return subprocess.run([sys.executable, "-c", code], env=environment, cwd=place, capture_output=True, text=True)

    own_package = reading("packages/fashion-mnist.npz")
    assert int(own_package.stdout) > PACKAGE.exits[-1]["cycles"], own_package.stderr
    assert "package is for engine" in reading(points.ROOT / "packages" / "fashion-mnist.npz").stderr


def test_the_clock_is_that_of_the_point_that_runs():
    other = {"title": "x", "clock_mhz": 77, "sizes": {"TILE_WORDS": 64}, "isa_hash": "0" * 16}
    own = {"title": "y", "clock_mhz": 88, "isa_hash": isa.HASH}
    assert points.clock_mhz("zedboard", with_points(a=other, b=own)) == 88
    assert points.clock_mhz("zedboard", with_points(a=other)) == 143
    assert points.clock_mhz("zedboard", {"clock_mhz": 143.0}) == 143
    assert points.place("zedboard", points.running("zedboard", with_points(a=other, b=own))) == "zedboard-b"
    assert points.place("zedboard", points.running("zedboard", with_points(a=other))) == "zedboard"


def test_the_safe_point_takes_less_than_three_quarters_of_the_chip(tmp_path):
    """As its title says, with what stands around it."""
    pytest.importorskip("clang", reason="the estimate needs libclang")
    text = ask(tmp_path, "bitstreams.resources")
    assert "three quarters" in points.point("zedboard", "safe").title and "engine of other sizes" in text
    assert "With what is around it: 67% of the DSP48E1" in text
    assert "Too much" not in text and "Over the" not in text


def test_wrong_points_are_named():
    with pytest.raises(UserError, match="no point 'huge' of zedboard: expected one of safe, large"):
        points.point("zedboard", "huge")


def test_an_older_python_is_told_of(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    assert points.main(["zedboard", "safe", "host.run"]) == 2
    err = capsys.readouterr().err
    assert "read with Python 3.11 or newer" in err and err.count("\n") == 1


def test_main_lists_and_refuses(capsys):
    assert points.main(["zedboard"]) == 0
    assert capsys.readouterr().out.count("MHz, contract ") == 2
    assert points.main(["zedboard", "huge"]) == 2
    assert "no point 'huge'" in capsys.readouterr().err


@pytest.mark.parametrize("module", ["nosuch", "host.nosuch", "host", "os", "../host", "host/run.py", ".host", ""])
def test_a_module_that_there_is_not_is_refused(module, capsys):
    assert points.main(["zedboard", "safe", module, "--budget", "74M"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"bitstreams.points: no module {module!r} to run: ") and err.count("\n") == 1


@pytest.mark.parametrize("words", [["--x"], ["zedboard", "--x"], ["zedboard", "safe", "--x"], []])
def test_an_option_of_no_module_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        points.main(words)
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1


ASKED = """import sys
from hls import isa
from hls.generate import variant
print(isa.HASH, variant.is_shipped(), isa.ROW_TAPS, list(isa.BUSES), sys.argv[1:])
"""


def started(folder, *words):
    """A process of points.main, whose points are built in `folder`."""
    code = (
        "import sys, pathlib; from bitstreams import points; points.run.__defaults__ = (pathlib.Path(sys.argv[1]),); "
    )
    command = [sys.executable, "-c", f"{code}sys.exit(points.main(sys.argv[2:]))", str(folder), *words]
    environment = {**os.environ, "PYTHONPATH": str(points.ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_module_runs_with_the_point_s_engine(tmp_path):
    chosen = points.point("zedboard", "safe")
    folder = points.prepare("zedboard", chosen, tmp_path)
    (folder / "ask.py").write_text(f"{ASKED}sys.exit(3)\n")
    process = started(tmp_path, "zedboard", "safe", "ask", "--help", "1")
    buses = ["program", "weights0", "tables", "images", "maps", "results"]
    assert process.communicate() == (f"{chosen.hash} False 2 {buses} ['--help', '1']\n", "") and process.returncode == 3
    held = sorted(path.name for path in (folder / "packages").iterdir())
    assert held == sorted(path.name for path in (points.ROOT / "packages").glob("*.npz"))
    with pytest.raises(PackageError, match=f"package is for engine {chosen.hash}, this is {isa.HASH}"):
        read(folder / "packages" / "fashion-mnist.npz")


def test_a_signal_reaches_the_module(tmp_path):
    """A synthesis ends its tools then; a process between would leave them running."""
    folder = points.prepare("zedboard", points.point("zedboard", "safe"), tmp_path)
    text = "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\nprint(flush=True)\n"
    (folder / "ask.py").write_text(f"{text}time.sleep(60)\n")
    with started(tmp_path, "zedboard", "safe", "ask") as process:
        process.stdout.readline()
        process.terminate()
    assert process.returncode == 7


def test_a_point_that_is_there_is_left_alone(tmp_path):
    """Another process may be running it; what was changed in it is made anew."""
    chosen = points.point("zedboard", "safe")
    folder = points.prepare("zedboard", chosen, tmp_path)
    path, package = folder / "hls" / "isa.py", folder / "packages" / "fashion-mnist.npz"
    before, data = path.stat().st_ino, package.read_bytes()
    points.prepare("zedboard", chosen, tmp_path)
    assert path.stat().st_ino == before and package.read_bytes() == data
    assert sorted(each.name for each in folder.iterdir()) == ["hls", "packages"]
    text = path.read_text()
    path.write_text(text.replace("ROW_TAPS = 2", "ROW_TAPS = 3"))
    (folder / "hls" / "gone.py").touch()
    points.prepare("zedboard", chosen, tmp_path)
    assert path.read_text() == text and not (folder / "hls" / "gone.py").exists()


def test_what_the_host_models_is_at_the_point_s_clock(tmp_path):
    """The default package is the point's, 2 ms are 200,000 cycles, and a watt alone takes as many mJ as ms."""
    watt = dict.fromkeys(catalog.LEVELS, 0) | {"static": 1, "kind": "x", "source": "x"}
    (tmp_path / "watt.json").write_text(json.dumps(watt))
    options = ["--images", "5", "--budget", "2ms", "--backend", "golden", "--energy", str(tmp_path / "watt.json")]
    found = json.loads(ask(tmp_path, "host.run", *options, "--json", "-"))
    assert found["time_ms"]["clock_mhz"] == 100 and found["budget"]["cycles"] == 200_000
    assert found["time_ms"]["mean"] == pytest.approx(found["cycles"]["mean"] / 1e5)
    assert found["energy"]["mean_mj"] == pytest.approx(found["time_ms"]["mean"])
    assert "at 100 MHz (target clock, zedboard)" in ask(tmp_path, "host.run", *options)
    python = "from host import Engine; print(Engine('cifar10', 'golden').board.clock_hz)"
    (tmp_path / "zedboard-safe" / "python.py").write_text(python)
    assert ask(tmp_path, "python") == "100000000\n"


FACTS = """
from types import SimpleNamespace
from bitstreams import points
from bitstreams.vitis.install import build_facts
point = points.running("zedboard")
job = SimpleNamespace(board="zedboard", point=point, facts={"part": "x"}, tools=SimpleNamespace(programs={}))
print(build_facts(job, {"impl": {"clock_mhz": 100, "slack": {}, "used": {}}}))
"""


def test_each_point_is_built_in_a_folder_of_its_own(tmp_path):
    """With its clock and sizes, so that one after another neither mixes nor overwrites."""
    dry = "bitstreams.vitis.synth", "zedboard", "--dry-run", "--build", str(tmp_path / "build")
    assert f"the files are in {tmp_path}/build/zedboard-safe\n" in ask(tmp_path, *dry)
    subprocess.run([sys.executable, "-m", *dry], cwd=points.ROOT, check=True, capture_output=True)
    assert sorted(path.name for path in (tmp_path / "build").iterdir()) == ["zedboard-large", "zedboard-safe"]
    for name, clock, taps in (("safe", "100.000000", 2), ("large", "142.857143", 3)):
        folder = tmp_path / "build" / f"zedboard-{name}"
        assert f"set clock_mhz {clock}\n" in (folder / "parameters.tcl").read_text()
        assert f"kRowTaps = {taps};" in (folder / "src" / "isa.hpp").read_text()


def test_a_build_says_the_sizes_of_its_point(tmp_path):
    (tmp_path / "zedboard-safe").mkdir()
    (tmp_path / "zedboard-safe" / "facts.py").write_text(FACTS)
    found = ast.literal_eval(ask(tmp_path, "facts"))
    chosen = points.point("zedboard", "safe")
    assert found["isa_hash"] == chosen.hash and found["point"] == "safe"
    assert {name: found["engine"][name] for name in chosen.sizes} == chosen.sizes


def test_a_package_priced_again_for_the_same_engine_is_the_same():
    found = reprice.repriced(*PARTS, BEGINS, PACKAGE.meta)
    assert np.array_equal(found.program, PACKAGE.program) and found.meta == PACKAGE.meta
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
