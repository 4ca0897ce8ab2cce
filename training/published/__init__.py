"""Somebody's trained network: a plain CIFAR ResNet from a published checkpoint becomes a backbone's weights.

    backbone = load("resnet20-12fca82f.th", "resnet20", classes=10)     # a Backbone in eval mode
    fill(model.backbone, "resnet20-12fca82f.th")                        # `init = "FILE"` of a recipe

Files and their formats: files.py. Wrappers, prefixes and names: names.py. What is no such network: kinds.py. Shortcuts
are zero-padded, or projections where the checkpoint has such. Convolutions may have their batch norms folded in.
"""

import io
import re

import torch

from hls.errors import UserError
from training.backbones.resnet import resnet
from training.published import kinds, names
from training.published.files import read

KEPT = "backbone"  # the one key of a file of `encoded`
PARTS = {"conv1": "stem.conv", "bn1": "stem.bn", "linear": "head.linear"}


def depth_of(arch):
    """20 for "resnet20"; UserError for another kind of name."""
    match = re.fullmatch(r"resnet-?(\d+)", arch.lower())
    if not match or int(match[1]) < 8 or (int(match[1]) - 2) % 6:
        raise UserError(f"--arch {arch}: expected resnet20, resnet32 … resnet110 (6n + 2 layers)")
    return int(match[1])


def load(path, arch, classes, shortcut="pad"):
    """The plain Backbone of a checkpoint, in eval mode; `shortcut`: where there is no projection. Raises UserError."""
    depth, weights = depth_of(arch), _network(read(path), path)
    try:
        kinds.check(weights, names.units_of(weights), depth)
    except UserError as error:
        raise UserError(f"{path} {error}") from None
    out_channels, in_channels = weights["conv1.weight"].value.shape[:2]
    if any(".shortcut." in name for name in weights):
        shortcut = "conv"
    backbone = resnet(classes, depth, width=out_channels / 16, shortcut=shortcut, in_channels=in_channels)
    _fill(backbone, weights, f"{path} as {arch}")
    return backbone.eval()


def fill(backbone, path):
    """Put a published checkpoint's weights, or what `encoded` kept, into a backbone of the same shape. UserError."""
    found = read(path)
    if not isinstance(found, dict) or set(found) != {KEPT}:
        return _fill(backbone, _network(found, path), str(path))
    try:
        for name, value in found[KEPT].items():
            names.check_numbers(name, value)
        backbone.load_state_dict(found[KEPT])
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is of another network than the recipe's ({str(error).splitlines()[0]})") from None


def encoded(backbone):
    """The bytes of a file with a backbone's weights, for `fill`."""
    buffer = io.BytesIO()
    torch.save({KEPT: backbone.state_dict()}, buffer)
    return buffer.getvalue()


def _network(values, path):
    """{usual name: Weight} of the network in what a file holds."""
    found = names.flatten(_dict(values, path))
    try:
        prefix = names.find(found)
        if prefix is None:
            raise UserError(kinds.other(found))
        return names.network(found, prefix)
    except UserError as error:
        raise UserError(f"{path} {error}") from None


def _dict(values, path):
    if not isinstance(values, dict):
        raise UserError(f"{path} holds a {type(values).__name__}, expected a dict of weights")
    return values


def _fill(backbone, weights, what):
    """Copy what `_own` renames; batch counters may be missing, and batch norms that are folded."""
    units, published, expected = names.units_of(weights), {}, backbone.state_dict()
    for name, weight in weights.items():
        published[_own(name, units)] = weight
    _unfold(backbone, published, what)
    for own, value in expected.items():
        weight = published.pop(own, None)
        if weight is None and own.endswith("num_batches_tracked"):
            continue
        if weight is None:
            raise UserError(f"{what}: no {usual(own, units)}, expected {tuple(value.shape)}: is it a CIFAR ResNet?")
        if weight.value.shape != value.shape:
            shapes = f"{tuple(weight.value.shape)}, expected {tuple(value.shape)}"
            raise UserError(f"{what}: {weight.name} is {shapes}: are its classes and widths those of this network?")
        _check(weight, what)
        with torch.no_grad():
            value.copy_(weight.value)
    if published:
        left = next(iter(published.values())).name
        raise UserError(f"{what}: unexpected {left}: the network has a part that a plain ResNet lacks")


def _check(weight, what):
    try:
        names.check_numbers(*weight)
    except UserError as error:
        raise UserError(f"{what}: {error}") from None


def _unfold(backbone, published, what):
    """A convolution's bias goes into the batch norm behind it; where that was folded in, it becomes one that adds.

    y = (x - mean) / sqrt(var + eps) · weight + bias: the identity and a bias at mean 0, var 1 - eps, weight 1.
    """
    norms = {name: module for name, module in backbone.named_modules() if isinstance(module, torch.nn.BatchNorm2d)}
    for name, norm in norms.items():
        conv = re.sub(r"bn(\d?)$", r"conv\1", name) if "bn" in name else name.replace("shortcut.1", "shortcut.0")
        bias = published.pop(f"{conv}.bias", None)
        if bias is None:
            continue
        _check(bias, what)
        if bias.value.shape != norm.bias.shape:
            shapes = f"{tuple(bias.value.shape)}, expected {tuple(norm.bias.shape)}"
            raise UserError(f"{what}: {bias.name} is {shapes}: are its widths those of this network?")
        if f"{name}.running_mean" in published:
            mean = published[f"{name}.running_mean"]
            published[f"{name}.running_mean"] = mean._replace(value=mean.value - bias.value)
            continue
        ones = torch.ones_like(norm.bias)
        added = {"weight": ones, "bias": bias.value, "running_mean": 0 * ones, "running_var": ones - norm.eps}
        published |= {f"{name}.{part}": names.Weight(f"{conv}.bias", value) for part, value in added.items()}


def _own(name, units):
    """A usual name as a Backbone has it."""
    match = re.match(r"layer(\d+)\.(\d+)\.(.*)", name)
    if match:
        return f"units.{sum(units[: int(match[1]) - 1]) + int(match[2])}.{match[3]}"
    first, _, rest = name.partition(".")
    return f"{PARTS[first]}.{rest}" if first in PARTS else name


def usual(own, units):
    """A Backbone's name as publications have it, for messages."""
    match = re.match(r"units\.(\d+)\.(.*)", own)
    if not match:
        return next((own.replace(part, name) for name, part in PARTS.items() if own.startswith(part)), own)
    stage, number = 0, int(match[1])
    while stage < len(units) and number >= units[stage]:
        number, stage = number - units[stage], stage + 1
    return f"layer{stage + 1}.{number}.{match[2]}"
