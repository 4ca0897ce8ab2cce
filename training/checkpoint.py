"""Checkpoint files: written whole or not at all, read without running what they hold."""

import os
from pathlib import Path

import torch
from torch.torch_version import TorchVersion

from training.recipe import from_dict


class CheckpointError(Exception):
    """A checkpoint that is missing, damaged or of another recipe; the message is one line."""


def read_checkpoint(path, recipe=None):
    """The state in a checkpoint or model file. Raises CheckpointError, also when it is of another recipe."""
    if not Path(path).exists():
        raise CheckpointError(f"no checkpoint {path}: train first (python -m training RECIPE.toml)")
    try:
        with torch.serialization.safe_globals([TorchVersion]):  # metrics of earlier model files hold one
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise nearly anything
        raise CheckpointError(f"{path} is damaged ({type(error).__name__}): train again or restore it") from None
    if recipe and from_dict(state["recipe"]) != recipe:
        raise CheckpointError(f"{path} was made by another recipe ({state['recipe']['name']}): give another --out")
    return state


def write_atomically(state, path):
    """torch.save beside the target, then rename over it."""
    partial = path.with_name(path.name + ".partial")
    torch.save(state, partial)
    os.replace(partial, path)
