"""Boards over the network, on localhost: the same records as here, strangers refused, boards that drop out."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rpyc", reason="needs requirements/remote.txt")

from bench.standin import tiny
from data.datasets import load_sample
from hls import golden, isa
from hls.errors import UserError
from hls.record import Start
from host import run as command
from host import server
from host.backend import Backend, BackendMissing
from host.remote import client, link, service
from host.simulation import Cosim, Golden

ROOT = Path(__file__).resolve().parents[3]
START = Start(gates=1, classes=10)


@pytest.fixture
def key(tmp_path):
    link.write_key(tmp_path / "key")
    return tmp_path / "key"


@pytest.fixture
def serve(key):
    """A function that serves a backend on a free port and gives its address; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def start(backend):
            board = service.listen(backend, "127.0.0.1", 0, link.read_key(key))
            stack.callback(board.close)
            threading.Thread(target=board.start, daemon=True).start()
            return f"127.0.0.1:{board.port}", board

        yield start


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


def images(count):
    return load_sample()[0][:count]


def expected(package, count, start=START):
    return golden.run(package.program, package.weights, package.tables, images(count), start)


# --------------------------------------------------------------------------------------------------------- the results
@pytest.mark.cosim
def test_two_boards_give_what_one_machine_gives(serve, key):
    package, boards = tiny.package(), [serve(Cosim())[0] for _ in range(2)]
    warned = []
    with client.Remote(",".join(boards), key, warned.append) as backend:
        assert "2 boards" in backend.title and isa.HASH in backend.version
        for count in (1, 7, 97, 256):
            start = replace(START, budget_flops=package.exits[count % 2]["flops"])
            assert (backend.run(package, images(count), start) == expected(package, count, start)).all()
        other = tiny.package(seed=2)
        assert (backend.run(other, images(20), START) == expected(other, 20)).all()
    assert not warned


def test_both_boards_take_part(serve, key):
    both = [Scripted(lambda: time.sleep(0.05)), Scripted(lambda: time.sleep(0.05))]
    with client.Remote(",".join(serve(one)[0] for one in both), key, print) as backend:
        backend.run(tiny.package(), images(80), START)
    assert all(one.images >= 20 for one in both) and sum(one.images for one in both) == 80


def test_measured_figures_come_along(serve, key):
    addresses = [serve(Timed())[0] for _ in range(2)]
    with client.Remote(",".join(addresses), key, print) as backend:
        backend.run(tiny.package(), images(40), START)
        assert backend.measured_cycles.tolist() == [2.5] * 40 and backend.busy_share == pytest.approx(0.75)
        assert backend.clock_hz == 100_000_000
    with client.Remote(f"{addresses[0]},{serve(Golden())[0]}", key, print) as backend:
        backend.run(tiny.package(), images(40), START)
        assert backend.measured_cycles is None and backend.busy_share is None


def test_nothing_is_run_after_an_image_that_failed(serve, key):
    """Also where the images after it went to the other board."""
    package = tiny.package()
    start = replace(START, budget_flops=package.exits[0]["flops"] - 1)  # too small: the engine says so
    with client.Remote(f"{serve(Golden())[0]},{serve(Golden())[0]}", key, print) as backend:
        assert (backend.run(package, images(60), start) == expected(package, 60, start)).all()


def test_the_command(serve, key, tmp_path, capsys):
    package = tiny.save(tmp_path / "tiny.npz")
    argv = ["--package", package, "--images", "30", "--budget", "3k", "--key", str(key), "--json", "-", "--backend"]
    assert command.main([*argv, f"remote:{serve(Golden())[0]}"]) == 0
    there, here = capsys.readouterr().out, command.main([*argv, "golden"])
    assert here == 0
    kept = [line for line in there.splitlines() if '"seconds"' not in line and "image" not in line]
    assert '"backend": "remote"' in there and len(kept) > 50
    assert command.main([*argv, "remote:127.0.0.1:1"]) == 2
    assert "cannot be reached" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------- boards that drop out
def test_a_board_that_fails_is_left_aside(serve, key):
    def fail():
        raise UserError("the engine timed out")

    warned, package = [], tiny.package()
    (bad, _), (good, _) = serve(Scripted(fail)), serve(Golden())
    with client.Remote(f"{bad},{good}", key, warned.append) as backend:
        assert (backend.run(package, images(60), START) == expected(package, 60)).all()
        assert (backend.run(package, images(60), START) == expected(package, 60)).all()
    assert len(warned) == 1 and bad in warned[0] and "the engine timed out" in warned[0]


