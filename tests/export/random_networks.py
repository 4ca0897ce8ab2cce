"""Small random networks with lively gates, and images for them: what the tests of export/ share."""

import numpy as np
import torch

from export import fold, quantize
from export.calibrate import calibrate
from export.correct import correct
from training.data import Split
from training.dynamic import DynamicResNet, Network

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)

# every combination of parts: (depth, layer gates, channel gates, exits, shortcut)
VARIANTS = [
    (8, True, True, True, "pad"),
    (14, True, True, True, "pad"),
    (8, True, True, True, "conv"),
    (8, True, False, True, "pad"),
    (8, False, True, True, "pad"),
    (8, True, True, False, "conv"),
    (8, False, False, True, "conv"),
    (8, False, False, False, "pad"),
]


def network_of(variant):
    """The Network of one of VARIANTS."""
    depth, layer, channel, exits, shortcut = variant
    return Network(depth, 10, shortcut, layer_gates=layer, channel_gates=channel, exits=exits)


def random_model(network, seed=0):
    """A DynamicResNet in eval mode whose batch norms are not trivial and whose gates decide both ways."""
    torch.manual_seed(seed)
    model = DynamicResNet(network)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            statistics = module.state_dict()  # shares memory with the module
            statistics["running_mean"].normal_(0, 0.2)
            statistics["running_var"].uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.3, 0.8)
            torch.nn.init.normal_(module.bias, 0, 0.1)
    if network.layer_gates:
        torch.nn.init.normal_(model.layer_gates.linear.weight, 0, 3)
        for embed in model.layer_gates.embed.parameters():
            if embed.ndim > 1:
                torch.nn.init.normal_(embed, 0, 1)
        _centre(model, [model.layer_gates.linear])
    if network.channel_gates:
        _centre(model, [gate.fc for gate in model.channel_gates])
    return model.eval()


def _centre(model, layers):
    """Shift the layers' biases so that the decisions behind them fall on either side for different images."""
    logits = {layer: [] for layer in layers}
    hooks = [layer.register_forward_hook(lambda layer, _, out: logits[layer].append(out)) for layer in layers]
    with torch.no_grad():
        model.eval()(normalise(random_images(24, 99)))
        for layer in layers:
            if logits[layer]:  # not where a projection keeps the block from having gates
                layer.bias -= torch.cat(logits[layer]).median(0).values
    for hook in hooks:
        hook.remove()


def random_images(n, seed=0):
    """(n, 32, 32, 3) uint8: blotches of very different brightness and contrast, so that decisions differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(n, 8, 8, 3)).repeat(4, 1).repeat(4, 2)
    level, contrast = rng.uniform(40, 215, (n, 1, 1, 3)), rng.uniform(5, 80, (n, 1, 1, 1))
    noise = rng.normal(0, 8, (n, 32, 32, 3))
    return np.clip(level + contrast * coarse + noise, 0, 255).astype(np.uint8)


def split_of(images, seed=0):
    """A Split of images with random labels, normalised by MEAN and STD."""
    labels = np.random.default_rng(seed).integers(0, 10, len(images)).astype(np.uint8)
    return Split.from_arrays(images, labels, MEAN, STD)


def normalise(images):
    """(N, 32, 32, 3) uint8 → (N, 3, 32, 32) float32."""
    split = split_of(images)
    return split.normalise(split.images)


def quantised(model, images):
    """The Network8 of a model, calibrated and corrected on `images`."""
    network, x = fold.fold(model), normalise(images)
    return correct(quantize.quantize(network, calibrate(network, [x]), MEAN, STD), images, x)
