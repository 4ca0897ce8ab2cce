"""Folding keeps the network: the same decisions, logits within float rounding."""

import pytest
import torch

from export import fold
from tests.export.random_networks import VARIANTS, network_of, normalise, random_images, random_model


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_folded_network_equals_the_model(variant):
    model = random_model(network_of(variant))
    x = normalise(random_images(24))
    with torch.no_grad():
        expected = model(x)
    found = fold.forward(fold.fold(model), x)
    assert len(found.logits) == len(expected.logits)
    for one, other in zip(found.logits, expected.logits):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    if model.network.layer_gates:
        assert torch.equal(found.layer_keep, expected.layer_keep.bool())
        assert 0.1 < found.layer_keep.float().mean() < 0.9, "the test's gates should decide both ways"
    for one, other in zip(found.channel_keep, expected.channel_keep):
        assert torch.equal(one, other.bool())
        assert 0.1 < one.float().mean() < 0.9


def test_observer_sees_only_what_is_computed():
    model = random_model(network_of(VARIANTS[0]))
    seen = {}

    def observe(name, values):
        seen.setdefault(name, []).append(len(values))

    out = fold.forward(fold.fold(model), normalise(random_images(24)), observe)
    for i in range(3):
        assert seen[f"block{i}.mid"] == [int(out.layer_keep[:, i].sum())]
    assert {"stage0", "stage1", "stage2", "embed", "logits", "block0.gate", "block0.exit0"} <= set(seen)


def test_fold_leaves_the_model_alone():
    model = random_model(network_of(VARIANTS[0]))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fold.fold(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
