"""What `make run` prints and draws, kept for the README.

    python -m bench main_command

Writes docs/run.txt and docs/run.svg, and rows of the figures in them.
"""

import json
import sys
import tempfile
from pathlib import Path

from bench.packages import fingerprint
from bench.rows import ROOT
from hls.command import tools
from hls.command.outputs import write
from hls.errors import UserError


def run(rows, folders, options):
    """Run host/run.py as `make run` does, keep what it prints and draws, and add its rows."""
    summary, printed = typed("--picture", "docs/run.svg")
    write(ROOT / "docs" / "run.txt", printed.rstrip("\n") + "\n")
    add(rows, summary)


def typed(*options):
    """(summary, what is printed for people) of the main command with more options. UserError where it fails."""
    command = [sys.executable, "host/run.py", "--budget", "74M"]
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        given = [*command, "--json", str(result), *options]
        done = tools.run(given, cwd=ROOT, changes={"PYTHONIOENCODING": "utf-8"})
        if done.returncode:
            raise UserError(f"{' '.join(command)} failed: {done.stderr}")
        return json.loads(result.read_text(encoding="utf-8")), done.stdout


def add(rows, summary):
    """Add the rows of a summary."""
    n, sha256 = summary["images"], fingerprint("fashion-mnist")
    rows.add("main_command.accuracy", summary["accuracy"], "share", "simulated", n, sha256)
    rows.add("main_command.flops_mean", summary["flops"]["mean"], "FLOPs", "simulated", n, sha256)
    rows.add("main_command.flops_max", summary["flops"]["max"], "FLOPs", "simulated", n, sha256)
    rows.add("main_command.cycles_mean", summary["cycles"]["mean"], "cycles", "modelled", n, sha256)
