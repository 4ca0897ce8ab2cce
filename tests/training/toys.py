"""Small networks and data sets that training can be watched on: two classes that a line separates, in seconds."""

import numpy as np

from training import recipe
from training.data import Split

STATISTICS = ((0.5,) * 3, (0.25,) * 3)
SHALLOW = {"kind": "resnet", "units": [1, 2]}
GATES = {
    "layer_gates": {"kind": "pooled", "base": 1},
    "channel_gates": {"kind": "pooled", "masks": ["hidden"]},
    "exits": {"after": [0]},
}


def noise(n=40, size=16, classes=10, seed=0):
    """Images of noise with labels by chance: what nothing can be learnt from."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (n, size, size, 3), np.uint8)
    return Split.from_arrays(images, rng.integers(0, classes, n), *STATISTICS, classes)


def stripes(n=256, size=16, seed=0):
    """Class 0 has horizontal stripes, class 1 vertical ones, under noise; half of the images are faint, so hard."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    wave = 2 * (np.arange(size) // 2 % 2) - 1
    patterns = np.stack([np.repeat(wave[:, None], size, 1), np.repeat(wave[None], size, 0)])  # (2, size, size)
    strength = np.where(rng.random(n) < 0.5, 12, 60)[:, None, None]
    grey = 128 + strength * patterns[labels] + rng.normal(0, 12, (n, size, size))
    images = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, -1)
    return Split.from_arrays(images, labels, *STATISTICS, 2)


def plan(phases, network=None, **values):
    """A Recipe of [phases] on a small network."""
    network = {"backbone": SHALLOW, **GATES} if network is None else network
    base = {"name": "toy", "dataset": "cifar10", "batch": 16, "crop_pad": 0, "flip": False}
    base |= {"validate_every": 1000, "checkpoint_every": 1000}
    return recipe.from_dict(base | values | {"network": network, "phases": phases})


def phase(name="joint", steps=30, lr=0.1, **values):
    """Plain values of one phase."""
    return {"name": name, "steps": steps, "lr": lr, "terms": {"classification": {}}} | values


def gradient(tensor):
    """What flowed back to a tensor."""
    assert tensor.grad is not None
    return tensor.grad
