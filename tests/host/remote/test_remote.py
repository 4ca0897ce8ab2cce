"""Boards elsewhere: the same records as here, boards that drop out, ssh that fails, what may be reached.

pytest tests/host/remote                     # boards in threads of this process, and an ssh that runs here
SSHD=/usr/sbin/sshd pytest tests/host/remote # also by a real one on this machine (test_sshd.py)
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rpyc", reason="needs requirements/remote.txt")

from bench.standin import tiny
from bench.standin.remote import Boards, ssh_on_path
from data.datasets import load_sample
from hls import golden, isa
from hls.errors import UserError
from hls.record import Start
from host import run as command
from host import server
from host.backend import Backend, BackendMissing
from host.remote import client, connection, link, service, ssh
from host.simulation import Cosim, Golden

ROOT = Path(__file__).resolve().parents[3]
START = Start(gates=1, classes=10)
GOLDEN = ("host/server.py", "--backend", "golden")


class Scripted(Golden):
    """The golden model with what a test adds to a run."""

    def __init__(self, before=lambda: None):
        super().__init__()
        self.before, self.images = before, 0

    def run(self, package, images, start, history=None):
        self.before()
        self.images += len(images)
        return super().run(package, images, start, history)


class Timed(Scripted):
    """A backend that measures, as a board does."""

    measured_cycles, busy_share, clock_hz = None, None, 100_000_000

    def run(self, package, images, start, history=None):
        self.measured_cycles, self.busy_share = np.full(len(images), 2.5), 0.75
        return super().run(package, images, start, history)


@pytest.fixture
def remote():
    """A function: backends by name → a Remote on boards in this process, and what it warned of."""
    with contextlib.ExitStack() as stack:

        def start(**backends):
            boards, warned = Boards(), []
            names = ",".join(boards.add(name, backend) for name, backend in backends.items())
            backend = client.Remote(names, warned.append, connect=boards.connect)
            stack.callback(backend.close)
            return backend, warned

        yield start


@pytest.fixture
def home(tmp_path):
    """The home of the boards that an `ssh` on this machine leads to."""
    with ssh_on_path(tmp_path / "ssh") as home:
        yield home


def images(count):
    return load_sample()[0][:count]


def expected(package, count, start=START):
    return golden.run(package.program, package.weights, package.tables, images(count), start)


# --------------------------------------------------------------------------------------------------------- the results
@pytest.mark.cosim
def test_two_boards_give_what_one_machine_gives(remote):
    package = tiny.package()
    backend, warned = remote(zed1=Cosim(), zed2=Cosim())
    assert "2 boards" in backend.title and isa.HASH in backend.version
    for count in (1, 7, 97, 256):
        start = replace(START, budget_flops=package.exits[count % 2]["flops"])
        assert (backend.run(package, images(count), start) == expected(package, count, start)).all()
    other = tiny.package(seed=2)
    assert (backend.run(other, images(20), START) == expected(other, 20)).all()
    assert not warned


def test_both_boards_take_part(remote):
    both = [Scripted(lambda: time.sleep(0.05)), Scripted(lambda: time.sleep(0.05))]
    backend, _ = remote(zed1=both[0], zed2=both[1])
    backend.run(tiny.package(), images(80), START)
    assert all(one.images >= 20 for one in both) and sum(one.images for one in both) == 80


def test_measured_figures_come_along(remote):
    backend, _ = remote(zed1=Timed(), zed2=Timed())
    backend.run(tiny.package(), images(40), START)
    assert backend.measured_cycles.tolist() == [2.5] * 40 and backend.busy_share == pytest.approx(0.75)
    assert backend.clock_hz == 100_000_000
    backend, _ = remote(zed1=Timed(), zed2=Golden())
    backend.run(tiny.package(), images(40), START)
    assert backend.measured_cycles is None and backend.busy_share is None


def test_measured_times_of_boards_with_other_clocks(remote):
    """Cycles are told at the slowest clock: 2.5 of 200 MHz take as long as 1.25 of 100 MHz."""
    fast, slow = Timed(lambda: time.sleep(0.02)), Timed(lambda: time.sleep(0.02))
    fast.clock_hz = 200_000_000
    backend, _ = remote(zed1=fast, zed2=slow)
    backend.run(tiny.package(), images(80), START)
    assert backend.clock_hz == 100_000_000 and fast.images and slow.images
    assert np.count_nonzero(backend.measured_cycles == 1.25) == fast.images
    assert np.count_nonzero(backend.measured_cycles == 2.5) == slow.images


def test_nothing_is_run_after_an_image_that_failed(remote):
    """Also where the images after it went to the other board."""
    package = tiny.package()
    start = replace(START, budget_flops=package.exits[0]["flops"] - 1)  # too small: the engine says so
    backend, _ = remote(zed1=Golden(), zed2=Golden())
    assert (backend.run(package, images(60), start) == expected(package, 60, start)).all()


# ------------------------------------------------------------------------------------------------- boards that drop out
def test_a_board_that_fails_is_left_aside(remote):
    def fail():
        raise UserError("the engine timed out")

    package = tiny.package()
    backend, warned = remote(bad=Scripted(fail), good=Golden())
    assert (backend.run(package, images(60), START) == expected(package, 60)).all()
    assert (backend.run(package, images(60), START) == expected(package, 60)).all()
    assert len(warned) == 1 and "bad dropped out" in warned[0] and "the engine timed out" in warned[0]


def test_a_fault_that_nobody_foresaw_loses_no_share(remote, monkeypatch):
    package = tiny.package()
    backend, warned = remote(bad=Golden(), good=Scripted(lambda: time.sleep(0.02)))
    monkeypatch.setattr(backend._boards[0], "run", lambda *arguments: 1 // 0)
    assert (backend.run(package, images(60), START) == expected(package, 60)).all()
    assert len(warned) == 1 and "bad dropped out (ZeroDivisionError" in warned[0]


def test_a_board_that_vanishes_in_the_middle(remote):
    package, calls = tiny.package(), []

    def vanish():
        calls.append(1)
        if len(calls) == 2:
            backend._boards[0]._pipe.kill()

    backend, warned = remote(bad=Scripted(vanish), good=Scripted(lambda: time.sleep(0.05)))
    assert (backend.run(package, images(200), START) == expected(package, 200)).all()
    assert len(warned) == 1 and "bad dropped out (the connection broke (the board is gone))" in warned[0]


@pytest.mark.parametrize("known", [False, True], ids=["its first share", "after a share"])
def test_a_board_that_stops_answering_is_given_up_by_what_was_expected(remote, monkeypatch, known):
    """Its images go to the others, long before the ten minutes that a fixed limit would take."""
    monkeypatch.setattr(connection, "GRACE_S", 0.2)
    asleep, package, calls = threading.Event(), tiny.package(), []

    def stop():
        calls.append(1)
        if not known or len(calls) > 1:
            asleep.wait(60)

    board = Timed(stop) if not known else Scripted(stop)
    backend, warned = remote(bad=board, good=Scripted(lambda: time.sleep(0.02)))
    monkeypatch.setattr(connection, "UNKNOWN_S", 0.5)
    began = time.monotonic()
    found = backend.run(package, images(80), START)
    took_s = time.monotonic() - began
    asleep.set()
    assert (found == expected(package, 80)).all() and took_s < 20
    assert len(warned) == 1 and "bad dropped out (no answer within" in warned[0]


def test_what_is_expected_of_a_share(remote):
    backend, _ = remote(zed1=Timed(), laptop=Golden())
    zed1, laptop = backend._boards
    assert zed1.expected_s(50, 200_000) == pytest.approx(50 * 200_000 / 100e6)  # the schedule at its clock
    assert laptop.expected_s(50, 200_000) == 50 * connection.UNKNOWN_S
    backend.run(tiny.package(), images(64), START)
    assert 0 < laptop.expected_s(50, 200_000) < 50 * connection.UNKNOWN_S  # what it took


def test_the_last_board_is_an_error(remote):
    backend, _ = remote(zed1=Golden())
    backend._boards[0]._pipe.kill()
    with pytest.raises(UserError, match="zed1 failed and no other board is left: the connection broke"):
        backend.run(tiny.package(), images(5), START)
    with pytest.raises(UserError, match="no board is left"):
        backend.run(tiny.package(), images(5), START)


def test_a_fault_of_the_server_is_one_line(remote):
    def fail():
        raise ZeroDivisionError("by\nzero")

    backend, _ = remote(zed1=Scripted(fail))
    with pytest.raises(UserError) as found:
        backend.run(tiny.package(), images(5), START)
    assert "ZeroDivisionError" in str(found.value) and "Traceback" not in str(found.value)


def test_another_contract_is_refused(remote, monkeypatch):
    hello = service.BoardService.exposed_hello
    changed = {"isa": "0" * 16}
    monkeypatch.setattr(
        service.BoardService, "exposed_hello", lambda self: tuple({**dict(hello(self)), **changed}.items())
    )
    with pytest.raises(UserError, match="zed1 cannot be used: it has engine contract 0000"):
        remote(zed1=Golden())


def test_only_three_methods_can_be_reached(remote):
    """Not the backend, no built-in, no pickle."""
    from rpyc.core import consts

    backend, _ = remote(zed1=Golden())
    root = backend._boards[0]._connection.root
    for name in ("_backend", "_run", "__class__", "__dict__", "__reduce_ex__", "__init__", "on_connect"):
        with pytest.raises(AttributeError):
            object.__getattribute__(root, "____conn__").sync_request(consts.HANDLE_GETATTR, root, name)
    with pytest.raises(Exception, match="pickling is disabled"):
        object.__getattribute__(root, "____conn__").sync_request(consts.HANDLE_PICKLE, root, 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "", None, (), None),
        ("run", "?", ("|u1", (1, 32, 32, 3), b""), (1, 10, 1, 1, 0, 0, 0), ("<i8", (0, 2), b"")),
        ("load", b"PK\3\4 no package"),
        ("load", "text"),
    ],
)
def test_the_server_answers_nonsense_with_a_sentence(arguments):
    board = service.BoardService(Golden())
    answer = getattr(board, f"exposed_{arguments[0]}")(*arguments[1:])
    assert answer[0] in ("error", "load") and "\n" not in answer[1]


# ----------------------------------------------------------------------------------------------------------------- link
def test_arrays_travel_without_pickle():
    for array in (np.arange(6, dtype=np.int32).reshape(2, 3), np.zeros((0, 3), np.int32), np.array([[1]], ">i4")):
        found = link.unpack(link.pack(array), ("<i4",), 2)
        assert (found == array).all() and not found.flags.writeable and found.shape == array.shape
    assert link.pack(None) is None
    for packed in (
        None,
        ("<i4", (2, 2), b"1234"),
        ("|O", (1, 1), b"12345678"),
        ("<i4", (1,), b"1234"),
        ("<i4", (-1, -1), b"1234"),
        ("<i4", (True, 1), b"1234"),
        ("<i4", (1, 1), "1234"),
        (["<i4"], (1, 1), b"1234"),
    ):
        with pytest.raises(ValueError):
            link.unpack(packed, ("<i4",), 2)


# ------------------------------------------------------------------------------------------------------------------ ssh
def test_the_command_over_ssh(home, tmp_path, capsys):
    """Two boards, one of which prints a text at login: as here, and nothing is left running."""
    package = tiny.save(tmp_path / "tiny.npz")
    argv = ["--package", package, "--images", "30", "--budget", "3k", "--json", "-", "--backend"]
    assert command.main([*argv, "remote:zed1,xilinx@chatty:2222"]) == 0
    there, here = capsys.readouterr().out, command.main([*argv, "golden"])
    assert here == 0 and '"backend": "remote"' in there
    same = [line for line in there.splitlines() if '"accuracy"' in line or '"flops"' in line]
    assert same == [line for line in capsys.readouterr().out.splitlines() if '"accuracy"' in line or '"flops"' in line]


@pytest.mark.parametrize(
    ("board", "words"),
    [
        ("unknown", "unknown cannot be used: ssh: Could not resolve hostname .*: is it on, and is this its address?"),
        ("off", "timed out: is it on"),
        ("closed", "Connection refused: is it on"),
        ("stranger", "Permission denied .*: ssh asks for a password: ssh-copy-id, once"),
        ("changed", "Host key verification failed.*: call it once by hand"),
        ("nosudo", "sudo asks for a password there"),
        ("full", "Connection closed by remote host"),
        ("old", "it has protocol 2, this is 3: deploy this version there"),
        ("zed1/elsewhere", "elsewhere: No such file or directory: nothing of ours is there: make deploy"),
        ("zed 1", "is not understood"),
        ("-oProxyCommand=x", "is not understood"),
        ("zed1:0", "is not understood"),
        ("zed1/../etc", "is not understood"),
        ("", "is not understood"),
    ],
)
def test_why_a_board_cannot_be_had(home, board, words):
    with pytest.raises(UserError, match=words) as found:
        client.Remote(board, print, GOLDEN)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("board", ["mute", "crowd", "nonsense"])
def test_what_never_greets_is_given_up(home, monkeypatch, board):
    monkeypatch.setattr(connection, "ANSWER_S", 0.5)
    with pytest.raises(UserError, match=r"did not greet within 0\.5 s|no answer within 0\.5 s|the connection broke"):
        client.Remote(board, print, GOLDEN, connect=lambda *arguments: ssh.connect(*arguments, patience_s=0.5))


def test_without_ssh_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="no ssh on this machine"):
        client.Remote("zed1", print, GOLDEN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("zed", ("zed", "", "ddi")),
        ("xilinx@192.168.2.99:2222", ("xilinx@192.168.2.99", "2222", "ddi")),
        ("root@[fe80::1]:22/ddi2", ("root@fe80::1", "22", "ddi2")),
    ],
)
def test_addresses(text, found):
    assert ssh.address(text) == found


def test_a_board_that_is_stopped_is_given_up(home, monkeypatch):
    """Its process does nothing any more, not even read: also what is written to it is not waited for."""
    monkeypatch.setattr(connection, "GRACE_S", 0.5)
    monkeypatch.setattr(connection, "UNKNOWN_S", 0.05)
    package, warned = tiny.package(), []
    with client.Remote("zed1,zed2", warned.append, GOLDEN) as backend:
        assert (backend.run(package, images(40), START) == expected(package, 40)).all()
        os.kill(backend._boards[0]._pipe._process.pid, signal.SIGSTOP)
        assert (backend.run(package, images(200), START) == expected(package, 200)).all()
    assert len(warned) == 1 and "zed1 dropped out (no answer within" in warned[0]


# ------------------------------------------------------------------------------------------------------------ commands
def test_without_rpyc_it_says_so(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rpyc", None)
    with pytest.raises(BackendMissing, match=r"requirements/remote\.txt"):
        client.Remote("zed", print)
    monkeypatch.delitem(sys.modules, "host.remote.service")
    monkeypatch.delattr("host.remote.service")
    assert server.main(["--backend", "golden"]) == 2
    assert "requirements/remote.txt" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [None, signal.SIGTERM, signal.SIGHUP])
def test_the_server_ends_quietly(tmp_path, ending):
    """When its caller goes, and when it is told to; from another folder."""
    argv = [sys.executable, ROOT / "host/server.py", "--backend", "golden"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == ssh.GREETING
        if ending:
            process.send_signal(ending)
        else:
            process.stdin.close()
            process.stdin = None
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, b"")


def test_the_server_is_told_nonsense(tmp_path):
    """Bytes that are no protocol end it, without a traceback."""
    argv = [sys.executable, ROOT / "host/server.py", "--backend", "golden"]
    result = subprocess.run(argv, input=b"GET / HTTP/1.1\r\n\r\n" * 50, capture_output=True, timeout=30, check=False)
    assert result.stdout.startswith(ssh.GREETING) and b"Traceback" not in result.stderr


def test_the_boards_warnings_are_told(home, monkeypatch, tmp_path):
    """Where the board has no bitstream, say, and goes on without."""
    warned = []
    with client.Remote("zed1", warned.append, ("-c", WARNING)):
        assert warned == ["zed1: no bitstream; going on with the golden model"]


WARNING = (
    "import sys; print('server: no bitstream; going on with the golden model', "
    "file=sys.stderr, flush=True); from host import server; server.main(['--backend', 'golden'])"
)


def test_it_is_a_backend():
    assert issubclass(client.Remote, Backend) and client.Remote.name == "remote"
