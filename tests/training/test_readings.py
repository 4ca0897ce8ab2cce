"""A network that is read otherwise than it was trained is found out by its training images, which tell how."""

import copy

import numpy as np
import pytest
import torch

from tests.export.random_networks import VARIANTS, random_images, random_model
from training.data import Split
from training.published import readings
from training.units import PadShortcut

MEAN, STD = (0.5, 0.45, 0.4), (0.25, 0.24, 0.26)
OWN = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)  # what the data set says of itself
CASE = VARIANTS["plain"]


def knowing(change=lambda backbone: None, mean=MEAN, std=STD):
    """A backbone, and images whose labels are what it says of them when changed so and under these statistics."""
    backbone = random_model(CASE).backbone
    right = copy.deepcopy(backbone)
    change(right)
    images = random_images(CASE, 96, 3)
    split = Split.from_arrays(images, np.zeros(len(images)), MEAN, STD, 10)
    x = (split.images.float() / 255 - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(std).view(1, 3, 1, 1)
    with torch.no_grad():
        logits = right(x)
        backbone.head.linear.bias -= logits.mean(0)  # so that all classes occur
        split.labels = (logits - logits.mean(0)).argmax(1)
    assert len(split.labels.unique()) >= 4
    return backbone, split


def behind(backbone):
    for unit in backbone.units:
        if isinstance(unit.shortcut, PadShortcut):
            unit.shortcut = PadShortcut(unit.in_channels, unit.out_channels, 2, 0)


def same_padding(backbone):
    for unit in backbone.units:
        if unit.stride == 2:
            conv = copy.deepcopy(unit.conv1)
            conv.padding = (0, 0)
            unit.conv1 = torch.nn.Sequential(torch.nn.ZeroPad2d((0, 1, 0, 1)), conv)


def test_the_right_reading_raises_no_doubt():
    backbone, split = knowing()
    assert readings.known(backbone, split, MEAN, STD) == 1
    assert readings.doubts(backbone, split, MEAN, STD, OWN) == []
    assert readings.out_of_range(MEAN, STD) == ""


@pytest.mark.parametrize(
    "change, statistics, given, message",
    [
        (behind, (MEAN, STD), (MEAN, STD), "100.0% with --shortcut behind"),
        (same_padding, (MEAN, STD), (MEAN, STD), "100.0% with zeros behind alone at stride 2 (TensorFlow's SAME)"),
        (lambda _: None, OWN, ((0.5,) * 3, (0.05,) * 3), "--mean 0.49,0.48,0.45 --std 0.25,0.24,0.26"),
        (lambda _: None, ((0.5,) * 3, (0.5,) * 3), ((0.0,) * 3, (0.05,) * 3), "--mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"),
    ],
    ids=["shortcut", "padding", "the data set's", "minus one to one"],
)
def test_another_reading_is_told_where_it_does_better(change, statistics, given, message):
    backbone, split = knowing(change, *statistics)
    (text,) = readings.doubts(backbone, split, *given, OWN)
    assert message in text and "of 96 training images are right in float" in text


def test_a_file_with_zeros_behind_is_told_to_have_them_on_both_sides():
    backbone, split = knowing()
    behind(backbone)
    (text,) = readings.doubts(backbone, split, MEAN, STD)
    assert "100.0% with --shortcut pad" in text


def test_a_network_of_other_images_is_doubted_without_a_remedy():
    backbone, split = knowing()
    split.labels = split.labels[torch.from_numpy(np.random.default_rng(0).permutation(len(split)))]
    (text,) = readings.doubts(backbone, split, MEAN, STD, OWN)
    assert "few for images that a network has learnt" in text


@pytest.mark.parametrize("size", [(32, 32), (17, 22), (9, 9)])
def test_padding_of_another_framework_is_behind(size):
    """ceil(side / 2), as TensorFlow's SAME has it: an odd zero goes behind."""
    backbone = random_model(CASE).backbone
    (same,) = [other for text, other in readings._structures(backbone) if "SAME" in text]
    conv, x = same.units[1].conv1, torch.zeros(1, 16, *size)
    x[0, 3, 0, 0] = 1
    y = conv(x)
    assert y.shape == (1, 32, -(-size[0] // 2), -(-size[1] // 2))
    rows, columns = (side % 2 for side in size)  # zeros before the first pixel: none where those behind are enough
    assert torch.equal(y[0, :, 0, 0], conv.conv.weight[:, 3, rows, columns])


def test_statistics_of_0_to_255_are_told_as_they_should_be():
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    assert readings.out_of_range(mean, std).endswith("--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225")
    wanted = tuple(value / 255 for value in mean), tuple(value / 255 for value in std)
    backbone, split = knowing(mean=wanted[0], std=wanted[1])
    (text,) = readings.doubts(backbone, split, mean, std, OWN)
    assert "100.0% with --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225" in text


@pytest.mark.parametrize(
    "mean, std", [((-3.0,) * 3, (1.0,) * 3), ((0.5,) * 3, (300.0,) * 3), ((1000.0,) * 3, (1.0,) * 3)]
)
def test_impossible_statistics_are_out_of_range(mean, std):
    assert "expected a mean from 0 to 1 and a std up to 1" in readings.out_of_range(mean, std)
