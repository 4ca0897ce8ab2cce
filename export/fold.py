"""A checkpoint's network as plain data: batch norms folded into their convolutions, weights as numpy arrays.

    network = fold(model)            # a DynamicResNet in any combination of gates, exits and shortcuts
    out = forward(network, images)   # the same decisions and logits, within float rounding

Everything after (calibration, quantisation, the compiler, ONNX) reads this description and never the module.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from hls import isa


class FoldError(ValueError):
    """A network whose numbers cannot be used; the message is one line."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with padding kernel // 2 and its folded batch norm; a ReLU follows where the network has one."""

    weight: np.ndarray  # (out, in, k, k) float32
    bias: np.ndarray  # (out,) float32
    stride: int = 1


@dataclass(frozen=True)
class Linear:
    """A fully connected layer."""

    weight: np.ndarray  # (out, in) float32
    bias: np.ndarray  # (out,) float32


@dataclass(frozen=True)
class Lstm:
    """One LSTM cell; rows are input, forget, cell and output gates (torch's and the engine's order)."""

    weight_input: np.ndarray  # (4·hidden, inputs) float32
    weight_hidden: np.ndarray  # (4·hidden, hidden) float32
    bias: np.ndarray  # (4·hidden,) float32, both of torch's


@dataclass(frozen=True)
class ChannelGate:
    """G^C: convolution with stride 2, ReLU, global average pool, fully connected; kept if the logit > 0."""

    conv: Convolution
    linear: Linear


@dataclass(frozen=True)
class Exit:
    """A branch: max pool of `pool`, then convolutions with ReLU and 2×2 max pools between, global pool, linear."""

    pool: int
    convs: tuple[Convolution, ...]
    linear: Linear


@dataclass(frozen=True)
class Block:
    """Two 3×3 convolutions and a shortcut: identity, strided and zero-padded identity, or a projection."""

    stage: int
    in_channels: int
    channels: int
    stride: int
    conv1: Convolution
    conv2: Convolution
    projection: Convolution | None
    embed: Linear | None  # of the layer gate; None: the block always runs
    channel_gate: ChannelGate | None
    exit: Exit | None  # the branch after this block

    @property
    def gated(self):
        """True where a decision of either kind is taken."""
        return self.embed is not None or self.channel_gate is not None

    @property
    def channel_offset(self):
        """Zero channels before the identity's, where the block grows the map."""
        return (self.channels - self.in_channels) // 2

    @property
    def reshapes(self):
        """True where the identity has another shape than the input and no projection makes it."""
        return self.projection is None and (self.stride != 1 or self.in_channels != self.channels)


@dataclass(frozen=True)
class Network:
    """The whole network; `lstm` and `decision` are shared by every block's layer gate."""

    depth: int
    size: int  # height and width of an image
    stem: Convolution
    blocks: tuple[Block, ...]
    head: Linear
    lstm: Lstm | None
    decision: Linear | None

    @property
    def gates(self):
        """Indices of the gated blocks, in order: gate number → block."""
        return [i for i, block in enumerate(self.blocks) if block.gated]

    @property
    def exits(self):
        """Indices of the blocks that a branch follows, in order: exit number → block."""
        return [i for i, block in enumerate(self.blocks) if block.exit]


@dataclass
class Output:
    """Logits of every exit, the network's own last, and the decisions; N images, B gated blocks; float or int64."""

    logits: list  # of (N, classes) tensors
    layer_keep: torch.Tensor  # (N, B) bool; all True without layer gates
    channel_keep: list  # B of (N, channels) bool; all True without channel gates

    def trace(self):
        """(N, B) int64: active channels of kept blocks, isa.TRACE_SKIPPED for others, as in the engine's record."""
        if not self.channel_keep:
            return torch.zeros(len(self.layer_keep), 0, dtype=torch.int64)
        active = torch.stack([keep.sum(1) for keep in self.channel_keep], 1)
        return torch.where(self.layer_keep.bool(), active, isa.TRACE_SKIPPED)


def fold(model, size=32):
    """The Network of a DynamicResNet, by its running statistics; the module is not changed. Raises FoldError."""
    stage_of = [stage for stage, members in enumerate(model.stages()) for _ in members]
    blocks = tuple(_fold_block(model, i, block, stage_of[i]) for i, block in enumerate(model.blocks()))
    layer_gates = model.layer_gates if model.network.layer_gates else None
    lstm = _fold_lstm(layer_gates.lstm) if layer_gates else None
    decision = _linear(layer_gates.linear) if layer_gates else None
    return Network(model.depth, size, _fold_conv(model.conv1, model.bn1), blocks, _linear(model.linear), lstm, decision)


def _fold_block(model, i, block, stage):
    projection = _fold_conv(*block.shortcut) if not block.gateable else None
    embed = gate = branch = None
    if block.gateable and model.network.layer_gates:
        layer = model.layer_gates.embed[i]
        embed = Linear(_array(layer.weight.flatten(1)), _array(layer.bias))
    if block.gateable and model.network.channel_gates:
        module = model.channel_gates[i]
        gate = ChannelGate(_fold_conv(module.conv, module.bn), _linear(module.fc))
    if str(i) in model.exits:
        module = model.exits[str(i)]
        convs = tuple(_fold_conv(conv, bn) for conv, bn in zip(module.convs, module.bns))
        branch = Exit(module.pool, convs, _linear(module.linear))
    convs = _fold_conv(block.conv1, block.bn1), _fold_conv(block.conv2, block.bn2)
    return Block(stage, block.in_channels, block.channels, block.stride, *convs, projection, embed, gate, branch)


