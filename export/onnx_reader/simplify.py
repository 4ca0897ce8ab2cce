"""Fewer steps that compute the same: what follows a convolution becomes a part of it.

    simplify(steps)      # batch norms into weights, Relu, Clip and codes into what they follow, sums into convolutions

One pass from input to output. A step is taken into the one before it where nobody else reads that. What no convolution
takes in stays a step of its own: a batch norm before a Relu before a convolution, a Relu behind an average pool.
"""

from math import inf

import numpy as np

from export.onnx_reader.steps import Steps

CUTTABLE = ("conv", "affine", "linear", "add")
TRANSPARENT = ("max", "view", "flatten", "thin")  # a cut may come before them as well: it leaves zeros zeros


def simplify(steps):
    """Steps without what was taken into others, and without what the output does not need."""
    return _Pass(steps).run()


class _Pass:
    def __init__(self, steps):
        self.steps, self.made, self.alias = steps, [], {}
        self.position = {}
        self.readers = dict.fromkeys(steps.all, 0)
        self.lists = {}  # inputs of a concat → the concat
        for step in _needed(steps):
            for x in step.inputs:
                self.readers[x] += 1

    def run(self):
        """The new Steps."""
        wanted = _needed(self.steps)
        for step in (step for step in self.steps.all if step in wanted):
            step.inputs = [self.alias.get(x, x) for x in step.inputs]
            taken = getattr(self, f"_{step.kind}", lambda step: None)(step)
            if taken is None:
                self.made.append(step)
            else:
                self.alias[step] = taken
                self.readers[taken] += self.readers[step] - 1
        last = self.steps.last
        found = Steps(self.made, self.alias.get(last, last))
        wanted = _needed(found)
        return Steps([step for step in self.made if step in wanted], found.last)

    def _alone(self, x):
        return self.readers[x] == 1

    # ------------------------------------------------------------------------------------------------------ lines
    def _affine(self, step):
        return self._take_line(step.inputs[0], step.scale, step.shift, step)

    def _take_line(self, x, scale, shift, step):
        """The step that gives the line's values, or None."""
        if not self._alone(x) or x.is_cut or (x.kind == "conv" and len(x.inputs) > 1):
            return None
        if x.kind == "affine":
            x.scale, x.shift = x.scale * scale, x.shift * scale + shift
        elif x.kind in ("conv", "linear"):
            x.weight = x.weight * scale.reshape(-1, *[1] * (x.weight.ndim - 1))
            x.bias = x.bias * scale + shift
            x.unit = None if x.unit is None else x.unit * np.abs(scale)
        elif x.kind == "image" and not x.grid and (scale > 0).all():
            x.shift, x.scale = x.shift - shift * x.scale / scale, x.scale / scale
        elif x.kind in TRANSPARENT[:2] and not shift.any() and (scale > 0).all():
            return x if self._take_line(x.inputs[0], scale, shift, step) else None
        else:
            return None
        x.grid = None  # codes between the two would be rounded for nothing
        return x

    def _conv(self, step):
        """Take in a line before it; its shift only where no tap falls outside of the map."""
        x = step.inputs[0]
        if x.kind != "affine" or not self._alone(x) or x.is_cut or x.grid:
            return
        if not x.shift.any() or step.weight.shape[-1] == 1:
            step.bias = step.bias + step.weight.sum((2, 3)) @ x.shift
            step.weight, step.unit = step.weight * x.scale[:, None, None], None
            self._skip(step, x)

    def _thin(self, step):
        """Every second pixel, then channels of zeros: at once."""
        x = step.inputs[0]
        if (
            x.kind == "thin"
            and self._alone(x)
            and step.stride == 1
            and x.before == 0
            and x.channels == x.inputs[0].channels
        ):
            step.stride = x.stride
            self._skip(step, x)

    def _linear(self, step):
        """Take in a line before it."""
        x = step.inputs[0]
        if x.kind == "flatten" and x.order is not None:
            weight = np.empty_like(step.weight)
            weight[:, x.order] = step.weight
            step.weight = weight
        if x.kind == "affine" and self._alone(x) and not x.is_cut and x.size is None:
            step.bias = step.bias + step.weight @ x.shift
            step.weight, step.unit = step.weight * x.scale, None
            self._skip(step, x)

    def _skip(self, step, x):
        step.inputs[0] = x.inputs[0]
        self.made.remove(x)

    # ------------------------------------------------------------------------------------------------------- cuts
    def _cut(self, step):
        return self._take_cut(step.inputs[0], step.low, step.high)

    def _take_cut(self, x, low, high):
        """The step that gives the cut values, or None."""
        if x.low >= low and x.high <= high:
            return x  # they are cut as narrowly already
        if not self._alone(x):
            return None
        if x.kind in TRANSPARENT:
            return x if self._take_cut(x.inputs[0], low, high) else None
        merged = max(x.low, low), min(x.high, high)
        if x.kind in CUTTABLE and merged[0] in (0, -merged[1]) and not (x.size is None and merged[1] < inf):
            (x.low, x.high), x.grid = merged, None
            return x
        return None

    def _grid(self, step):
        """Codes: a lowest one that stands for 0 is a Relu; whose step is kept."""
        x, grid = step.inputs[0], step.grid
        taken = self._take_cut(x, 0.0, inf) if grid.low == 0 else x
        if taken is None:
            step.kind, step.low = "cut", 0.0
        elif taken.grid is None and (self._alone(x) or taken.kind == "image"):
            taken.grid = grid
        return taken

    # ------------------------------------------------------------------------------------------------------- joins
    def _add(self, step):
        """The later of two convolutions that nobody else reads adds the other map to its own."""
        for number in (1, 0):
            x, other = step.inputs[number], step.inputs[1 - number]
            plain = x.kind == "conv" and len(x.inputs) == 1 and not x.is_cut and x is not other
            if plain and self._alone(x):
                self.made.remove(x)
                x.grid, x.inputs = None, [x.inputs[0], other]
                self.made.append(x)
                return x
        return None

    def _concat(self, step):
        """Begin with an earlier concatenation of the same maps, so that each is written once."""
        for count in range(len(step.inputs) - 1, 1, -1):
            before = self.lists.get(tuple(step.inputs[:count]))
            if before is not None and not before.grid:
                for x in step.inputs[:count]:
                    self.readers[x] -= 1
                self.readers[before] += 1
                step.inputs = [before, *step.inputs[count:]]
                break
        self.lists.setdefault(tuple(step.inputs), step)


def _needed(steps):
    """The steps that the output depends on."""
    found, left = set(), [steps.last]
    while left:
        step = left.pop()
        if step not in found:
            found.add(step)
            left += step.inputs
    return found
