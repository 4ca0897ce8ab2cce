"""Somebody's trained network: a plain CIFAR ResNet from a published checkpoint becomes a backbone's weights.

    backbone = load("resnet20-12fca82f.th", "resnet20", classes=10)     # a Backbone in eval mode
    fill(model.backbone, "resnet20-12fca82f.th")                        # `init = "FILE"` of a recipe

Names are the usual ones (`conv1, bn1, layer1.0.conv1 … linear`), with or without `module.` before them, in a dict of
their own or under `state_dict`, `model` or `net`; shortcuts are zero-padded, or projections where the checkpoint has
such.
"""

import re
from pathlib import Path

import torch

from hls.errors import UserError
from training.backbones.resnet import resnet

WRAPPERS = ("state_dict", "model", "net")  # keys that hold the weights in checkpoints around
PARTS = {"conv1": "stem.conv", "bn1": "stem.bn", "linear": "head.linear", "fc": "head.linear"}


def depth_of(arch):
    """20 for "resnet20"; UserError for another kind of name."""
    match = re.fullmatch(r"resnet-?(\d+)", arch.lower())
    if not match or int(match[1]) < 8 or (int(match[1]) - 2) % 6:
        raise UserError(f"--arch {arch}: expected resnet20, resnet32 … resnet110 (6n + 2 layers)")
    return int(match[1])


def load(path, arch, classes):
    """The plain Backbone of a checkpoint, in eval mode. Raises UserError."""
    depth, weights = depth_of(arch), _strip(_read(path), path)
    found = 2 * sum(_units(weights)) + 2
    if found not in (2, depth):
        raise UserError(f"{path} holds a resnet{found}, --arch says {arch}: give --arch resnet{found}")
    stem = weights.get("conv1.weight", torch.zeros(0))
    shortcut = "conv" if any(".shortcut." in name or ".downsample." in name for name in weights) else "pad"
    backbone = resnet(classes, depth, shortcut=shortcut, in_channels=stem.shape[1] if stem.ndim == 4 else 3)
    _fill(backbone, weights, f"{path} as {arch}")
    return backbone.eval()


def fill(backbone, path):
    """Put a published checkpoint's weights into a backbone of the same shape. Raises UserError."""
    _fill(backbone, _strip(_read(path), path), str(path))


def _fill(backbone, weights, what):
    """Copy what `_own` renames; batch counters may be missing."""
    units, published, expected = _units(weights), {}, backbone.state_dict()
    for name in weights:
        published[_own(name, units)] = name
    for own, value in expected.items():
        name = published.pop(own, None)
        if name is None and own.endswith("num_batches_tracked"):
            continue
        if name is None:
            raise UserError(f"{what}: no {_usual(own, units)}, expected {tuple(value.shape)}: is it a CIFAR ResNet?")
        if weights[name].shape != value.shape:
            shapes = f"{tuple(weights[name].shape)}, expected {tuple(value.shape)}"
            raise UserError(f"{what}: {name} is {shapes}: are its classes and widths those of this network?")
        with torch.no_grad():
            value.copy_(weights[name])
    if published:
        left = next(iter(published.values()))
        raise UserError(f"{what}: unexpected {left}: the network has a part that a plain ResNet lacks")


def _units(weights):
    """Units of each stage, by the names."""
    found = {(int(match[1]), int(match[2])) for name in weights if (match := re.match(r"layer(\d+)\.(\d+)\.", name))}
    return [sum(stage == number for stage, _ in found) for number in range(1, max(found, default=(0,))[0] + 1)]


def _own(name, units):
    """A published name as a Backbone has it."""
    match = re.match(r"layer(\d+)\.(\d+)\.(.*)", name)
    if match:
        number = sum(units[: int(match[1]) - 1]) + int(match[2])
        return f"units.{number}.{match[3].replace('downsample.', 'shortcut.')}"
    first, _, rest = name.partition(".")
    return f"{PARTS[first]}.{rest}" if first in PARTS else name


def _usual(own, units):
    """A Backbone's name as publications have it, for messages."""
    match = re.match(r"units\.(\d+)\.(.*)", own)
    if not match:
        return next((own.replace(part, name) for name, part in PARTS.items() if own.startswith(part)), own)
    stage, number = 0, int(match[1])
    while stage < len(units) and number >= units[stage]:
        number, stage = number - units[stage], stage + 1
    return f"layer{stage + 1}.{number}.{match[2]}"


def _read(path):
    if not Path(path).is_file():
        raise UserError(f"no file {path}: expected a checkpoint (.pt, .pth, .th)")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise nearly anything
        remedy = "fetch it again, or save its state_dict alone"
        raise UserError(f"{path} cannot be read as plain weights ({type(error).__name__}): {remedy}") from None
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    if not isinstance(state, dict):
        raise UserError(f"{path} holds a {type(state).__name__}, expected a dict of weights")
    return state


def _strip(state, path):
    """Tensors alone, without the `module.` that data-parallel training puts before every name."""
    weights = {name: value for name, value in state.items() if isinstance(name, str) and torch.is_tensor(value)}
    if not weights:
        raise UserError(f"{path} holds no weights: expected conv1.weight, bn1.weight … linear.bias")
    return {name.removeprefix("module."): value for name, value in weights.items()}
