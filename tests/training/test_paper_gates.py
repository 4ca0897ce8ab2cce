"""The papers' gates: costs by hand and against the papers' shares, groups that are what their equations say."""

import pytest
import torch

from hls import cost
from tests.training.toys import gradient
from training.backbones.dense import DenseUnit
from training.backbones.densenet import densenet
from training.gates.acs import AcsGate
from training.gates.convolution import ConvolutionGate
from training.gates.dense import LightGate
from training.gates.feedforward import FeedForwardGate
from training.gates.grouped import GroupedConvolution
from training.gates.recurrent_channels import recurrent_channel_gates
from training.gates.squeeze import Squeeze
from training.network import Network, NetworkError


def maps(n, channels, size=8, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def multiplied(gate, channels, size):
    """2 × the multiplications of a gate's convolutions and linear layers, from the shapes that they saw."""
    counted = []
    for module in gate.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(lambda m, _, y: counted.append(2 * y[0].numel() * m.weight[0].numel()))
    gate.eval()(torch.zeros(1, channels, *size), torch.zeros(1, channels), None)
    return sum(counted)


@pytest.mark.parametrize("gate", [LightGate, AcsGate, ConvolutionGate])
def test_a_gate_that_sees_nothing_is_as_open_as_its_bias_says(gate):
    """sigmoid(1) = 0.73 where none is given: gates begin open, and not so far that none could close."""
    empty = torch.zeros(1, 8, 8, 8)
    for options, bias in (({}, 1.0), ({"bias": -0.5}, -0.5)):
        logits, _ = gate(8, 4, **options).eval()(empty, empty.mean((2, 3)), None)
        assert torch.equal(logits, torch.full((1, 4), bias))


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
@pytest.mark.parametrize("gate", [LightGate(8, 4), FeedForwardGate(8), ConvolutionGate(8, 1)], ids=type)
def test_costs_are_the_multiplications_that_run(gate, size):
    assert gate.cost(size) == multiplied(gate, 8, size)


def test_an_acs_gates_cost_by_hand():
    """1×1 at full size, two 3×3 at half of it, the linear layer; four groups are a quarter of the 3×3."""
    first, last = cost.conv_flops(8, 8, 16, 8, 1), cost.fc_flops(8, 16)
    both = 2 * cost.conv_flops(4, 4, 8, 8, 3)
    assert AcsGate(16, 16).cost((8, 8)) == first + both + last
    assert AcsGate(16, 16, groups=4).cost((8, 8)) == first + both / 4 + last
    assert AcsGate(16, 16, squeeze=True).cost((8, 8)) == first + both + last + 2 * cost.fc_flops(8, 2)


def test_groups_in_iadis_gates_cost_a_share_of_the_convolution():
    """ACS Table 4: G^C and the light gate with ACS-DG; the light gate's bottleneck is then as wide as its outputs."""
    for groups in (2, 4, 8):
        conv = cost.conv_flops(4, 4, 8, 8, 3)
        assert ConvolutionGate(8, 6, groups=groups).cost((8, 8)) == conv / groups + cost.fc_flops(8, 6)
        first = cost.conv_flops(4, 4, 20, 8, 1)
        assert LightGate(20, 8, groups=groups).cost((8, 8)) == first + conv / groups + cost.fc_flops(8, 8)
    learnt = ConvolutionGate(8, 6, groups="dynamic")
    set_bits(learnt.conv, (0, 1, 0))
    assert learnt.eval().cost((8, 8)) == ConvolutionGate(8, 6, groups=4).cost((8, 8))
    assert ConvolutionGate(8, 6).state_dict()["conv.weight"].shape == (8, 8, 3, 3), "without groups as it was"


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (lambda: ConvolutionGate(8, 8, groups=3), "groups 3: expected one of 1, 2, 4, 8, dynamic"),
        (lambda: ConvolutionGate(12, 12, groups="dynamic"), "12 channels in 0 groups: expected powers of two"),
        (lambda: LightGate(20, 8, bottleneck=4, groups=2), "bottleneck 4 with groups: expected the 8 channels"),
    ],
)
def test_groups_that_cannot_be_are_refused(gate, message):
    with pytest.raises(ValueError, match=message):
        gate()


