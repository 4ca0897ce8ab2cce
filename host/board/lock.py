"""One process at a time drives a board: a lock that tells a second one who holds it.

    with BoardLock(path):      # UserError when another process has it

The lock is the kernel's (flock), so that it goes with a process that dies, however it dies; the file's text only tells
who holds it.
"""

import fcntl
import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from hls.errors import UserError


def default_path(name):
    """Where the lock of board `name` is: the same for every user and shell of this machine."""
    shared = Path("/run/lock")
    folder = shared if os.access(shared, os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"ddi-{name}.lock"


class BoardLock:
    """Held from construction until close. UserError names the holder, or says that the file cannot be had."""

    def __init__(self, path):
        self.path, self._file = Path(path), -1
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._file)
            self._release()
            raise UserError(f"the board is in use by {holder}: wait for it, or end it") from None
        except OSError as error:
            self._release()
            raise UserError(f"the board's lock {path} cannot be had ({error.strerror}): run it as root") from None
        text = json.dumps({"pid": os.getpid(), "command": _command(), "since": time.strftime("%Y-%m-%d %H:%M:%S")})
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def close(self):
        """Give the board back; the file stays, empty, so that nobody locks one that is being removed."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
        self._release()

    def _release(self):
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _command():
    """This process's command, not longer than a line."""
    text = shlex.join([Path(sys.argv[0] or "python").name, *sys.argv[1:]])
    return text if len(text) <= 120 else f"{text[:120]}…"


def _holder(file):
    """Who holds the lock, as its file says; it is empty for an instant while a holder writes it."""
    try:
        holder = json.loads(os.pread(file, 4096, 0).decode())
        return f"process {int(holder['pid'])} ({' '.join(str(holder['command']).split())}) since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
