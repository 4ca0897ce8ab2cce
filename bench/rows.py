"""Result rows: one JSON object a line, with all that is needed to measure it again.

    rows = Rows("packages", "python -m bench packages")
    rows.add("cifar10.accuracy@74M", 0.9, "share", "simulated", n=10000, package="1f2e…")
    rows.write(path)

kind says where a value comes from: measured (on this machine or a board), simulated (the engine's bits), estimated (by
open tools), modelled, cited, or that it is a count of what was tried.
"""

import json
import os
import platform
from pathlib import Path

from hls.command import outputs, tools

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
KINDS = ("measured", "simulated", "estimated", "modelled", "cited", "count")


class Rows:
    """The rows of one run of one benchmark."""

    def __init__(self, benchmark, command):
        self.benchmark, self.command, self.rows = benchmark, command, []
        self.commit, self.host = commit(), host()

    def add(self, name, value, unit, kind, n, package=None, target=None, note=None, detail=None):
        """Add a row and print it. `n` is the number of images, runs or seeds behind the value.

        `target`: what the value was meant to reach. `note`: what the name does not say. `detail`: name → figure of the
        same point.
        """
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}: expected one of {', '.join(KINDS)}")
        row = {"name": name, "value": value, "unit": unit, "kind": kind, "n": n, "commit": self.commit}
        row |= {"package": package, "host": self.host, "command": self.command}
        extra = {
            key: text for key, text in (("target", target), ("note", note), ("detail", detail)) if text is not None
        }
        self.rows.append(row | extra)
        shown = f"{value:.4f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
        wanted = "" if target is None else f", target {target}"
        print(f"{name:48} {shown} {unit} ({kind}, n = {n}{wanted})", flush=True)

    def write(self, target=None):
        """Write to a path or an Output (hls/command/outputs.py), or behind the rows in own_file(); the path.

        OutputError, and the rows on standard output, where they cannot be written.
        """
        text, place = "".join(json.dumps(row) + "\n" for row in self.rows), target
        if target is None:
            place = own_file(self.benchmark)
            text = (place.read_text(encoding="utf-8") if place.exists() else "") + text
        try:
            outputs.write(place, text)
        except outputs.OutputError:
            print(text, end="", flush=True)
            raise
        return getattr(place, "path", place)


def own_file(benchmark):
    """Where the rows of a benchmark are kept: its file in a room of bench/results/, or there where it has none yet."""
    RESULTS.mkdir(exist_ok=True)
    return next(RESULTS.rglob(f"{benchmark}.jsonl"), RESULTS / f"{benchmark}.jsonl")


def latest():
    """Name → the newest row of that name in bench/results/."""
    found = {}
    for path in sorted(RESULTS.rglob("*.jsonl")):
        found |= {row["name"]: row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    return found


def commit():
    """The commit that is measured, with + when the tree differs from it."""
    try:
        git = ["git", "-C", str(ROOT)]
        head, changes = tools.run([*git, "rev-parse", "--short=12", "HEAD"]), tools.run([*git, "status", "--porcelain"])
    except OSError:
        return "unknown"
    if head.returncode or changes.returncode:
        return "unknown"
    return head.stdout.strip() + ("+" if changes.stdout.strip() else "")


def host():
    """Cores and vector width: what a speed on this machine depends on."""
    path = Path("/proc/cpuinfo")
    flags = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    vector = next((name for name in ("avx512f", "avx2", "neon") if name in flags), "scalar")
    return {"cores": os.cpu_count(), "vector": vector, "machine": platform.machine()}
