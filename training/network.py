"""What network a recipe asks for, and the module of it.

    network = Network(backbone={"kind": "resnet", "depth": 74}, layer_gates={"kind": "pooled", "rate": 0.5})
    model = network.build(classes=10, channels=3, size=(32, 32))

A new backbone or gate is one line here.
"""

import inspect
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from hls.errors import UserError
from training.backbones.backbone import Head
from training.backbones.densenet import densenet
from training.backbones.inception import inception
from training.backbones.layers import layered
from training.backbones.resnet import resnet
from training.dynamic import ChannelGate, Dynamic
from training.exits import Branch, imagenet_positions, positions
from training.gates.acs import acs_gates
from training.gates.convolution import ConvolutionGate
from training.gates.dense import light_gates
from training.gates.feedforward import feedforward_gates
from training.gates.pooled import PooledGate
from training.gates.recurrent import RecurrentCell, RecurrentGate
from training.gates.recurrent_channels import recurrent_channel_gates
from training.options import whole

BACKBONES = {"resnet": resnet, "densenet": densenet, "inception": inception, "layers": layered}


WANTED = {float: (int, float), bool: (bool,)}  # type of an option's default → those that a recipe may give
UNBUILDABLE = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError)  # what modules say of odd options


class NetworkError(UserError):
    """A network that cannot be built; the message is one line."""


def pooled_gates(members, rate=0.5, last=None, hidden=16, pairs=False):
    """A cheap gate for each of `members`, (input channels, outputs).

    `rate`: the share of images that it opens for at first; with `last` it goes evenly to that one, from the first gate
    of each width to the last. `pairs`: neighbouring outputs are kept together, as the engine multiplies them.
    """
    gates = []
    for width, group in groupby(members, key=lambda member: member[0]):
        group = list(group)
        rates = np.linspace(rate, rate if last is None else last, len(group))
        gates += [PooledGate(width, outputs, float(share), hidden, pairs) for share, (_, outputs) in zip(rates, group)]
    return gates


def recurrent_gates(members, hidden=10, bias=1.0):
    """The papers' G^L, which is SkipNet's RNN gate: one LSTM for all."""
    cell = RecurrentCell(hidden, bias)
    return [RecurrentGate(cell, channels) for channels, _ in members]


def convolution_gates(members, bias=1.0, groups=1):
    """The papers' G^C; with one output SkipNet's FFGate-II."""
    return [ConvolutionGate(channels, outputs, bias, groups) for channels, outputs in members]


LAYER_GATES = {
    "pooled": pooled_gates,
    "recurrent": recurrent_gates,
    "ffgate1": feedforward_gates,
    "ffgate2": convolution_gates,
}
POSITIONS = {"radi": positions, "radi-imagenet": imagenet_positions}
CHANNEL_GATES = {
    "pooled": pooled_gates,
    "convolution": convolution_gates,
    "recurrent": recurrent_channel_gates,
    "light": light_gates,
    "acs": acs_gates,
}


@dataclass(frozen=True)
class Network:
    """Options of a network's parts: each a `kind` and what its builder takes; {} where there is none."""

    backbone: dict
    layer_gates: dict = field(default_factory=dict)
    channel_gates: dict = field(default_factory=dict)
    exits: dict = field(default_factory=dict)

    def build(self, classes, channels=3, size=(32, 32)):
        """The Dynamic for images of `channels` × `size`. Raises NetworkError."""
        backbone = _make("backbone", BACKBONES, self.backbone, classes=classes, in_channels=channels)
        places = backbone.places(size)
        layer, channel, exits = {}, {}, {}
        if self.layer_gates:
            units = _gated_units(backbone, places, self.layer_gates)
            members = [(backbone.units[i].in_channels, 1) for i in units]
            layer = dict(zip(units, _make("layer_gates", LAYER_GATES, self.layer_gates, members=members)))
        if self.layer_gates and self.channel_gates.get("kind") == "recurrent":
            raise NetworkError(
                'kind = "recurrent" in [network.channel_gates]: their state passes through every unit, so no '
                "[network.layer_gates] may stand before them"
            )
        if self.channel_gates:
            channel = _channel_gates(backbone, places, self.channel_gates)
        if self.exits:
            exits = _exits(backbone, places, self.exits, classes)
        return Dynamic(backbone, layer, channel, exits)


