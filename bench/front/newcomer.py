"""A newcomer's way, by the commands of docs/own.md: a folder of pictures → recipe → training → package → one picture.

    python -m bench newcomer
    python -m bench newcomer --method clone      # one part: jpeg, grey_png, import, clone

On pictures of our own drawing (data/shapes.py), once as RGB JPEG and once as grey PNG, 64×64, read at 32×32. Rows
newcomer.KIND.seconds from the folder to the first prediction, .processor_seconds of all cores for it, .accuracy of the
package on the test part of the pictures, .recipe_seconds that the recipe had promised for the training,
.predict_seconds of one picture once the engine is built; and newcomer.import_seconds, processor time of importing the
front door in a fresh Python; newcomer.clone.COMMAND_seconds of the README's first commands in a fresh clone
(bench/front/clone.py). What the commands print is kept in docs/own.txt.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np

from bench.front import clone
from bench.front.clone import processor_seconds
from bench.rows import ROOT
from data import shapes
from data.fit import as_channels
from data.formats.png import write_png
from hls.command.arguments import check_names
from hls.cosim import build
from hls.errors import UserError

KINDS = ("jpeg", "grey_png")
PARTS = (*KINDS, "import", "clone")
PRINTED = ROOT / "docs" / "own.txt"
WIDTH = 100  # columns of a document
EACH, SIZE = 100, 32  # pictures of a shape; side of the network's
STARTS = 5  # of Python, to time the front door's import
TARGETS = {"seconds": 600, "accuracy": 0.95, "predict_seconds": 1.0, "import_seconds": 0.3}
CLONE_TARGETS = {"run_seconds": 180, "test_seconds": 600}
IMPORT = "import time; begin = time.process_time(); from host import Engine; print(time.process_time() - begin)"


def run(rows, folders, options):
    """Add the rows of the parts asked for, or of all; keep what the commands print."""
    wanted = options.method or PARTS
    check_names("--method", wanted, PARTS)
    build()
    for kind in [kind for kind in KINDS if kind in wanted]:
        with tempfile.TemporaryDirectory() as folder:
            found, said = way(Path(folder), kind, options.threads)
        add(rows, kind, found)
        if kind == KINDS[0]:
            PRINTED.write_text(said, encoding="utf-8")
    if "import" in wanted:
        times = [float(_command([sys.executable, "-c", IMPORT])) for _ in range(STARTS)]
        rows.add("newcomer.import_seconds", min(times), "s", "measured", STARTS, target=TARGETS["import_seconds"])
    if "clone" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            for name, seconds in clone.times(Path(folder)).items():
                rows.add(f"newcomer.clone.{name}", seconds, "s", "measured", 1, target=CLONE_TARGETS.get(name))


def add(rows, kind, found):
    """Add the rows of one way."""
    for name, value in found.items():
        if name != "images":
            unit = "share" if name == "accuracy" else "s"
            rows.add(f"newcomer.{kind}.{name}", value, unit, "measured", found["images"], target=TARGETS.get(name))


def way(folder, kind, threads=2, each=EACH, depth=None, epochs=None):
    """(figures, what was typed and printed) of the whole way in an empty folder.

    Figures: `images` of the test part, `accuracy` of the package on them, and seconds.
    """
    shapes.folder(folder / "shapes", each, save=shapes.save_jpeg if kind == "jpeg" else _save_grey)
    one, shell = min((folder / "shapes" / "disc").iterdir()), Shell(folder)
    options = [*(["--depth", str(depth)] if depth else []), *(["--epochs", str(epochs)] if epochs else [])]
    data, spread = ["--data", folder / "shapes"], ["--threads", str(threads)]
    began, spent = time.perf_counter(), processor_seconds()
    told = shell.type(
        "-m", "training", "new", *data, "--size", str(SIZE), *options, "-o", folder / "mine.toml", *spread
    )
    shell.type("-m", "training", folder / "mine.toml", *data, "--out", folder / "run", *spread)
    package = ["--package", folder / "mine.npz"]
    shell.type("-m", "export", folder / "run" / "model.pt", *data, "-o", folder / "mine.npz", *spread)
    shell.type("host/run.py", *package, "--image", one)
    seconds, spent = time.perf_counter() - began, processor_seconds() - spent
    shell.type("host/run.py", *package, *data)
    shell.type("host/run.py", *package, *data, "--images", "20", "--layers")
    checked = ["-m", "export", "check", folder / "mine.npz", *data, "--source", folder / "run" / "model.pt"]
    shell.type(*checked, "--images", "16")
    tested = json.loads(_python("host/run.py", *package, *data, "--json", "-"))
    found = {"images": tested["images"], "accuracy": tested["accuracy"], "seconds": seconds}
    found["processor_seconds"] = spent
    found |= {"recipe_seconds": _promised(told), "predict_seconds": _predict_seconds(folder / "mine.npz", one)}
    return found, shell.text()


class Shell:
    """Runs commands of the project in a folder, and keeps them with what they print, as a reader would see it."""

    def __init__(self, folder):
        self._folder, self._said = f"{folder}/", []

    def type(self, *arguments):
        """Run one; what it prints."""
        out = _python(*arguments)
        command = " ".join(["python", *map(str, arguments)])
        self._said.append(f"$ {command}\n{out}".replace(self._folder, ""))
        return out

    def text(self):
        """All of it, wrapped as documents are."""
        lines = "\n".join(self._said).splitlines()
        return "\n".join(part for line in lines for part in _wrapped(line)) + "\n"


def _wrapped(line):
    """A line over several ones where it is too long for a document; a command with what a shell needs for it."""
    if len(line) < WIDTH:
        return [line]
    found = textwrap.wrap(line, WIDTH - 3, subsequent_indent="    ", break_on_hyphens=False)
    return [f"{part} \\" for part in found[:-1]] + found[-1:] if line.startswith("$ ") else found


def _python(*arguments):
    return _command([sys.executable, *map(str, arguments)])


def _command(command):
    """What a command prints. UserError with its line where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{' '.join(command[1:4])} … ended with {done.returncode}: {last}")
    return done.stdout


def _promised(told):
    """Seconds of training by what `python -m training new` printed."""
    found = re.search(r"about (\d+) (minute|second)", told)
    if not found:
        raise UserError(f"python -m training new told no time: {told.splitlines()}")
    return int(found[1]) * (60 if found[2] == "minute" else 1)


def _predict_seconds(package, picture):
    """Of one picture, from its file to its class, the engine built and open."""
    from host import Engine

    with Engine(package) as engine:
        began = time.perf_counter()
        engine.predict(picture)
        return time.perf_counter() - began


def _save_grey(path, pixels):
    path.with_suffix(".png").write_bytes(write_png(np.ascontiguousarray(as_channels(pixels, 1))))
