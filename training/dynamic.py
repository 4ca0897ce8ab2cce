"""Backbone + layer gates + channel gates + exits in one module (Wang et al., JSTSP 2020, Eq. 1–4).

    model = Dynamic(backbone, layer_gates={1: gate}, channel_gates={1: (ChannelGate(gate, ("hidden",)),)}, exits={4: b})
    out = model(images)      # out.logits: one (N, classes) per exit, the last is the network's own
    out.flops                # (N, exits + 1) float64: FLOPs of leaving at each exit, gates and that classifier included

A unit that its layer gate closes is not computed for that image: training saves what the engine saves.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from training.costs.counting import CHANNEL, HEAD, SKIPPED, STEM, UNIT, Part
from training.costs.counting import LAYER as LAYER_GATE
from training.gates import decide

LAYER = "layer"  # the mask name of a layer gate's decision


class Decision(NamedTuple):
    """What one gate decided for a batch."""

    unit: int
    mask: str  # LAYER, or what a channel gate narrows: its masks, joined by "+"
    logits: torch.Tensor  # (N, outputs), kept where positive
    keep: torch.Tensor  # (N, outputs) of 0/1; differentiable in training
    asked: torch.Tensor  # (N,) bool: whether the unit ran, so that the decision had an effect


@dataclass
class Output:
    """What one forward pass computed, decided and cost; N images."""

    logits: list = field(default_factory=list)  # of (N, classes)
    exits: list = field(default_factory=list)  # units that the exits follow, for all logits but the last
    flops: torch.Tensor | None = None  # (N, len(logits)) float64, differentiable in training
    decisions: list = field(default_factory=list)  # of Decision, in the order they were taken
    gate_flops: torch.Tensor | None = None  # (N,) what the gates' own decisions cost up to the last exit
    ran: list = field(default_factory=list)  # (N,) per unit: 1 where it ran
    emptied: list = field(default_factory=list)  # (N,) per unit with channel gates: True where it ran with none open
    parts: list = field(default_factory=list)  # of Part, what was gone through up to the last exit: for other costs


@dataclass
class _State:
    """What passes from unit to unit."""

    x: torch.Tensor
    spent: torch.Tensor  # (N,) float64
    gates: torch.Tensor  # (N,) float64, the gates' part of it
    recurrent: object = None  # of the layer gates
    channels: object = None  # of the channel gates


@dataclass
class _States:
    """What recurrent gates pass on, as nodes."""

    layer: Any = None
    channel: Any = None


class ChannelGate(nn.Module):
    """A gate and the masks of its unit that its decisions close together."""

    def __init__(self, gate, masks):
        super().__init__()
        self.gate, self.masks = gate, tuple(masks)

    @property
    def name(self):
        """The masks in one word, as a Decision has it."""
        return "+".join(self.masks)


class Dynamic(nn.Module):
    """A backbone whose units and channels are skipped by gates and which can stop at exits.

    `layer_gates`: unit → gate of one output; `channel_gates`: unit → ChannelGates; `exits`: unit → branch behind it.
    """

    layer_gates: Any  # nn.ModuleDicts by the unit's number as text
    channel_gates: Any
    exits: Any

    def __init__(self, backbone, layer_gates=None, channel_gates=None, exits=None):
        super().__init__()
        self.backbone = backbone
        self.layer_gates = nn.ModuleDict({str(unit): gate for unit, gate in (layer_gates or {}).items()})
        self.channel_gates = nn.ModuleDict(
            {str(unit): nn.ModuleList(gates) for unit, gates in (channel_gates or {}).items()}
        )
        self.exits = nn.ModuleDict({str(unit): branch for unit, branch in (exits or {}).items()})
        for unit in map(int, self.layer_gates):
            if not backbone.units[unit].skippable:
                raise ValueError(f"unit {unit} has a projected shortcut: there is no identity that a skip could pass")

    def gates(self):
        """Every gate module, layer gates first."""
        return [*self.layer_gates.values(), *(gate for gates in self.channel_gates.values() for gate in gates)]

    def forward(self, images, gated=True, with_exits=True, forced=None, left_out=(), watch=None):
        """Normalised images (N, C, H, W) → Output.

        `gated=False` runs everything and costs what the static network does. `forced`: a function from a Decision's
        (unit, mask, logits) to decisions of the shape of `logits`, in place of the gates' own, or to None for its own.
        Units in `left_out` pass their identity, for all images and at no cost. `watch`: a function of (Output, unit,
        its output), called behind the stem (unit -1) and behind every unit.
        """
        size, out, flops = images.shape[2:], Output(), []
        stem = self.backbone.stem
        out.parts.append(Part(STEM, stem, image=tuple(images.shape[1:])))
        spent = images.new_full((len(images),), stem.cost(size), dtype=torch.float64)
        state = _State(stem(images), spent, torch.zeros_like(spent))
        size, watch = stem.output_size(size), watch or _nothing
        watch(out, -1, state.x)
        for i, unit in enumerate(self.backbone.units):
            if i in left_out:
                state.x = unit.skip(state.x)
                out.parts.append(Part(SKIPPED, unit))
            else:
                self._step(i, unit, state, size, out, gated, forced)
            watch(out, i, state.x)
            size = unit.output_size(size)
            if with_exits and str(i) in self.exits:
                branch = self.exits[str(i)]
                out.logits.append(branch(state.x))
                out.exits.append(i)
                flops.append(state.spent + branch.cost(size))
        out.logits.append(self.backbone.head(state.x))
        out.parts.append(Part(HEAD, self.backbone.head))
        flops.append(state.spent + self.backbone.head.cost(size))
        out.flops, out.gate_flops = torch.stack(flops, 1), state.gates
        return out

    def _step(self, i, unit, state, size, out, gated, forced):
        """One unit: decide, run what is kept, count what it costs."""
        layer, channels = self.gates_of(i) if gated else (None, ())
        ran, keep, masks, active = state.x.new_ones(len(state.x)), None, {}, {}
        pooled = state.x.mean((2, 3)) if layer is not None or channels else None
        if layer is not None:
            logits, state.recurrent = layer(state.x, pooled, state.recurrent)
            decisions = self._decide(i, LAYER, logits, forced)
            out.decisions.append(Decision(i, LAYER, logits, decisions, torch.ones_like(ran, dtype=torch.bool)))
            ran = keep = decisions[:, 0]
            out.parts.append(Part(LAYER_GATE, layer))
            state.gates = state.gates + layer.cost(size)
            state.spent = state.spent + layer.cost(size)
        own = 0
        for gate in channels:
            logits, state.channels = gate.gate(state.x, pooled, state.channels)
            decisions = self._decide(i, gate.name, logits, forced)
            out.decisions.append(Decision(i, gate.name, logits, decisions, ran.detach() > 0))
            for mask in gate.masks:
                masks[mask], active[mask] = decisions, decisions.double().sum(1)
            own += gate.gate.cost(size)
            out.parts.append(Part(CHANNEL, gate.gate, keep))
        state.gates = state.gates + own * ran.detach().double()
        state.spent = state.spent + (own + unit.cost(size, active)) * ran.double()
        state.x = run_kept(unit, state.x, keep, masks)
        out.ran.append(ran.detach())
        out.parts.append(Part(UNIT, unit, keep, active))
        for count in active.values():
            out.emptied.append((ran.detach() > 0) & (count.detach() == 0))

    def gates_of(self, i):
        """A unit's layer gate or None, and its ChannelGates."""
        key = str(i)
        layer = self.layer_gates[key] if key in self.layer_gates else None  # noqa: SIM401 (a ModuleDict has no get)
        return layer, self.channel_gates[key] if key in self.channel_gates else ()  # noqa: SIM401

    def _decide(self, i, mask, logits, forced):
        given = None if forced is None else forced(i, mask, logits)
        return decide(logits, self.training) if given is None else given.to(logits.dtype)

    def lower(self, graph, channels, size, watch=None):
        """The whole network as nodes of a graph (training/lowering.py), for images of `channels` × `size`.

        `watch`: a function of (graph, unit, its output), called behind the stem (unit -1) and behind every unit.
        """
        watch = watch or _nothing
        x, states = self.backbone.stem.lower(graph, graph.image(channels, size)), _States()
        watch(graph, -1, x)
        for i, unit in enumerate(self.backbone.units):
            x = self._lower_step(graph, i, unit, x, states)
            watch(graph, i, x)
            if str(i) in self.exits:
                with graph.exit(i) as end:
                    end(self.exits[str(i)].lower(graph, x))
        with graph.exit(None) as end:
            end(self.backbone.head.lower(graph, x))

    def _lower_step(self, graph, i, unit, x, states):
        """One unit with its gates; its output."""
        layer, channels = self.gates_of(i)
        pooled = graph.mean(x) if layer is not None or channels else None
        if layer is None:
            y = unit.lower(graph, x, self._lower_masks(graph, i, channels, x, pooled, states))
            return unit.lower_join(graph, x, y)
        logit, states.layer = layer.lower(graph, x, pooled, states.layer)
        identity = unit.lower_skip(graph, x)
        with graph.layer_gate(logit, i, identity) as end:
            y = end(unit.lower(graph, x, self._lower_masks(graph, i, channels, x, pooled, states), identity))
        return unit.lower_join(graph, x, y)

    def _lower_masks(self, graph, i, channels, x, pooled, states):
        """Mask name → mask node."""
        masks = {}
        for gate in channels:
            logits, states.channel = gate.gate.lower(graph, x, pooled, states.channel)
            mask = graph.channel_gate(logits, i)
            masks |= dict.fromkeys(gate.masks, mask)
        return masks


def _nothing(where, unit, x):
    """What nobody watches."""


def run_kept(unit, x, keep, masks):
    """Eq. 3: `unit` for the images whose `keep` (N,) is 1, its skip for all others; (N, C, H, W).

    Only kept images are computed; the gradient of `keep` is therefore that of kept images alone.
    """
    if keep is None:
        return unit.run(x, masks)
    kept = torch.nonzero(keep.detach() > 0)[:, 0]
    skipped = unit.skip(x)
    if not len(kept):
        return skipped
    run = unit.run(x[kept], {name: mask[kept] for name, mask in masks.items()})
    if keep.requires_grad:
        mask = keep[kept][:, None, None, None].to(run.dtype)
        run = mask * run + (1 - mask) * skipped[kept]
    return skipped.index_copy(0, kept, run)
