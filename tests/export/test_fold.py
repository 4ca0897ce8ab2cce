"""Folding keeps the network: the same decisions, logits within float rounding; what the engine lacks is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from export.float_network import FloatNetwork
from export.graph import ChannelGate, Exit, LayerGate, Mean, readers_of, walk
from hls import isa
from hls.errors import UserError
from tests.export.random_networks import VARIANTS, Case, folded, normalise, random_case, random_images, random_model
from training.gates.grouped import GroupedConvolution

IDS = list(VARIANTS)


def check_logits(case, images):
    model = random_model(case)
    x = normalise(case, images)
    with torch.no_grad():
        expected = model(x)
    found = FloatNetwork(folded(case, model))(x)
    assert len(found.logits) == len(expected.logits) == len(model.exits) + 1
    for one, other in zip(found.logits, expected.logits):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    for one, other in zip(found.decisions.values(), expected.decisions, strict=True):
        assert torch.equal(one.keep[one.asked], other.keep[other.asked].bool())
        assert torch.equal(one.asked, other.asked)
    return found


@pytest.mark.parametrize("name", IDS)
def test_folded_network_equals_the_model(name):
    found = check_logits(VARIANTS[name], random_images(VARIANTS[name], 24))
    layers = [decision.keep for gate, decision in found.decisions.items() if isinstance(gate, LayerGate)]
    if layers:
        assert 0.1 < torch.stack(layers).float().mean() < 0.9, "the test's gates should decide both ways"


@given(st.integers(0, 10**6))
@settings(max_examples=25)
def test_any_network_equals_its_model(seed):
    case = random_case(seed)
    check_logits(case, random_images(case, 5, seed))


@pytest.mark.parametrize("name", ["convolution, grouped", "dense, grouped", "feedforward, grouped"])
@pytest.mark.parametrize("bits", [(1, 0), (0, 1), (0, 0)], ids=str)
def test_groups_of_any_channels_are_folded(name, bits):
    """Also where connected channels do not lie side by side: every second one, or each alone."""
    case = VARIANTS[name]
    model, x = random_model(case), normalise(case, random_images(case, 8))
    for module in model.modules():
        if isinstance(module, GroupedConvolution):
            half = len(module.numbers) // 2
            signs = [bits[0]] * half + [bits[1]] * (len(module.numbers) - half)
            with torch.no_grad():
                module.numbers.copy_(torch.tensor(signs) - 0.5)
    with torch.no_grad():
        expected = model(x)
    found = FloatNetwork(folded(case, model))(x)
    torch.testing.assert_close(found.logits[-1], expected.logits[-1], rtol=1e-4, atol=1e-4)
    for one, other in zip(found.decisions.values(), expected.decisions, strict=True):
        torch.testing.assert_close(one.logits, other.logits, rtol=1e-3, atol=1e-3)


def test_a_trace_counts_the_first_mask_of_a_unit():
    case = VARIANTS["pooled, both masks"]
    network, x = folded(case), normalise(case, random_images(case, 24))
    out = FloatNetwork(network)(x)
    hidden, residual = (
        [gate for gate in walk(network.nodes) if isinstance(gate, ChannelGate) and (gate.gate >= 0) == traced]
        for traced in (True, False)
    )
    assert len(hidden) == len(residual) == len(network.gates) == 4
    for gate in (gate for gate in network.nodes if isinstance(gate, LayerGate)):
        (first,) = (mask for mask in gate.body if mask in hidden)
        keep, counts = out.decisions[gate].keep[:, 0], out.decisions[first].keep.sum(1)
        assert torch.equal(out.trace[:, gate.gate], torch.where(keep, counts, isa.TRACE_SKIPPED))


def test_gates_and_exits_know_their_units():
    network = folded(VARIANTS["mixed"])
    assert [(gate.unit, gate.stage, gate.channels) for gate in network.gates] == [(2, 1, 32), (4, 2, 64)]
    assert [node.unit for node in network.exits] == [1, 2, 4] and network.name == "resnet12-ddi"
    assert folded(VARIANTS["plain"]).name == "resnet8" and network.classes == 100


def test_pruned_units_leave_nothing_behind():
    network = folded(VARIANTS["pruned"])
    names = [node.name for node in walk(network.nodes)]
    assert len(names) == len(set(names)) and {name.split(".")[0] for name in names} >= {"stem", "units"}
    assert not any(name.startswith(f"units.{unit}.") for unit in (1, 3, 4) for name in names)
    assert [gate.unit for gate in network.gates] == [0, 2, 5, 6, 7]


@pytest.mark.parametrize("name", IDS)
def test_every_node_is_read(name):
    network = folded(VARIANTS[name])
    readers = readers_of(network.nodes)
    assert all(node in readers or isinstance(node, Exit) for node in walk(network.nodes))
    assert any(isinstance(node, Mean) for node in walk(network.nodes))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    model = random_model(VARIANTS["plain"])
    with torch.no_grad():
        model.backbone.stem.conv.weight[0, 0, 0, 0] = value
    with pytest.raises(UserError, match=r"stem\.conv has weights that are not finite"):
        folded(VARIANTS["plain"], model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": 2, "padding": 1}, r"stem\.conv: kernel \(2, 2\), padding \(1, 1\): the engine has odd"),
        ({"kernel_size": 3, "padding": 0}, r"kernel \(3, 3\), padding \(0, 0\)"),
        ({"kernel_size": 3, "padding": 1, "stride": 3}, r"stride \(3, 3\): the engine has one group"),
        ({"kernel_size": 3, "padding": 1, "groups": 2}, "groups 2"),
        ({"kernel_size": 3, "padding": 2, "dilation": 2}, r"padding \(2, 2\)"),
        ({"kernel_size": (1, 7), "padding": (0, 3)}, r"kernel \(1, 7\), padding \(0, 3\): the engine has odd square"),
    ],
)
def test_convolutions_that_the_engine_lacks_are_refused(changes, message):
    case = VARIANTS["plain"]
    model = random_model(case)
    model.backbone.stem.conv = torch.nn.Conv2d(4, 16, **changes)
    with pytest.raises(UserError, match=message):
        folded(case, model)


def test_networks_that_the_engine_lacks_are_refused_in_one_line():
    """InceptionV3 averages with padding; squeeze-and-excitation multiplies by what it computes."""
    inception = Case(backbone={"kind": "inception", "blocks": [1, 0, 0], "width": 0.1}, size=(12, 16))
    acs = Case((1,), channel="acs", size=(12, 16), squeeze=True)
    for case, message in (
        (inception, "an average pool of 3×3 with padding 1: the engine averages within a map alone"),
        (acs, "squeeze-and-excitation multiplies channels by what it computes .* train with squeeze = false"),
    ):
        with pytest.raises(UserError, match=message) as refused:
            folded(case)
        assert "\n" not in str(refused.value)


def test_a_map_too_small_for_an_exit_is_refused():
    case = VARIANTS["papers"]
    model = random_model(case)
    with pytest.raises(UserError, match="too small for a pool of 4×4"):
        folded(type(case)(size=(3, 3)), model)
