"""Published checkpoints: every usual wrapping loads; another network is called by its name in one line."""

import re
import warnings

import numpy as np
import pytest
import torch

from hls.errors import UserError
from training import published
from training.backbones.resnet import resnet
from training.data import Split
from training.loop import Trainer
from training.network import Network
from training.phases import Phase
from training.published.kinds import PLAIN, _order
from training.recipe import Recipe

OWN = {"stem.conv": "conv1", "stem.bn": "bn1", "head.linear": "linear"}


def backbone_of(depth=14, **options):
    torch.manual_seed(0)
    backbone = resnet(10, depth, **options)
    for value in backbone.state_dict().values():
        if value.is_floating_point() and value.ndim == 1:
            value.uniform_(0.5, 1.5)
    return backbone


def weights_of(backbone=None):
    """Weights by the names that publications use."""
    backbone = backbone or backbone_of()
    each, weights = len(backbone.units) // 3, {}
    for name, value in backbone.state_dict().items():
        part, _, rest = name.rpartition(".")
        if name.startswith("units."):
            number, rest = int(name.split(".")[1]), name.split(".", 2)[2]
            weights[f"layer{number // each + 1}.{number % each}.{rest}"] = value
        else:
            weights[f"{OWN[part]}.{rest}"] = value
    return weights


def prefixed(weights):
    return {f"module.{name}": value for name, value in weights.items()}


def without_counters(weights):
    return {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}


def trained_average():
    """What torch's AveragedModel saves."""
    return torch.optim.swa_utils.AveragedModel(torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1)})).state_dict()


def renamed(*changes):
    """Weights whose names are changed by (pattern, replacement)."""
    weights = weights_of(backbone_of(shortcut="conv"))
    for pattern, word in changes:
        weights = {re.sub(pattern, word, name): value for name, value in weights.items()}
    return weights


WRAPPINGS = {
    "plain": weights_of,
    "module": lambda: prefixed(weights_of()),
    "state_dict": lambda: {"state_dict": weights_of(), "best_prec1": 91.7, "epoch": 3},
    "state_dict and module": lambda: {"state_dict": prefixed(weights_of())},
    "model": lambda: {"model": weights_of()},
    "without counters": lambda: without_counters(weights_of()),
    "half precision": lambda: {name: value.half() for name, value in weights_of().items()},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("arch", ["resnet14", "ResNet-14"])
def test_usual_wrappings_load(wrapping, arch, tmp_path):
    torch.save(WRAPPINGS[wrapping](), tmp_path / "w.th")
    backbone = published.load(tmp_path / "w.th", arch, 10)
    tolerance = 1e-2 if wrapping == "half precision" else 0
    for name, value in backbone_of().state_dict().items():
        torch.testing.assert_close(backbone.state_dict()[name], value, rtol=tolerance, atol=tolerance)
    assert not backbone.training


@pytest.mark.parametrize("word", ["shortcut", "downsample"])
def test_projection_shortcuts_are_recognised(word, tmp_path):
    weights = weights_of(backbone_of(shortcut="conv"))
    torch.save({name.replace("shortcut", word): value for name, value in weights.items()}, tmp_path / "w.pt")
    backbone = published.load(tmp_path / "w.pt", "resnet14", 10)
    assert not backbone.units[2].skippable and backbone.units[0].skippable


def test_a_network_to_be_made_dynamic_is_filled(tmp_path):
    torch.save({"state_dict": prefixed(weights_of())}, tmp_path / "w.th")
    network = Network({"kind": "resnet", "depth": 14}, {"kind": "pooled"}, {"kind": "pooled"}, {"after": [1]})
    model = network.build(10)
    gates = {name: value.clone() for name, value in model.state_dict().items() if not name.startswith("backbone.")}
    published.fill(model.backbone, tmp_path / "w.th")
    for name, value in backbone_of().state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], value, rtol=0, atol=0)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in gates.items())


def test_a_run_begins_with_what_its_recipe_names(tmp_path):
    torch.save(weights_of(), tmp_path / "w.th")
    network = Network({"kind": "resnet", "depth": 14}, {"kind": "pooled"})
    phases = (Phase("joint", 1, 0.1, {"classification": {}}),)
    recipe = Recipe("tiny", "cifar10", network, phases, init=str(tmp_path / "w.th"), batch=4)
    pixels, labels = np.zeros((4, 32, 32, 3), np.uint8), np.zeros(4, np.uint8)
    split = Split.from_arrays(pixels, labels, (0.5,) * 3, (0.5,) * 3, 10)
    trainer = Trainer(recipe, [split] * 3, tmp_path, "cpu")
    for name, value in backbone_of().state_dict().items():
        torch.testing.assert_close(trainer.model.backbone.state_dict()[name], value, rtol=0, atol=0)


