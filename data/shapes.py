"""Pictures of our own drawing, to try things on: a disc, a ring or a cross somewhere on a noisy ground.

    picture = draw("disc", np.random.default_rng(1), side=64)      # (64, 64, 3) uint8
    python -m data.shapes photos --each 100                          # photos/disc/000.png …, a folder of class folders
    python -m data.shapes photos --jpeg                              # photos/disc/000.jpg …, needs Pillow

The shape's place, size, turn and colours are drawn at random; edges are smooth.
"""

import sys
from pathlib import Path

import numpy as np

from data.errors import DataError
from data.formats.png import write_png
from hls.command.arguments import Parser, Whole
from hls.command.entry import guarded
from hls.command.outputs import made

NAMES = ("disc", "ring", "cross")


def draw(name, random, side=64):
    """(side, side, 3) uint8 with one shape in one colour, on a ground that fades from one colour to another."""
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side  # of 1
    x0, y0 = random.uniform(0.35, 0.65, 2)
    distance = _outside(name, columns - x0, rows - y0, random.uniform(0.18, 0.3), random.uniform(0, 2 * np.pi))
    inside = np.clip(0.5 - distance * side, 0, 1)[..., None]
    ground, other = random.uniform(0, 255, (2, 3))
    fade = (columns * np.cos(x0 * 9) + rows * np.sin(x0 * 9))[..., None]
    picture = ground + (other - ground) * np.clip(fade, 0, 1) * 0.5
    colour = (ground + random.uniform(90, 165, 3)) % 256  # far from the ground's in every channel
    picture = picture * (1 - inside) + colour * inside + random.normal(0, 8, (side, side, 3))
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def _outside(name, x, y, radius, turn):
    """How far points are outside of a shape of `radius` about the origin; negative inside."""
    if name == "cross":
        x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
        arms = (np.maximum(abs(a) - radius, abs(b) - radius / 4) for a, b in ((x, y), (y, x)))
        return np.minimum(*arms)
    distance = np.hypot(x, y) - radius
    return distance if name == "disc" else np.maximum(distance, -distance - radius / 2)


def folder(path, each, seed=1, side=64, save=None):
    """Write `each` pictures of every shape under `path`, a folder for each; `save` (path without ending, pixels)."""
    save = save or (lambda path, pixels: path.with_suffix(".png").write_bytes(write_png(pixels)))
    random = np.random.default_rng(seed)
    for name in NAMES:
        room = Path(path) / name
        room.mkdir(parents=True)
        for index in range(each):
            save(room / f"{index:03d}", draw(name, random, side))


def save_jpeg(path, pixels):
    """Write (H, W, 3) uint8 to `path`.jpg. DataError without Pillow."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("JPEG needs Pillow: pip install -r requirements/images.txt, or leave --jpeg away") from None
    Image.fromarray(pixels).save(path.with_suffix(".jpg"), quality=90)


def main(argv=None):
    """Write the folder; 0, or 2 where it cannot be written."""
    parser = Parser(prog="python -m data.shapes", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder to make")
    parser.add_argument("--each", type=Whole(1), default=100, help="pictures of each shape (default: %(default)s)")
    parser.add_argument("--side", type=Whole(8, 4096), default=64, help="height and width (default: %(default)s)")
    parser.add_argument("--seed", type=Whole(0), default=1, help="of the drawing (default: %(default)s)")
    parser.add_argument("--jpeg", action="store_true", help="JPEG in place of PNG")
    arguments = parser.parse_args(argv)
    return guarded("shapes", lambda: _make(arguments))


def _make(arguments):
    save = save_jpeg if arguments.jpeg else None
    folder(made(arguments.folder, "FOLDER"), arguments.each, arguments.seed, arguments.side, save)
    print(f"wrote {arguments.each} pictures each of {', '.join(NAMES)} to {arguments.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
