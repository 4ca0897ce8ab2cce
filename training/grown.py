"""What a run begins with: weights of a published network, or of a smaller one that was trained here.

    begin(model, "runs/resnet12-cifar10/model.pt", split)      # `init = "FILE"` of a recipe

A model.pt fills the first units of each stage; units beyond stay the identities that they begin as, and an exit behind
its last unit that is a head like its own gets that head, so the larger network starts as good as the smaller one was.
"""

from hls.errors import UserError
from training import published
from training.backbones.backbone import Head
from training.checkpoint import load_model, read_checkpoint
from training.phases import stages
from training.published.files import read
from training.units import PadShortcut, ResidualUnit


def begin(model, path, train):
    """Fill a Dynamic's backbone for the images of a Split from a file. Raises UserError for one of another shape."""
    found = read(path)
    if isinstance(found, dict) and {"recipe", "model", "pruned"} <= set(found):
        state = read_checkpoint(path)
        try:
            small = load_model(state, train.classes, train.channels, train.size)
        except UserError as error:
            raise UserError(f"init {path}, for images of {train.classes} classes: {error}") from None
        _grow(model, small.backbone, path, train.size)
    else:
        published.fill(model.backbone, path)


def _grow(model, small, path, size):
    """Take a smaller backbone's weights over; `size` of the images."""
    pairs = _matched(small, model.backbone, path, size)
    for number, unit in enumerate(pairs):
        _fill(model.backbone.units[unit], small.units[number], path)
    _fill(model.backbone.stem, small.stem, path)
    _fill(model.backbone.head, small.head, path)
    branch = dict(model.exits.items()).get(str(pairs[-1]))
    if isinstance(branch, Head):
        _fill(branch, small.head, path)


def _fill(module, other, path):
    if _shortcut(module) != _shortcut(other):
        raise UserError(f"init {path}: its shortcuts are of another kind than the recipe's")
    try:
        module.load_state_dict(other.state_dict())
    except RuntimeError:
        raise UserError(f"init {path}: its channels are not as many as those of the recipe's network") from None


def _shortcut(unit):
    """What tells a unit's shortcut from others without weights."""
    shortcut = getattr(unit, "shortcut", None)
    return type(shortcut), shortcut.before if isinstance(shortcut, PadShortcut) else None


def _matched(small, backbone, path, size):
    """Of each unit of a smaller backbone, the number that it has in a larger one. Raises UserError."""
    for one in (small, backbone):
        if not all(isinstance(unit, ResidualUnit) for unit in one.units):
            raise UserError(f"init {path}: expected ResNets whose units are all there, none pruned away")
    few, many = (stages(one.places(size)) for one in (small, backbone))
    counts, wanted = ([count for _, _, count in each] for each in (few, many))
    if len(counts) != len(wanted) or any(count > most for count, most in zip(counts, wanted)):
        raise UserError(f"init {path} has {counts} units a stage, the recipe {wanted}: expected at most as many")
    return [start + number for (_, start, _), count in zip(many, counts) for number in range(count)]
