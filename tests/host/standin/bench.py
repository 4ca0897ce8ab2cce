"""A board on the bench: bitstream, package and stand-in put together, as a command or a test finds them.

with Bench(folder) as bench:
    code, out, line = bench.command("--images", "10")      # host/run.py --backend pynq
    with bench.board() as board: …
"""

import contextlib
import io
import sys
from pathlib import Path

from host import run as command
from host.board import driver, overlay
from tests.host import tiny
from tests.host.standin import files
from tests.host.standin.machine import Machine
from tests.host.standin.software_pynq import module


class Bench:
    """While it is open, this process believes to be a board with a bitstream in `folder`."""

    def __init__(self, folder, golden_model=False, faults=None):
        self.folder = Path(folder)
        self.machine = Machine(golden_model)
        self.machine.faults.update(faults or {})
        self.lock = self.folder / "board.lock"
        self.package = str(self.folder / "tiny.npz")
        files.write_build(self.folder / "zedboard")
        tiny.save(Path(self.package))
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        self._set(sys.modules, "pynq", module(self.machine))
        for owner, name, value in (
            (overlay, "BITSTREAMS", self.folder),
            (driver, "default_path", lambda _: self.lock),
            (driver, "FLOOR_S", 5.0),  # of a machine that does other things too
            (driver, "HANDSHAKE_S", 5.0),
            (driver, "GRACE_S", 0.2),
        ):
            self._set(owner.__dict__, name, value)
        return self

    def _set(self, names, name, value):
        missing = object()
        before = names.get(name, missing)
        names[name] = value
        self._stack.callback(lambda: names.pop(name) if before is missing else names.__setitem__(name, before))

    def __exit__(self, *_):
        self.machine.engine.stop()
        self._stack.close()

    def insert(self):
        """Make pynq anew, as a new process would; for faults of the device itself."""
        sys.modules["pynq"] = module(self.machine)

    def board(self, **options):
        """The driver, open."""
        return driver.Pynq(**options)

    def command(self, *argv, backend="pynq"):
        """(exit code, standard output, standard error without the command's name) of host/run.py."""
        out, err = io.StringIO(), io.StringIO()
        words = ["--package", self.package, "--backend", backend, *map(str, argv)]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = command.main(words)
        return code, out.getvalue(), err.getvalue().removeprefix("run: ").rstrip("\n")
