"""Boards through a real sshd on this machine: encryption, keys, its limit of connections and its deadline of logins.

    SSHD=/usr/sbin/sshd pytest tests/host/remote/test_sshd.py

Without an sshd (package openssh-server) it is skipped. It listens on the loopback address only, as this user.
"""

import getpass
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rpyc", reason="needs requirements/remote.txt")

from bench.standin import tiny
from data.datasets import load_sample
from hls import golden
from hls.errors import UserError
from hls.record import Start
from host.remote import client, ssh

ROOT = Path(__file__).resolve().parents[3]
START = Start(gates=1, classes=10)
SSHD = os.environ.get("SSHD") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
PidFile none
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PerSourceMaxStartups none
MaxStartups 10:100:10
LoginGraceTime 8
"""
STRANGERS = 300


@pytest.fixture
def board(tmp_path, monkeypatch):
    """The address of a board behind an sshd of its own, which is ended after the test."""
    if not SSHD or not shutil.which("ssh") or not shutil.which("ssh-keygen"):
        pytest.skip("no sshd here: apt-get install openssh-server, or name one with $SSHD")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for name in ("host_key", "user_key"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(argv, check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    (tmp_path / "config").write_text(CONFIG.format(port=port, folder=tmp_path))
    options = ["-o", f"IdentityFile={tmp_path / 'user_key'}", "-o", "StrictHostKeyChecking=no", "-F", "none"]
    options += ["-o", f"UserKnownHostsFile={tmp_path / 'known'}", "-o", "IdentitiesOnly=yes"]
    monkeypatch.setattr(ssh, "SSH", (*ssh.SSH, *options))
    monkeypatch.setattr(ssh, "DEFAULT_FOLDER", ".")
    monkeypatch.setattr(ssh, "PROFILES", f"PATH={tmp_path / 'bin'}:$PATH")
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen([SSHD, "-D", "-e", "-f", str(tmp_path / "config")], stderr=subprocess.PIPE) as process:
        try:
            _await(port)
            yield f"{getpass.getuser()}@127.0.0.1:{port}"
        finally:
            process.terminate()


def _await(port):
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    pytest.fail("sshd does not listen")


def run(board):
    package, images = tiny.package(), load_sample()[0][:20]
    with client.Remote(board, print, ("host/server.py", "--backend", "golden")) as backend:
        found = backend.run(package, images, START)
    return (found == golden.run(package.program, package.weights, package.tables, images, START)).all()


def test_a_board_behind_sshd(board):
    assert run(board)


def test_another_key_is_refused(board, tmp_path):
    (tmp_path / "user_key.pub").write_text("")
    with pytest.raises(UserError, match=r"Permission denied .*ssh-copy-id"):
        run(board)


def test_strangers_do_not_end_it(board):
    """Resets, and more connections than it takes: those are turned away or time out, and the board runs again."""
    host, port = "127.0.0.1", int(board.rpartition(":")[2])
    for _ in range(40):
        with socket.create_connection((host, port), 2) as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    callers = [socket.create_connection((host, port), 2) for _ in range(STRANGERS)]
    time.sleep(0.5)
    turned_away = 0
    for caller in callers:
        caller.settimeout(15)  # the deadline of a login is 8 s
        try:
            greeting = caller.recv(100)
            turned_away += not greeting.startswith(b"SSH-")
            assert not greeting or caller.recv(100) == b""
        except ConnectionResetError:
            turned_away += 1
        caller.close()
    assert turned_away >= STRANGERS - 10
    assert run(board)
