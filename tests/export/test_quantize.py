"""Scale words, calibration, and an int8 network that stays near its float one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export import fold, quantize
from export.calibrate import Histogram, calibrate
from export.integer import IntegerNetwork, requantize
from export.layers8 import QuantizeError, scale_word
from export.quantize import image_table
from hls import golden
from tests.export.random_networks import (
    MEAN,
    STD,
    VARIANTS,
    network_of,
    normalise,
    quantised,
    random_images,
    random_model,
)


def value_of(word):
    return (word & 0xFFFF) / 2.0 ** (word >> 16 & 0x3F)


@given(st.floats(2.0**-47, 65535))
def test_scale_word_is_within_2_to_the_minus_16(ratio):
    assert abs(value_of(scale_word(ratio)) - ratio) <= ratio * 2**-16


@pytest.mark.parametrize("ratio, word", [(0, 0), (65535, 65535), (0.5, 32768 | 16 << 16), (1.0, 32768 | 15 << 16)])
def test_scale_word_cases(ratio, word):
    assert scale_word(ratio) == word


@pytest.mark.parametrize("ratio", [-1, 65536, float("nan"), float("inf")])
def test_scale_word_refuses(ratio):
    with pytest.raises(QuantizeError, match="outside"):
        scale_word(ratio)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.integers(-(2**31), 2**31 - 1))
def test_requantize_is_the_golden_models(values, word):
    found = requantize(torch.tensor(values), word)
    assert found.tolist() == golden.requantize(np.array(values), np.array(word)).tolist()


def test_image_table_is_near_the_normalised_pixels():
    scale, table = image_table(MEAN, STD)
    pixels = np.arange(256) / 255
    for c in range(3):
        error = table[c] * scale - (pixels - MEAN[c]) / STD[c]
        assert np.abs(error).max() <= scale / 2 * 1.0001
    assert table.min() >= -127


def test_histogram_grows_with_its_values():
    histogram = Histogram()
    values = torch.tensor([0.0, 0.001, 0.5, -3.0, 1000.0])
    for value in values:
        histogram.add(value[None])
    assert (histogram.zeros, histogram.counts.sum(), histogram.maximum) == (1, 4, 1000.0)
    assert histogram.percentile(1.0) == 1000.0


def test_best_clip_cuts_a_lone_outlier():
    histogram = Histogram()
    histogram.add(torch.rand(100_000, generator=torch.Generator().manual_seed(0)))
    histogram.add(torch.tensor([1.2]))
    assert 0.98 < histogram.best_clip(255) < 1.15


def test_a_quantity_never_seen_has_a_usable_clip():
    histogram = Histogram()
    histogram.add(torch.zeros(5))
    assert histogram.best_clip(255) == 1.0


@pytest.mark.parametrize("clip", ["mse", "max", 0.9999])
def test_int8_logits_stay_near_the_floats(clip):
    model = random_model(network_of(VARIANTS[6]))  # no gates, so that no decision can flip
    images, network = random_images(32), fold.fold(model)
    x = normalise(images)
    network8 = quantize.quantize(network, calibrate(network, [x]), MEAN, STD, clip)
    expected, found = fold.forward(network, x), IntegerNetwork(network8)(images)
    for one, other in zip(found.logits, expected.logits):
        error = one * network8.scales["logits"] - other
        assert error.square().mean().sqrt() < 0.05 * other.std()


def test_quantised_numbers_are_within_the_engines_ranges():
    network8 = quantised(random_model(network_of(VARIANTS[0])), random_images(16))
    for block in network8.blocks:
        for conv in (block.conv1, block.conv2, block.channel_gate.conv):
            assert np.abs(conv.weight).max() == 127
            assert conv.scale.dtype == np.int32 and (conv.scale >= 0).all()


def test_dead_channels_and_blocks_are_no_trouble():
    model = random_model(network_of(VARIANTS[7]))
    with torch.no_grad():
        block = model.layer2[0]
        block.conv1.weight.zero_()
        block.bn1.weight.zero_()
        block.bn1.bias.fill_(-1)  # the ReLU behind it never opens
        block.bn2.bias.zero_()
        block.bn2.running_mean.zero_()
    images = random_images(8)
    out = IntegerNetwork(quantised(model, images))(images)
    assert len(out.logits[-1].unique()) > 10


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    model = random_model(network_of(VARIANTS[7]))
    with torch.no_grad():
        model.conv1.weight[0, 0, 0, 0] = value
    with pytest.raises(fold.FoldError, match="not finite"):
        fold.fold(model)
    with pytest.raises(fold.FoldError, match="not finite"):
        Histogram().add(torch.tensor([1.0, value]))


def test_scales_that_do_not_fit_are_refused():
    model = random_model(network_of(VARIANTS[7]))
    network = fold.fold(model)
    ranges = calibrate(network, [normalise(random_images(4))])
    ranges["block0.mid"].maximum = 1e-12
    with pytest.raises(QuantizeError, match="outside"):
        quantize.quantize(network, ranges, MEAN, STD, "max")
