"""Points that a board could be built at: the share of its chip that the engine takes, and how fast two networks run.

    python -m bench points

points.toml names them. What stands around the engine is counted too (bitstreams/adapters.py). All are estimates, by
the rules of docs/resources.md and by the modelled schedule.
"""

import tomllib
from pathlib import Path
from typing import NamedTuple

from bench.networks.walk import Walker, total
from bench.sizes import chips
from bench.sizes.variants import ask, unchanged, variant
from bitstreams import adapters, resources
from export.compile.shapes import resnet8
from hls import isa
from hls.errors import UserError

FILE = Path(__file__).with_name("points.toml")
KEYS = {"title": str, "board": str, "clock_mhz": int, "sizes": dict, "limits": dict, "source": str}
NETWORKS = {"resnet8": 16, "ic02": 40}  # filters of MLPerf Tiny's ResNet-8


class Point(NamedTuple):
    """A clock, sizes of the contract that are not the shipped ones, and what the chip has of each resource."""

    name: str
    title: str
    clock_mhz: int
    sizes: dict
    limits: dict


def read(path=FILE):
    """The Points of a file. UserError for an unknown key, a value of another kind, or limits without their source."""
    found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    return [_point(path, name, entry) for name, entry in found.items()]


def _point(path, name, entry):
    for key, value in entry.items():
        if not isinstance(value, KEYS.get(key, ())):
            kind = KEYS[key].__name__ if key in KEYS else f"one of {', '.join(KEYS)}"
            raise UserError(f"{path}: {name}.{key} is {value!r}, expected {kind}")
    if ("board" in entry) == ("limits" in entry) or ("limits" in entry) != ("source" in entry):
        raise UserError(f"{path}: {name} has neither board nor limits, or both: give one, limits and their source")
    if missing := sorted({"title", "clock_mhz"} - set(entry)):
        raise UserError(f"{path}: {name} has no {missing[0]}: give it")
    limits = resources.limits(entry["board"]) if "board" in entry else entry["limits"]
    return Point(name, entry["title"], entry["clock_mhz"], entry.get("sizes", {}), limits)


def run(rows, folders, options):
    """Add the rows of every point."""
    points = read()
    with unchanged():
        parts = {str(sizes): taken(sizes) for sizes in {str(point.sizes): point.sizes for point in points}.values()}
    for point in points:
        add_point(rows, point, parts[str(point.sizes)])


def add_point(rows, point, parts):
    """Shares of the chip, and images a second of NETWORKS, compiled for the point's tile memory."""
    whole = adapters.total(chips.scaled(parts, {}))
    for resource in resources.RESOURCES:
        share, aim = (
            whole[resource] / point.limits[resource],
            resources.CLOSES if resource in resources.CLOSING else None,
        )
        rows.add(f"points.{point.name}.{resource}_share", share, "share", "estimated", 1, target=aim, note=point.title)
    tile_words = point.sizes.get("TILE_WORDS", isa.TILE_WORDS)
    for network, filters in NETWORKS.items():
        compiled = resnet8(filters=filters, tile_words=tile_words)
        rate = point.clock_mhz * 1e6 / total(Walker(compiled.program).steps())[1]
        note = f"{point.title}; {point.clock_mhz} MHz"
        rows.add(f"points.{point.name}.{network}_images_per_s", rate, "images/s", "modelled", 1, note=note)


def taken(sizes):
    """The parts (bench/sizes/chips.py) of the engine with these sizes."""
    with variant(sizes) as folder:
        return ask(folder, {"programs": {}, "resources": True})["parts"]
