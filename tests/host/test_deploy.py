"""host/deploy.py with an `ssh` that runs here, in a folder that stands for the board's home."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from host import deploy
from host.board import catalog, overlay

ROOT = Path(__file__).resolve().parents[2]
SSH = """#!/bin/sh
echo "$@" >> "$BOARD_LOG"
for last; do :; done
cd "$BOARD_HOME" && HOME="$BOARD_HOME" exec sh -c "$last"
"""


@pytest.fixture
def board(tmp_path, monkeypatch):
    """The board's home; `ssh`, `sudo` and `python3` lead there."""
    home, programs = tmp_path / "home", tmp_path / "bin"
    for folder in (home, programs):
        folder.mkdir()
    write(programs / "ssh", SSH)
    write(programs / "sudo", '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n')
    write(programs / "python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("BOARD_HOME", str(home))
    monkeypatch.setenv("BOARD_LOG", str(tmp_path / "log"))
    return home


def write(path, text):
    path.write_text(text)
    path.chmod(0o755)


def run(capsys, *argv):
    code = deploy.main(["pynq@192.0.2.1", "--backend", "golden", "--images", "2", "--budget", "34M", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err and err.count("\n") <= 1
    return code, out, err


@pytest.mark.cosim
def test_it_copies_and_tests(board, capsys, tmp_path):
    code, out, err = run(capsys)
    assert (code, err) == (0, "") and "2 images" in out and "equal to C++ co-simulation" in out and "is ready" in out
    assert (board / "ddi/host/run.py").read_bytes() == (ROOT / "host/run.py").read_bytes()
    assert (board / "ddi/packages/cifar10.npz").exists() and (board / "ddi/bitstreams/boards.json").exists()
    assert not (board / "ddi.new").exists() and not (board / "ddi/training").exists()
    log = (tmp_path / "log").read_text()
    assert "ConnectTimeout" in log and "pynq@192.0.2.1" in log


def test_only_what_a_board_needs_goes(capsys):
    names = list(deploy.files("zedboard"))
    assert "host/run.py" in names and "hls/isa.py" in names and "data/datasets.py" in names
    assert "LICENSE" in names  # whoever gets a copy gets the licence with it
    assert any(name.startswith("data/fashion-mnist-sample/") for name in names)
    assert not [name for name in names if name.endswith((".pyc", ".partial", ".key")) or "__pycache__" in name]
    assert not [name for name in names if name.split("/")[0] in ("training", "export", "tests", "bench", ".git")]
    with tarfile.open(fileobj=io.BytesIO(deploy.archive("zedboard"))) as tar:
        assert sorted(tar.getnames()) == sorted(names)


def test_what_was_there_is_replaced_whole_and_kept_beside(board, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "test", lambda arguments: None)
    monkeypatch.setattr(deploy, "archive", lambda board: small_archive("host/run.py", b"new"))
    (board / "ddi/host").mkdir(parents=True)
    (board / "ddi/host/gone.py").write_text("of an older version")
    assert run(capsys)[0] == 0
    assert [path.name for path in (board / "ddi/host").iterdir()] == ["run.py"]
    assert (board / "ddi.old/host/gone.py").exists()
    assert run(capsys)[0] == 0 and not (board / "ddi.old/host/gone.py").exists()


def small_archive(name, data):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def test_a_copy_that_is_cut_short_changes_nothing(board, capsys, monkeypatch):
    monkeypatch.setattr(deploy, "archive", lambda board: small_archive("host/run.py", b"x" * 100_000)[:-20])
    (board / "ddi").mkdir()
    (board / "ddi/old").touch()
    code, _, err = run(capsys)
    assert code == 2 and "the board keeps what it had" in err and (board / "ddi/old").exists()


def test_a_board_that_is_not_there(board, capsys, tmp_path):
    write(
        tmp_path / "bin/ssh",
        "#!/bin/sh\necho 'ssh: connect to host 192.0.2.1 port 22: No route to host' >&2\nexit 255\n",
    )
    code, _, err = run(capsys)
    assert code == 2 and "No route to host" in err


def test_a_board_that_hangs(board, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(deploy, "COPY_S", 0.2)
    write(tmp_path / "bin/ssh", "#!/bin/sh\nexec sleep 5\n")
    code, _, err = run(capsys)
    assert code == 2 and "did not finish within 0.2 s" in err


def test_no_ssh(board, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(board))
    code, _, err = run(capsys)
    assert code == 2 and "openssh-client" in err


# ------------------------------------------------------------------------------------------------------------- a point
def bitstream(folder, isa_hash):
    """Files that stand for a bitstream of the ZedBoard's with that contract."""
    folder.mkdir(parents=True)
    for name in ("ddi.bit", "ddi.hwh"):
        (folder / name).write_text(name)
    facts = {"isa_hash": isa_hash, "part": overlay.part("zedboard"), "clock_mhz": 100}
    (folder / "build.json").write_text(json.dumps(facts))


def point(name):
    return json.loads(catalog.FILE.read_text())["zedboard"]["points"][name]


@pytest.fixture
def checkout(tmp_path):
    """A copy of the repository, as far as it is needed, with a bitstream of the safe point."""
    pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
    folder, unused = tmp_path / "checkout", shutil.ignore_patterns("__pycache__", "checkpoints", "static")
    for name in ("bitstreams", "data", "hls", "host", "packages", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=unused)
    bitstream(folder / "bitstreams" / "zedboard", point("safe")["isa_hash"])
    return folder


@pytest.mark.parametrize("command", [["host/deploy.py"], ["-m", "host.deploy"]], ids=" ".join)
def test_the_board_gets_what_fits_its_bitstream(board, checkout, command):
    """Host, hls and packages of the point that it was built of, which is not the shipped one: they run there."""
    options = ["--backend", "golden", "--images", "2", "--budget", "2ms"]
    asked = [sys.executable, *command, "pynq@192.0.2.1", "--board", "zedboard", *options]
    environment = {**os.environ, "CXX": "no-compiler"}
    deployed = subprocess.run(asked, cwd=checkout, env=environment, capture_output=True, text=True)
    assert deployed.returncode == 0, deployed.stderr
    assert "the bitstream is zedboard's point safe" in deployed.stdout and "is ready" in deployed.stdout
    there = board / "ddi"
    assert (there / "bitstreams/zedboard/ddi.bit").exists()
    assert f'HASH = "{point("safe")["isa_hash"]}"' in (there / "hls/isa.py").read_text()
    ready = [sys.executable, "host/run.py", "--backend", "golden", "--images", "1", "--budget", "1ms", "--json", "-"]
    ran = subprocess.run(ready, cwd=there, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["engine"]["isa"] == point("safe")["isa_hash"] == json.loads(
        (there / "bitstreams/zedboard/build.json").read_text())["isa_hash"]  # fmt: skip
    assert found["time_ms"]["clock_mhz"] == point("safe")["clock_mhz"] and found["budget"]["cycles"] == 100_000


def test_a_bitstream_of_no_point_is_refused(board, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(deploy.overlay, "BITSTREAMS", tmp_path / "built")
    bitstream(tmp_path / "built" / "zedboard", "0" * 16)
    code, _, err = run(capsys)
    assert code == 2 and "is an engine for contract 0000000000000000, this is" in err and "build it again" in err
    assert not (board / "ddi").exists()


def test_a_point_whose_engine_is_not_what_its_hash_says_ends(board, capsys, tmp_path, monkeypatch):
    """A list of boards that is older than hls/isa.toml: the other engine does not fit either."""
    monkeypatch.setattr(deploy.overlay, "BITSTREAMS", tmp_path / "built")
    monkeypatch.setattr(deploy.places, "ENGINE", tmp_path)
    bitstream(tmp_path / "built" / "zedboard", point("safe")["isa_hash"])
    code, _, err = run(capsys)
    assert code == 2 and "it is zedboard's point safe; make deploy" in err


# ------------------------------------------------------------------------------------------------------------- the test
def there(tmp_path, board, answer):
    """A board whose host/run.py answers with this shell code."""
    write(tmp_path / "bin/python3", f"#!/bin/sh\n{answer}\n")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo 'run: no board here, pynq cannot be imported' >&2; exit 2", "pynq cannot be imported"),
        ("echo Welcome", "something else than JSON"),
        ("echo '{}'", "differ between"),
        ("echo 'sudo: a password is required' >&2; exit 1", "sudo without a password"),
    ],
)
def test_a_test_that_fails(board, capsys, monkeypatch, tmp_path, answer, expected):
    monkeypatch.setattr(deploy, "archive", lambda board: small_archive("host/run.py", b"new"))
    there(tmp_path, board, answer)
    code, _, err = run(capsys, "--package", "cifar10" if "{}" not in answer else "fashion-mnist")
    assert code == 1 and "copied, but the test failed" in err and expected in err


def test_figures_that_differ_are_named(board, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(deploy, "archive", lambda board: small_archive("host/run.py", b"new"))
    summary = dict.fromkeys(deploy.EQUAL, 1) | {"backend": "pynq", "engine": {"title": "a board"}}
    other = summary | {"accuracy": 0.5, "flops": 2}
    monkeypatch.setattr(deploy, "_run_here", lambda options: other | {"backend": "cosim"})
    (tmp_path / "answer").write_text(json.dumps(summary))
    there(tmp_path, board, f"cat {tmp_path / 'answer'}")
    code, _, err = run(capsys)
    assert code == 1 and "accuracy, flops differ between pynq there and cosim here" in err


def test_what_the_doctor_finds_is_told():
    found = [{"name": "pynq", "state": "MISSING", "found": "not there"}, {"name": "disk", "state": "ok", "found": "1"}]
    result = subprocess.CompletedProcess([], 1, json.dumps(found).encode(), b"")
    assert deploy._missing(result) == "; pynq: not there"
    assert deploy._missing(subprocess.CompletedProcess([], 1, b"no JSON", b"")) == ""


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-oProxyCommand=x"], None),
        (["a b"], "is not understood"),
        (["user@host;reboot"], "is not understood"),
        (["zed", "--folder", "/etc"], "is not understood"),
        (["zed", "--folder", "../x"], "is not understood"),
        (["zed", "--folder", "a;b"], "is not understood"),
        (["zed", "--board", "nexys"], "unknown board 'nexys'"),
        (["zed"], "no bitstream in"),
    ],
)
def test_bad_arguments(capsys, argv, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(deploy.overlay, "BITSTREAMS", tmp_path)
    if expected is None:
        with pytest.raises(SystemExit):
            deploy.main(argv)
        return
    assert deploy.main(argv) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1
