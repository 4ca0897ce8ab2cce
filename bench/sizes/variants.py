"""The engine with other sizes: its contract changed, generated anew in a folder, and asked in a process of its own.

    with variant({"OUT_LANES": 4, "ROW_TAPS": 1}) as folder:
        answer = ask(folder, {"programs": …})      # bench/sizes/worker.py

Nothing of the running process changes: hls is found in the folder by the worker alone, bench and export in the
repository.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
from math import prod
from pathlib import Path

import numpy as np

from bench.rows import ROOT
from hls.command import tools
from hls.cosim import CosimError
from hls.generate.variant import write


@contextlib.contextmanager
def variant(sizes):
    """A folder with the package hls for these sizes."""
    with tempfile.TemporaryDirectory() as folder:
        write(folder, sizes)
        yield Path(folder)


@contextlib.contextmanager
def unchanged():
    """CosimError at the end if hls has been edited meanwhile: its variants would be those of two engines."""
    before = _digest()
    yield
    if _digest() != before:
        raise CosimError("hls/ changed during the sweep: run it again")


def _digest():
    files = sorted(path for path in (ROOT / "hls").rglob("*") if path.suffix in (".py", ".toml", ".hpp", ".cpp"))
    return hashlib.sha256(b"\0".join(str(path).encode() + path.read_bytes() for path in files)).hexdigest()


def ask(folder, question):
    """The worker's answer. CosimError with its last line if it fails."""
    changes = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "bench.sizes.worker"]
    result = tools.run(command, cwd=folder, changes=changes, given=json.dumps(question))
    if result.returncode:
        raise CosimError(f"{' '.join(command)} failed: {(result.stderr.splitlines() or ['no message'])[-1]}")
    return json.loads(result.stdout)


def entry(compiled, traces, file):
    """One program of a question, its instructions in a file; a package or a Compiled."""
    np.savez(file, program=compiled.program)
    sizes = len(compiled.program), len(compiled.weights), len(compiled.tables), prod(compiled.image_shape)
    limits = [*sizes, compiled.gates, compiled.classes, compiled.map_words]
    return {"file": str(file), "limits": limits, "traces": traces}
