"""A trained network that others learn from: the recipe's `teacher`, a finished model.pt of the same data set.

teacher = find(recipe, split, device)      # None where the recipe names none
logits = teacher(images)                   # normalised (N, C, H, W) → (N, classes), all gates as they decide
"""

import torch

from training.checkpoint import load_model, read_checkpoint
from training.recipe import RecipeError


def find(recipe, train, device):
    """The recipe's teacher as a function of images. Raises CheckpointError, RecipeError for one of other images."""
    if not recipe.teacher:
        return None
    state = read_checkpoint(recipe.teacher)
    taught = state["recipe"]["dataset"]
    if taught != recipe.dataset:
        raise RecipeError(f"teacher {recipe.teacher} was trained on {taught}: expected one of {recipe.dataset}")
    model = load_model(state, train.classes, train.channels, train.size)
    model.requires_grad_(False).to(device).to(memory_format=torch.channels_last)

    def logits(images):
        with torch.no_grad():
            return model(images, with_exits=False).logits[-1]

    return logits
