"""GRID.toml: recipes and axes over their keys; each combination is a point, which is a recipe of its own.

base = "../iadi/resnet74-iadi.toml"                # or a list of recipes, from the grid's folder
set."phases.joint.steps" = 1000                    # the same for all points
[axes]
seed = [1, 2, 3]
"phases.joint.terms.signed_cost.target" = [0.6, 0.4]
"phases.joint.lr + phases.exits.lr" = [0.1, 0.05]  # the same value at both places
[search]                                           # in place of none: Optuna chooses these, each point is a trial
figure = "accuracy"                                # of the validation part, the mean over [axes]
trials = 20
together = 4                                       # trials that are chosen before any of them is known
[search.axes]
"phases.joint.lr" = { low = 0.01, high = 0.3, log = true }
"network.layer_gates.kind" = { any = ["recurrent", "ffgate2"] }
"""

import hashlib
import itertools
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path

from hls.errors import UserError
from training.bases import merged, nested, read_values
from training.estimate import built
from training.recipe import from_dict

JOINED = " + "  # between paths that share an axis
KEYS = ("base", "set", "axes", "search")
SEARCH = {"figure": "accuracy", "trials": 20, "together": 4, "least": False, "seed": 1}
MOST_POINTS = 100_000


class GridError(UserError):
    """A grid that cannot be followed, or a sweep that cannot go on; the message is one line."""


@dataclass(frozen=True)
class Point:
    """One recipe: its plain values, where it lies in the grid, and a digest of the values."""

    recipe: str
    axes: dict  # path → value
    values: dict
    key: str


@dataclass(frozen=True)
class Grid:
    """The recipes, as plain values by name of their file, what is varied, and by which search."""

    recipes: dict
    axes: dict  # path → values
    search: dict | None = None  # of SEARCH, with axes: path → {low, high, log} or {any}

    def points(self, **chosen):
        """All points in their order: recipes, then axes, the last one fastest; `chosen` is set in each. GridError."""
        product = itertools.product(self.recipes.items(), *self.axes.values())
        return [_point(name, values, chosen | dict(zip(self.axes, at))) for (name, values), *at in product]


def read(path):
    """The Grid of a file, each of its points a recipe that can be followed. GridError."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        return _grid(values, path.parent)
    except OSError as error:
        raise GridError(f"cannot read the grid {path} ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GridError(f"{path} is not TOML: {error}") from None
    except UserError as error:
        raise GridError(f"{path}: {error}") from None


def _grid(values, folder):
    _known(values, KEYS, "a grid")
    bases = values.get("base")
    bases = [bases] if isinstance(bases, str) else bases
    if not isinstance(bases, list) or not bases or not all(isinstance(base, str) for base in bases):
        raise GridError(f"base = {bases!r}: expected the path of a recipe from the grid's folder, or a list of them")
    recipes = {Path(base).stem: merged(read_values(folder / base), nested(values.get("set", {}))) for base in bases}
    if len(recipes) < len(bases):
        raise GridError("base names one recipe twice: give each once")
    axes = dict(_flat(values.get("axes", {}), list))
    for path, each in axes.items():
        if not isinstance(each, list) or not each or any(each.count(value) > 1 for value in each):
            raise GridError(f"axes.{path} = {each!r}: expected a list of values, each once")
    grid = Grid(recipes, axes, _search(values["search"]) if "search" in values else None)
    if "name" in axes or len(recipes) * _product(len(each) for each in axes.values()) > MOST_POINTS:
        raise GridError(f"expected at most {MOST_POINTS:,} points, and no axis over the name")
    _check(grid.points(**values_of(grid)))
    return grid


def _product(counts):
    total = 1
    for count in counts:
        total *= count
    return total


def _known(values, keys, where):
    unknown = sorted(set(values) - set(keys))
    if unknown:
        raise GridError(f"unknown key {unknown[0]!r} in {where}: expected {', '.join(keys)}")


def _flat(table, leaf, above=""):
    """(path, value) of nested tables, whose keys may be paths already; `leaf` decides what a value is."""
    if not isinstance(table, dict):
        raise GridError(f"{above or 'axes'} = {table!r}: expected a table of paths in a recipe")
    for key, value in table.items():
        path = f"{above}.{key}" if above else key
        if isinstance(value, dict) and not (leaf is dict and {"low", "any"} & set(value)):
            yield from _flat(value, leaf, path)
        else:
            yield path, value


def _search(values):
    _known(values, (*SEARCH, "axes"), "[search]")
    search = SEARCH | values
    for key, default in SEARCH.items():
        least = 1 if key in ("trials", "together") else 0
        if type(search[key]) is not type(default) or (type(default) is int and search[key] < least):
            raise GridError(f"search.{key} = {search[key]!r}: expected one like {default!r}")
    search["axes"] = dict(_flat(values.get("axes", {}), dict))
    for path, axis in search["axes"].items():
        _check_axis(path, axis)
    if not search["axes"]:
        raise GridError("[search] lacks axes: give paths in a recipe, each { low = …, high = … } or { any = […] }")
    return search


def _check_axis(path, axis):
    if isinstance(axis, dict) and set(axis) == {"any"} and isinstance(axis["any"], list) and axis["any"]:
        return
    numbers = isinstance(axis, dict) and {"low", "high"} <= set(axis) <= {"low", "high", "log"}
    if not numbers or not all(isinstance(axis[end], (int, float)) for end in ("low", "high")):
        raise GridError(f"search.axes.{path} = {axis!r}: expected {{ low, high, log }} or {{ any }}")
    if not axis["low"] < axis["high"] or (axis.get("log") and axis["low"] <= 0):
        raise GridError(f"search.axes.{path} = {axis!r}: expected low < high, above 0 where log is true")


def values_of(grid):
    """A value of each of the search's axes, to try whether recipes take them; {} where nothing is searched."""
    axes = grid.search["axes"] if grid.search else {}
    return {path: axis["any"][0] if "any" in axis else axis["low"] for path, axis in axes.items()}


def _point(name, values, at):
    values = merged(values, nested({path: value for paths, value in at.items() for path in paths.split(JOINED)}))
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
    return Point(name, at, values, digest)


def _check(points):
    """Each point's recipe, and each network that is another one. GridError names the point."""
    networks = set()
    for point in points:
        try:
            plan = from_dict(point.values)
            text = json.dumps(point.values["network"], sort_keys=True)
            if text not in networks:
                built(plan)
                networks.add(text)
        except (UserError, KeyError) as error:
            raise GridError(f"{point.recipe} at {point.axes}: {error}") from None
