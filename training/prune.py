"""What never varies costs no gate: units that never run go, gates that hardly vary become fixed.

Of exits with none but such units between them the first is kept: the others would read the same map.

    found = find_constant(model, split)     # plain values, kept in the checkpoint
    apply(model, found)                     # the same model, smaller

Decisions are looked at on training images as they are. A unit that runs for less than `least` of the images is
removed, one that runs for more than 1 - `least` loses its gate.
"""

import torch
from torch import nn

from training.dynamic import LAYER
from training.evaluate import Rates

LEAST = 0.02
IMAGES = 10_000


class Skipped(nn.Module):
    """A unit that is gone: it passes what a skipped one would."""

    def __init__(self, unit):
        super().__init__()
        self.in_channels, self.out_channels, self.stride = unit.in_channels, unit.out_channels, unit.stride
        self.shortcut, self.masks, self.skippable = unit.shortcut, {}, True
        self.lower_skip, self.lower_join = unit.lower_skip, unit.lower_join

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, H/stride, W/stride)."""
        return self.shortcut(x)

    skip = run

    def cost(self, size, active=None):
        """Nothing."""
        return 0

    def output_size(self, size):
        """(height, width) of the output for an input of `size`."""
        return tuple(-(-side // self.stride) for side in size)

    def lower(self, graph, x, masks, skipped=None):
        """The shortcut as nodes."""
        return self.lower_skip(graph, x) if skipped is None else skipped


@torch.no_grad()
def keep_rates(model, split, limit=IMAGES, size=250, left_out=()):
    """{(unit, mask): (outputs,) share of images that keep it} on the split's first images."""
    model.eval()
    rates = Rates()
    for images, _ in split.plain_batches(size, min(limit, len(split))):
        rates.add(model(images, with_exits=False, left_out=left_out))
    return rates.rates()


def find_constant(model, split, least=LEAST, left_out=()):
    """{"closed": units, "open": units}, by their layer gates: plain values. Units in `left_out` are closed."""
    rates = keep_rates(model, split, left_out=left_out)
    layers = {unit: rate.item() for (unit, mask), rate in rates.items() if mask == LAYER}
    closed = sorted({*left_out, *(unit for unit, rate in layers.items() if rate < least)})
    return {"closed": closed, "open": [unit for unit, rate in layers.items() if rate > 1 - least]}


def apply(model, found):
    """Change the model by what `find_constant` found; the exits that went."""
    for unit in found["closed"]:
        model.backbone.units[unit] = Skipped(model.backbone.units[unit])
        if str(unit) in model.channel_gates:
            del model.channel_gates[str(unit)]
    for unit in found["closed"] + found["open"]:
        if str(unit) in model.layer_gates:
            del model.layer_gates[str(unit)]
    doubled = _doubled(model)
    for unit in doubled:
        del model.exits[str(unit)]
    return doubled


def _doubled(model):
    """Exits that read the map of an exit before them: all units between the two are gone."""
    found, fresh = [], True
    for i, unit in enumerate(model.backbone.units):
        fresh = fresh or not isinstance(unit, Skipped) or (unit.stride, unit.in_channels) != (1, unit.out_channels)
        if str(i) in model.exits:
            found += [] if fresh else [i]
            fresh = False
    return found
