"""Recipes: one TOML file says everything that makes a checkpoint; unknown keys are refused.

    recipe = read("training/recipes/resnet74-ddi.toml")

A checkpoint carries its recipe; one that was made by another recipe is not resumed.
"""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path

from data.datasets import DATASETS
from training.dynamic import Network

KINDS = ("backbone", "gates", "joint", "exits")
SCHEDULES = ("constant", "cosine", "step")
PRECISIONS = ("auto", "float32", "bfloat16")


class RecipeError(Exception):
    """A recipe that cannot be followed; the message is one line."""


@dataclass(frozen=True)
class Stage:
    """One stage of training: backbone → gates → joint → exits."""

    kind: str
    steps: int
    lr: float
    schedule: str = "cosine"
    warmup: int = 0  # steps of linear increase
    target: float = 1.0  # share of the static blocks' cost to aim at, gates included
    start: float = 1.0  # where the target starts to fall; a network with every gate open is at about 1.13
    ramp: float = 0.5  # share of the stage over which the target falls
    alpha: float = 2e-4  # of Eq. 5, cost in blocks
    gain: float = 0.0  # α per unit of distance to the target; 0: ±alpha whatever the distance (the paper's rule)
    channel_gain: float = 1.0  # multiplies the cost's gradient to channel gates
    gate_lr: float = 1.0  # learning rate of the gates relative to lr


@dataclass(frozen=True)
class Recipe:
    """What to train and how."""

    name: str
    dataset: str
    network: Network
    stages: tuple[Stage, ...]
    seed: int = 1
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 1e-4
    crop_pad: int = 4
    flip: bool = True
    validation: int = 5000
    precision: str = "auto"
    validate_every: int = 2000
    checkpoint_every: int = 250

    def to_dict(self):
        """Plain values, as they stand in a checkpoint."""
        return dataclasses.asdict(self)


def read(path):
    """A Recipe from a TOML file. Raises RecipeError for a missing file, an unknown key or an impossible value."""
    path = Path(path)
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in (Path(__file__).parent / "recipes").glob("*.toml")))
        raise RecipeError(f"no recipe {path}: training/recipes/ has {known}")
    try:
        return from_dict(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from None


def from_dict(values):
    """A Recipe from plain values (a TOML file's, or a checkpoint's)."""
    values = dict(values)
    network = _build(Network, values.pop("network", {}), "[network]")
    stages = tuple(_build(Stage, stage, "[[stages]]") for stage in values.pop("stages", ()))
    recipe = _build(Recipe, {**values, "network": network, "stages": stages}, "recipe")
    for name, value, allowed in [
        ("dataset", recipe.dataset, tuple(DATASETS)),
        ("precision", recipe.precision, PRECISIONS),
        *(("kind", stage.kind, KINDS) for stage in stages),
        *(("schedule", stage.schedule, SCHEDULES) for stage in stages),
    ]:
        if value not in allowed:
            raise RecipeError(f"{name} = {value!r}: expected one of {', '.join(allowed)}")
    if not stages or any(stage.steps < 1 for stage in stages) or recipe.batch < 2:
        raise RecipeError("a recipe needs [[stages]] of at least one step and batches of at least two images")
    return recipe


def _build(cls, values, where):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"unknown key {unknown[0]!r} in {where}: expected {', '.join(fields)}")
    missing = [name for name, f in fields.items() if f.default is dataclasses.MISSING and name not in values]
    if missing:
        raise RecipeError(f"{where} lacks {missing[0]!r}")
    for name, value in values.items():
        kind = fields[name].type
        fits = isinstance(value, kind) if isinstance(kind, type) else True
        if not fits and not (kind is float and isinstance(value, int)):
            raise RecipeError(f"{name} = {value!r} in {where}: expected {getattr(kind, '__name__', kind)}")
    return cls(**values)
