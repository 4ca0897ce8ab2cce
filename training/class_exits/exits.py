"""The class exits of a checkpoint, lowered behind their units.

    placed = ClassExits.of(state, model)                   # none where the checkpoint has none
    fold(model, …, watch=placed.watch); placed.told()      # {class: how it was chosen}

In a checkpoint `class_exits` is a list, one a class: class, name, measure, figures on validation and test images, and
exits, each with the unit it stands behind (-1: the stem), alpha, what it reads ([unit, first channel]), weight, bias.
"""

from dataclasses import dataclass

import numpy as np
import torch

from hls.errors import UserError
from training.class_exits.choose import score_of

KEYS = {"class", "name", "exits"}


@dataclass(frozen=True)
class Place:
    """What a graph must know of an exit: its unit, class, threshold (nats), and the number of all classes."""

    unit: int
    target: int
    threshold: float
    classes: int


class ClassExits:
    """All class exits of a checkpoint."""

    def __init__(self, items, classes):
        self.items, self.classes = items, classes
        self.maps = {}  # (unit, first channel) → vector

    @classmethod
    def of(cls, state, model):
        """Those of a checkpoint's state. Raises UserError where they do not fit the model."""
        items = state.get("class_exits", [])
        if not items:
            return cls([], 0)
        try:
            head = model.backbone.head.linear
            for item in items:
                assert set(item) >= KEYS and 0 <= item["class"] < head.out_features
                for one in item["exits"]:
                    reads = sum(_width(model, unit) - first for unit, first in one["reads"])
                    assert len(one["weight"]) == reads and 0.5 < one["alpha"] < 1 and one["reads"][-1][0] == one["unit"]
        except (AssertionError, AttributeError, TypeError, KeyError, IndexError):
            raise UserError("the checkpoint's class exits do not fit its network: choose them again") from None
        return cls(items, head.out_features)

    def watch(self, graph, unit, x):
        """Read what is read behind a unit, and put the exits there."""
        exits = [(item, one) for item in self.items for one in item["exits"]]
        for first in sorted({first for _, one in exits for at, first in one["reads"] if at == unit}):
            part = graph.channels(x, first, x.channels - first) if first else x
            self.maps[unit, first] = graph.mean(graph.affine(part) if part.signed else part)
        for item, one in exits:
            if one["unit"] == unit:
                vectors = [self.maps[tuple(read)] for read in one["reads"]]
                joined = graph.join(vectors) if len(vectors) > 1 else vectors[0]
                place = Place(unit, item["class"], score_of(one["alpha"]), self.classes)
                weight, bias = (torch.as_tensor(np.asarray(one[key], np.float64)) for key in ("weight", "bias"))
                graph.class_exit(joined, weight, bias, place)

    def told(self):
        """{class: how it was chosen}, as a package's meta holds it."""
        return {
            item["class"]: {key: value for key, value in item.items() if key != "exits"}
            | {"exits": [{key: one[key] for key in ("unit", "alpha", "keep_previous")} for one in item["exits"]]}
            for item in self.items
        }


def _width(model, unit):
    units = model.backbone.units
    return units[0].in_channels if unit < 0 else units[unit].out_channels