def test_the_light_gate_costs_an_eighth_of_its_layer():
    """JSTSP, Fig. 4: roughly 11 % of a dense layer. Twice the stride and half the bottleneck are 12.5 %."""
    for channels in (24, 120, 300):
        layer, gate = DenseUnit(channels, 12), LightGate(channels, 12)
        assert gate.cost((32, 32)) / layer.cost((32, 32)) == pytest.approx(0.125, rel=0.01)


def test_plain_channel_gates_on_a_densenet_cost_a_multiple_of_it():
    """JSTSP, section III-A3: G^C of Fig. 2b on DenseNet-100 costs about four times the network, the light one 11 %."""
    model = densenet(depth=100)
    plain = light = 0
    with torch.device("meta"):
        for unit, place in zip(model.units, model.places((32, 32))):
            if isinstance(unit, DenseUnit):
                plain += ConvolutionGate(unit.in_channels, 12).cost(place.size)
                light += LightGate(unit.in_channels, 12).cost(place.size)
    assert 3 < plain / model.cost((32, 32)) < 5
    assert light / model.cost((32, 32)) == pytest.approx(0.115, abs=0.01)


def test_ffgates_shares_of_a_residual_block():
    block = 2 * cost.conv_flops(32, 32, 16, 16, 3)
    assert FeedForwardGate(16).cost((32, 32)) / block == pytest.approx(1 / 8 + 1 / 32, rel=0.01)
    assert ConvolutionGate(16, 1).cost((32, 32)) / block == pytest.approx(1 / 8, rel=0.01)


def test_a_feedforward_gate_sees_through_its_pool():
    """What is no maximum of its 2×2 pixels changes nothing."""
    gate, x = FeedForwardGate(4).eval(), maps(2, 4)
    largest = torch.nn.functional.max_pool2d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    with torch.no_grad():
        before = gate(x, None, None)[0]
        lower = torch.where(x == largest, x, x - 0.5)
        assert torch.equal(gate(lower, None, None)[0], before)
        assert not torch.allclose(gate(x - 0.5, None, None)[0], before)


def test_recurrent_channel_gates_remember_and_decide_by_unit():
    first, second = recurrent_channel_gates([(16, 16), (32, 8)])
    assert first.lstm is second.lstm and first.linear is not second.linear
    _, state = first(None, torch.ones(2, 16), None)
    fresh, _ = second(None, torch.ones(2, 32), None)
    after, _ = second(None, torch.ones(2, 32), state)
    assert fresh.shape == (2, 8) and not torch.allclose(fresh, after)
    assert second.cost((8, 8)) == 2 * 32 * 10 + 2 * 20 * 40 + 2 * 10 * 8


def test_the_state_of_channel_gates_passes_through_the_network():
    """The second unit's gates decide by what the first one's have seen."""
    model = Network({"kind": "resnet", "units": [2]}, {}, {"kind": "recurrent"}).build(2, size=(8, 8)).eval()
    gate, x = model.channel_gates["0"][0].gate, maps(4, 3)

    @torch.no_grad()
    def second(shift):
        gate.embed.bias += shift
        logits = model(x, forced=lambda unit, mask, logits: torch.ones_like(logits)).decisions[1].logits
        gate.embed.bias -= shift
        return logits

    assert not torch.allclose(second(3), second(0))
    with torch.no_grad():  # without a state of its own the cell forgets the first unit
        gate.lstm.weight_hh.zero_()
        gate.lstm.bias_ih[10:20] = -30
    torch.testing.assert_close(second(3), second(0))


def test_recurrent_channel_gates_take_no_layer_gates():
    network = Network({"kind": "resnet", "units": [1]}, {"kind": "pooled"}, {"kind": "recurrent"})
    with pytest.raises(NetworkError, match=r"no \[network.layer_gates\] may stand before them"):
        network.build(2)


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.6])
def test_an_acs_gate_keeps_what_is_above_its_threshold(threshold):
    """Zou et al. 2023, section 3.1: sigmoid, then compared with α; a larger α keeps less."""
    torch.manual_seed(0)
    gate = AcsGate(8, 16, bias=0.0, threshold=threshold).eval()
    torch.nn.init.normal_(gate.linear.weight, std=3)
    x = maps(8, 8)
    with torch.no_grad():
        logits, _ = gate(x, None, None)
        plain = torch.sigmoid(logits - gate.offset)
    assert torch.equal(logits > 0, plain > threshold) and 0 < (logits > 0).float().mean() < 1


