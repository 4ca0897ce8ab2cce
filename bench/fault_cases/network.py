"""Faults of boards elsewhere: host/run.py --backend remote:… with an `ssh` on this machine, each time with one wrong.

What a host's name makes go wrong is in bench/standin/remote.py; see bench/fault_cases/__init__.py for what surviving
means. Connections that are too many, and callers without a key, are sshd's: tests/host/remote/test_sshd.py.
"""

import contextlib
import io
import json
import os
import signal
import sys
import tempfile
import threading
from functools import cache, partial
from pathlib import Path
from unittest import mock

from bench.fault_cases import Case, Outcome
from bench.standin import tiny
from bench.standin.remote import ssh_on_path
from host import run as command
from host.remote import client, connection, ssh

IMAGES = 60
DEADLINE_S = 120.0
GREETING_S = 3.0  # of patience with what never greets
SERVER = ("host/server.py", "--backend", "golden")
REMOTE = client.Remote


def run(folder, backend, opened=None):
    """(exit code, accuracy or None, the line that the user sees) of host/run.py; `opened` is called with a Remote."""

    def remote(addresses, tell, _):
        found = REMOTE(addresses, tell, SERVER)
        if opened:
            opened(found)
        return found

    package = tiny.save(Path(folder) / "tiny.npz")
    out, err = io.StringIO(), io.StringIO()
    argv = ["--package", str(package), "--images", str(IMAGES), "--json", "-", "--backend", backend]
    patch = mock.patch.object(client, "Remote", remote)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), patch:
        code = command.main(argv)
    accuracy = json.loads(out.getvalue())["accuracy"] if code == 0 else None
    return code, accuracy, " | ".join(line.removeprefix("run: ") for line in err.getvalue().splitlines())


@cache
def _expected():
    """The golden model's accuracy here."""
    with tempfile.TemporaryDirectory() as folder:
        return run(folder, "golden")[1]


def _held():
    """File descriptors, threads and children of this process."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
    return len(os.listdir("/proc/self/fd")) + threading.active_count() + len(children)


def outcome(boards, opened=None, server=SERVER, greeting_s=60.0, changes=()):
    """The Outcome of a run on `boards`, and of one on a healthy board after it.

    `opened` is called with the Remote before the run; `server` runs on the boards; `changes` are patches.
    """
    _expected()
    with tempfile.TemporaryDirectory() as folder, ssh_on_path(Path(folder) / "ssh"):
        before = _held()
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.object(sys.modules[__name__], "SERVER", server))
            stack.enter_context(mock.patch.object(ssh.connect, "__defaults__", (greeting_s,)))
            for change in changes:
                stack.enter_context(change)
            code, accuracy, line = run(folder, f"remote:{boards}", opened)
        leaked = max(_held() - before, 0)
        if code == 0:
            right = accuracy == _expected()
            code, line = (0, line or "the results are right") if right else (1, "the results are wrong")
        return Outcome(line, code, leaked, run(folder, "remote:zed1")[:2] == (0, _expected()))


def signalled(number):
    """A function: the first board's program gets a signal when all are open."""
    return lambda backend: os.kill(backend._boards[0]._pipe._process.pid, number)


def impatient():
    """Patches: little patience with a share."""
    return [mock.patch.multiple(connection, GRACE_S=2.0, UNKNOWN_S=0.02, ANSWER_S=3.0)]


def program(text):
    """What runs on a board instead: Python in the folder of our files, which -c looks for modules in."""
    return ("-c", f"import sys; {text}")


GOLDEN = "from host import server; server.main(['--backend', 'golden'])"
OLD = program(f"from hls import isa; isa.HASH = '0' * 16; {GOLDEN}")
FAILING = (
    "from hls.errors import UserError; from host.simulation import Golden\n"
    "def fail(*_): raise UserError('the engine timed out')\n"
    f"Golden.run = fail; {GOLDEN}"
)
BREAKING = FAILING.replace("raise UserError('the engine timed out')", "1 / 0")
NO_RPYC = program(f"sys.modules['rpyc'] = None; {GOLDEN}")
LYING = (
    "from host.remote.service import BoardService\n"
    "def lie(*_): return 'ok', ('<i4', (1, 1), b'abcd'), None, None, ('<i8', (0, 2), b'')\n"
    f"BoardService.exposed_run = lie; {GOLDEN}"
)


def _ends(name, *arguments, **options):
    return Case(name, partial(outcome, *arguments, **options), DEADLINE_S)


def _recovers(name, *arguments, **options):
    return Case(name, partial(outcome, *arguments, **options), DEADLINE_S, recovers=True)


CASES = (
    _ends("no such host", "unknown"),
    _ends("a board that is off", "off"),
    _ends("nobody listens", "closed"),
    _ends("no key of ours", "stranger"),
    _ends("another host's key", "changed"),
    _ends("too many connections", "full"),
    _ends("sudo asks for a password", "nosudo"),
    _ends("one of two boards is off", "zed1,off"),
    _ends("an address that is none", "zed1:port"),
    _ends("an option as an address", "-oProxyCommand=x"),
    _ends("nothing is deployed", "zed1/nowhere"),
    _ends("another protocol", "old"),
    _ends("another contract", "zed1", server=OLD),
    _ends("no RPyC on the board", "zed1", server=NO_RPYC),
    _ends("no RPyC here", "zed1", changes=[mock.patch.dict(sys.modules, rpyc=None)]),
    _ends("no ssh here", "zed1", changes=[mock.patch.object(ssh, "SSH", ("no-ssh-here",))]),
    _ends("a login that says nothing", "mute", greeting_s=GREETING_S),
    _ends("a login that prints without end", "crowd", greeting_s=GREETING_S),
    _ends("bytes that are no protocol", "nonsense", changes=impatient()),
    _ends("the engine fails", "zed1", server=program(f"exec({FAILING!r})")),
    _ends("the program fails", "zed1", server=program(f"exec({BREAKING!r})")),
    _ends("an answer that is no records", "zed1", server=program(f"exec({LYING!r})")),
    _ends("the only board goes away", "zed1", opened=signalled(signal.SIGKILL)),
    _ends("the only board stops answering", "zed1", opened=signalled(signal.SIGSTOP), changes=impatient()),
    _recovers("a login that prints a text", "chatty"),
    _recovers("one of two boards goes away", "zed1,zed2", opened=signalled(signal.SIGKILL)),
    _recovers("one of two boards stops answering", "zed1,zed2", opened=signalled(signal.SIGSTOP), changes=impatient()),
    _recovers("one of two boards is ended", "zed1,zed2", opened=signalled(signal.SIGTERM)),
    _recovers("a dropped line to one of two boards", "zed1,zed2", opened=signalled(signal.SIGHUP)),
)
