"""What runs on a board is Python 3.10 with numpy and our own files, and nothing else.

    BOARD_PYTHON=~/py310/bin/python pytest tests/host/board/test_board_path.py

$BOARD_PYTHON names a Python 3.10 with numpy 1.26; else python3.10 is looked for, and a test is skipped without one. The
sources are held to 3.10 on any machine.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
RUN = '''
import json, os, sys, tempfile

ALLOWED = {"numpy", "data", "hls", "host", "bench"}  # bench: the board in software, pynq's place
foreign = []

def ours(frame):
    """Whether a file of ours asks; numpy and the standard library try what they do without."""
    while frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    path = frame.f_code.co_filename
    return any(path.startswith(f"{os.getcwd()}/{name}/") for name in ("bench", "data", "hls", "host"))

class OnlyOurOwn:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and ours(sys._getframe(1)):
            foreign.append(name)
            raise ImportError(f"{name} is not on a board")

sys.meta_path.insert(0, OnlyOurOwn())
from bench.standin.board import Bench

with tempfile.TemporaryDirectory() as folder, Bench(folder, golden_model=True) as bench:
    found = [bench.command("--images", 70, "--json", "-", backend=name) for name in ("pynq", "golden")]
(code, out, line), (_, expected, _) = found
summary, expected = json.loads(out), json.loads(expected)
ours = [name for name in sys.modules if name.partition(".")[0] in ("data", "hls", "host")]
print(json.dumps({
    "python": sys.version_info[:2], "numpy": sys.modules["numpy"].__version__, "code": code, "line": line,
    "foreign": foreign, "ours": ours, "backend": summary["backend"],
    "same": all(summary[key] == expected[key] for key in ("accuracy", "exits", "layers_run", "channels_run")),
}))
'''


def run(python):
    """What host/run.py on the board in software says under `python`, with every foreign import refused."""
    result = subprocess.run([python, "-c", RUN], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def here():
    return run(sys.executable)


def test_nothing_is_imported_but_numpy_and_our_own(here):
    assert (here["code"], here["line"], here["foreign"]) == (0, "", [])
    assert here["backend"] == "pynq" and here["same"]


def test_the_refusal_works():
    found = subprocess.run(
        [sys.executable, "-c", RUN.replace('"numpy", ', "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode != 0 and "numpy is not on a board" in found.stderr


def board_python():
    """A Python 3.10 with numpy; skips where there is none."""
    python = os.environ.get("BOARD_PYTHON") or shutil.which("python3.10")
    if python is None:
        pytest.skip("no python3.10 here: give $BOARD_PYTHON")
    code = "import sys, numpy; print(*sys.version_info[:2], numpy.__version__)"
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if result.returncode or not result.stdout.startswith("3 10 "):
        reason = (result.stdout + result.stderr).strip().splitlines() or ["no answer"]
        pytest.skip(f"{python} is not a Python 3.10 with numpy ({reason[0]})")
    return python


def test_it_runs_on_a_boards_python():
    found = run(board_python())
    assert found["python"] == [3, 10] and found["code"] == 0 and found["foreign"] == [] and found["same"]


def test_the_sources_are_python_310(here):
    """Their syntax is; and where vermin is installed, what they use of the standard library is too."""
    files = [ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in here["ours"]]
    files = [file for file in files if file.exists()]
    assert len(files) > 10
    for file in files:
        ast.parse(file.read_text(encoding="utf-8"), str(file), feature_version=(3, 10))
    command = [
        sys.executable,
        "-c",
        "import vermin; vermin.main()",
        "--target=3.10-",
        "--violations",
        "--no-tips",
        "--eval-annotations",
    ]
    result = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    if "No module named vermin" in result.stderr:
        pytest.skip("the syntax is; vermin, which looks at the standard library, is not installed")
    assert result.returncode == 0, result.stdout
