"""Small random networks with lively gates, and images for them: what the tests of export/ share.

case = VARIANTS["both gates"]
model = random_model(case); network8 = quantised(model, case, random_images(case, 8))
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from export.fold import fold
from export.integers.calibrate import calibrate
from export.integers.correct import correct
from export.integers.quantize import quantize
from hls.record import Start
from training.data import Split
from training.gates.grouped import GroupedConvolution
from training.network import Network
from training.prune import apply

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)
DENSE = {"kind": "densenet", "blocks": [2, 2], "growth": 4}
HIDDEN, TOGETHER, APART = ("hidden",), ("hidden+residual",), ("hidden", "residual")


@dataclass(frozen=True)
class Case:
    """A network and its images."""

    units: tuple = (1, 1, 1)
    layer: str = ""  # a kind of gates, or none
    channel: str = ""
    masks: tuple = TOGETHER
    exits: tuple | str = ()  # units, or "radi"
    linear: tuple = ()  # units with exits that are heads like the last
    shortcut: str = "pad"
    base: int = 0
    classes: int = 10
    channels: int = 3
    size: tuple = (32, 32)
    closed: tuple = ()  # units that pruning has taken out
    width: float = 1.0
    backbone: dict = field(default_factory=dict, hash=False)  # options of another one than a ResNet of `units`
    groups: int | str = 0  # of ACS's gates
    squeeze: bool = False  # between their convolutions
    pairs: bool = False  # of channels, kept together by pooled gates
    seed: int = field(default=0, compare=False)

    @property
    def network(self):
        """Its Network."""
        resnet = {"kind": "resnet", "units": list(self.units), "width": self.width, "shortcut": self.shortcut}
        layer = {"kind": self.layer, "base": self.base} if self.layer else {}
        channel = {"kind": self.channel, "masks": list(self.masks), "base": self.base} if self.channel else {}
        channel |= {"groups": self.groups} if self.groups else {}
        channel |= {"squeeze": True} if self.squeeze else {}
        channel |= {"pairs": True} if self.pairs else {}
        exits = {"after": self.exits if isinstance(self.exits, str) else list(self.exits)} if self.exits else {}
        if self.linear:
            exits = {"after": [], **exits, "linear": list(self.linear)}
        return Network(self.backbone or resnet, layer, channel, exits)

    @property
    def mean(self):
        """Of a channel."""
        return (MEAN * self.channels)[: self.channels]

    @property
    def std(self):
        """Of a channel."""
        return (STD * self.channels)[: self.channels]


# every combination of parts, and what is peculiar about each
VARIANTS = {
    "plain": Case(),
    "papers": Case((1, 1, 1), "recurrent", "convolution", exits="radi"),
    "papers, deeper": Case((2, 2, 2), "recurrent", "convolution", exits="radi"),
    "papers, projected": Case((1, 2, 1), "recurrent", "convolution", exits="radi", shortcut="conv"),
    "recurrent layers": Case((1, 1, 1), "recurrent", exits="radi"),
    "convolution channels": Case((1, 1, 1), "", "convolution", exits="radi"),
    "pooled": Case((2, 1, 2), "pooled", "pooled", HIDDEN, exits="radi"),
    "pooled, both masks": Case((1, 2, 1), "pooled", "pooled", APART, exits=(0, 2)),
    "pooled, small and grey": Case((2, 2), "pooled", "pooled", APART, (1,), classes=2, channels=1, size=(20, 28)),
    "pooled, in pairs": Case((1, 1), "pooled", "pooled", APART, (0,), size=(12, 16), width=0.75, pairs=True),
    "mixed": Case((1, 2, 2), "recurrent", "pooled", TOGETHER, exits=(1, 2), base=1, classes=100, size=(36, 24)),
    "hidden alone": Case((2, 1), "", "pooled", HIDDEN, exits=(0, 1), width=0.75),
    "exits alone": Case((1, 1, 1), exits="radi", shortcut="conv"),
    "linear exits": Case((1, 2, 2), "pooled", exits=(0,), linear=(2, 3), base=1),
    "linear exits, channels": Case((1, 3), "recurrent", "pooled", APART, linear=(0, 2), size=(20, 28)),
    "feedforward, grouped": Case((1, 2), "ffgate1", "acs", HIDDEN, (0,), size=(12, 16), groups="dynamic"),
    "feedforward II, acs": Case((1, 1), "ffgate2", "acs", TOGETHER, size=(16, 12)),
    "recurrent channels": Case((1, 2), "", "recurrent", HIDDEN, (0,), size=(12, 16)),
    "dense, repeating": Case((), "recurrent", "light", ("new",), (1, 3), size=(12, 16), backbone=DENSE),
    "dense, zeros": Case((), "pooled", "light", ("new", "hidden"), size=(17, 12), backbone=DENSE | {"closed": "zeros"}),
    "dense, imagenet's stem": Case(exits=(1,), size=(48, 40), backbone=DENSE | {"stem": "imagenet"}),
    "pruned": Case((3, 2, 3), "pooled", "pooled", APART, exits=(2, 3, 4), closed=(1, 3, 4)),
}


def random_model(case):
    """A Dynamic in eval mode whose batch norms are not trivial and whose gates decide both ways."""
    torch.manual_seed(case.seed)
    model = case.network.build(case.classes, case.channels, case.size)
    for module in model.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm1d)):
            statistics = module.state_dict()  # shares memory with the module
            statistics["running_mean"].normal_(0, 0.2)
            statistics["running_var"].uniform_(0.5, 2)
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.3, 0.8)
                torch.nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, GroupedConvolution):
            torch.nn.init.normal_(module.numbers)
    closed = [unit for unit in case.closed if str(unit) in model.layer_gates]
    apply(model, {"closed": closed, "open": [], "fixed": []})
    _liven(model, normalise(case, random_images(case, 24, 99)))
    return model.eval()


@torch.no_grad()
def _liven(model, x):
    """Stretch and shift every gate's last layer, so that its decisions fall on either side for different images."""
    model.eval()
    gates = [getattr(gate, "gate", gate) for gate in model.gates()]
    shared = [gate for gate in gates if hasattr(gate, "shared")]
    for gate in shared:
        torch.nn.init.normal_(gate.embed.weight)
    if shared:
        torch.nn.init.normal_(shared[0].shared.linear.weight, std=3)
        shared[0].shared.linear.bias -= torch.cat([logits_of(gate, model, x) for gate in shared]).median()
    for gate in gates:
        if gate not in shared:
            layer, bias = last_layer(gate)
            layer.weight *= 3 / logits_of(gate, model, x).std(0).mean().clamp(min=1e-3)
            middle = logits_of(gate, model, x).median(0).values
            bias -= middle[[gate.chosen.index(i) for i in range(len(bias))]] if hasattr(gate, "chosen") else middle


