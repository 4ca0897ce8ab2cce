"""Gates: hard decisions with a gradient, costs by hand, standardised logits that open as often as asked for."""

import pytest
import torch

from hls import cost
from tests.training.toys import gradient
from training.gates import decide
from training.gates.convolution import ConvolutionGate
from training.gates.pooled import PooledGate
from training.gates.recurrent import RecurrentCell, RecurrentGate


def maps(n, channels, size=8, seed=0):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_decisions_are_hard_and_their_gradient_is_the_sigmoids():
    logits = torch.tensor([-2.0, -0.5, 0.0, 0.5, 2.0], requires_grad=True)
    for training in (True, False):
        assert decide(logits, training).tolist() == [0, 0, 0, 1, 1]
    decide(logits, True, sharpness=2.0).sum().backward()
    soft = torch.sigmoid(2 * logits.detach())
    assert torch.allclose(gradient(logits), 2 * soft * (1 - soft))


def test_before_training_logits_are_about_as_wide_as_standardised_features():
    """He's weights keep the second moment through the ReLU, and 1 / √hidden through the second layer."""
    torch.manual_seed(0)
    gate, pooled = PooledGate(64, 256).eval(), torch.randn(200, 64)
    logits, _ = gate(None, pooled, None)
    assert logits.square().mean().item() == pytest.approx(1.0, rel=0.3)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_a_pooled_gate_opens_as_often_as_asked_for(rate):
    torch.manual_seed(0)
    gate, pooled = PooledGate(16, 32, rate), torch.randn(512, 16)
    logits, _ = gate(None, pooled, None)
    kept = (logits > 0).float().mean(0)  # per output, over images
    assert kept.mean().item() == pytest.approx(rate, abs=0.05)
    assert kept.min() > 0 and kept.max() < 1  # no output is the same for all images


@pytest.mark.parametrize("outputs", [6, 7])
def test_a_gate_in_pairs_decides_once_for_two_neighbours(outputs):
    torch.manual_seed(0)
    gate = PooledGate(16, outputs, 0.6, pairs=True)
    logits, _ = gate(None, torch.randn(512, 16), None)
    kept = logits > 0
    assert torch.equal(kept[:, 0:6:2], kept[:, 1:6:2]) and kept.shape == (512, outputs)
    assert not torch.equal(kept[:, 0], kept[:, 2])
    assert kept.float().mean().item() == pytest.approx(0.6, abs=0.05)
    assert gate.cost((8, 8)) == PooledGate(16, outputs).cost((8, 8))  # the engine has a row for each output


def test_costs_by_hand():
    assert PooledGate(64, 10, hidden=16).cost((8, 8)) == 2 * (64 * 16 + 16 * 10)
    recurrent = RecurrentGate(RecurrentCell(), 64)
    assert recurrent.cost((8, 8)) == 2 * 64 * 10 + 2 * 20 * 40 + 2 * 10
    unit = 2 * cost.conv_flops(32, 32, 16, 16, 3)
    assert ConvolutionGate(16, 16).cost((32, 32)) / unit == pytest.approx(0.125, rel=0.01)  # the paper's 12.5 %
    assert ConvolutionGate(4, 8).cost((7, 5)) == cost.conv_flops(4, 3, 4, 4, 3) + 2 * 4 * 8


def test_the_cheap_gate_costs_less_than_a_hundredth_of_its_unit():
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        unit = 2 * cost.conv_flops(side, side, channels, channels, 3)
        assert PooledGate(channels, channels).cost((side, side)) < 0.01 * unit


def test_recurrent_gates_share_a_cell_and_remember():
    cell = RecurrentCell()
    first, second = RecurrentGate(cell, 16), RecurrentGate(cell, 32)
    _, state = first(None, torch.ones(2, 16), None)
    fresh, _ = second(None, torch.ones(2, 32), None)
    after, _ = second(None, torch.ones(2, 32), state)
    assert first.shared is second.shared and not torch.equal(fresh, after)


def test_convolution_gate_reads_the_map():
    gate = ConvolutionGate(8, 4).eval()
    logits, state = gate(maps(3, 8), None, "as it was")
    assert logits.shape == (3, 4) and state == "as it was"


def test_impossible_rates_are_named():
    with pytest.raises(ValueError, match=r"rate 1\.0: expected a share"):
        PooledGate(4, 4, rate=1.0)


def test_a_feature_that_hardly_varies_counts_little():
    """A channel that is all but dead: 8 bits hold nothing of it, and it may not outshout the others."""
    torch.manual_seed(0)
    gate, pooled = PooledGate(16, 32), 0.03 * torch.randn(512, 16)
    pooled[:, 3] *= 0.02
    for part in (gate.standard_in, gate.standard_out):
        part.momentum = 1.0  # statistics of the last batch
    logits, _ = gate(None, pooled, None)
    moved = []
    for channel in (3, 4):
        other = pooled.clone()
        other[:, channel] = other[:, channel].roll(1)
        moved.append(float((gate.eval()(None, other, None)[0] - logits).detach().std()))
    assert moved[0] < 0.1 * moved[1]
    spread = gate.standard_in.state_dict()["running_var"]
    spread[3] = 0.0  # dead: its weights may not take the bits of the other channels'
    rows = gate.fc1.weight.detach().abs() / (spread + gate.standard_in.eps).sqrt()
    assert rows[:, 3].max() < 30 * rows.median()
