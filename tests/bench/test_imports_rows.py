"""The benchmark of imports: what it says of networks that are read well, and of those that are not."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch

from bench import __main__ as command
from bench.networks.onnx_writer import Writer
from bench.published import given, imports
from bench.published.expected import points_lost, probabilities
from bench.published.imports import File, fitted
from data.datasets import load_sample
from data.sets import DATASETS
from export.graph import Convolution
from export.onnx_reader import emit
from hls.errors import UserError
from training.backbones.resnet import resnet
from training.data import Split

SET = DATASETS["fashion-mnist"]


def test_points_lost_by_hand():
    """10 images, 8 of class 0, each said to be of it by 0.8: whoever says 1 for half of them loses 0.6 there."""
    logits, labels = np.log(np.tile([0.8, 0.2], (10, 1))), np.array([0] * 8 + [1] * 2)
    assert probabilities(3 * logits, labels) == pytest.approx(np.exp(logits), abs=0.02)  # the factor is found
    expected, found = np.zeros(10, int), np.array([1] * 5 + [0] * 5)
    assert points_lost(logits, expected, found, labels) == pytest.approx((30, 1.96 * 30 / 10**0.5))
    assert points_lost(logits, found, expected, labels)[0] == pytest.approx(-30)
    assert points_lost(logits, expected, expected, labels) == (0, 0)


class Kept:
    """Rows that are only kept."""

    def __init__(self):
        self.values = {}

    def add(self, name, value, *rest, **more):
        self.values[name.split(".")[-1]] = value


def splits(count=150):
    images, labels = load_sample()
    parts = (slice(count), slice(count, 2 * count))
    return [Split.from_arrays(images[part], labels[part], SET.mean, SET.std, 10) for part in parts]


def small():
    """A File of two convolutions whose last layer is fitted."""
    writer = Writer(size=(32, 32))
    x = writer.relu(writer.norm(writer.conv("image", 12, 3, 2)))
    x = writer.mean(writer.relu(writer.norm(writer.conv(x, 24, 3, 2))))
    train = splits()[0]
    values = train.normalise(train.images).contiguous().numpy()
    imports.settle(writer, values[:32])
    return File("small", fitted(writer, x, values, train.labels.numpy()), SET.mean, SET.std)


def measured(tmp_path, file=None):
    rows = Kept()
    imports.measure(rows, file or small(), SET.name, splits(), tmp_path)
    return rows.values


def test_probabilities_are_compared_as_the_logits_behind_them():
    logits = np.random.default_rng(0).normal(0, 3, (20, 10))
    behind = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    for outputs in (logits, logits + 5, behind):
        assert np.allclose(imports.as_logits(outputs), logits - logits.mean(1, keepdims=True), atol=1e-6)


def test_a_network_that_is_read_well(tmp_path):
    found = measured(tmp_path)
    assert set(found) == {"float_distance", "points_lost", "labels_agree", "seconds", "processor_seconds"}
    assert found["float_distance"] < 1e-4 and 0 <= found["points_lost"] < 0.3 and found["labels_agree"] > 0.9
    trained = measured(tmp_path, small()._replace(trained=True))
    assert trained["int8_minus_onnxruntime"] == pytest.approx(
        100 * (trained["int8_accuracy"] - trained["onnxruntime_accuracy"])
    )


def without_a_bias(fields):
    return {"bias": fields["bias"] * (np.arange(len(fields["bias"])) != 3)}


def moved_by_a_pixel(fields):
    return {"weight": np.roll(fields["weight"], 1, axis=3)}


def one_weight_off(fields):
    weight = fields["weight"].copy()
    weight[0, 0, 1, 1] *= 1.1
    return {"weight": weight}


@pytest.mark.parametrize(
    ("fault", "costs"), [(without_a_bias, False), (one_weight_off, False), (moved_by_a_pixel, True)]
)
def test_a_network_that_is_read_wrongly_misses_its_targets(tmp_path, monkeypatch, fault, costs):
    """The smallest faults are seen in float alone; a kernel off its centre costs points too."""
    file, made = small(), Convolution.__init__

    def broken(self, *arguments, **fields):
        made(self, *arguments, **fields)
        if self.channels == 24:
            for name, value in fault(vars(self)).items():
                object.__setattr__(self, name, value.astype(np.float32))

    monkeypatch.setattr(emit.graph.Convolution, "__init__", broken)
    found = measured(tmp_path, file)
    assert found["float_distance"] > 2e-3 and (found["points_lost"] > 0.3 or not costs)


# ----------------------------------------------------------------------------------------------- files that are given
NAMES = {"stem.conv": "conv1", "stem.bn": "bn1", "head.linear": "linear"}
NAMES |= {f"units.{i}": f"layer{i + 1}.0" for i in range(3)}


def test_trained_files(tmp_path):
    torch.manual_seed(0)
    backbone = resnet(10, 8, in_channels=3)
    weights = {}
    for name, value in backbone.state_dict().items():
        for own, usual in NAMES.items():
            name = name.replace(own, usual)
        weights[name] = value
    torch.save(weights, tmp_path / "resnet8-1a2b.th")
    onnx.save(small().model, tmp_path / "small.onnx")
    one, other = given.read_all([tmp_path / "resnet8-1a2b.th", tmp_path / "small.onnx"], 10)
    assert (one.name, one.size, other.name, other.size) == ("resnet8-1a2b", (32, 32), "small", (32, 32))
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert given.run_onnx(one.model, x.numpy()) == pytest.approx(backbone.eval()(x).numpy(), abs=1e-4)
    with pytest.raises(UserError, match="called after their network"):
        given.read_all([tmp_path / "mine.pt"], 10)


def test_the_way_that_knows_the_images_best():
    split, file = splits()[0], small()
    split.images = torch.cat([split.images] * 2)
    split.labels = torch.cat([split.labels] * 2)
    assert given.normalisation(file.model, split, SET) == (SET.mean, SET.std)


def test_files_need_their_data(tmp_path):
    with pytest.raises(UserError, match="give --data cifar10=DIR"):
        list(imports._given(["a.onnx"], None, SET))


def test_a_command_is_kept_without_this_machines_paths():
    options = SimpleNamespace(out="runs/papers", data=["cifar10=/x/y"], files=["/x/resnet20.th"], json=None)
    argv = ["imports", "--data", "cifar10=/x/y", "--files", "/x/resnet20.th"]
    assert command._shown(argv, options) == ["imports", "--data", "cifar10=DIR", "--files", "resnet20.th"]
