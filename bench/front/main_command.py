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
    """Run host/run.py as `make run` does, once for people and once for the rows."""
    command = [sys.executable, "host/run.py", "--budget", "74M"]
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        files = ["--json", str(result), "--picture", "docs/run.svg"]
        done = tools.run([*command, *files], cwd=ROOT, changes={"PYTHONIOENCODING": "utf-8"})
        if done.returncode:
            raise UserError(f"{' '.join(command)} failed: {done.stderr}")
        summary = json.loads(result.read_text(encoding="utf-8"))
    write(ROOT / "docs" / "run.txt", done.stdout.rstrip("\n") + "\n")
    sha256 = fingerprint("fashion-mnist")
    n = summary["images"]
    rows.add("main_command.accuracy", summary["accuracy"], "share", "simulated", n, sha256)
    rows.add("main_command.flops_mean", summary["flops"]["mean"], "FLOPs", "simulated", n, sha256)
    rows.add("main_command.flops_max", summary["flops"]["max"], "FLOPs", "simulated", n, sha256)
    rows.add("main_command.cycles_mean", summary["cycles"]["mean"], "cycles", "modelled", n, sha256)
