"""Backbone, gates and exits together: Eq. 1-4, costs, subsets that are computed alone, decisions that are forced."""

import math

import pytest
import torch

from tests.training import toys
from training.backbones.densenet import densenet
from training.dynamic import LAYER, Dynamic, run_kept
from training.evaluate import evaluate
from training.exits import imagenet_positions, positions
from training.network import Network, NetworkError
from training.recipe import read
from training.units import ResidualUnit

SIZE = (16, 16)


def images(n=6, seed=0):
    return torch.randn(n, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def network(**options):
    torch.manual_seed(0)
    parts = {"backbone": {"kind": "resnet", "units": [2, 2]}, "layer_gates": {"kind": "pooled"}}
    parts |= {"channel_gates": {"kind": "pooled"}, "exits": {"after": [1]}}
    model = Network(**{name: part for name, part in (parts | options).items() if part}).build(5, 3, SIZE)
    for unit in model.backbone.units:  # not an identity, so that skipping shows
        torch.nn.init.ones_(unit.bn2.weight)
    return model.eval()


def constant(value):
    """Decisions that are the same for every image."""
    return lambda unit, mask, logits: torch.full_like(logits, value)


def test_skipped_units_pass_the_identity_and_cost_their_gate():
    model = network()
    out = model(images(), forced=constant(0.0))
    x = model.backbone.stem(images())
    for unit in model.backbone.units:
        x = unit.skip(x)
    assert torch.equal(out.logits[-1], model.backbone.head(x))
    gates = sum(gate.cost(SIZE) for gate in model.layer_gates.values())
    assert out.gate_flops.tolist() == [gates] * 6
    ends = model.backbone.stem.cost(SIZE) + model.backbone.head.cost(SIZE)
    assert out.flops[:, -1].tolist() == [ends + gates] * 6


def test_everything_kept_is_the_backbone_plus_gates():
    model = network()
    out = model(images(), forced=constant(1.0))
    assert torch.allclose(out.logits[-1], model.backbone(images()), atol=1e-6)
    own = sum(gate.cost(SIZE) for gate in model.layer_gates.values())
    own += sum(gate.gate.cost(SIZE) for gates in model.channel_gates.values() for gate in gates)
    assert out.flops[:, -1].tolist() == [model.backbone.cost(SIZE) + own] * 6


def test_ungated_is_the_backbone():
    model = network()
    out = model(images(), gated=False)
    assert torch.equal(out.logits[-1], model.backbone(images()))
    assert out.flops[:, -1].tolist() == [model.backbone.cost(SIZE)] * 6 and not out.decisions


def test_an_exits_flops_are_those_up_to_it_and_its_branch():
    model = network()
    out = model(images(), gated=False)
    units = sum(model.backbone.units[i].cost(SIZE) for i in (0, 1))
    assert out.flops[0, 0].item() == model.backbone.stem.cost(SIZE) + units + model.exits["1"].cost(SIZE)
    assert out.exits == [1] and len(out.logits) == 2


@pytest.mark.parametrize("masks", [["hidden"], ["hidden+residual"], ["hidden", "residual"]])
def test_each_image_gets_what_its_own_decisions_say(masks):
    """A batch gives what its images give one by one, whatever each decides."""
    model = network(channel_gates={"kind": "pooled", "masks": masks})
    for gate in model.gates():
        for norm in (m for m in gate.modules() if isinstance(m, torch.nn.BatchNorm1d)):
            norm.running_var.fill_(0.01)  # logits far from 0, of both signs
    whole = model(images())
    layers = torch.cat([d.keep for d in whole.decisions if d.mask == LAYER], 1)
    assert 0 < layers.mean() < 1
    for i in range(6):
        alone = model(images()[i : i + 1])
        assert torch.allclose(alone.logits[-1][0], whole.logits[-1][i], atol=1e-5)
        assert torch.equal(alone.flops[0], whole.flops[i])
    assert len({tuple(d.keep[0].tolist()) for d in whole.decisions}) > 1


def test_closed_images_are_not_computed():
    unit, x, seen = ResidualUnit(4, 4).eval(), torch.rand(5, 4, 8, 8), []
    unit.conv1.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    keep = torch.tensor([1.0, 0, 0, 1, 0])
    y = run_kept(unit, x, keep, {})
    assert torch.equal(run_kept(unit, x, torch.zeros(5), {}), unit.skip(x))
    assert seen == [2]
    assert torch.equal(y[1], unit.skip(x)[1]) and torch.allclose(y[3], unit.run(x)[3], atol=1e-6)


def test_cost_reaches_both_kinds_of_gates():
    model = network().train()
    model(images()).flops[:, -1].mean().backward()
    for gate in (model.layer_gates["1"], model.channel_gates["1"][0].gate):
        assert gate.shift.grad.min() > 0  # opening costs


def test_the_loss_reaches_a_layer_gate_through_kept_images():
    model = network().train()
    model(images()).logits[-1].square().sum().backward()
    assert model.layer_gates["1"].fc1.weight.grad.abs().sum() > 0


def test_units_left_out_pass_their_identity():
    model = network()
    out = model(images(), gated=False, left_out={1, 3})
    x = model.backbone.stem(images())
    for i, unit in enumerate(model.backbone.units):
        x = unit.skip(x) if i in (1, 3) else unit.run(x)
    assert torch.equal(out.logits[-1], model.backbone.head(x))


def test_emptied_units_are_counted():
    model = network()
    out = model(images(), forced=lambda unit, mask, logits: torch.full_like(logits, float(mask == LAYER)))
    assert all(bool(emptied.all()) for emptied in out.emptied) and len(out.emptied) == 4


@pytest.mark.parametrize(("bias", "empty"), [(-1e4, 2.0), (1e4, 0.0)])
def test_units_that_run_with_no_channel_open_are_told_by_image(bias, empty):
    gates = {"kind": "convolution", "bias": bias, "masks": ["hidden"], "base": 1}
    model = network(layer_gates={}, channel_gates=gates)
    assert len(model.channel_gates) == 2 and evaluate(model, toys.noise())["empty_units"] == empty


def test_exit_positions():
    """8 layers: the 2nd and the 6th, as in the paper's Fig. 5."""
    for units, expected in {2: [0, 1], 4: [0, 2], 8: [1, 5], 12: [2, 8]}.items():
        places = Network({"kind": "resnet", "units": [units, 2]}).build(10).backbone.places((32, 32))
        assert [i for i in positions(places) if i < units] == expected
        assert len(places) - 1 not in positions(places)  # the network's own output is there


def test_exit_positions_on_imagenet():
    """DenseNet-201 has 6, 12, 48 and 32 layers a block, and a transition before each but the first."""
    with torch.device("meta"):
        places = densenet(1000, depth=201, stem="imagenet").places((224, 224))
    stages = [i for i in range(1, len(places)) if places[i].stage != places[i - 1].stage]
    assert (stages, len(places)) == ([6, 19, 68], 101)
    assert imagenet_positions(places) == [3 - 1, 6 + 3 - 1, 19 + 37 - 1]
    built = read("training/recipes/papers/imagenet/densenet201-ddi.toml").network
    assert built.exits == {"after": "radi-imagenet"}
    small = Network({"kind": "densenet", "blocks": [4, 4, 4], "growth": 4}, exits=built.exits).build(10)
    assert sorted(map(int, small.exits)) == imagenet_positions(small.backbone.places((32, 32))) == [1, 4, 12]


def test_exits_as_on_imagenet_need_three_stages():
    with pytest.raises(NetworkError, match="need three stages, the network has 2"):
        Network({"kind": "resnet", "units": [2, 2]}, exits={"after": "radi-imagenet"}).build(10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer_gates": {"kind": "magic"}}, "kind = 'magic' in .network.layer_gates"),
        ({"layer_gates": {"kind": "pooled", "speed": 1}}, "unknown key 'speed' in .network.layer_gates"),
        ({"channel_gates": {"kind": "pooled", "masks": ["all"]}}, "masks = .'all'.*: expected one of"),
        (
            {"channel_gates": {"kind": "odd", "masks": ["hidden"]}},
            "kind = 'odd' in .network.channel_gates.: expected one",
        ),
        ({"layer_gates": {"kind": "odd"}}, "kind = 'odd' in .network.layer_gates.: expected one of"),
        ({"channel_gates": {"kind": "pooled", "rate": 2.0}}, "rate 2.0: expected a share"),
        ({"exits": {"after": [3]}}, "an exit after unit 3: expected 0 … 2"),
        ({"exits": {"before": [1]}}, "unknown key 'before'"),
        ({"exits": {"after": [1], "linear": [3]}}, "an exit after unit 3: expected 0 … 2"),
        ({"layer_gates": {"kind": "pooled", "base": [1, 1, 1]}}, "base = .1, 1, 1.: expected one number for each of 2"),
        ({"backbone": {"kind": "resnet", "depth": 9}}, "ResNet depth 9"),
        ({"backbone": {"kind": "resnet", "depth": "deep"}}, r"\[network.backbone\] cannot be built: .*'str' and 'int'"),
        ({"backbone": {"kind": "resnet", "units": [1], "width": "x"}}, "width = 'x' in .*: expected float"),
        ({"backbone": {"kind": "resnet", "units": [1], "width": math.nan}}, "width = nan in .*: expected float"),
        ({"backbone": {"kind": "resnet", "units": [1], "width": 0}}, "cannot be built: width 0: expected a factor"),
        ({"layer_gates": {"kind": "pooled", "rate": "x"}}, r"rate = 'x' in \[network.layer_gates\]: expected float"),
        ({"channel_gates": {"kind": "pooled", "pairs": 1}}, r"pairs = 1 in \[network.channel_gates\]: expected bool"),
        ({"layer_gates": {"kind": "pooled", "hidden": 0}}, "cannot be built: hidden 0: expected at least one feature"),
        ({"layer_gates": {"kind": "recurrent", "hidden": -1}}, r"\[network.layer_gates\] cannot be built"),
        ({"layer_gates": {"kind": "pooled", "base": "a"}}, "base = .* expected one number for each of 2"),
        ({"layer_gates": {"kind": "pooled", "base": -1}}, "base = .-1, -1.: expected one number for each of 2"),
        ({"exits": {"after": 3}}, "after = 3 in .network.exits.: expected a list of units' numbers"),
        ({"exits": {"after": [0.5]}}, "after = .0.5. in .network.exits.: expected a list of units' numbers"),
        ({"exits": {"linear": ["b"]}}, "linear = .'b'. in .network.exits.: expected a list of units' numbers"),
    ],
)
def test_impossible_networks_are_named(options, message):
    with pytest.raises(NetworkError, match=message):
        network(**options)


