"""Tools: in the C locale, their bytes as text, and none of their children left when the command ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hls.command import tools

ROOT = Path(__file__).resolve().parents[3]


def test_the_locale_is_c_whatever_the_users(monkeypatch):
    for name, value in (("LC_ALL", "de_DE.UTF-8"), ("LC_NUMERIC", "de_DE.UTF-8"), ("LANG", "de_DE.UTF-8")):
        monkeypatch.setenv(name, value)
    result = tools.run(["sh", "-c", "echo $LC_ALL $MORE; printf %.1f 0.5"], changes={"MORE": "more"})
    assert result.stdout == "C more\n0.5"
    assert os.environ["LC_ALL"] == "de_DE.UTF-8"


def test_any_bytes_are_text():
    result = tools.run(["sh", "-c", r"printf 'caf\351\377'; printf 'said' >&2; exit 3"])
    assert (result.returncode, result.stdout, result.stderr) == (3, "caf\ufffd\ufffd", "said")
    assert tools.run(["cat"], given="é\n").stdout == "é\n"
    assert tools.run(["cat"]).stdout == ""  # its input is empty, not the user's


def running(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(pid):
    end = time.monotonic() + 10
    while running(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not running(pid)


STUBBORN = "trap '' TERM; (trap '' TERM HUP; sleep 60 & echo $! > {0}; wait) & wait; sleep 60"


def test_a_limit_ends_it_with_its_children(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "GRACE_S", 0.2)
    with pytest.raises(subprocess.TimeoutExpired):
        tools.run(["sh", "-c", STUBBORN.format(tmp_path / "pid")], limit_s=0.5)
    assert ended(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_it_with_its_children(tmp_path, number):
    """To the command's process alone, as kill and a service manager send it."""
    pid = tmp_path / "pid"
    code = (
        "import sys; from hls.command import tools; from hls.command.entry import guarded\n"
        "tools.GRACE_S = 0.2\n"
        f"sys.exit(guarded('name', lambda: tools.run(['sh', '-c', {STUBBORN.format(pid)!r}])))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 10
    while not (pid.exists() and pid.read_text().strip()) and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.communicate(timeout=20)[1] == "name: interrupted: nothing was written\n"
    assert process.returncode == 2 and ended(int(pid.read_text()))
