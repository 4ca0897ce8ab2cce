"""Bring your own: a plain CIFAR ResNet from a published checkpoint, without gates or exits.

    model = load("resnet20-12fca82f.th", "resnet20", classes=10)

Names are the usual ones (`conv1, bn1, layer1.0.conv1 … linear`), with or without `module.` before them, in a dict of
their own or under `state_dict` or `model`; shortcuts are zero-padded, or projections where the checkpoint has such.
"""

import re
from pathlib import Path

import torch

from training.dynamic import DynamicResNet, Network

WRAPPERS = ("state_dict", "model", "net")  # keys that hold the weights in checkpoints around


class PublishedError(Exception):
    """A checkpoint that is not the ResNet it should be; the message is one line."""


def depth_of(arch):
    """20 for "resnet20"; PublishedError for another kind of name."""
    match = re.fullmatch(r"resnet-?(\d+)", arch.lower())
    if not match or int(match[1]) < 8 or (int(match[1]) - 2) % 6:
        raise PublishedError(f"--arch {arch}: expected resnet20, resnet32 … resnet110 (6n + 2 layers)")
    return int(match[1])


def load(path, arch, classes):
    """A DynamicResNet in eval mode with the checkpoint's weights. Raises PublishedError."""
    depth, weights = depth_of(arch), _strip(_read(path), path)
    found = _depth(weights)
    if found and found != depth:
        raise PublishedError(f"{path} holds a resnet{found}, --arch says {arch}: give --arch resnet{found}")
    shortcut = "conv" if "layer2.0.shortcut.0.weight" in weights else "pad"
    network = Network(depth, classes, shortcut, layer_gates=False, channel_gates=False, exits=False)
    model = DynamicResNet(network)
    _check(weights, model.state_dict(), f"{path} as {arch}")
    model.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
    return model.eval()


def _read(path):
    if not Path(path).is_file():
        raise PublishedError(f"no file {path}: give --weights a checkpoint (.pt, .pth, .th)")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise nearly anything
        remedy = "fetch it again, or save its state_dict alone"
        raise PublishedError(f"{path} cannot be read as plain weights ({type(error).__name__}): {remedy}") from None
    for wrapper in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    if not isinstance(state, dict):
        raise PublishedError(f"{path} holds a {type(state).__name__}, expected a dict of weights")
    return state


def _strip(state, path):
    """Tensors alone, without the `module.` that data-parallel training puts before every name."""
    weights = {name: value for name, value in state.items() if isinstance(name, str) and torch.is_tensor(value)}
    if not weights:
        raise PublishedError(f"{path} holds no weights: expected conv1.weight, bn1.weight … linear.bias")
    return {name.removeprefix("module."): value for name, value in weights.items()}


def _depth(weights):
    """Layers by the number of blocks in the first stage; 0 where there is none."""
    blocks = {int(match[1]) for name in weights if (match := re.match(r"layer1\.(\d+)\.", name))}
    return 6 * len(blocks) + 2 if blocks else 0


def _check(weights, expected, what):
    """The first name that is missing, of another shape or too much. Batch counters may be missing."""
    for name, value in expected.items():
        if name not in weights:
            if name.endswith("num_batches_tracked"):
                continue
            raise PublishedError(f"{what}: no {name}, expected {tuple(value.shape)}: is it a CIFAR ResNet?")
        if weights[name].shape != value.shape:
            shapes = f"{tuple(weights[name].shape)}, expected {tuple(value.shape)}"
            raise PublishedError(f"{what}: {name} is {shapes}: is --dataset right, and is it a CIFAR ResNet?")
    for name in weights:
        if name not in expected:
            raise PublishedError(f"{what}: unexpected {name}: the network has a part that a plain ResNet lacks")
