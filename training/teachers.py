"""A trained network that others learn from: the recipe's `teacher`, a finished model.pt of the same pictures.

teacher = Teacher(recipe, split, device)   # reads the file when it is first asked, or by teacher.read()
logits = teacher(images)                   # the split's normalised (N, C, H, W) → (N, classes), as its gates decide
"""

from functools import cached_property

import torch

from training.checkpoint import load_model, read_checkpoint
from training.data import per_channel
from training.recipe import RecipeError


class Teacher:
    """A recipe's teacher, its file not read before it is needed: a run that goes on may need it no more."""

    def __init__(self, recipe, train, device):
        self._asked = recipe, train, device

    @cached_property
    def _logits(self):
        return find(*self._asked)

    def read(self):
        """What `find` gives, now. Raises what it does."""
        return self._logits

    def __call__(self, images):
        """Logits (N, classes) of normalised images (N, C, H, W)."""
        return self._logits(images)


def find(recipe, train, device):
    """The recipe's teacher as a function of images. Raises CheckpointError, RecipeError for one of other pictures."""
    if not any("teacher" in phase.terms for phase in recipe.phases):
        return None
    state = read_checkpoint(recipe.teacher)
    _check(recipe, state, train)
    model = load_model(state, train.classes, train.channels, train.size)
    model.requires_grad_(False).to(device).to(memory_format=torch.channels_last)
    scale, shift = _statistics(state, train, device)

    def logits(images):
        with torch.no_grad():
            return model(images * scale + shift, with_exits=False).logits[-1]

    return logits


def _check(recipe, state, train):
    """Raises RecipeError where the teacher was trained on others than the recipe's pictures."""
    about, plan = state.get("data") or {}, state["recipe"]
    if plan["dataset"] != recipe.dataset:
        raise RecipeError(f"teacher {recipe.teacher} was trained on {plan['dataset']}: give one of {recipe.dataset}")
    if tuple(about.get("classes", train.about.classes)) != tuple(train.about.classes):
        found = ", ".join(about["classes"])
        raise RecipeError(f"teacher {recipe.teacher} knows other classes ({found}): give one of these pictures")
    size = tuple((plan.get("images") or {}).get("size", train.size))
    if size != tuple(train.size):
        sides = " × ".join(map(str, size))
        raise RecipeError(f"teacher {recipe.teacher} sees images of {sides}: give one of the recipe's size")


def _statistics(state, train, device):
    """(scale, shift) from the split's normalised values to those that the teacher was trained on."""
    about = state.get("data") or {}
    own = [state["recipe"].get(name) or about.get(name) for name in ("mean", "std")]
    if not all(own):
        return 1.0, 0.0
    mean, std = (per_channel(values, device) for values in own)
    return train.std.to(device) / std, (train.mean.to(device) - mean) / std
