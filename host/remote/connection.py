"""One board elsewhere: its program over ssh, what it says of itself, shares of a batch with a deadline.

    board = Connection("zed1", ssh.connect, rpyc, ["host/server.py"])
    records, cycles, busy, history = board.run(file, sha256, images, start, history, modelled_s)

A board is given up when a share takes PATIENCE times what it is expected to: by the board's own last shares, or by the
modelled schedule at its clock. All that goes wrong is a UserError of one line.
"""

import contextlib
import time
from dataclasses import astuple
from typing import Any

from hls import isa
from hls.errors import UserError
from hls.record import words
from host.remote import link

ANSWER_S = 15.0  # for names, versions and a package
PATIENCE = 5.0  # times the expected time of a share
GRACE_S = 3.0  # and that much longer, whatever it runs
UNKNOWN_S = 1.0  # expected of an image where neither clock nor earlier shares tell: a golden model in Python
BYTES_PER_S = 1e6  # of a slow network


class Connection:
    """One board: what it said of itself, and why it failed ("" while it has not)."""

    def __init__(self, text, connect, rpyc, command):
        self.address, self.failure, self._loaded = text, "", ""
        self._image_s = None  # the longest that an image took, of the shares so far
        self._pipe: Any = None
        try:
            self._pipe = connect(text, command)
            config = {**link.CLOSED, "sync_request_timeout": None, "allow_getattr": False}
            stream = rpyc.PipeStream(self._pipe.read, self._pipe.write)
            self._connection = rpyc.connect_stream(stream, rpyc.VoidService, config)
            self.said = _plain(self._ask("hello", ANSWER_S))
            self._check()
        except BaseException as error:
            if self._pipe is not None:
                self._pipe.close()
            if isinstance(error, UserError):
                raise UserError(f"{text} cannot be used: {error}") from None
            raise

    def _check(self):
        """Another contract would give wrong results, not errors."""
        found = self.said.get("isa")
        if found != isa.HASH:
            remedy = "give it this version, and its bitstream (make deploy HOST=…); for a bitstream of another point "
            remedy += "of the board, run as python -m bitstreams.points BOARD POINT host.run …"
            raise UserError(f"it has engine contract {found}, this is {isa.HASH}: {remedy}")

    def warnings(self):
        """What its program said while it started, a line each."""
        lines = self._pipe.said().decode(errors="replace").splitlines()
        return [line.removeprefix("server: ") for line in lines if line.startswith("server: ")]

    @property
    def clock_hz(self):
        """Of its engine; 0 for a simulation."""
        return int(self.said.get("clock_hz", 0))

    def expected_s(self, count, modelled_cycles):
        """How long a share of `count` images should take, of `modelled_cycles` each at most."""
        if self._image_s is not None:
            return count * self._image_s
        return count * (modelled_cycles / self.clock_hz if self.clock_hz else UNKNOWN_S)

    def run(self, file, sha256, images, start, history, modelled_cycles):
        """(records (N, words), measured cycles (N,) or None, share of time in the engine or None, history)."""
        if self._loaded != sha256:
            answer = self._ask("load", ANSWER_S + len(file) / BYTES_PER_S, file)
            if answer[0] != "ok":
                raise UserError(str(answer[1]))
            self._loaded = sha256
        expected_s = self.expected_s(len(images), modelled_cycles)
        patience_s = GRACE_S + PATIENCE * expected_s + images.nbytes / BYTES_PER_S
        began = time.monotonic()
        answer = self._ask("run", patience_s, sha256, link.pack(images), _numbers(start), link.pack(history))
        self._image_s = max(self._image_s or 0.0, (time.monotonic() - began) / len(images))
        if answer[0] != "ok":
            raise UserError(str(answer[1]))
        return _results(answer, len(images), start)

    def _ask(self, method, seconds, *arguments):
        """What the board's method returns, a tuple. UserError when it does not in that time."""
        try:
            with self._pipe.within(seconds):
                answer = getattr(self._connection.root, method)(*arguments)
        except UserError:
            raise
        except (EOFError, OSError, ValueError, AttributeError):
            raise UserError(f"the connection broke ({self._pipe.failure()})") from None
        except Exception as error:  # what the other side raised, or sent that is no answer
            text = " ".join(str(error).split())[:200]
            raise UserError(f"it answered {type(error).__name__.rpartition('.')[2]} {text}") from None
        if type(answer) is not tuple or not answer:
            raise UserError(f"it answered a {type(answer).__name__}, expected a tuple")
        return answer

    def close(self):
        """End the connection without waiting for the other side."""
        with contextlib.suppress(Exception):  # what it had to say does not matter any more
            self._connection.close()
        self._pipe.close()


def _numbers(start):
    """The start parameters as host/remote/service.py takes them."""
    return tuple(int(value) for value in astuple(start))


def _plain(pairs):
    """The pairs as a dictionary, if they are names with numbers or texts; else an empty one, which fails the check."""
    try:
        return {name: value for name, value in pairs if type(name) is str and type(value) in (str, int)}
    except (TypeError, ValueError):
        return {}


def _results(answer, count, start):
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
        raise UserError(f"it answered something else than records ({error})") from None
    return records, cycles, busy if type(busy) is float else None, history
