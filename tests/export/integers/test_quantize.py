"""Scale words, calibration, and an int8 network that stays near its float one."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export.float_network import FloatNetwork
from export.graph import Convolution, Image, walk
from export.integers.calibrate import Histogram, calibrate
from export.integers.integer import IntegerNetwork, requantize, requantize_sum
from export.integers.layers8 import scale_word
from export.integers.quantize import _rows, convolution, image_table, quantize
from hls import golden
from hls.errors import UserError
from hls.golden import maps as golden_maps
from tests.export.random_networks import MEAN, STD, VARIANTS, folded, normalise, quantised, random_images, random_model


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
    with pytest.raises(UserError, match="outside"):
        scale_word(ratio)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.integers(-(2**31), 2**31 - 1))
def test_requantize_is_the_golden_models(values, word):
    found = requantize(torch.tensor(values), word)
    assert found.tolist() == golden.requantize(np.array(values), np.array(word)).tolist()


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1), st.integers(-(2**31), 2**31 - 1))
def test_sums_saturate_as_the_golden_models(values, word):
    expected = golden_maps.requantize_sums(np.array(values), np.array(word)).tolist()
    assert requantize_sum(torch.tensor(values), word).tolist() == expected


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
@pytest.mark.parametrize("name", ["plain", "exits alone"])  # no gates, so that no decision can flip
def test_int8_logits_stay_near_the_floats(name, clip):
    case = VARIANTS[name]
    images, network = random_images(case, 32), folded(case)
    x = normalise(case, images)
    network8 = quantize(network, calibrate(network, [x]), case.mean, case.std, clip)
    expected, found = FloatNetwork(network)(x), IntegerNetwork(network8)(images)
    for one, other in zip(found.logits, expected.logits):
        error = one * network8.steps["logits"] - other
        assert error.square().mean().sqrt() < 0.05 * other.std()


@pytest.mark.parametrize("name", ["papers", "pooled, both masks", "mixed"])
def test_int8_follows_the_floats_where_the_gates_decide_alike(name):
    case = VARIANTS[name]
    images = random_images(case, 32)
    network8 = quantised(case, images)
    expected = FloatNetwork(network8.graph)(normalise(case, images))
    forced = {gate: decision.keep for gate, decision in expected.decisions.items()}
    found = IntegerNetwork(network8, forced=forced)(images)
    assert torch.equal(found.trace, expected.trace)
    for one, other in zip(found.logits, expected.logits):
        error = one * network8.steps["logits"] - other
        assert error.square().mean().sqrt() < 0.07 * other.std()


@pytest.mark.parametrize("name", VARIANTS)
def test_quantised_numbers_are_within_the_engines_ranges(name):
    network8 = quantised(VARIANTS[name], random_images(VARIANTS[name], 8))
    for node in walk(network8.graph.nodes):
        if isinstance(node, Convolution):
            conv = network8.numbers[node]
            assert np.abs(conv.weight).max() == 127
            assert conv.scale.dtype == np.int32 and (conv.scale >= 0).all()


@pytest.mark.parametrize("value", [3.0, -3.0])
def test_a_channel_of_nothing_but_its_bias_keeps_it(value):
    """Weights that batch norm has all but closed: the sum must not saturate before the bias is in it."""
    weight = np.array([[[[1e-9]]], [[[0.5]]]], np.float32)
    bias, image = np.array([value, 0.25], np.float32), Image("image", 1, (4, 4))
    conv = Convolution("conv", 2, (4, 4), True, x=image, weight=weight, bias=bias, stride=1, relu=False)
    conv8 = convolution(conv, 0.01, 0.05, relu=False)
    codes = torch.tensor([0, 100, 255])[:, None, None, None]
    sums = codes * torch.from_numpy(conv8.weight.astype(np.int64)).view(1, 2, 1, 1)
    found = requantize_sum(sums + torch.from_numpy(conv8.bias.astype(np.int64)).view(1, 2, 1, 1), conv8.scale)
    np.testing.assert_array_equal(found[:, 0].flatten().numpy(), [value / 0.05] * 3)
    np.testing.assert_array_equal(found[:, 1].flatten().numpy(), [5, 15, 31])


def test_a_skipped_units_images_have_no_say_in_its_ranges():
    case = VARIANTS["recurrent layers"]
    network, x = folded(case), normalise(case, random_images(case, 24))
    out = FloatNetwork(network)(x)
    gate = next(gate for gate, decision in out.decisions.items() if decision.keep.any() and not decision.keep.all())
    inner, keep = gate.body[0], out.decisions[gate].keep[:, 0]
    ranges = calibrate(network, [x])
    assert (
        ranges[inner].counts.sum() + ranges[inner].zeros == keep.sum() * inner.channels * inner.size[0] * inner.size[1]
    )


def test_dead_channels_and_units_are_no_trouble():
    case = VARIANTS["plain"]
    model = random_model(case)
    with torch.no_grad():
        unit = model.backbone.units[1]
        unit.conv1.weight.zero_()
        unit.bn1.weight.zero_()
        unit.bn1.bias.fill_(-1)  # the ReLU behind it never opens
        unit.bn2.bias.zero_()
        unit.bn2.running_mean.zero_()
    images = random_images(case, 8)
    network8 = quantised(case, images, model)
    found, expected = IntegerNetwork(network8)(images), FloatNetwork(network8.graph)(normalise(case, images))
    error = found.logits[-1] * network8.steps["logits"] - expected.logits[-1]
    assert error.square().mean().sqrt() < 0.05 * expected.logits[-1].std()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_refused(value):
    with pytest.raises(UserError, match="not finite"):
        Histogram().add(torch.tensor([1.0, value]))


def test_scales_that_do_not_fit_are_refused():
    case = VARIANTS["plain"]
    network = folded(case)
    ranges = calibrate(network, [normalise(case, random_images(case, 4))])
    next(histogram for node, histogram in ranges.items() if node.name == "units.0.conv1").maximum = 1e-12
    with pytest.raises(UserError, match="outside"):
        quantize(network, ranges, case.mean, case.std, "max")


def test_a_row_of_zeros_has_no_unit_and_stays_one():
    """A channel that was pruned, without weights and bias."""
    with np.errstate(all="raise"):
        rows, unit, bias = _rows(np.array([[0.0, 0.0], [0.5, -1.0]]), np.array([0.0, 0.25]))
    assert rows.tolist() == [[0, 0], [64, -127]] and bias.tolist() == [0, 32]
    assert unit.tolist() == [0, 1 / 127]
