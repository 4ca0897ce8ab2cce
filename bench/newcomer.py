"""A newcomer's way, by the commands of docs/own.md: a folder of pictures → recipe → training → package → one picture.

    python -m bench newcomer

On pictures of our own drawing (data/shapes.py), once as RGB JPEG and once as grey PNG, 64×64, read at 32×32. Rows
newcomer.KIND.seconds from the folder to the first prediction, .accuracy of the package on the test part of the
pictures, .recipe_seconds that the recipe had promised for the training, .predict_seconds of one picture once the engine
is built; and newcomer.import_seconds of the front door, in a fresh Python.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.rows import ROOT
from data import shapes
from data.fit import as_channels
from data.png import write_png
from hls.cosim import build
from hls.errors import UserError

KINDS = ("jpeg", "grey_png")
EACH, SIZE = 100, 32  # pictures of a shape; side of the network's
STARTS = 5  # of Python, to time the front door's import
TARGETS = {"seconds": 600, "accuracy": 0.95, "predict_seconds": 1.0, "import_seconds": 0.3}
IMPORT = "import time; begin = time.perf_counter(); from host import Engine; print(time.perf_counter() - begin)"


def run(rows, folders, options):
    """Add the rows of both kinds, and of the import."""
    build()
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = way(Path(folder), kind, options.threads)
        n = found.pop("images")
        for name, value in found.items():
            unit = "share" if name == "accuracy" else "s"
            rows.add(f"newcomer.{kind}.{name}", value, unit, "measured", n, target=TARGETS.get(name))
    times = [float(_command([sys.executable, "-c", IMPORT])) for _ in range(STARTS)]
    rows.add("newcomer.import_seconds", min(times), "s", "measured", STARTS, target=TARGETS["import_seconds"])


def way(folder, kind, threads=2, each=EACH, depth=None, epochs=None):
    """Figures of the whole way in an empty folder: `images` of the test part, `accuracy`, and seconds."""
    pictures, recipe, package = folder / "shapes", folder / "mine.toml", folder / "mine.npz"
    shapes.folder(pictures, each, save=_save_jpeg if kind == "jpeg" else _save_grey)
    data, began = ["--data", str(pictures)], time.perf_counter()
    options = [*(["--depth", str(depth)] if depth else []), *(["--epochs", str(epochs)] if epochs else [])]
    told = _python(
        "-m", "training", "new", *data, "--size", str(SIZE), *options, "-o", str(recipe), "--threads", str(threads)
    )
    _python("-m", "training", str(recipe), *data, "--out", str(folder / "run"), "--threads", str(threads))
    _python("-m", "export", str(folder / "run" / "model.pt"), *data, "-o", str(package), "--threads", str(threads))
    one = next((pictures / "disc").iterdir())
    first = json.loads(_python("host/run.py", "--package", str(package), "--image", str(one), "--json", "-"))
    seconds = time.perf_counter() - began
    if first["images"][0]["class"] not in shapes.NAMES:
        raise UserError(f"the picture's class is {first['images'][0]['class']!r}, expected one of {shapes.NAMES}")
    tested = json.loads(_python("host/run.py", "--package", str(package), *data, "--json", "-"))
    return {
        "images": tested["images"],
        "accuracy": tested["accuracy"],
        "seconds": seconds,
        "recipe_seconds": _promised(told),
        "predict_seconds": _predict_seconds(package, one),
    }


def _python(*arguments):
    return _command([sys.executable, *arguments])


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
    found = re.search(r"about (\d+) (minutes|seconds)", told)
    if not found:
        raise UserError(f"python -m training new told no time: {told.splitlines()}")
    return int(found[1]) * (60 if found[2] == "minutes" else 1)


def _predict_seconds(package, picture):
    """Of one picture, from its file to its class, the engine built and open."""
    from host import Engine

    with Engine(package) as engine:
        began = time.perf_counter()
        engine.predict(picture)
        return time.perf_counter() - began


def _save_jpeg(path, pixels):
    from PIL import Image

    Image.fromarray(pixels).save(path.with_suffix(".jpg"), quality=90)


def _save_grey(path, pixels):
    path.with_suffix(".png").write_bytes(write_png(np.ascontiguousarray(as_channels(pixels, 1))))
