"""The engine with other sizes: its contract changed, generated anew in a folder, and asked in a process of its own.

    with variant({"OUT_LANES": 4, "ROW_TAPS": 1}) as folder:
        answer = ask(folder, {"programs": …})      # bench/variant_worker.py

Nothing of the running process changes: hls is found in the folder by the worker alone, bench and export in the
repository.
"""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bench.rows import ROOT
from hls import generate
from hls.cosim import CosimError

SECTIONS = ("sizes", "timing")


def changed(contract, sizes):
    """The contract with some of its sizes replaced. ValueError for a name that it does not have."""
    known = {name for section in SECTIONS for name in contract[section]}
    if unknown := sorted(set(sizes) - known):
        raise ValueError(f"no size {unknown[0]} in hls/isa.toml: expected one of {', '.join(sorted(known))}")
    parts = {
        section: {name: sizes.get(name, value) for name, value in contract[section].items()} for section in SECTIONS
    }
    return contract | parts


@contextlib.contextmanager
def variant(sizes):
    """A folder with the package hls for these sizes."""
    contract = changed(tomllib.loads(generate.SOURCE.read_text()), sizes)
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "hls"
        shutil.copytree(ROOT / "hls", package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / "isa.py").write_text(generate.python_module(contract))
        (package / "src" / "isa.hpp").write_text(generate.cpp_header(contract))
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
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "bench.variant_worker"]
    text = json.dumps(question)
    result = subprocess.run(
        command, cwd=folder, env=environment, input=text, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise CosimError(f"{' '.join(command)} failed: {(result.stderr.splitlines() or ['no message'])[-1]}")
    return json.loads(result.stdout)
