"""Backend of boards elsewhere, reached by ssh: they share each batch. Needs requirements/remote.txt on both sides.

    with Remote("xilinx@192.168.2.99,zed2", warn=print) as backend:
        records = backend.run(package, images, start)       # (N, words) int32, as if one board had run them all

A board that drops out, says an error or stays silent is left aside for the rest of the run, with one line of warning,
and the others run its share; with none left it is a UserError.
"""

import hashlib
import tempfile
import threading
from collections import deque
from pathlib import Path

import numpy as np

from hls import isa
from hls import package as packages
from hls.errors import UserError
from hls.pool import fresh
from hls.record import not_run
from host.backend import Backend, BackendMissing
from host.remote import ssh
from host.remote.connection import Connection

ROUNDS = 4  # shares that a board gets of a batch, so that a fast one takes more
SMALLEST = 8  # images of a share
MISSING = "RPyC is not installed here: pip install -r requirements/remote.txt"


class Remote(Backend):
    """One or more boards; the results are theirs, in the order of the images."""

    name = "remote"

    def __init__(self, addresses, warn, command=("host/server.py",), connect=ssh.connect):
        """Start `command` on each of "[user@]host[:port][/folder],…". UserError naming the first that will not do."""
        self.measured_cycles, self.busy_share, self._warn, self._boards = None, None, warn, []
        self._sent = (None, b"", "")  # package, its file, the file's sha256
        try:
            import rpyc
        except ModuleNotFoundError:
            raise BackendMissing(MISSING) from None
        try:
            self._connect([text.strip() for text in addresses.split(",")], connect, rpyc, list(command))
        except BaseException:
            self.close()
            raise
        for board in self._boards:
            for line in board.warnings():
                warn(f"{board.address}: {line}")
        titles = ", ".join(f"{board.address} ({board.said['title']})" for board in self._boards)
        self.title = titles if len(self._boards) == 1 else f"{len(self._boards)} boards: {titles}"
        self.version = ", ".join(sorted({str(board.said["version"]) for board in self._boards}))
        self.threads = len(self._boards)
        clocks = [board.clock_hz for board in self._boards if board.clock_hz > 0]
        self.clock_hz = min(clocks, default=0)  # a budget of time holds on the slowest

    def run(self, package, images, start, history=None):
        """Records of the images, shared out over the boards that are left; with a pool one of them runs all."""
        file, sha256 = self._file(package)
        count, alone = len(images), len(self._boards) <= 1 or start.pool > 1
        size = count if alone else max(-(-count // (ROUNDS * len(self._boards))), SMALLEST)
        history = fresh(start) if history is None else history
        worst = min(max(item["cycles"] for item in package.exits), start.budget_cycles)
        waiting = deque((at, min(at + size, count)) for at in range(0, count, size))
        done = {}  # first image of a share → its answer

        def work(board):
            while not board.failure:
                try:
                    share = waiting.popleft()
                except IndexError:
                    return
                try:
                    answer = board.run(file, sha256, images[slice(*share)], start, history, worst)
                    done[share[0]] = self._at_our_clock(answer, board)
                except UserError as error:
                    board.failure = str(error)
                    waiting.append(share)
                except Exception as error:  # a share that a thread takes with it would be missed by nobody
                    board.failure = f"{type(error).__name__} {' '.join(str(error).split())}"
                    waiting.append(share)

        while waiting:  # a share that came back may find that the others have ended
            if not self._boards:
                raise UserError("no board is left: see above why they dropped out, and start again")
            self._all(work)
        answers = [done[at] for at in sorted(done)]
        history[:] = answers[-1][3]
        return self._gather(answers, start)

    def _connect(self, addresses, connect, rpyc, command):
        """All boards at once, for each loads its bitstream; UserError of the first that will not do."""
        found = {}

        def open_one(text):
            try:
                found[text] = Connection(text, connect, rpyc, command)
            except Exception as error:  # raised below, in the thread that asked
                found[text] = error

        _together(open_one, dict.fromkeys(addresses))
        opened = (found[text] for text in dict.fromkeys(addresses))
        self._boards = [board for board in opened if isinstance(board, Connection)]
        for text in addresses:
            if isinstance(found[text], Exception):
                raise found[text]

    def _all(self, work):
        """`work(board)` for every board at once; those that fail are left aside."""
        _together(work, self._boards)
        lost = [board for board in self._boards if board.failure]
        self._boards = [board for board in self._boards if not board.failure]
        for board in lost:
            board.close()
            if not self._boards:
                raise UserError(f"{board.address} failed and no other board is left: {board.failure}")
            self._warn(f"{board.address} dropped out ({board.failure}); the others run its share")

    def _at_our_clock(self, answer, board):
        """A board's answer, its measured cycles counted at `clock_hz`: boards may have clocks of their own."""
        records, cycles, *others = answer
        if cycles is not None and board.clock_hz > 0:
            cycles = cycles * (self.clock_hz / board.clock_hz)
        return records, cycles, *others

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


def _together(work, items):
    """`work(item)` in a thread for each; Ctrl-C is heard meanwhile."""
    threads = [threading.Thread(target=work, args=(item,), daemon=True) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
