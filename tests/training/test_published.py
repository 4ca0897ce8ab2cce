"""Published checkpoints: every usual wrapping loads; another network gives one clear line."""

import pytest
import torch

from export import published
from export.published import PublishedError
from tests.export.random_networks import random_model
from training.dynamic import Network

PLAIN = Network(14, layer_gates=False, channel_gates=False, exits=False)


def weights_of(network=PLAIN):
    return random_model(network).state_dict()


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
    model = published.load(tmp_path / "w.th", arch, 10)
    tolerance = 1e-2 if wrapping == "half precision" else 0
    for name, value in weights_of().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=tolerance, atol=tolerance)
    assert not model.training and not model.network.exits


def test_projection_shortcuts_are_recognised(tmp_path):
    network = Network(14, 10, "conv", layer_gates=False, channel_gates=False, exits=False)
    torch.save(weights_of(network), tmp_path / "w.pt")
    assert published.load(tmp_path / "w.pt", "resnet14", 10).network.shortcut == "conv"


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
        return weights_of(Network(8, layer_gates=False, channel_gates=False, exits=False))
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
    with pytest.raises(PublishedError, match=message) as raised:
        published.load(tmp_path / "w.pt", "resnet14", 10)
    assert "\n" not in str(raised.value)


class Surprise:
    """An object that a checkpoint must not bring to life."""

    def __reduce__(self):
        return print, ("run",)


def test_pickled_code_is_refused(tmp_path, capsys):
    torch.save({"state_dict": Surprise()}, tmp_path / "w.pt")
    with pytest.raises(PublishedError, match="cannot be read as plain weights"):
        published.load(tmp_path / "w.pt", "resnet14", 10)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_damaged_files_are_refused(content, tmp_path):
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(PublishedError, match="cannot be read"):
        published.load(tmp_path / "w.pt", "resnet14", 10)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(PublishedError, match="no file"):
        published.load(tmp_path / "w.pt", "resnet14", 10)


@pytest.mark.parametrize("arch", ["resnet18", "vgg16", "resnet2", "resnet"])
def test_unknown_architectures_are_refused(arch):
    with pytest.raises(PublishedError, match="expected resnet20"):
        published.depth_of(arch)
