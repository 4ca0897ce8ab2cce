"""Batches as a function of seed and step alone, augmentation, sizes that follow from the data."""

import numpy as np
import pytest
import torch

from hls.errors import UserError
from tests.training import toys
from training.data import Split, augment, mirror_chances


def split(n=40, seed=0):
    return toys.noise(n, 32, seed=seed)


def test_batches_depend_on_seed_and_step_alone():
    whole = list(split().batches(0, 12, 8, seed=3))
    late = list(split().batches(7, 12, 8, seed=3))
    for (images, labels), (again, labels_again) in zip(whole[7:], late, strict=True):
        assert torch.equal(images, again) and torch.equal(labels, labels_again)
    other = next(split().batches(0, 1, 8, seed=4))
    assert not torch.equal(whole[0][0], other[0])


def test_images_keep_their_labels():
    """Every image has its label's grey value, in training batches and in plain ones."""
    part = split(40)
    part.labels = torch.arange(40)
    part.images = (part.labels * 5).to(torch.uint8)[:, None, None, None].expand(40, 3, 32, 32).contiguous()
    for batches in (part.batches(0, 5, 8, seed=0), part.plain_batches(7)):
        for images, labels in batches:
            pixels = torch.round((images * part.std + part.mean) * 255)
            assert torch.equal(pixels, (labels * 5.0)[:, None, None, None].expand_as(pixels))


@pytest.mark.parametrize("limit, sizes", [(None, [16, 16, 8]), (20, [16, 4]), (16, [16]), (99, [16, 16, 8]), (0, [])])
def test_plain_batches_end_with_the_images(limit, sizes):
    assert [len(images) for images, _ in split(40).plain_batches(16, limit)] == sizes


def test_an_epoch_shows_every_image_once():
    part = split(40)
    part.labels = torch.arange(40)
    seen = torch.cat([labels for _, labels in part.batches(0, 5, 8, seed=0)])
    assert sorted(seen.tolist()) == list(range(40))


def test_crops_are_padded_by_reflection():
    """Outside of an image stands what stands as far inside, the border's own pixels once: 4 3 2 1 | 0 1 2 …"""
    side, pad = 9, 4
    row = torch.tensor([*range(pad, 0, -1), *range(side), *range(side - 2, side - 2 - pad, -1)])
    pixels = (torch.arange(side) + 10 * torch.arange(side)[:, None]).to(torch.uint8).expand(200, 3, side, side)
    crops = augment(pixels, np.random.default_rng(0), pad=pad, mirror=0.0)
    places = range(2 * pad + 1)
    shifted = {(y, x): row[x : x + side] + 10 * row[y : y + side, None] for y in places for x in places}
    found = [next(place for place, crop in shifted.items() if torch.equal(crop, image[0].long())) for image in crops]
    assert {y for y, _ in found} == {x for _, x in found} == set(places)


def test_augment_shifts_and_mirrors():
    pixels = torch.arange(32, dtype=torch.uint8).expand(64, 3, 32, 32)
    rows = augment(pixels, np.random.default_rng(0), pad=2, mirror=0.5)[:, 0, 16].int()
    middle = rows[:, 4:-4].diff(dim=1)
    rising, falling = (middle == 1).all(1), (middle == -1).all(1)
    assert (rising | falling).all() and rising.any() and falling.any()
    plain = augment(pixels, np.random.default_rng(0), pad=0, mirror=0.0)
    assert torch.equal(plain, pixels)


def test_alternate_images_show_both_sides_in_any_two_epochs():
    index = np.arange(1000)
    first, second, third = (mirror_chances(index, epoch, seed=3, alternate=True) for epoch in range(3))
    assert set(first) == {0.0, 1.0} and 0.4 < first.mean() < 0.6
    assert (first + second == 1).all() and (first == third).all()
    assert (mirror_chances(index, 0, seed=4, alternate=True) != first).any()
    assert (
        set(mirror_chances(index, 0, seed=3)) == {0.5}
        and not mirror_chances(index, 0, 3, flip=False, alternate=True).any()
    )


def test_a_run_alternates_where_its_recipe_says_so():
    part = split(16)
    part.labels, part.images = torch.arange(16), torch.arange(32, dtype=torch.uint8).expand(16, 3, 32, 32)
    rising = {}
    for images, labels in part.batches(0, 4, 8, 0, 0, alternate=True):  # two epochs
        for image, label in zip(images, labels.tolist(), strict=True):
            rising.setdefault(label, set()).add(bool(image[0, 0, 1] > image[0, 0, 0]))
    assert all(seen == {True, False} for seen in rising.values()) and len(rising) == 16


def test_normalise():
    part = split(1)
    value = part.images[0, 0, 0, 0].item()
    assert part.normalise(part.images)[0, 0, 0, 0].item() == pytest.approx((value / 255 - 0.5) / 0.25)


@pytest.mark.parametrize("labels", [[0, 1, 4], [-1, 0, 1], [3, 3, 3]])
def test_a_label_that_is_no_class_is_one_line(labels):
    images = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(UserError, match=rf"labels from {min(labels)} to {max(labels)} with 3 classes: expected 0 to 2"):
        Split.from_arrays(images, labels, *toys.STATISTICS, 3)
    assert Split.from_arrays(images, [0, 1, 2], *toys.STATISTICS, 3).classes == 3


def test_sizes_follow_from_the_data():
    part = toys.noise(4, size=12, classes=3)
    assert (part.size, part.channels, part.classes) == ((12, 12), 3, 3)
