"""PyTorch modules, as torchvision shapes them, through torch's exporter."""

import numpy as np
import pytest
import torch
from torch import nn

import export
from export.float_network import FloatNetwork
from export.onnx_reader.module import to_onnx
from export.onnx_reader.reading import read
from hls.errors import UserError
from tests.export.onnx_reader.modules import Bottleneck, Long, ResNet, liven, resnet18
from training.backbones.resnet import resnet

MEAN, STD = (0.5,) * 3, (0.25,) * 3


def labelled(model, count, size, seed=0):
    """Random images and what the module itself calls them."""
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3)).astype(np.uint8)
    x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        return images, x, model(x)


def test_a_resnet18_of_torchvision_becomes_a_package():
    model = liven(resnet18(width=8))
    images, _, logits = labelled(model, 24, 64)
    package = export.from_module(model, torch.zeros(1, 3, 64, 64), (images, logits.argmax(1)), MEAN, STD)
    assert package.image_shape == (64, 64, 3) and package.meta["accuracy"]["float"] == [1.0]
    assert package.meta["accuracy"]["int8"][0] >= 0.9
    assert len(package.meta["classes"]) == 10 and package.meta["training"]["imported"] == type(model).__name__


def test_weights_that_a_lane_cannot_hold_are_added_up_in_parts():
    torch.manual_seed(1)
    model = Long().eval()
    images, x, _ = labelled(model, 64, 8)
    with torch.no_grad():
        model.head.bias.sub_(model(x).mean(0))  # so that all five classes are told
        logits = model(x)
    network = read(to_onnx(model, torch.zeros(1, 3, 8, 8)), MEAN, STD, "long").network
    parts = [node for node in network.nodes if getattr(node, "add", None) is not None and node.weight.shape[-1] == 3]
    assert [node.x.channels for node in parts] == [455, 90]
    assert [(node.relu, node.signed) for node in parts] == [(False, True), (False, True)]  # the short one ends the sum
    np.testing.assert_allclose(FloatNetwork(network)(x).logits[-1].numpy(), logits.numpy(), atol=1e-4)
    package = export.from_module(model, torch.zeros(1, 3, 8, 8), (images, logits.argmax(1)), MEAN, STD)
    assert package.meta["accuracy"]["float"] == [1.0] and package.meta["accuracy"]["int8"][0] >= 0.85


def test_bottlenecks():
    model = liven(ResNet(Bottleneck, (1, 1, 1, 1), 4, 10))
    _, x, logits = labelled(model, 2, 64)
    network = read(to_onnx(model, torch.zeros(1, 3, 64, 64)), MEAN, STD, "bottlenecks").network
    sums = [node for node in network.nodes if getattr(node, "add", None) is not None]
    assert len(sums) == 4 and all(node.relu for node in sums)  # each is a convolution's own
    np.testing.assert_allclose(FloatNetwork(network)(x).logits[-1].numpy(), logits.numpy(), atol=1e-3)


def test_a_cifar_resnet_whose_shortcuts_take_every_second_pixel():
    """The exporter writes x[:, :, ::2, ::2] as two Slices, one an axis."""
    model = liven(resnet(10, 8, in_channels=3, shortcut="pad"))
    exported = to_onnx(model, torch.zeros(1, 3, 32, 32))
    assert sum(node.op_type == "Slice" for node in exported.graph.node) >= 4
    network = read(exported, MEAN, STD, "resnet8").network
    _, x, logits = labelled(model, 4, 32)
    np.testing.assert_allclose(FloatNetwork(network)(x).logits[-1].numpy(), logits.numpy(), atol=1e-3)


class Sliced(nn.Module):
    """Slices of both axes in a row, and what reads what one of them gives."""

    def __init__(self, rows, columns, again=None):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 5)
        self.rows, self.columns, self.again = rows, columns, again

    def forward(self, x):
        x = self.conv(x)[:, :, :: self.rows][:, :, :, :: self.columns]
        x = x if self.again is None else x[:, :, :: self.again]
        return self.fc(x.mean((2, 3)))


def test_slices_that_do_not_go_together():
    exported = to_onnx(liven(Sliced(2, 2)), torch.zeros(1, 3, 16, 16))
    assert read(exported, MEAN, STD).network.classes == 5
    for model in (Sliced(2, 1), Sliced(2, 3), Sliced(2, 2, 2)):  # the last: a pair, then a half of another one
        exported = to_onnx(liven(model), torch.zeros(1, 3, 16, 16))
        with pytest.raises(UserError, match=r"\(Slice\): .* pixels from the first on, all or every second one"):
            read(exported, MEAN, STD)


def test_a_module_that_cannot_be_exported_is_one_line():
    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match="torch cannot export the module to ONNX") as raised:
        to_onnx(Branch(), torch.zeros(1, 3, 8, 8))
    assert "\n" not in str(raised.value)


def test_data_that_does_not_fit_is_refused():
    with pytest.raises(UserError, match=r"data has float64 \(4, 8, 8, 1\) and 4 labels: expected uint8"):
        export.from_module(nn.Flatten(), torch.zeros(1, 1, 8, 8), (np.zeros((4, 8, 8, 1)), np.zeros(4)), (0.5,), (0.5,))