def test_a_list_says_how_many_units_of_each_stage_have_no_gate():
    model = network(layer_gates={"kind": "pooled", "base": [2, 1]})
    assert sorted(model.layer_gates) == ["3"]


def test_a_linear_exit_is_a_head_like_the_last():
    model = network(exits={"after": [0], "linear": [2]})
    assert list(model.exits) == ["0", "2"]
    model.exits["2"].load_state_dict(model.backbone.head.state_dict())
    out = model(images(), gated=False, left_out={3})
    assert torch.equal(out.logits[1], out.logits[-1]) and out.exits == [0, 2]
    assert model.exits["2"].cost((8, 8)) == model.backbone.head.cost((8, 8))


def test_projected_shortcuts_are_not_gated():
    model = network(backbone={"kind": "resnet", "units": [2, 2], "shortcut": "conv"})
    assert sorted(model.layer_gates) == ["0", "1", "3"]
    with pytest.raises(ValueError, match="unit 2 has a projected shortcut: there is no identity"):
        Dynamic(model.backbone, {2: model.layer_gates["1"]})


@pytest.mark.parametrize(("layer", "channel"), [("recurrent", "convolution"), ("recurrent", None), (None, "pooled")])
def test_every_mix_of_gates_runs(layer, channel):
    model = network(layer_gates=layer and {"kind": layer}, channel_gates=channel and {"kind": channel})
    out = model(images())
    assert torch.isfinite(out.flops).all() and len(out.decisions) == 4 * ((layer is not None) + (channel is not None))
