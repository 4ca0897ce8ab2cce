"""Commands of the project as processes of their own, with something wrong around them: what they said and left.

with Scene() as scene:
    said = scene.run("host/run.py", "--json", "/dev/full")      # Said: exit code, standard output, the line of stderr
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.fault_cases import ROOT, Outcome
from bench.standin import tiny

DEADLINE_S = 120.0
RUN = ("host/run.py", "--backend", "golden", "--images", "3", "--package")


@dataclass(frozen=True)
class Said:
    """What a command that has ended said."""

    code: int
    out: str
    line: str  # of standard error, all of it, without the command's name; of standard output where that is empty


class Scene:
    """A folder with a small package in it, in which commands are run; `left` are the files that are there after."""

    def __init__(self):
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)
        self.package = tiny.save(self.folder / "tiny.npz")

    def run(self, *argv, shell="", changes=None, number=None, ready="started"):
        """Said of `python argv`. shell: a line of bash with "$@" for it; changes: of the environment, None takes one
        away; number: a signal that is sent to the process once it printed `ready`."""
        command = [sys.executable, *(str(ROOT / word) if str(word).endswith(".py") else str(word) for word in argv)]
        command = ["bash", "-c", shell, "bash", *command] if shell else command
        kept = {**os.environ, "PYTHONPATH": str(ROOT), **(changes or {})}
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env={name: text for name, text in kept.items() if text is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        )
        if number is not None:
            threading.Thread(target=_send, args=(process, number, self.folder / ready), daemon=True).start()
        out, err = process.communicate(timeout=DEADLINE_S)
        lines = err.splitlines() or out.splitlines()[:1]
        name, colon, rest = " | ".join(lines).partition(": ")
        return Said(process.returncode, out, rest if colon and " " not in name else name + colon + rest)

    def tiny_run(self, *argv, **options):
        """Said of host/run.py with the small package."""
        return self.run(*RUN, self.package, *argv, **options)

    def left(self):
        """Files and folders that stand in the scene, but for the package; partial files count among them."""
        return sorted(path.name for path in self.folder.rglob("*") if path.name != "tiny.npz")

    def fine(self):
        """Whether the same run is fine once nothing is wrong."""
        return self.tiny_run("--json", self.folder / "fine.json").code == 0 and (self.folder / "fine.json").exists()

    def outcome(self, said, *expected):
        """The Outcome of a run that was to leave the files `expected`, and nothing else."""
        return Outcome(said.line, said.code, len(set(self.left()) ^ set(expected)), self.fine())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scratch.cleanup()


def _send(process, number, ready):
    """Wait for the file that says that the process has come far enough, then send the signal."""
    end = time.monotonic() + DEADLINE_S
    while not ready.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    ready.unlink(missing_ok=True)
    process.send_signal(number)


def running(pid):
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