def test_a_network_of_other_width_is_not_filled(tmp_path):
    torch.save(weights_of(), tmp_path / "w.th")
    backbone = backbone_of(width=0.5)
    with pytest.raises(UserError, match=r"conv1\.weight is \(16, 3, 3, 3\), expected \(8, 3, 3, 3\)"):
        published.fill(backbone, tmp_path / "w.th")


def damaged(name):
    """Contents of a file that must be refused, by what is wrong with it."""
    weights = weights_of()
    if name == "missing":
        del weights["layer2.0.bn1.weight"]
    elif name == "unexpected":
        weights["layer1.0.attention.weight"] = torch.zeros(1)
    elif name == "shape":
        weights["linear.weight"] = torch.zeros(100, 64)
    elif name == "twice":
        weights["fc.weight"] = torch.zeros(10, 64)
    elif name == "meta":
        return {key: value.to("meta") for key, value in weights.items()}
    elif name == "quantised":
        weights["layer1.1.conv2.weight"] = quantised(weights["layer1.1.conv2.weight"])
    elif name == "sparse":
        weights["linear.weight"] = weights["linear.weight"].to_sparse()
    elif name == "integers":
        weights["conv1.weight"] = weights["conv1.weight"].to(torch.int8)
    elif name == "nan":
        weights["layer1.0.bn1.running_var"] = torch.full((16,), torch.nan)
    elif name == "infinite":
        weights["linear.weight"] = weights["linear.weight"] / 0
    elif name == "negative":
        weights["layer1.0.bn1.running_var"] = -torch.ones(16)
    return weights


def quantised(value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(value, 0.01, 0, torch.qint8)


@pytest.mark.parametrize(
    "name, message",
    [
        ("missing", r"no layer2\.0\.bn1\.weight, expected \(32,\)"),
        ("unexpected", r"unexpected layer1\.0\.attention\.weight"),
        ("shape", r"linear\.weight is \(100, 64\), expected \(10, 64\)"),
        ("twice", r"holds both linear\.weight and fc\.weight: expected one linear\.weight"),
        ("meta", r"conv1\.weight is on the meta device and holds no numbers"),
        ("quantised", r"layer1\.1\.conv2\.weight is quantised \(torch\.qint8\): save the float model"),
        ("sparse", r"linear\.weight is sparse"),
        ("integers", r"conv1\.weight is torch\.int8, expected floating point"),
        ("nan", r"layer1\.0\.bn1\.running_var holds numbers that are not finite"),
        ("infinite", r"linear\.weight holds numbers that are not finite"),
        ("negative", r"layer1\.0\.bn1\.running_var holds variances below 0"),
    ],
)
def test_another_network_is_refused_in_one_line(name, message, tmp_path):
    torch.save(damaged(name), tmp_path / "w.pt")
    with pytest.raises(UserError, match=message) as raised:
        published.load(tmp_path / "w.pt", "resnet14", 10)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "values, message",
    [
        (weights_of(backbone_of(8)), "holds a resnet8, --arch says resnet14: give --arch resnet8"),
        ([1, 2], "holds a list, expected a dict"),
        ({"epoch": 3}, "holds no weights"),
    ],
    ids=["depth", "list", "empty"],
)
def test_a_file_without_the_network_is_refused_in_one_line(values, message, tmp_path):
    torch.save(values, tmp_path / "w.pt")
    with pytest.raises(UserError, match=message):
        published.load(tmp_path / "w.pt", "resnet14", 10)


def convolutions(shapes):
    """A state_dict of convolutions alone."""
    return {f"{name}.weight": torch.zeros(shape) for name, shape in shapes.items()}


def units(*stages, kernels=(3, 3), width=16):
    """{name: shape} of a ResNet's convolutions: units a stage, and each unit's kernels."""
    shapes = {"conv1": (width, 3, 3, 3)}
    for stage, count in enumerate(stages):
        channels = width << stage
        for unit in range(count):
            names = (f"layer{stage + 1}.{unit}.conv{number + 1}" for number in range(len(kernels)))
            shapes |= {name: (channels, channels, kernel, kernel) for name, kernel in zip(names, kernels)}
    return shapes


