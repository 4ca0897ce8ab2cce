"""The static twin: equal FLOPs, the decisions kept most, statistics renewed; what never varies is pruned away."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.training import toys
from training.average import renew_statistics
from training.checkpoint import load_model
from training.dynamic import LAYER
from training.evaluate import Rates, summary
from training.network import Network
from training.prune import Skipped, apply, find_constant, keep_rates
from training.twin import retrain, right, static_twin

SIZE = (16, 16)


def network(seed=0, **options):
    torch.manual_seed(seed)
    parts = {"backbone": {"kind": "resnet", "units": [2, 3]}, "layer_gates": {"kind": "pooled", "base": 1}}
    model = Network(**parts | {"channel_gates": {"kind": "pooled"}} | options).build(2, 3, SIZE)
    for unit in model.backbone.units:
        torch.nn.init.ones_(unit.bn2.weight)
    return model.eval()


def rates_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = {(int(unit), LAYER): torch.rand(1, generator=generator) for unit in model.layer_gates}
    for unit, gates in model.channel_gates.items():
        for gate in gates:
            found[int(unit), gate.name] = torch.rand(len(gate.gate.shift), generator=generator)
    return found


@given(seed=st.integers(0, 99), share=st.floats(0.35, 1.0))
def test_a_twin_spends_what_it_may_and_no_more(seed, share):
    model = network()
    flops = share * model.backbone.cost(SIZE)
    twin = static_twin(model, rates_of(model, seed), flops, SIZE)
    assert 0.98 * flops < twin.cost(SIZE) <= flops


def test_a_twin_keeps_what_is_kept_most():
    model = network(channel_gates={})
    rates = {(unit, LAYER): torch.tensor([rate]) for unit, rate in ((1, 0.2), (3, 0.9), (4, 0.5))}
    units = [unit.cost(place.size) for unit, place in zip(model.backbone.units, model.backbone.places(SIZE))]
    flops = model.backbone.cost(SIZE) - units[1]
    assert sorted(static_twin(model, rates, flops, SIZE).keep) == [0, 2, 3, 4]
    fewer = static_twin(model, rates, flops - units[4], SIZE)
    assert sorted(fewer.keep) == [0, 2, 3]


def test_a_twin_of_less_than_what_no_gate_closes_drops_units_without_gates():
    model = network(layer_gates={"kind": "pooled", "base": [2, 2]}, channel_gates={})
    rates = {(4, LAYER): torch.tensor([1.0])}
    units = [unit.cost(place.size) for unit, place in zip(model.backbone.units, model.backbone.places(SIZE))]
    full = model.backbone.cost(SIZE)
    assert sorted(static_twin(model, rates, full - units[4], SIZE).keep) == [0, 1, 2, 3]
    assert sorted(static_twin(model, rates, full - units[4] - units[3], SIZE).keep) == [0, 1, 2]
    assert sorted(static_twin(model, rates, 1.0, SIZE).keep) == [0, 2]


def test_a_twin_with_everything_is_the_backbone():
    model = network()
    ones = {key: torch.ones_like(rate) for key, rate in rates_of(model).items()}
    twin = static_twin(model, ones, model.backbone.cost(SIZE), SIZE)
    images = torch.randn(3, 3, *SIZE)
    assert torch.allclose(twin.eval()(images), model.backbone(images), atol=1e-6)


def test_a_twin_is_a_copy_and_learns():
    model, split = network(), toys.stripes(256)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = static_twin(model, rates_of(model), 0.7 * model.backbone.cost(SIZE), SIZE)
    renew_statistics(twin, split, 8, 32)
    retrain(twin, split, 40, lr=0.05, size=32)
    hits, sure = right(twin, toys.stripes(256, seed=1))
    assert hits.mean() > 0.85 and 0.5 <= sure.min() <= sure.max() <= 1
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_renewed_statistics_are_those_of_the_data():
    model, split = network(), toys.stripes(64)
    images, _ = next(split.batches(0, 1, 64, seed=0))
    renew_statistics(model.backbone, split, 1, 64)
    found = model.backbone.stem.bn.running_mean
    assert torch.allclose(found, model.backbone.stem.conv(images).mean((0, 2, 3)), atol=1e-5)


# ---------------------------------------------------------------------------------------------------------- pruning
def fixed(model, unit, value):
    gate = model.layer_gates[str(unit)]
    with torch.no_grad():
        gate.shift.fill_(value)


def test_what_never_varies_is_found_and_goes():
    model, split = network(), toys.stripes(64)
    fixed(model, 1, -50.0)
    fixed(model, 3, 50.0)
    found = find_constant(model, split)
    assert 1 in found["closed"] and 3 in found["open"]
    images = split.normalise(split.images[:8])
    before = model(images)
    apply(model, found)
    after = model.eval()(images)
    assert torch.allclose(before.logits[-1], after.logits[-1], atol=1e-5)
    assert isinstance(model.backbone.units[1], Skipped) and "1" not in model.channel_gates
    assert (after.flops < before.flops).all()  # the gates' own cost is saved


def test_units_that_took_no_part_go_too():
    model, split = network(), toys.stripes(64)
    fixed(model, 1, 50.0)
    images = split.normalise(split.images[:8])
    with torch.no_grad():
        before = model.eval()(images, left_out={1})
        assert 1 in find_constant(model, split)["open"] and 1 in find_constant(model, split, left_out={1})["closed"]
        apply(model, {"closed": [1], "open": []})
        assert torch.equal(model.eval()(images).logits[-1], before.logits[-1])


def test_of_exits_that_read_one_map_the_first_is_kept():
    for closed, kept in (
        ([3], ["0", "2", "4"]),
        ([3, 4], ["0", "2"]),
        ([1, 2], ["0", "2", "3", "4"]),
        ([], list("0234")),
    ):
        model = network(backbone={"kind": "resnet", "units": [2, 4]}, exits={"after": [], "linear": [0, 2, 3, 4]})
        images = torch.randn(4, 3, *SIZE)
        apply(model, {"closed": closed, "open": []})
        assert list(model.exits) == kept
        assert len(model.eval()(images).logits) == len(kept) + 1


def test_a_file_with_weights_of_an_exit_that_went_is_read():
    """As they were written before such exits went."""
    plan = toys.plan(
        [toys.phase()], {"backbone": {"kind": "resnet", "units": [2, 4]}, "exits": {"after": [], "linear": [2, 3]}}
    )
    model = plan.network.build(2, 3, SIZE)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("backbone.units.3.")}
    assert any(name.startswith("exits.3.") for name in weights)
    state = {"recipe": plan.to_dict(), "model": weights, "pruned": [{"closed": [3], "open": []}]}
    assert list(load_model(state, 2, 3, SIZE).exits) == ["2"]


def test_keep_rates_count_channels_of_images_whose_unit_ran():
    model, split = network(), toys.stripes(64)
    rates = keep_rates(model, split)
    out = model(split.normalise(split.images))
    for decision in out.decisions:
        asked = decision.keep[decision.asked]
        expected = asked.double().mean(0) if len(asked) else torch.zeros(decision.keep.shape[1])
        assert rates[decision.unit, decision.mask].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_figures_count_dead_and_varying():
    rates = Rates()
    rates.kept = {
        (1, LAYER): torch.tensor([99.5]),
        (2, LAYER): torch.tensor([60.0]),
        (2, "hidden"): torch.tensor([1.0, 50, 89, 95]),
    }
    rates.asked = {key: torch.tensor(100) for key in rates.kept}
    figures = rates.figures()
    assert figures["dead_layer_gates"] == 0.5 and figures["varying_channels"] == 0.5


def test_an_evaluation_in_one_line():
    figures = {"accuracy_at": [0.5, 0.8125], "flops_at": [10_000_000, 31_600_000], "flops_spread": 0.146}
    bare = {"dead_layer_gates": None, "varying_channels": None}
    assert summary(figures | bare) == "0.500 at 10M, 0.812 at 32M (spread 0.15)"
    gates = {"dead_layer_gates": 0.25, "varying_channels": 0.5}
    expected = "0.500 at 10M, 0.812 at 32M (spread 0.15, 25% of layer gates dead, 50% of channels vary)"
    assert summary(figures | gates) == expected


def test_retraining_is_nesterov_with_decay_while_the_rate_falls():
    """A weight without a gradient moves by decay and momentum alone: Sutskever's formula, by hand."""

    class Still(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.tensor([4.0, -2.0]))

        def forward(self, images):
            return 0 * self.weight.expand(len(images), 2)

    model, value, speed = Still(), 4.0, 0.0
    retrain(model, toys.stripes(64), 30, lr=0.5, size=32)
    for step in range(30):
        push = 5e-4 * value
        speed = 0.9 * speed + push
        value -= 0.5 * min(1, (step + 1) / 20) * (1 - step / 30) * (push + 0.9 * speed)
    assert model.weight.tolist() == pytest.approx([value, -value / 2], rel=1e-5) and value < 3.99
