"""The vendor's tools, played by scripts of a shell: tools that fail in silence, old results, locales, paths.

Most cases run the stage csim of bitstreams/vitis/synth.py; see __init__.py.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from unittest import mock

from bench.fault_cases import Case, Outcome
from bench.fault_cases.process import DEADLINE_S, running
from bench.standin import tiny
from bitstreams import points, vectors
from bitstreams.vitis import synth, tools
from data.datasets import load_sample

LOG = "engine/solution/csim/report/ddi_engine_csim.log"
GOOD = f"mkdir -p $(dirname {LOG}); echo PASS > {LOG}; echo 'INFO: [SIM 1] CSim done with 0 errors.'"
ERROR = "echo 'ERROR: [HLS 200-70] Cannot check out a license'"
CRITICAL = "echo 'CRITICAL WARNING: [HLS 200-1] a port is not connected'"
NEEDS_C = f"case \"$(printf %s $LC_ALL)\" in C) {GOOD};; *) echo 'ERROR: 7,000 is no number'; exit 1;; esac"


class Workshop:
    """A folder with a tool in it that does what its script says."""

    def __init__(self, does=GOOD, version="2022.2", name="vitis_hls"):
        self._scratch = tempfile.TemporaryDirectory()
        self.folder = Path(self._scratch.name)
        self.build, self.target = self.folder / "build", self.folder / "bitstreams"
        self.install(does, version, name)

    def install(self, does=GOOD, version="2022.2", name="vitis_hls"):
        """Put a tool there, in place of another of its name."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        says = f"echo 'Vitis HLS - High-Level Synthesis v{version} (64-bit)'; exit 0"
        path.write_text(f'#!/bin/sh\ncase "$1" in -version) {says};; esac\n{does}\n', encoding="utf-8")
        path.chmod(0o755)

    def run(self, *options, stage="csim"):
        """(exit code, output, error) of the stage on a small package."""
        out, err = io.StringIO(), io.StringIO()
        look, package = tools.look, tiny.package()
        batch = package, load_sample()[0][:1], package.start()
        with (
            mock.patch.object(synth, "look", lambda: look({"PATH": str(self.folder / "bin")}, ())),
            mock.patch.object(vectors, "batch", lambda *_: batch),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            argv = ["--stage", stage, "--build", str(self.build), "--out", str(self.target), *options]
            code = synth.main(argv)
        return code, out.getvalue(), err.getvalue()

    def outcome(self, found, left=0):
        """The Outcome of what run() gave; `left` counts what is wrong with what it left."""
        code, out, err = found
        lines = err.splitlines() or [f"done: {out.splitlines()[0]}"]
        stages = self.stages()
        left += int(("csim" in stages) != (code == 0)) + self.target.exists()
        self.install()
        self.build = self.folder / "build"
        return Outcome(" | ".join(lines).partition(": ")[2], code, left, self.run()[0] == 0)

    def stages(self):
        """The stages that are said to be done."""
        path = self.build / points.place("zedboard", points.running("zedboard")) / synth.RESULTS
        return json.loads(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scratch.cleanup()


def csim(does, version="2022.2", *options):
    """The stage with a tool that does this."""
    with Workshop(does, version) as shop:
        return shop.outcome(shop.run(*options))


def stale(does, *options):
    """The same after a good one, of the same clock or another."""
    with Workshop() as shop:
        assert shop.run()[0] == 0 and "csim" in shop.stages()
        shop.install(does)
        return shop.outcome(shop.run(*options))


def in_folder(name):
    """A build in a folder whose name the tools do not bear: refused before anything is written."""
    with Workshop() as shop:
        shop.build = shop.folder / name
        found = shop.run()
        return shop.outcome(found, left=int(shop.build.exists()))


def in_locale():
    """A user whose numbers have a comma."""
    with mock.patch.dict(os.environ, {"LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"}):
        return csim(NEEDS_C)


def of_two_releases():
    """HLS and Vivado of different releases: one screen, of which the verdict is looked at."""
    with Workshop() as shop:
        shop.install(version="2023.1", name="vivado")
        code, out, _ = shop.run(stage="impl")
        line = next((line.strip() for line in out.splitlines() if "different releases" in line), "")
        return Outcome(line, code, int(shop.build.exists()), shop.run()[0] == 0)


ALONE = """
import sys
from bench.fault_cases.tools import Workshop
with Workshop(sys.argv[1]) as shop:
    code, out, err = shop.run()
    print(err, end="", file=sys.stderr)
    sys.exit(code)
"""


def ended(number):
    """A signal to the command alone: the tool and its child, deaf to requests, are ended with it."""
    with tempfile.TemporaryDirectory() as scratch:
        pid = Path(scratch) / "pid"
        does = f"trap '' TERM HUP INT; sleep 100 & echo $! > {pid}.new; mv {pid}.new {pid}; wait"
        command = [sys.executable, "-c", ALONE, does]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + DEADLINE_S / 2
        while not pid.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=DEADLINE_S / 2)
        child, end = int(pid.read_text(encoding="ascii")), time.monotonic() + 10
        while running(child) and time.monotonic() < end:
            time.sleep(0.02)
        with Workshop() as shop:
            return Outcome(err.strip().partition(": ")[2], process.returncode, int(running(child)), shop.run()[0] == 0)


OTHER = ("--clock-mhz", "100")
_FAILS = {
    "a tool that says ERROR and ends well": partial(csim, f"{ERROR}; {GOOD}; exit 0"),
    "a tool that does nothing and ends well": partial(csim, "exit 0"),
    "a tool that ends badly": partial(csim, f"{ERROR}; exit 1"),
    "a tool that is killed": partial(csim, "kill -9 $$"),
    "a critical warning": partial(csim, f"{CRITICAL}; {GOOD}"),
    "no PASS": partial(csim, GOOD.replace("PASS", "FAIL")),
    "a result of the same build, and nothing new": partial(stale, "exit 0"),
    "a result of the same build, and an ERROR": partial(stale, f"{ERROR}; exit 0"),
    "a result of another clock, and nothing new": partial(stale, "exit 0", *OTHER),
    "a result of another clock, and an ERROR": partial(stale, f"{ERROR}; exit 0", *OTHER),
    "a result that is older than its stage": partial(csim, f"{GOOD}; touch -d 2001-01-01 {LOG}"),
}
_ENDS = {
    "a folder with a space": partial(in_folder, "my build"),
    "a folder with letters beyond ASCII": partial(in_folder, "Entwürfe"),
    "a folder with a bracket": partial(in_folder, "my[build]"),
    "tools of two releases": of_two_releases,
}
_RECOVERS = {
    "a patched release": partial(csim, GOOD, "2022.2_AR000036"),
    "an updated release": partial(csim, GOOD, "2022.2.1"),
    "numbers with a comma": in_locale,
    "a critical warning that is accepted": partial(csim, f"{CRITICAL}; {GOOD}", "2022.2", "--accept", "HLS 200-1"),
    "a log that is no UTF-8": partial(csim, f"printf 'caf\\351\\n'; {GOOD}"),
}
CASES = (
    *(Case(name, run, DEADLINE_S, exit_code=1) for name, run in _FAILS.items()),
    *(Case(name, run, DEADLINE_S) for name, run in _ENDS.items()),
    *(Case(name, run, DEADLINE_S, recovers=True) for name, run in _RECOVERS.items()),
    *(
        Case(f"{signal.Signals(number).name} while a tool runs", partial(ended, number), DEADLINE_S, exit_code=130)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    ),
)
