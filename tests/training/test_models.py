"""The networks: FLOPs by depth, Eq. 1-3, where exits sit, what gates cost."""

import dataclasses

import pytest
import torch

from hls import cost
from training import exits
from training.dynamic import DynamicResNet, Network
from training.resnet import ResNet

# Issue and DESIGN: 2 × MACs of convolutions and fully connected layers of the plain networks.
MEGAFLOPS = {14: 52.8, 20: 81.1, 26: 109.4, 38: 166.0, 74: 335.9}


def images(n=3, seed=0):
    return torch.randn(n, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def network(**options):
    torch.manual_seed(0)
    return DynamicResNet(dataclasses.replace(Network(depth=14), **options)).eval()


def force_gates(model, layers=None, channels=None):
    """Set every layer gate to `layers`, and channel c of every channel gate to `channels(c)`, whatever the input."""
    with torch.no_grad():
        if layers is not None:
            model.layer_gates.linear.weight.zero_()
            model.layer_gates.linear.bias.fill_(1.0 if layers else -1.0)
        if channels is not None:
            for gate in model.channel_gates:
                gate.fc.weight.zero_()
                gate.fc.bias.copy_(torch.tensor([1.0 if channels(c) else -1.0 for c in range(len(gate.fc.bias))]))
    return model


@pytest.mark.parametrize("depth", MEGAFLOPS)
def test_flops_of_plain_networks(depth):
    model = network(depth=depth, layer_gates=False, channel_gates=False, exits=False)
    assert model(images(1)).flops.item() / 1e6 == pytest.approx(MEGAFLOPS[depth], abs=0.05)


def test_flops_agree_with_multiplications_counted_by_hooks():
    """Every convolution and linear layer that runs, counted from the shapes it saw."""
    model, counted = force_gates(network(), True, lambda c: True), []

    def count(module, inputs, output):
        if isinstance(module, torch.nn.Conv2d):
            taps = module.kernel_size[0] * module.kernel_size[1] * module.in_channels
            counted.append(2 * output[0].numel() * taps)
        else:
            counted.append(2 * module.in_features * module.out_features)

    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)) and not name.startswith("exits"):
            module.register_forward_hook(count)
    out = model(images(1))
    blocks = len(model.blocks())
    assert out.flops[0, -1].item() == sum(counted) + blocks * cost.lstm_flops(10, 10)


def test_plain_backbone_is_the_ungated_network():
    model = network()
    assert torch.equal(model(images(), gated=False, with_exits=False).logits[-1], ResNet.forward(model, images()))


def test_skipped_blocks_pass_the_identity():
    model = force_gates(network(), layers=False)
    out = model(images())
    x = model.stem(images())
    for block in model.blocks():
        x = block.shortcut(x)
    assert torch.equal(out.logits[-1], model.head(x))
    assert not out.layer_keep.any()


def test_skipped_channels_pass_the_identity():
    model = force_gates(network(), True, lambda c: c % 2 == 0)
    block = model.blocks()[0]
    x = model.stem(images())
    model(images())
    keep = torch.arange(16) % 2 == 0
    y, identity = block(x, keep.float().expand(3, -1))
    merged = model_block_output(model, x, 0)
    assert torch.equal(merged[:, ~keep], identity[:, ~keep])
    assert torch.equal(merged[:, keep], y[:, keep])


def model_block_output(model, x, i):
    """Block i's merged output, caught at the input of block i + 1."""
    caught = []
    hook = model.blocks()[i + 1].register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
    model(images())
    hook.remove()
    return caught[0]


def test_skipped_channels_are_not_read_by_the_second_convolution():
    block = ResNet(14).eval().blocks()[0]
    keep = torch.zeros(1, 16)
    x = images(1).repeat(1, 6, 1, 1)[:, :16]
    y, _ = block(x, keep)
    with torch.no_grad():
        block.conv1.weight.add_(1)
    assert torch.equal(block(x, keep)[0], y)


def test_cost_of_a_skipped_block_is_its_layer_gate():
    model = force_gates(network(exits=False), layers=False)
    out = model(images(1))
    gates = sum(model.layer_gates.flops(i) for i in range(len(model.blocks())))
    assert out.block_flops.item() == gates


def test_channel_gate_costs_an_eighth_of_its_block():
    model = network()
    gate, block = model.channel_gates[0], model.blocks()[0]
    convolutions = 2 * cost.conv_flops(32, 32, block.channels, block.channels, 3)
    assert gate.flops(32, 32) / convolutions == pytest.approx(0.125, rel=0.01)


def test_exit_positions():
    """8 layers: the 2nd and the 6th, as in the paper's Fig. 5."""
    expected = {1: [0], 2: [0, 1], 3: [0, 1], 4: [0, 2], 8: [1, 5], 12: [2, 8]}
    assert {blocks: exits.positions(blocks) for blocks in expected} == expected


def test_six_exits_that_keep_little():
    model = network(depth=20)
    assert len(model.exits) == 6
    x = model.stem(images(1))
    assert model.exits["0"].keep(x).numel() == x.numel() // 16


@pytest.mark.parametrize(
    "options", [{"layer_gates": False}, {"channel_gates": False}, {"shortcut": "conv"}, {"exits": False}]
)
def test_variants_run(options):
    out = network(**options)(images())
    assert out.logits[-1].shape == (3, 10)
    assert torch.isfinite(out.flops).all()


def test_projected_shortcuts_are_not_gated():
    out = network(shortcut="conv")(images())
    assert out.layer_keep.shape == (3, 4)  # 6 blocks, two of which change shape


def test_decisions_are_hard_at_test_and_differentiable_in_training():
    model = network().train()
    out = model(images(8))
    assert set(out.layer_keep.detach().unique().tolist()) <= {0.0, 1.0}
    out.block_flops.mean().backward()
    assert model.layer_gates.linear.weight.grad.abs().sum() > 0
    assert model.channel_gates[0].fc.weight.grad.abs().sum() > 0


def test_channel_gain_scales_only_the_gradient():
    gradients, costs = [], []
    for gain in (1.0, 4.0):
        model = network(layer_gates=False).train()
        out = model(images(4), channel_gain=gain)
        out.block_flops.mean().backward()
        gradients.append(model.channel_gates[0].fc.bias.grad.clone())
        costs.append(out.block_flops.detach())
    assert torch.equal(costs[0], costs[1])
    assert gradients[1].norm() > 3 * gradients[0].norm()


@pytest.mark.parametrize("depth", [7, 15, 21])
def test_impossible_depths_are_named(depth):
    with pytest.raises(ValueError, match=f"ResNet depth {depth}: expected 6n"):
        ResNet(depth)
