"""Options of a recipe as its dataclasses want them: of the field's type, and numbers that can be followed.

values = typed(Phase, {"name": "gates", "steps": 100}, "[[phases]]")     # RecipeError for a value of another type
if within(0.5, 0, 1): …                                                   # False for what is no number, too
"""

import dataclasses
import math

from training.bases import RecipeError


def typed(cls, values, where):
    """{name: value} as the fields of `cls` want them: TOML's integers are floats too, its lists are tuples."""
    kinds = {field.name: field.type for field in dataclasses.fields(cls)}
    return {name: _typed(name, kinds[name], value, where) for name, value in values.items()}


def _typed(name, kind, value, where):
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list):
        return tuple(value)
    if isinstance(kind, type) and type(value) is not kind:
        raise RecipeError(f"{name} = {value!r} in {where}: expected {kind.__name__}")
    return value


def within(value, least, most=math.inf):
    """Whether a value is a finite number from `least` to `most`."""
    return type(value) in (int, float) and math.isfinite(value) and least <= value <= most


def whole(value, least):
    """Whether a value is a whole number of `least` or more."""
    return type(value) is int and value >= least
