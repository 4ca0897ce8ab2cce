"""Checkpoint files: written whole or not at all, read without running what they hold."""

import dataclasses
import io
from pathlib import Path

import torch

from hls.command.outputs import write
from hls.errors import UserError
from training.prune import apply
from training.recipe import from_dict


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged or of another recipe; the message is one line."""


def read_checkpoint(path, recipe=None):
    """The state in a checkpoint or model file. Raises CheckpointError, also when it is of another recipe."""
    if not Path(path).exists():
        raise CheckpointError(f"no checkpoint {path}: train first (python -m training RECIPE.toml)")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise nearly anything
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}): train again or restore it") from None
    if recipe and not continues(recipe, state):
        raise CheckpointError(f"{path} was made by another recipe ({state['recipe']['name']}): give another --out")
    return state


def continues(recipe, state):
    """Whether a recipe is the one of a state, but perhaps for phases that have not begun."""
    old = from_dict(state["recipe"])
    begun = state["phase"] + (state["step"] > 0)
    same = recipe.phases[:begun] == old.phases[:begun] and len(recipe.phases) >= begun
    return same and dataclasses.replace(recipe, phases=old.phases) == old


def write_atomically(state, path):
    """torch.save, whole or not at all. OutputError; what was there before is kept."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write(path, buffer.getvalue())


def load_model(state, classes, channels, size):
    """The Dynamic of a model or checkpoint file's state, in eval mode, for images of `channels` × `size`.

    An unfinished run gives its averaged weights, which are what its validations measured.
    """
    model = from_dict(state["recipe"]).network.build(classes, channels, size)
    try:
        for found in state["pruned"]:
            apply(model, found)
        model.load_state_dict({**state["model"], **state.get("average", {})})
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"the weights do not fit their recipe ({str(error).split(':')[0]}): train again"
        ) from None
    return model.eval()
