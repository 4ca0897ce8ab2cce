"""Controls: decisions replayed, fixed and exchanged; a paired test by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training import toys
from training import controls
from training.network import Network


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    made = Network({"kind": "resnet", "units": [2, 2]}, **toys.GATES).build(2, 3, (16, 16)).eval()
    for unit in made.backbone.units:
        torch.nn.init.ones_(unit.bn2.weight)
    return made


def test_own_decisions_replayed_change_nothing(model):
    split = toys.stripes(64)
    hits, flops, keep = controls.record(model, split)
    again, cost = controls.replay(model, split, keep)
    assert np.array_equal(hits, again) and np.array_equal(flops, cost)


def test_own_decisions_are_those_above_nothing(model):
    split = toys.stripes(64)
    _, flops, keep = controls.record(model, split)
    with torch.no_grad():
        free = model(split.normalise(split.images), with_exits=False)
    assert np.array_equal(flops, free.flops[:, -1].numpy())
    assert all(torch.equal(decision.keep, keep[decision.unit, decision.mask]) for decision in free.decisions)


def test_a_higher_threshold_spends_what_was_asked_for(model):
    split = toys.stripes(64)
    most, least = (controls.record(model, split, at)[1].mean() for at in (0.0, 8.0))
    assert least < most
    assert controls.higher(model, split, most) == 0.0
    wanted = (least + most) / 2
    found = controls.higher(model, split, wanted)
    step = 8.0 / 2**controls.HALVINGS
    assert (
        controls.record(model, split, found)[1].mean() <= wanted < controls.record(model, split, found - step)[1].mean()
    )


def test_majority_is_one_decision_for_all(model):
    split = toys.stripes(64)
    _, _, keep = controls.record(model, split)
    fixed = controls.majority({key: decisions.mean(0) for key, decisions in keep.items()})
    _, flops = controls.replay(model, split, fixed)
    assert len(set(flops.tolist())) == 1


@given(st.lists(st.integers(0, 3), min_size=8, max_size=40))
def test_exchanged_decisions_are_a_permutation_within_a_class(labels):
    labels = np.array(labels)
    keep = {(0, "layer"): torch.arange(len(labels), dtype=torch.float)[:, None]}
    anyone = controls.exchanged(keep)[0, "layer"][:, 0].numpy().astype(int)
    assert sorted(anyone) == list(range(len(labels))) and (anyone != np.arange(len(labels))).all()
    same = controls.exchanged(keep, labels)[0, "layer"][:, 0].numpy().astype(int)
    assert sorted(same) == list(range(len(labels))) and np.array_equal(labels[same], labels)


def test_paired_p_by_hand():
    hits, others = np.array([True] * 5 + [False] * 95), np.zeros(100, bool)
    assert controls.paired_p(hits, others) == pytest.approx(2 * 0.5**5)
    assert controls.paired_p(hits, hits) == 1.0
    hits, others = np.arange(100) < 20, np.arange(100) >= 90  # 20 against 10
    tail = sum(math.comb(30, k) for k in range(11)) / 2**30
    assert controls.paired_p(hits, others) == pytest.approx(2 * tail)


def test_pixels_alone_learn_what_a_line_separates():
    accuracy, flops = controls.pixels_alone(toys.stripes(512), toys.stripes(256, seed=1), epochs=20)
    assert accuracy > 0.8 and flops == 2 * 3 * 16 * 16 * 2
