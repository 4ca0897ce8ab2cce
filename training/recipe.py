"""Recipes: one TOML file says everything that makes a checkpoint; unknown keys are refused.

    recipe = read("training/recipes/resnet74-ddi-fashion-mnist.toml")

A recipe may name a `base`, and hold what differs from it (training/bases.py). A checkpoint carries its whole recipe;
one that was made by another recipe is not resumed.
"""

import dataclasses
import math
import tomllib
from dataclasses import dataclass

from data.own import Images
from data.sets import DATASETS
from hls.errors import UserError
from training import terms
from training.bases import RecipeError, read_values
from training.network import Network
from training.options import typed
from training.phases import Phase

LEAST = {"seed": 0, "batch": 2, "momentum": 0, "weight_decay": 0, "average": 0, "crop_pad": 0, "validation": 1}
LEAST |= {"validate_every": 1, "checkpoint_every": 1}
BELOW = {"seed": 1 << 32, "momentum": 1, "average": 1, "weight_decay": math.inf}  # numbers without an end are left out


@dataclass(frozen=True)
class Recipe:
    """What to train and how."""

    name: str
    dataset: str
    network: Network
    phases: tuple[Phase, ...]
    images: Images | None = None  # how pictures of one's own are read; None for an official data set
    init: str = ""  # weights of the plain backbone to begin with: a published checkpoint, or of training dynamic
    teacher: str = ""  # a finished model.pt whose outputs the term `teacher` learns from
    mean: tuple = ()  # how that was normalised, a number a channel, pixels in [0, 1]; (): as the data set says
    std: tuple = ()
    seed: int = 1
    batch: int = 128  # of all processes together
    momentum: float = 0.9
    weight_decay: float = 5e-4
    average: float = 0.0  # decay a step of the averaged weights that are evaluated and exported; 0: none
    bf16: bool = False  # steps of training compute in bfloat16; weights, and all that is measured, stay float32
    crop_pad: int = 4
    flip: bool = True
    alternate: bool = False  # mirrored every other epoch instead of by chance
    validation: int = 5000
    validate_every: int = 2000
    checkpoint_every: int = 500

    @property
    def augmentation(self):
        """How images are cropped and mirrored, as `Split.batches` takes it."""
        return self.crop_pad, self.flip, self.alternate

    def to_dict(self):
        """Plain values, as they stand in a checkpoint."""
        return {**dataclasses.asdict(self), "images": self.images.to_dict() if self.images else None}


def read(path):
    """A Recipe from a TOML file. Raises RecipeError for a missing file, an unknown key or an impossible value."""
    values = read_values(path)
    try:
        return from_dict(values)
    except UserError as error:
        raise RecipeError(f"{path}: {error}") from None


def parse(text):
    """A Recipe from TOML. Raises RecipeError, tomllib.TOMLDecodeError."""
    return from_dict(tomllib.loads(text))


def from_dict(values):
    """A Recipe from plain values (a TOML file's, or a checkpoint's)."""
    values = dict(values)
    network = _build(Network, values.pop("network", {}), "[network]")
    phases = tuple(_build(Phase, phase, "[[phases]]") for phase in values.pop("phases", ()))
    images = values.pop("images", None)
    images = _build(Images, images, "[images]") if images is not None else None
    recipe = _build(Recipe, {**values, "network": network, "phases": phases, "images": images}, "recipe")
    if images is not None:
        images.check()
    if images is not None and recipe.dataset in DATASETS:
        raise RecipeError(f"dataset = {recipe.dataset!r} has [images]: an official data set is read as it is")
    if images is None and recipe.dataset not in DATASETS:
        known = ", ".join(DATASETS)
        raise RecipeError(
            f"dataset = {recipe.dataset!r}: expected one of {known}, or [images] for pictures of one's own"
        )
    if not phases:
        raise RecipeError("a recipe needs [[phases]]")
    numbers = all(isinstance(value, (int, float)) and math.isfinite(value) for value in recipe.mean + recipe.std)
    if len(recipe.mean) != len(recipe.std) or not numbers or not all(value > 0 for value in recipe.std):
        raise RecipeError(f"mean = {recipe.mean}, std = {recipe.std}: expected a number a channel, std above 0")
    for name, least in LEAST.items():
        value, below = getattr(recipe, name), BELOW.get(name, math.inf)
        if not least <= value < below:
            upper = f" and below {below:g}" if below < math.inf else ""
            raise RecipeError(f"{name} = {value}: expected {least} or more{upper}")
    for phase in phases:
        phase.check()
        terms.build(phase.terms)
        if "teacher" in phase.terms and not recipe.teacher:
            raise RecipeError(f"phase {phase.name} has terms.teacher: name the model.pt it learns from, teacher = ...")
    if recipe.teacher and not any("teacher" in phase.terms for phase in phases):
        raise RecipeError(f"teacher = {recipe.teacher!r}: no phase has terms.teacher, so nothing learns from it")
    return recipe


def check_fits(recipe, train):
    """Raises RecipeError where the training images (training.data.Split) are too few or too small for a recipe."""
    if recipe.batch > len(train):
        raise RecipeError(f"batch = {recipe.batch} is more than the {len(train)} training images: lower it")
    if recipe.batch % train.share[1]:
        raise RecipeError(f"batch = {recipe.batch} for {train.share[1]} processes: expected a multiple of them")
    if recipe.mean and len(recipe.mean) != train.channels:
        raise RecipeError(f"mean has {len(recipe.mean)} numbers, the images {train.channels} channels: give as many")
    if recipe.images is not None and recipe.images.stream and recipe.crop_pad:
        raise RecipeError(f"crop_pad = {recipe.crop_pad}: streamed pictures are cropped as they are read, give 0")
    if recipe.crop_pad >= min(train.size):
        sizes = " × ".join(map(str, train.size))
        raise RecipeError(f"crop_pad = {recipe.crop_pad}: expected less than a side of the images, {sizes}")


def _build(cls, values, where):
    fields = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise RecipeError(f"unknown key {unknown[0]!r} in {where}: expected {', '.join(fields)}")
    needed = [name for name, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING]
    missing = [name for name in needed if name not in values]
    if missing:
        raise RecipeError(f"{where} lacks {missing[0]!r}")
    return cls(**typed(cls, values, where))
