"""Backbone + gates + exits in one module (Wang et al., JSTSP 2020, Eq. 1–4).

model = DynamicResNet(Network(depth=74))
out = model(images)      # out.logits: one (N, classes) per exit, the last is the network's own
out.flops                # (N, exits + 1) float64: FLOPs of leaving at each exit, gates and that classifier included
"""

from dataclasses import dataclass

import torch
from torch import nn

from hls import cost
from training import exits, gates
from training.resnet import ResNet

IMAGE_SIZE = 32


@dataclass(frozen=True)
class Network:
    """What network to build."""

    depth: int
    classes: int = 10
    shortcut: str = "pad"
    layer_gates: bool = True
    channel_gates: bool = True
    exits: bool = True
    gate_mode: str = "straight_through"
    gate_bias: float = 1.0


@dataclass
class Output:
    """What one forward pass decided and cost; N images, B gated blocks."""

    logits: list  # of (N, classes)
    layer_keep: torch.Tensor  # (N, B) of 0/1
    channel_keep: list  # per gated block (N, channels) of 0/1, empty without channel gates
    gate_logits: list  # of (N,) layer and (N, channels) channel gates, before they are cut at 0
    flops: torch.Tensor  # (N, len(logits)), differentiable in training
    block_flops: torch.Tensor  # (N,) gates and convolutions of the blocks alone, for the resource loss


class DynamicResNet(ResNet):
    """A ResNet whose blocks and channels are skipped by gates and which can stop at exits."""

    def __init__(self, network):
        if network.gate_mode not in gates.MODES:
            raise ValueError(f"gate_mode {network.gate_mode!r}: expected one of {', '.join(gates.MODES)}")
        super().__init__(network.depth, network.classes, network.shortcut)
        self.network = network
        blocks = self.blocks()
        if network.layer_gates:
            self.layer_gates = gates.LayerGates([block.in_channels for block in blocks], network.gate_bias)
        if network.channel_gates:
            self.channel_gates = nn.ModuleList(
                gates.ChannelGate(block.in_channels, block.channels, network.gate_bias) for block in blocks
            )
        self.exits = nn.ModuleDict()  # keyed by the index of the block that the exit follows
        self.exit_flops = {}
        if network.exits:
            start = 0
            for stage, members in enumerate(self.stages()):
                for position in exits.positions(len(members)):
                    branch = exits.ExitBranch(members[0].channels, stage, network.classes)
                    self.exits[str(start + position)] = branch
                    self.exit_flops[str(start + position)] = branch.flops(IMAGE_SIZE >> stage, IMAGE_SIZE >> stage)
                start += len(members)

    def gate_parameters(self):
        """Parameters of the gates: (layer gates', channel gates')."""
        layer = list(self.layer_gates.parameters()) if self.network.layer_gates else []
        channel = list(self.channel_gates.parameters()) if self.network.channel_gates else []
        return layer, channel

    def forward(self, x, gated=True, with_exits=True, channel_gain=1.0):
        """Normalised images (N, 3, 32, 32) → Output.

        `gated=False` runs everything and costs what the static network does. `channel_gain` multiplies the gradient
        that the cost sends to the channel gates, whose single decisions each save little.
        """
        n, size = len(x), IMAGE_SIZE
        x = self.stem(x)
        spent = x.new_full((n,), self.stem_flops, dtype=torch.float64)
        in_blocks = torch.zeros_like(spent)
        state, layer_keep, channel_keep, gate_logits, logits, flops = None, [], [], [], [], []
        for i, block in enumerate(self.blocks()):
            keep, channels, gate_flops = None, None, (0, 0)
            if gated and block.gateable:
                keep, channels, state, gate_flops = self._decide(i, x, state, size, gate_logits)
            y, identity = block(x, channels)
            size //= block.stride
            x = _merge(y, identity, keep, channels)
            in_blocks = in_blocks + block_flops(block, size, keep, channels, gate_flops, channel_gain)
            if keep is not None:
                layer_keep.append(keep)
            if channels is not None:
                channel_keep.append(channels)
            if with_exits and str(i) in self.exits:
                logits.append(self.exits[str(i)](x))
                flops.append(spent + in_blocks + self.exit_flops[str(i)])
        logits.append(self.head(x))
        flops.append(spent + in_blocks + self.head_flops)
        layers = torch.stack(layer_keep, 1) if layer_keep else x.new_ones((n, 0))
        return Output(logits, layers, channel_keep, gate_logits, torch.stack(flops, 1), in_blocks)

    def _decide(self, i, x, state, size, gate_logits):
        """Block i's decisions from its input x: layer (N,), channels (N, k), LSTM state, (G^L, G^C) FLOPs."""
        network, keep, channels = self.network, None, None
        with torch.autocast(x.device.type, enabled=False):
            if network.layer_gates:
                logit, state = self.layer_gates(i, x.float(), state)
                gate_logits.append(logit)
                keep = gates.decide(logit, self.training, network.gate_mode)
        if network.channel_gates:
            logit = self.channel_gates[i](x).float()
            gate_logits.append(logit)
            channels = gates.decide(logit, self.training, network.gate_mode)
        return keep, channels, state, self.gate_flops(i, size)

    def gate_flops(self, i, size):
        """FLOPs of block i's gates (G^L, G^C) for an input of size × size."""
        layer = self.layer_gates.flops(i) if self.network.layer_gates else 0
        return layer, self.channel_gates[i].flops(size, size) if self.network.channel_gates else 0

    @property
    def stem_flops(self):
        """FLOPs of the first convolution."""
        return cost.conv_flops(IMAGE_SIZE, IMAGE_SIZE, 3, self.conv1.out_channels, 3)

    @property
    def head_flops(self):
        """FLOPs of the network's own classifier."""
        return cost.fc_flops(self.linear.in_features, self.linear.out_features)


def _merge(y, identity, keep, channels):
    """Eq. 3: kept channels of kept blocks from y, all others from the identity; (N, C, H, W)."""
    masks = [mask for mask in (channels, None if keep is None else keep[:, None]) if mask is not None]
    if not masks:
        return y
    mask = (masks[0] * masks[1] if len(masks) == 2 else masks[0])[:, :, None, None].to(y.dtype)
    return mask * y + (1 - mask) * identity


def block_flops(block, size, keep, channels, gate_flops, channel_gain=1.0):
    """(N,) FLOPs of a block with output size × size: G^L always, G^C and the convolutions if the block is kept."""
    active = block.channels
    if channels is not None:
        active = channels.double().sum(1)  # (N,)
        active = active * channel_gain - (active * (channel_gain - 1)).detach()
    run = cost.conv_flops(size, size, block.in_channels, active, 3) + cost.conv_flops(size, size, active, active, 3)
    if block.shortcut is not None and not block.gateable:
        run = run + cost.conv_flops(size, size, block.in_channels, block.channels, 1)
    layer_flops, channel_flops = gate_flops
    return layer_flops + (channel_flops + run) * (1.0 if keep is None else keep.double())
