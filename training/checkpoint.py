"""Checkpoint files: written whole or not at all, read without running what they hold."""

import dataclasses
import io
from pathlib import Path

import torch

from hls.command.outputs import write
from hls.errors import UserError
from training.prune import apply
from training.published.files import read
from training.published.names import check_numbers, flatten
from training.recipe import from_dict


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged or of another recipe; the message is one line."""


def read_checkpoint(path, recipe=None):
    """The state in a checkpoint or model file. Raises CheckpointError, also when it is of another recipe."""
    if not Path(path).exists():
        raise CheckpointError(f"no checkpoint {path}: train first (python -m training RECIPE.toml)")
    try:
        state = read(path)
        if not isinstance(state, dict) or not {"recipe", "model", "pruned"} <= set(state):
            raise UserError(f"{path} is not of python -m training: for published weights give --arch and --weights")
        made = _recipe_of(state, path)
        for name, value in flatten(state["model"]).items():
            check_numbers(f"{path}: {name}", value)
    except UserError as error:
        raise CheckpointError(str(error)) from None
    if recipe and not {"phase", "step", "optimizer", "average"} <= set(state):
        raise CheckpointError(f"{path} is a finished model, nothing to go on from: give another --out")
    if recipe and not continues(recipe, made, state["phase"] + (state["step"] > 0)):
        raise CheckpointError(f"{path} was made by another recipe ({state['recipe']['name']}): give another --out")
    return state


def _recipe_of(state, path):
    try:
        return from_dict(state["recipe"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (TypeError, ValueError, AttributeError):
        raise UserError(f"{path} holds no recipe, but a {type(state['recipe']).__name__}: train again") from None


def continues(recipe, old, begun):
    """Whether a recipe is the old one, but perhaps for phases behind the first `begun`."""
    same = recipe.phases[:begun] == old.phases[:begun] and len(recipe.phases) >= begun
    return same and dataclasses.replace(recipe, phases=old.phases) == old


def write_atomically(state, path):
    """torch.save, whole or not at all. OutputError; what was there before is kept."""
    write(path, encoded(state))


def encoded(state):
    """The bytes of a checkpoint's file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load_model(state, classes, channels, size):
    """The Dynamic of a model or checkpoint file's state, in eval mode, for images of `channels` × `size`.

    An unfinished run gives its averaged weights, which are what its validations measured.
    """
    model = from_dict(state["recipe"]).network.build(classes, channels, size)
    try:
        gone = tuple(f"exits.{unit}." for found in state["pruned"] for unit in apply(model, found))
        weights = {**state["model"], **state.get("average", {})}
        model.load_state_dict({name: value for name, value in weights.items() if not (gone and name.startswith(gone))})
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"the weights do not fit their recipe ({str(error).split(':')[0]}): train again"
        ) from None
    return model.eval()