def test_a_board_that_vanishes_in_the_middle(serve, key):
    warned, package, calls = [], tiny.package(), []

    def vanish():
        calls.append(1)
        if len(calls) == 2:
            gone.close()

    (bad, gone), (good, _) = serve(Scripted(vanish)), serve(Scripted(lambda: time.sleep(0.05)))
    with client.Remote(f"{bad},{good}", key, warned.append) as backend:
        assert (backend.run(package, images(200), START) == expected(package, 200)).all()
    assert len(warned) == 1 and bad in warned[0] and "the connection broke" in warned[0] and len(calls) >= 2


def test_a_board_that_stays_silent(serve, key, monkeypatch):
    monkeypatch.setattr(client, "RUN_S", 0.3)
    asleep = threading.Event()
    warned, package = [], tiny.package()
    (bad, _), (good, _) = serve(Scripted(lambda: asleep.wait(5))), serve(Golden())
    with client.Remote(f"{bad},{good}", key, warned.append) as backend:
        found = backend.run(package, images(40), START)
    asleep.set()
    assert (found == expected(package, 40)).all() and "no answer within" in warned[0]


def test_the_last_board_is_an_error(serve, key):
    address, board = serve(Golden())
    with client.Remote(address, key, print) as backend:
        board.close()
        with pytest.raises(UserError, match=f"{address} failed and no other board is left: the connection broke"):
            backend.run(tiny.package(), images(5), START)
        with pytest.raises(UserError, match="no board is left"):
            backend.run(tiny.package(), images(5), START)


def test_a_fault_of_the_server_is_one_line(serve, key):
    def fail():
        raise ZeroDivisionError("by\nzero")

    with client.Remote(serve(Scripted(fail))[0], key, print) as backend, pytest.raises(UserError) as found:
        backend.run(tiny.package(), images(5), START)
    assert "ZeroDivisionError" in str(found.value) and "Traceback" not in str(found.value)


# ------------------------------------------------------------------------------------------------------------ strangers
def test_another_key_is_refused_on_both_sides(serve, key, tmp_path):
    link.write_key(tmp_path / "other")
    with pytest.raises(UserError, match="it has another key"):
        client.Remote(serve(Golden())[0], tmp_path / "other", print)


def test_versions_are_compared_first(serve, key, monkeypatch):
    address = serve(Golden())[0]
    monkeypatch.setattr(link, "PROTOCOL", 99)  # both sides, here: the server's answer is made when it is asked
    client.Remote(address, key, print).close()
    hello = service.BoardService.exposed_hello
    for name, value, expected_words in (("protocol", 0, "has protocol 0"), ("isa", "0" * 16, "engine contract 0000")):

        def changed(self, name=name, value=value):
            return tuple({**dict(hello(self)), name: value}.items())

        monkeypatch.setattr(service.BoardService, "exposed_hello", changed)
        with pytest.raises(UserError, match=expected_words):
            client.Remote(address, key, print)


def test_what_is_not_this_server(key):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"

        def talk():
            with listener.accept()[0] as caller:
                caller.sendall(b"SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.10 and some more words to fill it up\r\n")

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(UserError, match="is not this project's"):
            client.Remote(address, key, print)
        thread.join()


def test_silence_ends_in_time(key, monkeypatch):
    monkeypatch.setattr(link, "PATIENCE_S", 0.2)
    silent = pytest.raises(UserError, match=r"no answer within 0\.2 s")
    with socket.create_server(("127.0.0.1", 0)) as listener, silent:
        client.Remote(f"127.0.0.1:{listener.getsockname()[1]}", key, print)


def test_a_caller_without_the_key_gets_nothing(serve):
    host, port = link.address(serve(Golden())[0])
    with socket.create_connection((host, port), 5) as caller:
        caller.settimeout(5)
        assert caller.recv(1000).startswith(link.GREETING)
        caller.sendall(os.urandom(64))
        assert caller.recv(1000) == b""


def test_only_three_methods_can_be_reached(serve, key):
    """Not the backend, not the lock, no built-in, no pickle."""
    from rpyc.core import consts

    with client.Remote(serve(Golden())[0], key, print) as backend:
        root = backend._boards[0]._connection.root
        for name in ("_backend", "_lock", "_run", "__class__", "__dict__", "__reduce_ex__", "__init__", "on_connect"):
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
def sealed_pair():
    one, other = socket.socketpair()
    session = b"s" * 32
    return link.Sealed(one, session, b"laptop", b"board"), link.Sealed(other, session, b"board", b"laptop"), one, other


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20), st.integers(1, 64))
def test_sealed_bytes_arrive(messages, at_once):
    laptop, board, one, other = sealed_pair()
    with one, other:
        received, sent = b"", 0
        for message in messages:
            sent += laptop.send(message)
            while len(received) < sent:
                received += board.recv(at_once)
    assert received == b"".join(messages)


