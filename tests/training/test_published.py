"""Published checkpoints: every usual wrapping loads; another network gives one clear line."""

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
    recipe = Recipe("tiny", "cifar10", network, phases, init=str(tmp_path / "w.th"))
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
    elif name == "depth":
        return weights_of(backbone_of(8))
    elif name == "list":
        return [1, 2]
    elif name == "empty":
        return {"epoch": 3}
    return weights


@pytest.mark.parametrize(
    "name, message",
    [
        ("missing", r"no layer2\.0\.bn1\.weight, expected \(32,\)"),
        ("unexpected", r"unexpected layer1\.0\.attention\.weight"),
        ("shape", r"linear\.weight is \(100, 64\), expected \(10, 64\)"),
        ("depth", r"holds a resnet8, --arch says resnet14"),
        ("list", r"holds a list, expected a dict"),
        ("empty", r"holds no weights"),
    ],
)
def test_another_network_is_refused_in_one_line(name, message, tmp_path):
    torch.save(damaged(name), tmp_path / "w.pt")
    with pytest.raises(UserError, match=message) as raised:
        published.load(tmp_path / "w.pt", "resnet14", 10)
    assert "\n" not in str(raised.value)


class Surprise:
    """An object that a checkpoint must not bring to life."""

    def __reduce__(self):
        return print, ("run",)


def test_pickled_code_is_refused(tmp_path, capsys):
    torch.save({"state_dict": Surprise()}, tmp_path / "w.pt")
    with pytest.raises(UserError, match="cannot be read as plain weights"):
        published.load(tmp_path / "w.pt", "resnet14", 10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_damaged_files_are_refused(content, tmp_path):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        published.load(tmp_path / "w.pt", "resnet14", 10)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no file"):
        published.load(tmp_path / "w.pt", "resnet14", 10)


@pytest.mark.parametrize("arch", ["resnet18", "vgg16", "resnet2", "resnet"])
def test_unknown_architectures_are_refused(arch):
    with pytest.raises(UserError, match="expected resnet20"):
        published.depth_of(arch)
