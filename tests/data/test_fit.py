"""Fitting pictures: against Pillow's own resize, by hand on small ones, and exactly the same everywhere."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import DataError
from data.fit import ONE, Fit, _weights, as_channels, rule_of, scale

Image = pytest.importorskip("PIL.Image")
SIDES = st.integers(1, 90)


@settings(max_examples=40)
@given(SIDES, SIDES, st.integers(8, 70), st.integers(8, 70), st.sampled_from([1, 3]), st.integers(0, 99))
def test_scaling_is_pillows_bilinear_to_one_step(height, width, rows, columns, channels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    shown = Image.fromarray(pixels.squeeze(-1) if channels == 1 else pixels)
    expected = np.asarray(shown.resize((columns, rows), Image.Resampling.BILINEAR)).reshape(rows, columns, channels)
    assert abs(scale(pixels, (rows, columns)).astype(int) - expected).max() <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_scaling_is_exact_and_rounds_half_up_once(height, width, seed):
    """The same sums in Python's whole numbers, which know no rounding."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 1), dtype=np.uint8)
    rows, columns = (_weights(side, 9).astype(int).astype(object) for side in (height, width))
    sums = rows @ pixels[..., 0].astype(object) @ columns.T
    assert scale(pixels, (9, 9))[..., 0].tolist() == ((2 * sums + ONE**2) // (2 * ONE**2)).tolist()


@given(SIDES, SIDES)
def test_weights_are_whole_and_sum_up_to_one(before, after):
    weights = _weights(before, after)
    assert (weights == np.round(weights)).all() and (weights.sum(1) == ONE).all() and (weights >= 0).all()


@pytest.mark.parametrize("value", [0, 1, 127, 254, 255])
def test_a_plain_picture_stays_as_it_is(value):
    assert (scale(np.full((300, 17, 3), value, np.uint8), (64, 64)) == value).all()


def picture(height, width):
    """Columns numbered from the left in one channel, rows in another."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, 0 * x + 7], -1).astype(np.uint8)


def test_crop_takes_the_middle():
    found = Fit((8, 8), 3, "crop").apply(picture(8, 20))
    assert found[0, :, 0].tolist() == list(range(6, 14)) and found[:, 0, 1].tolist() == list(range(8))
    assert Fit((8, 16), 3, "crop").apply(picture(32, 32)).shape == (8, 16, 3)


def test_pad_keeps_all_of_it_between_black():
    found = Fit((16, 16), 3, "pad").apply(picture(8, 16))
    assert not found[:4].any() and not found[12:].any() and (found[4:12] == picture(8, 16)).all()
    assert Fit((8, 8), 3, "pad").apply(picture(200, 1)).shape == (8, 8, 3)


def test_stretch_takes_all_of_it():
    found = Fit((8, 8), 3, "stretch").apply(picture(16, 32))
    assert found[0, 0, 0] < 3 and found[0, -1, 0] > 28 and found[-1, 0, 1] > 13


def test_none_takes_only_its_size():
    assert (Fit((9, 11), 3, "none").apply(picture(9, 11)) == picture(9, 11)).all()
    with pytest.raises(DataError, match=r"cat.png is 11 × 9, expected 9 × 11: .* rule"):
        Fit((9, 11), 3, "none").apply(picture(11, 9), "cat.png")


def test_grey_and_colour():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    assert as_channels(rgb, 1)[0, :, 0].tolist() == [76, 150, 29, 255]  # ITU-R BT.601
    assert as_channels(rgb[..., :1], 3).shape == (1, 4, 3) and as_channels(rgb, 3) is rgb
    assert Fit((8, 8), 1, "crop").apply(picture(8, 8)).shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("size", "channels", "how", "expected"),
    [
        ((7, 64), 3, "crop", "each 8 to 256"),
        ((64, 257), 3, "crop", "each 8 to 256"),
        ((64,), 3, "crop", "height, width"),
        ((64.0, 64), 3, "crop", "size"),
        ((True, 64), 3, "crop", "size"),
        ((64, 64), 2, "crop", "1 .grey. or 3"),
        ((64, 64), 3, "zoom", "expected one of crop"),
    ],
)
def test_rules_that_are_none(size, channels, how, expected):
    with pytest.raises(DataError, match=expected):
        Fit(size, channels, how)


def test_the_rule_of_a_package():
    package = SimpleNamespace(image_shape=(32, 48, 1), own_images={})
    assert rule_of(package) == Fit((32, 48), 1, "crop")
    package.own_images = {"fit": "pad"}
    assert rule_of(package).how == "pad"
