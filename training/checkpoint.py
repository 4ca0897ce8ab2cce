"""Checkpoint files: written whole or not at all, read without running what they hold."""

import os
from pathlib import Path

import torch

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
    if recipe and made != recipe:
        raise CheckpointError(f"{path} was made by another recipe ({state['recipe']['name']}): give another --out")
    return state


def _recipe_of(state, path):
    try:
        return from_dict(state["recipe"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (TypeError, ValueError, AttributeError):
        raise UserError(f"{path} holds no recipe, but a {type(state['recipe']).__name__}: train again") from None


def write_atomically(state, path):
    """torch.save beside the target, then rename over it."""
    partial = path.with_name(path.name + ".partial")
    try:
        torch.save(state, partial)
        os.replace(partial, path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"{path} was not written ({error}): make room; what it held before is kept") from None


def load_model(state, classes, channels, size):
    """The Dynamic of a model or checkpoint file's state, in eval mode, for images of `channels` × `size`."""
    model = from_dict(state["recipe"]).network.build(classes, channels, size)
    try:
        for found in state["pruned"]:
            apply(model, found)
        model.load_state_dict(state["model"])
    except (RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"the weights do not fit their recipe ({str(error).split(':')[0]}): train again"
        ) from None
    return model.eval()
