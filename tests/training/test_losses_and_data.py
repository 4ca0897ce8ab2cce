"""The objective's parts, and batches as a function of seed and step alone."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training import losses
from training.data import Split, augment
from training.loop import learning_rate
from training.recipe import Stage

STATISTICS = ((0.5,) * 3, (0.25,) * 3)


def split(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return Split.from_arrays(rng.integers(1, 256, (n, 32, 32, 3), np.uint8), rng.integers(0, 10, n), *STATISTICS)


@given(share=st.floats(0, 2), target=st.floats(0, 1), alpha=st.floats(1e-6, 1), gain=st.floats(0, 10))
def test_alpha_follows_the_target(share, target, alpha, gain):
    value = losses.alpha_at(share, target, alpha, gain)
    assert abs(value) <= alpha
    assert value * (share - target) >= 0  # positive while too much runs, negative while too little does


def test_paper_rule_is_a_constant_push():
    assert losses.alpha_at(0.9, 0.4, 2e-4, 0) == 2e-4
    assert losses.alpha_at(0.3, 0.4, 2e-4, 0) == -2e-4


def test_target_falls_from_full_cost():
    assert [losses.target_at(progress, 1.0, 0.4, 0.5) for progress in (0, 0.25, 0.5, 1)] == pytest.approx(
        [1, 0.7, 0.4, 0.4]
    )


def test_classification_loss_is_the_plain_sum():
    logits = [torch.randn(4, 10, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    labels = torch.tensor([1, 2, 3, 4])
    parts = [losses.classification_loss([item], labels) for item in logits]
    assert torch.isclose(losses.classification_loss(logits, labels), sum(parts))


def test_learning_rates():
    cosine = Stage("joint", 100, 0.1, warmup=10)
    assert learning_rate(cosine, 0) == pytest.approx(0.01)
    assert learning_rate(cosine, 10) == pytest.approx(0.1)
    assert learning_rate(cosine, 99) < 1e-4
    step = Stage("joint", 100, 0.1, schedule="step")
    assert [learning_rate(step, i) for i in (0, 49, 50, 75)] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_batches_depend_on_seed_and_step_alone():
    whole = list(split().batches(0, 12, 8, seed=3))
    late = list(split().batches(7, 12, 8, seed=3))
    for (images, labels), (again, labels_again) in zip(whole[7:], late, strict=True):
        assert torch.equal(images, again) and torch.equal(labels, labels_again)
    other = next(split().batches(0, 1, 8, seed=4))
    assert not torch.equal(whole[0][0], other[0])


def test_an_epoch_shows_every_image_once():
    part = split(40)
    part.labels = torch.arange(40)
    seen = torch.cat([labels for _, labels in part.batches(0, 5, 8, seed=0)])
    assert sorted(seen.tolist()) == list(range(40))


def test_crops_are_padded_by_reflection():
    """No pixel of the images is 0, so a black border would show."""
    pixels = split().images
    assert augment(pixels, np.random.default_rng(0), pad=4, flip=True).min() > 0


def test_augment_shifts_and_mirrors():
    pixels = torch.arange(32, dtype=torch.uint8).expand(64, 3, 32, 32)
    rows = augment(pixels, np.random.default_rng(0), pad=2, flip=True)[:, 0, 16].int()
    middle = rows[:, 4:-4].diff(dim=1)
    rising, falling = (middle == 1).all(1), (middle == -1).all(1)
    assert (rising | falling).all() and rising.any() and falling.any()
    plain = augment(pixels, np.random.default_rng(0), pad=0, flip=False)
    assert torch.equal(plain, pixels)


def test_normalise():
    part = split(1)
    value = part.images[0, 0, 0, 0].item()
    assert part.normalise(part.images)[0, 0, 0, 0].item() == pytest.approx((value / 255 - 0.5) / 0.25)
