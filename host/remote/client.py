"""Backend of boards elsewhere: each runs host/server.py, and they share each batch. Needs requirements/remote.txt.

    with Remote("zed1,zed2:18861", key_file, warn=print) as backend:
        records = backend.run(package, images, start)       # (N, words) int32, as if one board had run them all

A board that drops out, says an error or stays silent is left aside for the rest of the run, with one line of warning,
and the others run its share; with none left it is a UserError.
"""

import contextlib
import hashlib
import socket
import tempfile
import threading
from collections import deque
from dataclasses import astuple
from pathlib import Path

import numpy as np

from hls import isa
from hls import package as packages
from hls.errors import UserError
from hls.pool import fresh
from hls.record import not_run, words
from host.backend import Backend, BackendMissing
from host.remote import link

CONNECT_S = 5.0
ANSWER_S = 15.0  # for names, versions and a package
RUN_S = 600.0  # for a share of a batch
ROUNDS = 4  # shares that a board gets of a batch, so that a fast one takes more
SMALLEST = 8  # images of a share
MISSING = "RPyC is not installed here: pip install -r requirements/remote.txt"


class Remote(Backend):
    """One or more boards; the results are theirs, in the order of the images."""

    name = "remote"

    def __init__(self, addresses, key_file, warn):
        """Connect to each of "host[:port],…" and compare versions. UserError naming the first that will not do."""
        self.measured_cycles, self.busy_share, self._warn, self._boards = None, None, warn, []
        self._sent = (None, b"", "")  # package, its file, the file's sha256
        try:
            import rpyc
        except ModuleNotFoundError:
            raise BackendMissing(MISSING) from None
        try:
            key = link.read_key(key_file)
            for text in addresses.split(","):
                self._boards.append(_Connection(rpyc, text.strip(), key))
        except (UserError, ValueError) as error:
            self.close()
            raise UserError(str(error)) from None
        titles = ", ".join(f"{board.address} ({board.said['title']})" for board in self._boards)
        self.title = titles if len(self._boards) == 1 else f"{len(self._boards)} boards: {titles}"
        self.version = ", ".join(sorted({str(board.said["version"]) for board in self._boards}))
        self.threads = len(self._boards)
        clocks = [int(board.said.get("clock_hz", 0)) for board in self._boards]
        self.clock_hz = min(
            [clock for clock in clocks if clock > 0], default=0
        )  # a budget of time holds on the slowest

    def run(self, package, images, start, history=None):
        """Records of the images, shared out over the boards that are left; with a pool one of them runs all."""
        file, sha256 = self._file(package)
        count, alone = len(images), len(self._boards) <= 1 or start.pool > 1
        size = count if alone else max(-(-count // (ROUNDS * len(self._boards))), SMALLEST)
        history = fresh(start) if history is None else history
        waiting = deque((at, min(at + size, count)) for at in range(0, count, size))
        done = {}  # first image of a share → its answer

        def work(board):
            while not board.failure:
                try:
                    share = waiting.popleft()
                except IndexError:
                    return
                try:
                    done[share[0]] = board.run(file, sha256, images[slice(*share)], start, history)
                except UserError as error:
                    board.failure = str(error)
                    waiting.append(share)

        while waiting:  # a share that came back may find that the others have ended
            if not self._boards:
                raise UserError("no board is left: see above why they dropped out, and start again")
            self._all(work)
        answers = [done[at] for at in sorted(done)]
        history[:] = answers[-1][3]
        return self._gather(answers, start)

    def _all(self, work):
        """`work(board)` for every board at once; those that fail are left aside."""
        threads = [threading.Thread(target=work, args=(board,), daemon=True) for board in self._boards]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # in steps, so that Ctrl-C is heard
        lost = [board for board in self._boards if board.failure]
        self._boards = [board for board in self._boards if not board.failure]
        for board in lost:
            board.close()
            if not self._boards:
                raise UserError(f"{board.address} failed and no other board is left: {board.failure}")
            self._warn(f"{board.address} dropped out ({board.failure}); the others run its share")

    def _gather(self, answers, start):
        """One array of records, numbered through; as on one board, nothing is run after an image that failed."""
        shares, at = [], 0
        for records, *_ in answers:
            records = records.copy()
            records[:, isa.RECORD.index("image")] += at
            at += len(records)
            shares.append(records)
        records = np.concatenate(shares)
        failed = np.flatnonzero(records[:, isa.RECORD.index("status")] != isa.STATUS_OK)
        if len(failed):
            for index in range(int(failed[0]) + 1, len(records)):
                records[index] = not_run(index, start)
        cycles, busy = [item[1] for item in answers], [item[2] for item in answers]
        self.measured_cycles = None if any(item is None for item in cycles) else np.concatenate(cycles)
        self.busy_share = None if None in busy else float(np.average(busy, weights=[len(item[0]) for item in answers]))
        return records

    def _file(self, package):
        """(bytes of the package's file, their sha256); written once for a package."""
        if self._sent[0] is not package:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "package.npz"
                packages.write(path, package)
                data = path.read_bytes()
            self._sent = package, data, hashlib.sha256(data).hexdigest()
        return self._sent[1:]

    def close(self):
        """End the connections; a board that does not answer is not waited for."""
        for board in self._boards:
            board.close()
        self._boards = []


class _Connection:
    """One board: its connection, what it said of itself, and why it failed ("" while it has not)."""

    def __init__(self, rpyc, text, key):
        host, port = link.address(text)
        self.address, self.failure, self._rpyc, self._loaded = f"{host}:{port}", "", rpyc, ""
        try:
            self._socket = socket.create_connection((host, port), CONNECT_S)
        except OSError as error:
            remedy = "is host/server.py running there, with --listen on that address?"
            raise UserError(f"{self.address} cannot be reached ({_line(error)}): {remedy}") from None
        try:
            _keep_alive(self._socket)
            sealed = link.introduce(self._socket, key)
            config = {**link.CLOSED, "sync_request_timeout": ANSWER_S, "allow_getattr": False}
            stream = rpyc.SocketStream(sealed)
            self._connection = rpyc.connect_stream(stream, rpyc.VoidService, config)
            self.said = _plain(self._ask("hello", ANSWER_S))
            self._check()
        except (link.HandshakeError, OSError) as error:
            self._socket.close()
            raise UserError(f"{self.address} was not accepted: {_line(error)}") from None
        except UserError:
            self._socket.close()
            raise

    def _check(self):
        """Versions first: another protocol or contract would give wrong results, not errors."""
        for name, ours, remedy in (
            ("protocol", link.PROTOCOL, "copy this version to the board"),
            ("isa", isa.HASH, "copy this version, and its bitstream, to the board"),
        ):
            found = self.said.get(name)
            if found != ours:
                words_of = {"protocol": "protocol", "isa": "engine contract"}[name]
                raise UserError(
                    f"{self.address} has {words_of} {found}, this is {ours}: {remedy} (python host/deploy.py …)"
                )

    def run(self, file, sha256, images, start, history):
        """(records (N, words), measured cycles (N,) or None, share of time in the engine or None, history)."""
        for _ in range(2):
            if self._loaded == sha256:
                answer = self._ask("run", RUN_S, sha256, link.pack(images), _numbers(start), link.pack(history))
                if answer[0] == "ok":
                    return _results(answer, len(images), start, self.address)
                if answer[0] == "error":
                    raise UserError(str(answer[1]))
            answer = self._ask("load", ANSWER_S + len(file) / 1e6, file)
            if answer[0] != "ok":
                raise UserError(str(answer[1]))
            self._loaded = sha256
        raise UserError("another laptop loads its own packages there: use the board one after the other")

    def _ask(self, method, seconds, *arguments):
        """What the board's method returns, a tuple. UserError when it does not in that time."""
        try:
            remote = getattr(self._connection.root, method)
            answer = self._rpyc.timed(remote, seconds)(*arguments).value
        except TimeoutError:
            raise UserError(f"no answer within {seconds:.0f} s") from None
        except (EOFError, OSError) as error:
            raise UserError(f"the connection broke ({_line(error)})") from None
        except Exception as error:  # what the other side raised
            raise UserError(f"it answered {type(error).__name__} {_line(error)[:200]}") from None
        if type(answer) is not tuple:
            raise UserError(f"it answered a {type(answer).__name__}, expected a tuple")
        return answer

    def close(self):
        """End the connection without waiting for the other side."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._connection.close()
        self._socket.close()


def _numbers(start):
    """The start parameters as host/remote/service.py takes them."""
    return tuple(int(value) for value in astuple(start))


def _plain(pairs):
    """The pairs as a dictionary, if they are names with numbers or texts; else an empty one, which fails the check."""
    try:
        return {name: value for name, value in pairs if type(name) is str and type(value) in (str, int)}
    except (TypeError, ValueError):
        return {}


def _results(answer, count, start, address):
    """The answer's arrays, checked. UserError if they are not records of `count` images."""
    try:
        _, records, cycles, busy, history = answer
        history = link.unpack(history, ("<i8",), 2)
        records = link.unpack(records, ("<i4",), 2)
        cycles = None if cycles is None else link.unpack(cycles, ("<f8",), 1)
        if records.shape != (count, words(start.gates, start.classes)) or (cycles is not None and len(cycles) != count):
            raise ValueError(f"records of {records.shape} for {count} images")
        if history.shape != (start.pool - 1, 2):
            raise ValueError(f"a history of {history.shape} for a pool of {start.pool}")
    except ValueError as error:
        raise UserError(f"{address} answered something else than records ({error})") from None
    return records, cycles, busy if type(busy) is float else None, history


def _keep_alive(sock):
    """Notice a board that was switched off within about 15 s, also while it computes."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 3), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _line(error):
    return " ".join(str(error).split()) or type(error).__name__