def logits_of(gate, model, x):
    """(N, outputs) that a gate of the model gives for images (N, C, H, W)."""
    seen = []
    hook = gate.register_forward_hook(lambda gate, _, out: seen.append(out[0]))
    model(x)
    hook.remove()
    return torch.cat(seen)


def last_layer(gate):
    """The layer that makes a gate's logits, and the parameter that shifts them."""
    return (gate.fc2, gate.shift) if hasattr(gate, "shift") else (gate.linear, gate.linear.bias)


def random_images(case, n, seed=0):
    """(n, H, W, C) uint8: blotches of very different brightness and contrast, so that decisions differ."""
    rng, (height, width) = np.random.default_rng(seed), case.size
    coarse = rng.normal(size=(n, -(-height // 4), -(-width // 4), case.channels)).repeat(4, 1).repeat(4, 2)
    coarse = coarse[:, :height, :width]
    level, contrast = rng.uniform(40, 215, (n, 1, 1, case.channels)), rng.uniform(5, 80, (n, 1, 1, 1))
    return np.clip(level + contrast * coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)


def split_of(case, images, seed=0):
    """A Split of images with random labels, normalised by the case's mean and std."""
    labels = np.random.default_rng(seed).integers(0, case.classes, len(images)).astype(np.uint8)
    return Split.from_arrays(images, labels, case.mean, case.std, case.classes)


def normalise(case, images):
    """(N, H, W, C) uint8 → (N, C, H, W) float32."""
    split = split_of(case, images)
    return split.normalise(split.images)


def folded(case, model=None):
    """The graph of a case's model."""
    return fold(model or random_model(case), case.channels, case.size)


def quantised(case, images, model=None):
    """The Network8 of a case's model, calibrated and corrected on `images`."""
    network, x = folded(case, model), normalise(case, images)
    return correct(quantize(network, calibrate(network, [x]), case.mean, case.std), images, x)


def clipped(name, count, seed):
    """Network8 before it is corrected, images, the images as floats; clipped so hard that means and logits shift."""
    case = VARIANTS[name]
    network, images = folded(case), random_images(case, count, seed)
    x = normalise(case, images)
    return quantize(network, calibrate(network, [x]), case.mean, case.std, 0.97), images, x


def start_of(compiled, **options):
    """Start parameters of a Compiled."""
    return Start(compiled.gates, compiled.classes, map_words=compiled.map_words, **options)


def random_case(seed):
    """Any mix of parts, sizes and classes."""
    rng = np.random.default_rng(seed)
    units = tuple(int(count) for count in rng.integers(1, 4, rng.integers(1, 4)))
    last = sum(units) - 1
    layer = str(rng.choice(["", "pooled", "recurrent"]))
    return Case(
        units=units,
        layer=layer,
        channel=str(rng.choice(["", "pooled", "convolution"])),
        masks=(HIDDEN, TOGETHER, APART)[rng.integers(3)],
        exits=tuple(int(unit) for unit in range(last) if rng.random() < 0.5),
        shortcut=str(rng.choice(["pad", "conv"])),
        base=int(rng.integers(2)),
        classes=int(rng.choice([2, 3, 10, 100])),
        channels=int(rng.choice([1, 3])),
        size=((32, 32), (20, 28), (17, 23), (40, 16))[rng.integers(4)],
        closed=tuple(int(unit) for unit in range(last + 1) if layer and rng.random() < 0.2),
        width=float(rng.choice([0.5, 0.8125, 1])),
        seed=seed,
        linear=tuple(unit for unit in range(last) if rng.random() < 0.2),
    )


def model_flops(model, x, decisions):
    """(N, exits) FLOPs that training counts where the gates decide as in `decisions` (of interpret.Output)."""
    given = iter(decisions.values())  # in the same order
    with torch.no_grad():
        return model(x, forced=lambda unit, mask, logits: next(given).keep).flops.numpy()