def _exits(backbone, places, options, classes):
    """Branches by the unit they follow: RADI's, or those of `after`; those of `linear` are a head like the last."""
    unknown = sorted(set(options) - {"after", "linear"})
    if unknown:
        raise NetworkError(f"unknown key {unknown[0]!r} in [network.exits]: expected after, linear")
    after = options.get("after", "radi")
    if isinstance(after, str) and after not in POSITIONS:
        raise NetworkError(
            f"after = {after!r} in [network.exits]: expected {', '.join(POSITIONS)}, or numbers of units"
        )
    try:
        after, linear = POSITIONS[after](places) if isinstance(after, str) else after, options.get("linear", ())
    except ValueError as error:
        raise NetworkError(f"[network.exits]: {error}") from None
    for name, units in (("after", after), ("linear", linear)):
        if not isinstance(units, (list, tuple)) or not all(whole(unit, 0) for unit in units):
            raise NetworkError(f"{name} = {units!r} in [network.exits]: expected a list of units' numbers")
    exits = {}
    for i in sorted({*after, *linear}):
        if not 0 <= i < len(places) - 1:
            raise NetworkError(f"an exit after unit {i}: expected 0 … {len(places) - 2}")
        channels = backbone.units[i].out_channels
        exits[i] = Head(channels, classes) if i in linear else Branch(channels, places[i].stage, classes)
    return exits


def _gated_units(backbone, places, options):
    """Units that a gate may stand before; the first `base` of each stage (or as many as its list says) have none."""
    stages = places[-1].stage + 1
    base = options.get("base", 0)
    base = base if isinstance(base, (list, tuple)) else [base] * stages
    if len(base) != stages or not all(whole(count, 0) for count in base):
        raise NetworkError(f"base = {list(base)}: expected one number for each of {stages} stages")
    chosen, number = [], 0
    for i, (unit, place) in enumerate(zip(backbone.units, places)):
        number = 0 if i == 0 or place.stage != places[i - 1].stage else number + 1
        if unit.skippable and number >= base[place.stage]:
            chosen.append(i)
    return chosen


def _channel_gates(backbone, places, options):
    units = _gated_units(backbone, places, options)
    gates = {i: [] for i in units}
    for masks in _groups(backbone, options.get("masks", ["hidden"])):
        chosen = [i for i in units if set(masks) <= set(backbone.units[i].masks)]
        members = [(backbone.units[i].in_channels, backbone.units[i].masks[masks[0]]) for i in chosen]
        made = _make("channel_gates", CHANNEL_GATES, options, members=members)
        for i, gate in zip(chosen, made):
            gates[i].append(ChannelGate(gate, masks))
    return {i: members for i, members in gates.items() if members}


def _groups(backbone, wanted):
    """Lists of masks that one gate decides together. Raises NetworkError for what no unit of the backbone has."""
    known = list(dict.fromkeys(name for unit in backbone.units for name in unit.masks))
    groups = [str(group).split("+") for group in wanted] if isinstance(wanted, (list, tuple)) else []
    named = [name for group in groups for name in group]
    if not named or not {*named} <= {*known} or len(set(named)) < len(named):
        raise NetworkError(
            f"masks = {wanted!r} in [network.channel_gates]: expected one of {', '.join(known) or 'none'} each, or "
            "some joined by + for one gate"
        )
    having = [unit.masks for unit in backbone.units]
    if any(
        len({masks[name] for name in group}) > 1 for group in groups for masks in having if set(group) <= set(masks)
    ):
        raise NetworkError(f"masks = {wanted!r} in [network.channel_gates]: masks of one gate have as many channels")
    return groups


def _make(where, makers, options, **given):
    """Call the maker that options["kind"] names with the other options."""
    options = {name: value for name, value in options.items() if name not in ("base", "masks")}
    kind = options.pop("kind", None)
    if kind not in makers:
        raise NetworkError(f"kind = {kind!r} in [network.{where}]: expected one of {', '.join(makers)}")
    parameters = inspect.signature(makers[kind]).parameters
    known = sorted(set(parameters) - set(given))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise NetworkError(f"unknown key {unknown[0]!r} in [network.{where}]: expected {', '.join(known)}")
    for name, value in options.items():
        wanted = WANTED.get(type(parameters[name].default))
        if wanted and (type(value) not in wanted or value != value):
            raise NetworkError(f"{name} = {value!r} in [network.{where}]: expected {wanted[-1].__name__}")
    try:
        return makers[kind](**given, **options)
    except UNBUILDABLE as error:
        raise NetworkError(f"[network.{where}] cannot be built: {error}") from None