def _fold_conv(conv, bn):
    """w·γ/σ and β - μ·γ/σ, in float64."""
    scale = bn.weight.detach().double() / torch.sqrt(bn.running_var.double() + bn.eps)
    bias = bn.bias.detach().double() - bn.running_mean.double() * scale
    return Convolution(_array(conv.weight.double() * scale[:, None, None, None]), _array(bias), conv.stride[0])


def _fold_lstm(cell):
    return Lstm(_array(cell.weight_ih), _array(cell.weight_hh), _array(cell.bias_ih + cell.bias_hh))


def _linear(layer):
    return Linear(_array(layer.weight), _array(layer.bias))


def _array(tensor):
    array = np.ascontiguousarray(tensor.detach().cpu().float().numpy())
    if not np.isfinite(array).all():
        raise FoldError("the checkpoint holds weights that are not finite: train again, or give an earlier checkpoint")
    return array


# ------------------------------------------------------------------------------------------------- the float network
def ignore(name, values):
    """An observer that looks at nothing."""


@torch.no_grad()
def forward(network, images, observe=ignore):
    """Normalised images (N, 3, H, W) float32 → Output, with hard decisions.

    `observe(name, values)` sees every quantity that quantisation needs a range of, from the images that compute it:
    `stage0` …, `block3.mid`, `block3.gate`, `block3.projection`, `block3.exit0`, `embed`, `logits`.
    """
    x = functional.relu(convolve(images, network.stem))
    observe("stage0", x)
    state, keeps, channels, logits = None, [], [], []
    for i, block in enumerate(network.blocks):
        keep = torch.ones(len(x), dtype=torch.bool)
        kept_channels = torch.ones(len(x), block.channels, dtype=torch.bool)
        if block.embed is not None:
            logit, state = layer_logit(network, block, x, state, observe)
            keep = logit > 0
        if block.channel_gate is not None:
            kept_channels = channel_logits(block, i, x, keep, observe) > 0
        x = run_block(block, i, x, keep, kept_channels, observe)
        observe(f"stage{block.stage}", x)
        if block.gated:
            keeps.append(keep)
            channels.append(kept_channels)
        if block.exit:
            logits.append(_run_exit(block.exit, i, x, observe))
    logits.append(multiply(pool(x), network.head))
    observe("logits", torch.cat(logits))
    layers = torch.stack(keeps, 1) if keeps else torch.ones(len(images), 0, dtype=torch.bool)
    return Output(logits, layers, channels)


def convolve(x, conv):
    """(N, C, H, W) → (N, out, H/stride, W/stride), bias added."""
    padding = conv.weight.shape[-1] // 2
    return functional.conv2d(x, torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), conv.stride, padding)


def multiply(x, layer):
    """(N, in) → (N, out)."""
    return functional.linear(x, torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))


def pool(x):
    """Global average: (N, C, H, W) → (N, C)."""
    return x.mean((2, 3))


def layer_logit(network, block, x, state, observe=ignore):
    """G^L: the block's input (N, C, H, W) and the LSTM's state or None → logits (N,), new state (hidden, cell)."""
    lstm, hidden_size = network.lstm, network.lstm.weight_hidden.shape[1]
    embedded = multiply(pool(x), block.embed)  # (N, inputs)
    observe("embed", embedded)
    hidden, cell = state if state else (x.new_zeros(len(x), hidden_size),) * 2
    rows = multiply(embedded, Linear(lstm.weight_input, lstm.bias)) + hidden @ torch.from_numpy(lstm.weight_hidden).T
    i, f, g, o = rows.chunk(4, 1)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    hidden = torch.sigmoid(o) * torch.tanh(cell)
    return multiply(hidden, network.decision)[:, 0], (hidden, cell)


def channel_logits(block, i, x, keep, observe=ignore):
    """G^C: the block's input (N, C, H, W) → logits (N, channels)."""
    features = functional.relu(convolve(x, block.channel_gate.conv))
    observe(f"block{i}.gate", _shown(features, keep))
    return multiply(pool(features), block.channel_gate.linear)


def _shown(values, keep):
    """What an observer sees: kept images' values, or all where none is kept, so that no range stays unknown."""
    return values[keep] if keep.any() else values


def run_block(block, i, x, keep, channels, observe=ignore):
    """Eq. 3: kept channels of kept blocks, the identity elsewhere."""
    mask = channels[:, :, None, None]
    middle = functional.relu(convolve(x, block.conv1)) * mask
    observe(f"block{i}.mid", _shown(middle, keep))
    identity = shortcut(block, x)
    if block.projection is not None:
        observe(f"block{i}.projection", identity)
    y = functional.relu(convolve(middle, block.conv2) + identity)
    return torch.where(mask & keep[:, None, None, None], y, identity)


def shortcut(block, x):
    """What the block falls back to: (N, in, H, W) → (N, channels, H/stride, W/stride)."""
    if block.projection is not None:
        return convolve(x, block.projection)
    if not block.reshapes:
        return x
    before, after = block.channel_offset, block.channels - block.in_channels - block.channel_offset
    return functional.pad(x[:, :, :: block.stride, :: block.stride], (0, 0, 0, 0, before, after))


def _run_exit(branch, i, x, observe):
    x = functional.max_pool2d(x, branch.pool)
    for j, conv in enumerate(branch.convs):
        x = functional.relu(convolve(functional.max_pool2d(x, 2) if j else x, conv))
        observe(f"block{i}.exit{j}", x)
    return multiply(pool(x), branch.linear)
