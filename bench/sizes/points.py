"""Points that a board could be built at: the share of its chip that the engine takes, and how fast networks run.

    python -m bench points

points.toml names them; those of a board are its file's (bitstreams/points.py). What stands around the engine is counted
too (bitstreams/adapters.py). All are estimates, by the rules of docs/resources.md, by the bounds of docs/bounds.md and
by the modelled schedule; but the packages' records, which are compared, bit for bit.
"""

import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from bench.packages import PACKAGES, engine, fingerprint
from bench.sizes.variants import ask, entry, unchanged, variant
from bitstreams import points as of_boards
from bitstreams import resources
from data.datasets import load_sample
from export.compile.shapes import resnet8
from hls import isa
from hls.errors import UserError
from hls.package import read as read_package
from hls.record import NO_BUDGET

FILE = Path(__file__).with_name("points.toml")
KEYS = {"title": str, "board": str, "point": str, "clock_mhz": int, "limits": dict, "source": str}
FORMS = {"board", "point"}, {"title", "clock_mhz", "limits", "source"}
NETWORKS = {"resnet8": 16, "ic02": 40}  # filters of MLPerf Tiny's ResNet-8
TRAINED = "fashion-mnist", "cifar10"  # packages, at their own decisions for the sample's images
IMAGES, COMPARED = 32, 4


class Point(NamedTuple):
    """A clock, sizes of the contract that are not the shipped ones, and what the chip has of each resource."""

    name: str
    title: str
    clock_mhz: float
    sizes: dict
    limits: dict


def read(path=FILE):
    """The Points of a file. UserError for an unknown key, a value of another kind, or one of no form."""
    found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return [_point(path, name, entry) for name, entry in found.items()]


def _point(path, name, entry):
    for key, value in entry.items():
        if not isinstance(value, KEYS.get(key, ())):
            kind = KEYS[key].__name__ if key in KEYS else f"one of {', '.join(KEYS)}"
            raise UserError(f"{path}: {name}.{key} is {value!r}, expected {kind}")
    if set(entry) not in FORMS:
        raise UserError(
            f"{path}: {name} has {', '.join(sorted(entry)) or 'nothing'}: give {' or '.join(map(_listed, FORMS))}"
        )
    if "board" in entry:
        found = of_boards.point(entry["board"], entry["point"])
        return Point(name, found.title, found.clock_mhz, found.sizes, resources.limits(entry["board"]))
    return Point(name, entry["title"], entry["clock_mhz"], {}, entry["limits"])


def _listed(keys):
    return ", ".join(sorted(keys))


def run(rows, folders, options):
    """Add the rows of every point: what it takes and how fast it is; then of other sizes their loops and records."""
    points, images = read(), load_sample()[0]
    with unchanged(), tempfile.TemporaryDirectory() as scratch:
        add_estimates(rows, points, images, Path(scratch))
        for point in points:
            if point.sizes:  # the shipped engine's have benchmarks and tests of their own
                add_checks(rows, point)


def add_estimates(rows, points, images, folder):
    """Shares of the chip, and images a second, of each point."""
    found = {}
    for point in points:
        key = str(point.sizes)
        if key not in found:
            with variant(point.sizes) as place:
                programs = questions(point, images, folder)
                found[key] = ask(place, {"programs": programs, "resources": True})
        add_point(rows, point, found[key])


def questions(point, images, folder):
    """NETWORKS, compiled for the point's tile memory, and TRAINED, as bench/sizes/worker.py asks for programs."""
    words = point.sizes.get("TILE_WORDS", isa.TILE_WORDS)
    programs = {
        name: entry(resnet8(filters=filters, tile_words=words), [[]], folder / f"{name}.npz")
        for name, filters in NETWORKS.items()
    }
    for name in TRAINED:
        package = read_package(PACKAGES / f"{name}.npz")
        traces = engine(package, images[:IMAGES], NO_BUDGET, 1).trace.tolist()
        programs[name] = entry(package, traces, folder / f"{name}.npz")
    return programs


def add_point(rows, point, found):
    """Shares of the chip, cycles and images a second, of a worker's answer."""
    for resource in resources.RESOURCES:
        share = found["whole"][resource] / point.limits[resource]
        aim = resources.CLOSES if resource in resources.CLOSING else None
        rows.add(f"points.{point.name}.{resource}_share", share, "share", "estimated", 1, target=aim, note=point.title)
    note = f"{point.title}; {point.clock_mhz:g} MHz"
    for network, cycles in found["cycles"].items():
        sha256, count = (fingerprint(network), IMAGES) if network in TRAINED else (None, 1)
        rate = point.clock_mhz * 1e6 / cycles
        rows.add(f"points.{point.name}.{network}.images_per_s", rate, "images/s", "modelled", count, sha256, note=note)
        rows.add(f"points.{point.name}.{network}.cycles", cycles, "cycles", "modelled", count, sha256, note=note)


def add_checks(rows, point):
    """The worst loop, and how many images' records are the golden model's, in both forms of the co-simulation."""
    with variant(point.sizes) as place:
        compared = {name: of_boards.reprice_into(place, PACKAGES / f"{name}.npz") for name in TRAINED}
        asked = {"programs": {}, "resources": False, "bounds": point.clock_mhz}
        found = ask(place, {**asked, "compared": compared, "images": COMPARED})
    period, note = 1000 / point.clock_mhz, f"{point.title}; {point.clock_mhz:g} MHz"
    rows.add(f"points.{point.name}.ii_gap", found["ii_gap"], "cycles", "modelled", 1, target=0, note=note)
    rows.add(f"points.{point.name}.period_ns", found["period_ns"], "ns", "modelled", 1, target=period, note=note)
    for network, (same, count) in found["same"].items():
        name, sha256 = f"points.{point.name}.{network}.same_records", fingerprint(network)
        rows.add(name, same, "images", "simulated", count, sha256, target=count, note=note)