def but(shapes, **changes):
    """Shapes with some changed; _ stands for a dot."""
    return shapes | {name.replace("_", "."): shape for name, shape in changes.items()}


KINDS = {
    "bottlenecks": (units(18, 18, 18, kernels=(1, 3, 1)), "it is a ResNet-164 of bottleneck units"),
    "four stages": (units(2, 2, 2, 2, width=64), "4 stages, of 64, 128, 256, 512 channels: it is a ResNet-18"),
    "large images": (but(units(2, 2, 2), conv1=(16, 3, 7, 7)), "conv1 of 7×7: it is a ResNet for large images"),
    "thinned channels": (
        but(units(2, 2, 2), layer2_1_conv1=(10, 32, 3, 3)),
        "layer2.1.conv1.weight of 10 channels where 32 are expected: it is a thinned ResNet",
    ),
    "thinned units": (units(3, 2, 1), "has 3, 2, 1 units in its stages: it is a thinned ResNet"),
    "pre-activation": (but(units(2, 2, 2), layer2_0_bn1=(16,)), "its units are of pre-activation"),
    "vgg": ({"features.0": (64, 3, 3, 3)}, "a network of `features`, such as VGG"),
    "densenet": ({"features.denseblock1.denselayer1.conv1": (64, 3, 3, 3)}, "a DenseNet"),
    "wide": ({"conv1": (16, 3, 3, 3), "block1.layer.0.conv1": (64, 16, 3, 3)}, "a wide ResNet"),
    "transformer": ({"blocks.0.attn.qkv": (3, 3)}, "a transformer"),
    "other names": ({"conv2_x.0.residual_function.0": (3, 3, 3, 3)}, "a ResNet by other names"),
    "keras": ({"batch_normalization_3/gamma": (3,)}, "a network of Keras or JAX"),
    "quantised": ({"conv1.activation_post_process": (1,)}, "a quantised network"),
    "anything": ({"a": (3,)}, "holds 1 tensors, the first state_dict/a.weight (3,), and no conv1.weight"),
}


@pytest.mark.parametrize("arch", ["resnet14", "resnet110"])
@pytest.mark.parametrize("name", KINDS)
def test_what_a_file_is_stands_in_the_message(name, arch, tmp_path):
    """And no advice leads to another --arch, which would be refused in its turn."""
    shapes, message = KINDS[name]
    torch.save({"state_dict": convolutions(shapes)}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        published.load(tmp_path / "w.pt", arch, 10)
    text = str(raised.value)
    assert "\n" not in text and text.endswith(PLAIN) and "--arch" not in text


def test_our_own_file_is_told_from_a_published_one(tmp_path):
    torch.save({"model": convolutions({"backbone.stem.conv": (16, 3, 3, 3)})}, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"of python -m training: give its model\.pt as the CHECKPOINT"):
        published.load(tmp_path / "w.pt", "resnet14", 10)


@pytest.mark.parametrize("width", [2, 2.5])
def test_a_wider_network_is_taken_as_it_is(width, tmp_path):
    """MLPerf Tiny's larger ResNet has 40 channels where ours has 16."""
    wide = backbone_of(width=width)
    torch.save(weights_of(wide), tmp_path / "w.pt")
    backbone = published.load(tmp_path / "w.pt", "resnet14", 10)
    assert torch.equal(backbone.units[5].conv2.weight, wide.units[5].conv2.weight)


def test_what_was_kept_of_a_backbone_fills_another(tmp_path):
    one, other = backbone_of(), backbone_of()
    with torch.no_grad():
        one.units[0].conv1.weight.fill_(0.5)
    (tmp_path / "kept.pt").write_bytes(published.encoded(one))
    published.fill(other, tmp_path / "kept.pt")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_units_whose_norms_come_first_are_told_whatever_else_is_there():
    shapes = {"conv1.weight": (16, 3, 3, 3), "layer2.0.bn1.weight": (16,)}
    for more in ({}, {"layer2.0.conv1.weight": (32, 16, 3, 3)}):
        assert "pre-activation" in _order(shapes | more)
    assert _order(shapes | {"layer2.0.conv1.weight": (16, 16, 3, 3)}) == ""


@pytest.mark.parametrize("arch", ["resnet18", "vgg16", "resnet2", "resnet"])
def test_unknown_architectures_are_refused(arch):
    with pytest.raises(UserError, match="expected resnet20"):
        published.depth_of(arch)
