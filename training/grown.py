"""What a run begins with: weights of a published network, or of a smaller one that was trained here.

    begin(model, "runs/resnet12-cifar10/model.pt")      # `init = "FILE"` of a recipe

A finished model.pt fills the first units of each stage; units beyond stay the identities that they begin as, and an
exit behind its last unit that is a head like its own gets that head, so the larger network starts as good as it was.
"""

from itertools import groupby

from hls.errors import UserError
from training import published
from training.backbones.backbone import Head
from training.published.files import read


def begin(model, path):
    """Fill a Dynamic's backbone from a file. Raises UserError for one of another shape."""
    found = read(path)
    if isinstance(found, dict) and {"recipe", "model", "pruned"} <= set(found):
        _grow(model, found, path)
    else:
        published.fill(model.backbone, path)


def _grow(model, state, path):
    """Take the weights of a finished run over."""
    small = {name[len("backbone.") :]: value for name, value in state["model"].items() if name.startswith("backbone.")}
    places = _matched(_stages(state, path), model.backbone)
    taken, last = {}, None
    for number, unit in enumerate(places):
        taken |= _renamed(small, f"units.{number}.", f"units.{unit}.")
        last = unit
    taken |= {name: value for name, value in small.items() if not name.startswith("units.")}
    own = model.backbone.state_dict()
    odd = [name for name, value in taken.items() if name not in own or own[name].shape != value.shape]
    if odd:
        raise UserError(f"{path} does not fit the recipe's network at {odd[0]}: expected as many channels")
    model.backbone.load_state_dict({**own, **taken})
    if str(last) in model.exits and isinstance(model.exits[str(last)], Head):
        model.exits[str(last)].load_state_dict(_renamed(small, "head.", ""))


def _stages(state, path):
    """Units a stage of the network that a state holds."""
    network, units = state["recipe"]["network"], [0]
    if network["backbone"].get("kind") != "resnet" or state["pruned"]:
        raise UserError(f"{path}: expected a ResNet that nothing was pruned from, or published weights")
    depth, units = network["backbone"].get("depth"), network["backbone"].get("units")
    return list(units) if units else [(depth - 2) // 6] * 3


def _matched(counts, backbone):
    """Of each unit of a smaller network, the number that it has in a backbone. Raises UserError."""
    stages = [[i for i, _ in group] for _, group in groupby(enumerate(_widths(backbone)), key=lambda pair: pair[1])]
    if len(counts) != len(stages) or any(count > len(stage) for count, stage in zip(counts, stages)):
        wanted = [len(stage) for stage in stages]
        raise UserError(f"init has {counts} units a stage, the recipe {wanted}: expected at most as many")
    return [unit for count, stage in zip(counts, stages) for unit in stage[:count]]


def _widths(backbone):
    return [unit.out_channels for unit in backbone.units]


def _renamed(weights, old, new):
    """Those whose names begin with `old`, beginning with `new` instead."""
    return {new + name[len(old) :]: value for name, value in weights.items() if name.startswith(old)}
