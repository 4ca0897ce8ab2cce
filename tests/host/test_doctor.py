"""host/doctor.py: what it finds on this machine, and each thing that can be missing, with its remedy."""

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from hls import isa
from hls.command import places
from host import checks, doctor
from host.backend import BackendMissing
from host.board import catalog, machine, overlay
from host.checks import MISSING, NOTE, OK

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    monkeypatch.setattr(checks, "_reached", lambda url: False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def found(check, *arguments):
    finding = check(*arguments)
    assert finding.state in (OK, NOTE, MISSING) and "\n" not in finding.found
    assert finding.remedy or finding.state != MISSING
    return finding


def test_a_laptop_lacks_nothing(capsys):
    code = doctor.main([])
    out = capsys.readouterr().out
    assert code == 0 and out.startswith("laptop:") and "nothing is missing" in out and isa.HASH in out
    assert max(map(len, out.splitlines())) < 200


def test_as_a_board_it_says_what_is_missing(capsys):
    assert doctor.main(["--board", "zedboard", "--json"]) == 1
    findings = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert findings["pynq"]["state"] == MISSING and "image" in findings["pynq"]["remedy"]
    assert findings["packages"]["state"] == OK
    assert "contiguous memory" in findings and "permissions" in findings
    assert doctor.main(["--board", "nexys"]) == 2
    err = capsys.readouterr().err
    assert "no board 'nexys': expected one of" in err and "zedboard" in err


def test_it_runs_where_numpy_is_missing(tmp_path):
    """As a script with an interpreter that finds no numpy: one line for it, and no traceback."""
    code = (
        "import sys; sys.modules['numpy'] = None; sys.argv = ['doctor.py', '--json']\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        f"import runpy; runpy.run_path({str(ROOT / 'host' / 'doctor.py')!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    findings = {item["name"]: item for item in json.loads(result.stdout)}
    assert result.returncode == 1 and result.stderr == ""
    assert findings["numpy"] == {
        "name": "numpy",
        "state": MISSING,
        "found": "not there",
        "remedy": "pip install -r requirements/run.txt, or make run",
    }


def test_versions(monkeypatch):
    assert found(checks.check_python, False).state == OK
    monkeypatch.setattr(checks.platform, "python_version_tuple", lambda: ("3", "8", "10"))
    finding = found(checks.check_python, True)
    assert finding.state == MISSING and "3.10 or newer" in finding.found and "PYNQ 3" in finding.remedy
    monkeypatch.setattr("numpy.__version__", "2.2.6")
    assert found(checks.check_numpy, False).state == OK
    assert "pynq needs 1.x" in found(checks.check_numpy, True).found
    monkeypatch.setattr("numpy.__version__", "1.26.4")
    assert found(checks.check_numpy, True).state == OK


def test_no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert found(checks.check_compiler, False).state == MISSING
    assert found(checks.check_compiler, True).state == NOTE


def test_pynq(monkeypatch):
    for version, state in (("3.1.2", OK), ("4.0.0", MISSING)):
        module = type("pynq", (), {"__version__": version})
        monkeypatch.setattr(machine, "module", lambda module=module: module)
        assert found(checks.check_pynq, True).state == state

    def missing():
        raise BackendMissing("pynq finds no board")

    monkeypatch.setattr(machine, "module", missing)
    assert found(checks.check_pynq, True).state == MISSING


def test_packages_and_engine_of_another_contract(monkeypatch, tmp_path):
    for folder in ("packages", "hls/src"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(places, "ENGINE", tmp_path)
    assert "none in packages/" in found(checks.check_packages, False).found
    assert found(checks.check_engine, True).state == NOTE and found(checks.check_engine, False).state == MISSING
    (tmp_path / "packages" / "damaged.npz").write_bytes(b"PK\3\4")
    (tmp_path / "hls" / "src" / "isa.hpp").write_text("another hash")
    assert "damaged.npz" in found(checks.check_packages, False).found
    assert "hls.generate" in found(checks.check_engine, False).remedy


def test_bitstreams(monkeypatch, tmp_path):
    monkeypatch.setattr(overlay, "BITSTREAMS", tmp_path)
    assert found(checks.check_bitstream, False, "zedboard").state == NOTE
    assert found(checks.check_bitstream, True, "zedboard").state == MISSING
    folder = tmp_path / "zedboard"
    folder.mkdir()
    (folder / "ddi.bit").write_bytes(b"bits")
    assert ".hwh is missing" in found(checks.check_bitstream, False, "zedboard").found
    (folder / "ddi.hwh").write_text("<hwh/>")
    facts = {"isa_hash": "0" * 16, "part": overlay.part("zedboard"), "clock_mhz": 100}
    (folder / "build.json").write_text(json.dumps(facts))
    assert f"this is {isa.HASH}" in found(checks.check_bitstream, True, "zedboard").found
    safe = json.loads(catalog.FILE.read_text())["zedboard"]["points"]["safe"]["isa_hash"]
    (folder / "build.json").write_text(json.dumps({**facts, "isa_hash": safe}))
    on_board, on_laptop = (found(checks.check_bitstream, where, "zedboard") for where in (True, False))
    assert (on_board.state, on_laptop.state) == (MISSING, NOTE) and on_board.found == on_laptop.found
    assert on_board.found.endswith(f"contract {safe}, this is {isa.HASH}: it is zedboard's point safe")
    assert on_board.remedy == "make deploy HOST=… BOARD=zedboard, from the laptop, copies what fits it"
    (folder / "build.json").write_text(json.dumps({**facts, "isa_hash": isa.HASH}))
    assert found(checks.check_bitstream, True, "zedboard").state == OK


def test_data(monkeypatch, tmp_path):
    assert found(checks.check_sample, False).state == OK
    assert "cannot be reached" in found(checks.check_data, None).found
    monkeypatch.setattr(checks, "_reached", lambda url: True)
    assert found(checks.check_data, None).state == NOTE
    assert found(checks.check_data, tmp_path / "none").state == MISSING
    (tmp_path / "ddi-fpga" / "cifar10").mkdir(parents=True)
    (tmp_path / "ddi-fpga" / "cifar10" / "cifar-10-python.tar.gz").touch()
    assert found(checks.check_data, None).state == OK


def test_disk_and_memory(monkeypatch):
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1 << 33, 0, 5 << 20))
    assert "5 MB free" in found(checks.check_disk, True).found
    for memory, states in (
        ({"MemAvailable": 400, "CmaTotal": 128, "CmaFree": 100}, (OK, OK)),
        ({"MemAvailable": 20, "CmaTotal": 128, "CmaFree": 3}, (MISSING, MISSING)),
        ({"MemAvailable": 400}, (OK, MISSING)),
        ({}, (NOTE, MISSING)),
    ):
        monkeypatch.setattr(checks, "_memory", lambda memory=memory: memory)
        assert (found(checks.check_memory, True).state, found(checks.check_cma, True).state) == states


def test_permissions(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    assert "sudo" in found(checks.check_root, True).remedy
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert found(checks.check_root, True).state == OK


def test_remote(monkeypatch):
    monkeypatch.setitem(sys.modules, "rpyc", None)
    assert "requirements/remote.txt" in found(checks.check_remote, True).remedy
    version = type("version", (), {"version": (6, 0, 2)})
    monkeypatch.setitem(sys.modules, "rpyc", type("rpyc", (), {"version": version}))
    assert found(checks.check_remote, True).state == OK
    monkeypatch.setattr(checks.shutil, "which", lambda name: None)
    assert "openssh-client" in found(checks.check_remote, False).remedy


def test_meters(monkeypatch, tmp_path):
    real = Path.glob
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [] if str(self) == "/dev" else real(self, pattern))
    assert found(checks.check_meter_ports, False).state == NOTE
    port = tmp_path / "ttyUSB0"
    port.touch()
    here = {"ttyUSB*": [port]}
    monkeypatch.setattr(Path, "glob", lambda self, pattern: here.get(pattern, []))
    monkeypatch.setitem(sys.modules, "serial", type("serial", (), {"__version__": "3.5"}))
    assert found(checks.check_meter_ports, False).state == OK
    monkeypatch.setitem(sys.modules, "serial", None)
    assert "meter.txt" in found(checks.check_meter_ports, False).remedy
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "dialout" in found(checks.check_meter_ports, False).remedy
    assert "is not understood" in found(checks.check_meter, "serial").found


def test_a_check_that_breaks_is_a_finding():
    def check_something(on_board):
        raise RuntimeError("two\nlines")

    finding = found(doctor._safely, check_something, True)
    assert finding.name == "something" and finding.state == MISSING and "RuntimeError two lines" in finding.found


def test_a_checkout_that_cannot_be_written(monkeypatch, tmp_path):
    """The engine is built in the user's cache; where there is none either, that is missing, with what to set."""
    from hls import cosim

    monkeypatch.setattr(cosim, "BUILD", Path("/proc/build"))
    finding = found(checks.check_build, False)
    assert finding.state == OK and finding.found == f"in {tmp_path / 'ddi-fpga' / 'build'}"
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/cache")
    monkeypatch.setattr("tempfile.gettempdir", lambda: "/proc")
    finding = found(checks.check_build, False)
    assert finding.state == MISSING and "set XDG_CACHE_HOME" in finding.found
    assert found(checks.check_build, True).state == NOTE  # a board has its engine


def test_without_a_home_the_data_are_a_note(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    finding = found(checks.check_data, None)
    assert finding.state == NOTE and "has no home folder: set HOME" in finding.found
