"""How fast the co-simulation is on this machine, and how much memory the host takes.

    python -m bench speed --data cifar10=DIR

Rows: speed.cifar10_74M_seconds (10,000 test images through host/run.py), .images_per_s, .host_memory.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.packages import fingerprint
from bench.rows import ROOT
from hls.cosim import build


def run(rows, folders, options):
    """Add the rows of one run of host/run.py on CIFAR-10's test set."""
    build()
    with tempfile.TemporaryDirectory() as scratch:
        result = Path(scratch) / "result.json"
        command = [sys.executable, "host/run.py", "--package", "cifar10", "--budget", "74M", "--json", str(result)]
        command += ["--threads", str(options.threads)]
        command += ["--data", folders.get("cifar10")] if folders.get("cifar10") else []
        command += ["--images", str(options.images)] if options.images else []
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"bench: {' '.join(command)} failed with status {os.waitstatus_to_exitcode(status)}")
        summary = json.loads(result.read_text(encoding="utf-8"))
    n, sha256 = summary["images"], fingerprint("cifar10")
    rows.add("speed.cifar10_74M_seconds", summary["seconds"], "s", "measured", n, sha256)
    rows.add("speed.cifar10_74M_images_per_s", n / summary["seconds"], "images/s", "measured", n, sha256)
    rows.add("speed.host_memory", usage.ru_maxrss / 1024, "MiB", "measured", n, sha256)