@pytest.mark.parametrize("change", ["flip", "repeat", "reorder", "reflect", "cut", "huge"])
def test_a_changed_message_breaks_the_connection(change, monkeypatch):
    monkeypatch.setattr(link, "PATIENCE_S", 0.1)
    laptop, board, one, other = sealed_pair()
    other.settimeout(0.1)
    taken, given_ = socket.socketpair()  # in between: what the laptop sends is looked at before it goes on
    laptop._sock = taken
    laptop.send(b"first")
    laptop.send(b"other")
    data = given_.recv(1000)
    size = len(data) // 2
    if change == "flip":
        one.sendall(data[:5] + bytes([data[5] ^ 1]) + data[6:])
    elif change == "repeat":
        one.sendall(data[:size] * 2)
        assert board.recv(100) == b"first"
    elif change == "reorder":
        one.sendall(data[size:])
    elif change == "reflect":
        board.send(b"first")
        one.sendall(one.recv(1000))
    elif change == "cut":
        one.sendall(data[: size - 1])
    else:
        one.sendall(struct.pack("!I", 2**31) + data)
    with pytest.raises(ConnectionError):
        board.recv(100)
    for sock in (one, other, taken, given_):
        sock.close()


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


def test_key_files(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "key"
    link.write_key(path)
    assert path.stat().st_mode & 0o777 == 0o600 and len(link.read_key(path)) == link.KEY_BYTES
    with pytest.raises(UserError, match="is there already"):
        link.write_key(path)
    path.chmod(0o640)
    with pytest.raises(UserError, match=r"can be read by others \(mode 0640\): chmod 600"):
        link.read_key(path)
    path.chmod(0o600)
    for text in ("", "12", "z" * 64):
        path.write_text(text)
        with pytest.raises(UserError, match="not a key"):
            link.read_key(path)
    with pytest.raises(UserError, match="--new-key"):
        link.read_key(tmp_path / "none")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert link.key_path() == tmp_path / "ddi" / "remote.key"


@pytest.mark.parametrize(
    ("text", "expected_address"),
    [("zed", ("zed", link.PORT)), ("zed:7", ("zed", 7)), ("[::1]:7", ("::1", 7)), ("10.0.0.2:0", ("10.0.0.2", 0))],
)
def test_addresses(text, expected_address):
    assert link.address(text) == expected_address


@pytest.mark.parametrize("text", ["", ":7", "zed:port", "zed:65536", "[::1]x", "zed:-1", "zed:٣"])
def test_bad_addresses(text):
    with pytest.raises(UserError, match="is not understood"):
        link.address(text)


# ------------------------------------------------------------------------------------------------------------ commands
def test_without_rpyc_it_says_so(key, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "rpyc", None)
    with pytest.raises(BackendMissing, match=r"requirements/remote\.txt"):
        client.Remote("zed", key, print)
    monkeypatch.delitem(sys.modules, "host.remote.service")
    monkeypatch.delattr("host.remote.service")
    assert server.main(["--key", str(key), "--backend", "golden", "--listen", "127.0.0.1:0"]) == 2
    assert "requirements/remote.txt" in capsys.readouterr().err


def test_the_server_refuses_bad_input(capsys, tmp_path, key):
    for argv, words in (
        (["--key", str(tmp_path / "none")], "no key can be read"),
        (["--listen", "here:there", "--key", str(key)], "is not understood"),
        (["--listen", "203.0.113.1:1", "--key", str(key), "--backend", "golden"], "give another --listen"),
    ):
        assert server.main(argv) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1
    assert server.main(["--new-key", "--key", str(tmp_path / "new")]) == 0
    assert server.main(["--new-key", "--key", str(tmp_path / "new")]) == 2


def test_the_server_as_a_process(key, tmp_path):
    """From another folder; ended by a signal, quietly, with a caller connected."""
    argv = [sys.executable, ROOT / "host/server.py", "--backend", "golden", "--listen", "127.0.0.1:0", "--key", key]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            with client.Remote(address, key, print) as backend:
                assert (backend.run(tiny.package(), images(9), START) == expected(tiny.package(), 9)).all()
                process.send_signal(signal.SIGTERM)
                _, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 0 and "Traceback" not in err


def test_it_is_a_backend():
    assert issubclass(client.Remote, Backend) and client.Remote.name == "remote"
