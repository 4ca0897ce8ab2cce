"""Recipes by what they change: `base = "FILE"` in a recipe, and values at dotted paths, as sweeps set them.

    values = read_values("training/recipes/papers/iadi/resnet38-skipnet.toml")    # plain values, bases followed
    values = merged(values, nested({"phases.joint.lr": 0.1}))

A file with a `base` holds what differs from it. Tables are merged key by key; one with a `kind`, or an empty one, takes
the place of the base's; whatever else is given does, too. [phases.NAME] changes the phase of that name, comes behind
the others where there is none, and takes the phase away where it is empty.
"""

import tomllib
from pathlib import Path

from hls.errors import UserError

RECIPES = Path(__file__).parent / "recipes"


class RecipeError(UserError):
    """A recipe that cannot be followed; the message is one line."""


def read_values(path, above=()):
    """A TOML file's plain values, merged into those of its bases. RecipeError; `above`: files that led here."""
    path = Path(path)
    if path.resolve() in above:
        raise RecipeError(f"{path} is a base of itself: take one base away")
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
        raise RecipeError(f"no recipe {path}: training/recipes/ has {known}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise RecipeError(f"{path}: base = {base!r}, expected the path of a recipe, from this one's folder")
    try:
        return merged(read_values(path.parent / base, (*above, path.resolve())), values)
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def merged(values, changes):
    """A recipe's plain values with `changes`. RecipeError."""
    phases, changed = values.get("phases", []), changes.get("phases")
    result = _merged({**values, "phases": {}}, {key: value for key, value in changes.items() if key != "phases"})
    if not isinstance(changed, dict):
        return result | {"phases": phases if changed is None else changed}
    named = {phase.get("name"): phase for phase in phases}
    if None in named or len(named) < len(phases):
        raise RecipeError("phases without a name of their own cannot be changed by it: give each one")
    for name, change in changed.items():
        if not isinstance(change, dict):
            raise RecipeError(f"phases.{name} = {change!r}: expected a table of what changes in this phase")
        named[name] = _merged(named.get(name, {"name": name}), change) if change else None
    return result | {"phases": [phase for phase in named.values() if phase is not None]}


def _merged(values, changes):
    result = dict(values)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(values.get(key), dict)
        result[key] = _merged(values[key], value) if both and value and "kind" not in value else value
    return result


def nested(values):
    """{"a.b": 1} → {"a": {"b": 1}}: a table whose dotted keys are paths. RecipeError where two paths meet."""
    result = {}
    for path, value in values.items():
        *tables, last = path.split(".")
        place = result
        for name in tables:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise RecipeError(f"{path} leads through {name}, which has a value of its own: give one of them")
        value = nested(value) if isinstance(value, dict) else value
        if isinstance(value, dict) and isinstance(place.get(last), dict):
            value = _merged(place[last], value)
        elif last in place:
            raise RecipeError(f"{path} is given twice: give it once")
        place[last] = value
    return result