def test_a_phase_may_freeze_gates_and_free_them_without_touching_the_threshold():
    gate = AcsGate(8, 8, threshold=0.3)
    assert "offset" in dict(gate.named_buffers()) and "offset" not in dict(gate.named_parameters())


# ------------------------------------------------------------------------------------------------ dynamic grouping
def set_bits(conv, bits):
    with torch.no_grad():
        conv.numbers.copy_(torch.tensor([0.2 if bit else -0.2 for bit in bits]))


def test_the_relation_is_a_kronecker_product_by_hand():
    """Eqs. 3 and 4, Fig. 3, for eight channels: one, two, four and eight groups, and two of no run of channels."""
    conv = GroupedConvolution(8, 1)
    ones, eye = torch.ones, torch.eye
    by_hand = {
        (1, 1, 1): ones(8, 8),
        (0, 1, 1): torch.block_diag(ones(4, 4), ones(4, 4)),
        (0, 0, 1): torch.block_diag(*[ones(2, 2)] * 4),
        (0, 0, 0): eye(8),
        (1, 1, 0): eye(2).repeat(4, 4),  # channels of equal parity
    }
    for bits, expected in by_hand.items():
        set_bits(conv, bits)
        assert torch.equal(conv.relation().detach(), expected)
        groups = 2 ** bits.count(0)
        assert conv.eval().cost((4, 4)) == cost.conv_flops(4, 4, 8, 8, 3) / groups


@pytest.mark.parametrize("groups", [1, 2, 4, 8])
def test_static_groups_are_pytorchs(groups):
    ours, theirs = GroupedConvolution(8, 2, groups), torch.nn.Conv2d(8, 8, 3, 2, 1, groups=groups, bias=False)
    width = 8 // groups
    with torch.no_grad():
        for group in range(groups):
            rows = slice(group * width, (group + 1) * width)
            theirs.weight[rows] = ours.conv.weight[rows, rows]
    torch.testing.assert_close(ours(maps(2, 8)), theirs(maps(2, 8)))
    assert "numbers" not in dict(ours.named_parameters())


def test_cost_closes_connections_and_a_loss_opens_them():
    """The gradient of the cost is by hand: of Π (2 + 2 g), and a number goes down by it."""
    conv = GroupedConvolution(4, 1).train()
    conv.cost((1, 1)).backward()
    assert gradient(conv.numbers).tolist() == [2 * 9 * 8.0] * 2
    set_bits(conv, (0, 1))
    conv.numbers.grad = None
    target = torch.rand(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    optimizer = torch.optim.SGD([conv.numbers], 0.5)
    for _ in range(30):
        wanted = torch.nn.functional.conv2d(maps(2, 4), conv.conv.weight.detach(), None, 1, 1)
        loss = (conv(maps(2, 4)) - wanted).square().mean() + 0 * target.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (conv.numbers >= 0).all()  # the whole convolution was wanted


def test_squeeze_and_excitation_by_hand():
    block, x = Squeeze(4).eval(), maps(2, 4)
    with torch.no_grad():
        factors = torch.sigmoid(block.fc2(torch.relu(block.fc1(x.mean((2, 3))))))
        torch.testing.assert_close(block(x), x * factors[:, :, None, None])
    assert block.cost() == 2 * 2 * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "threshold 1.0: expected a share"),
        ({"groups": 3}, "groups 3: expected one of 1, 2, 4, 8, dynamic"),
        ({"width": 6}, "6 channels in 0 groups|6 channels in 1 groups"),
        ({"width": 4, "groups": 8}, "4 channels in 8 groups: expected powers of two"),
    ],
)
def test_impossible_gates_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        AcsGate(16, 16, **options)


@pytest.mark.parametrize("masks", [["new"], ["hidden", "hidden"], [], "hidden", ["hidden+new"]])
def test_masks_that_a_backbone_lacks_are_named(masks):
    kind = "densenet" if masks == ["hidden+new"] else "resnet"
    backbone = {"kind": kind} | ({"blocks": [1], "growth": 4} if kind == "densenet" else {"units": [1]})
    with pytest.raises(NetworkError, match=r"masks = .* in \[network.channel_gates\]"):
        Network(backbone, {}, {"kind": "pooled", "masks": masks}).build(2)
