"""Boards elsewhere on this machine: an `ssh` that runs here, and boards in this process.

with ssh_on_path(folder): …            # host/remote/ssh.py finds it; SSH_FAULTS are hosts that fail
boards = Boards(); boards.add("zed1", backend)
client.Remote("zed1", print, connect=boards.connect)
"""

import contextlib
import os
import shutil
import socket
import sys
import threading
from pathlib import Path

from hls.errors import UserError
from host.remote import ssh

ROOT = Path(__file__).resolve().parents[2]
# The host's name says what goes wrong; any other is a board whose home is $BOARD_HOME.
SSH = """#!/bin/bash
for last; do :; done
say() { echo "$1" >&2; exit "${2:-255}"; }
case " $* " in
    *" unknown "*) say "ssh: Could not resolve hostname unknown: Name or service not known" ;;
    *" off "*) say "ssh: connect to host off port 22: Connection timed out" ;;
    *" closed "*) say "ssh: connect to host closed port 22: Connection refused" ;;
    *" stranger "*) say "xilinx@stranger: Permission denied (publickey,password)." ;;
    *" changed "*) say "Host key verification failed." ;;
    *" nosudo "*) say "sudo: a password is required" 1 ;;
    *" full "*) say "Connection closed by remote host" ;;
    *" mute "*) exec sleep 60 ;;
    *" crowd "*) exec yes "a login that prints without end" ;;
    *" old "*) echo "ddi-board 2"; exec sleep 60 ;;
    *" nonsense "*) echo "ddi-board 3"; exec yes "no protocol at all" ;;
    *" chatty "*) echo "Welcome to Pynq Linux"; echo "ddi-board" ;;
esac
export HOME="$BOARD_HOME"
cd "$BOARD_HOME" && exec bash -c "$last"
"""
SUDO = '#!/bin/sh\n[ "$1" = -n ] && shift\nexec "$@"\n'


@contextlib.contextmanager
def ssh_on_path(folder):
    """Programs `ssh`, `sudo` and `python3` in `folder` that lead to this machine; its board has our files as ~/ddi."""
    programs, home = Path(folder) / "bin", Path(folder) / "home"
    home.mkdir(parents=True)
    programs.mkdir()
    (home / "ddi").symlink_to(ROOT)
    for name, text in (("ssh", SSH), ("sudo", SUDO), ("python3", f'#!/bin/sh\nexec {sys.executable} "$@"\n')):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    kept = {name: os.environ.get(name) for name in ("PATH", "BOARD_HOME")}
    os.environ.update(PATH=f"{programs}:{os.environ['PATH']}", BOARD_HOME=str(home))
    try:
        yield home
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(programs)


class Boards:
    """Boards in threads of this process; `connect` is what Remote takes in ssh's place."""

    def __init__(self):
        self._backends, self.pipes = {}, {}

    def add(self, name, backend):
        """A board; its name."""
        self._backends[name] = backend
        return name

    def connect(self, text, command):
        """A pipe to the board of that name."""
        if text not in self._backends:
            raise UserError(f"no board {text} here")
        self.pipes[text] = LocalPipe(self._backends[text])
        return self.pipes[text]


class LocalPipe(ssh.Pipe):
    """A pipe to a service in a thread."""

    def __init__(self, backend):
        from host.remote import service  # needs RPyC

        self._ours, theirs = socket.socketpair()
        self.read, self.write = self._files = _files(self._ours)
        board = service.BoardService(backend)
        files = _files(theirs)
        self._thread = threading.Thread(target=lambda: _serve(service, board, files, theirs), daemon=True)
        self._thread.start()

    def kill(self):
        """As if the board were switched off."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)

    def failure(self):
        return "the board is gone"

    def said(self):
        return b""

    def close(self):
        self.kill()
        for file in (*self._files, self._ours):
            file.close()


def _files(end):
    return os.fdopen(os.dup(end.fileno()), "rb", 0), os.fdopen(os.dup(end.fileno()), "wb", 0)


def _serve(service, board, files, end):
    with end:
        service.serve(board, *files)
