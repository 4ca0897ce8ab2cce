"""A graph in floating point, with hard decisions: what calibration and correction look at.

out = FloatNetwork(network)(images)      # normalised images (N, C, H, W) float32 → interpret.Output
"""

import numpy as np
import torch
from torch.nn import functional

from export.graph import ClassExit
from export.interpret import Interpreter, framed


class FloatNetwork(Interpreter):
    """One method a kind of node."""

    def image(self, node):
        """The batch."""
        return self.images

    def convolution(self, node):
        """(N, in, H, W) → (N, out, H/stride, W/stride)."""
        return self.write(node, _cut(self.sums(node), node))

    def sums(self, node):
        """What a Convolution's ReLU takes, the map that is added among it."""
        weight, bias = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
        y = functional.conv2d(self.read(node.x, node.in_mask), weight, bias, node.stride, weight.shape[-1] // 2)
        if node.add is not None:
            y += self.values[node.add]
        return y

    def affine(self, node):
        """(N, C, H, W), each channel by its line."""
        scale, shift = (torch.from_numpy(values)[:, None, None] for values in (node.scale, node.shift))
        return _cut((self.values[node.x] * scale).add_(shift), node)

    def concat(self, node):
        """(N, channels, H, W)."""
        return torch.cat([self.values[part] for part in node.parts], 1)

    def view(self, node):
        """(N, C, H, W) → (N, C, height, width): negative padding cuts off."""
        return framed(self.values[node.x], node.size)

    def flatten(self, node):
        """(N, C, H, W) → (N, C·H·W)."""
        return self.values[node.x].flatten(1)

    def pad(self, node):
        """(N, in, H, W) → (N, channels, H/stride, W/stride)."""
        behind = node.channels - node.x.channels - node.before
        x = self.values[node.x][:, :, :: node.stride, :: node.stride]
        return functional.pad(x, (0, 0, 0, 0, node.before, behind))

    def pool(self, node):
        """Maxima or averages of windows."""
        x = self.values[node.x]
        if node.average:
            return functional.avg_pool2d(x, node.kernel, node.stride, node.padding, count_include_pad=False)
        return functional.max_pool2d(x, node.kernel, node.stride, node.padding)

    def mean(self, node):
        """(N, C, H, W) → (N, C)."""
        return self.values[node.x].mean((2, 3))

    def linear(self, node):
        """(N, in) → (N, out)."""
        y = functional.linear(self.values[node.x], torch.from_numpy(node.weight), torch.from_numpy(node.bias))
        return functional.relu(y) if node.relu else y

    def threshold(self, gate):
        """A class exit's own; its score must reach it."""
        return (
            float(np.nextafter(np.float32(gate.threshold), np.float32(-np.inf))) if isinstance(gate, ClassExit) else 0
        )

    def answer(self, node, score):
        """(N, 1) → (N, classes): the score for the target, what is left for each of the others."""
        logits = score.new_full((len(score), node.channels), node.others)
        logits[:, node.target] = score[:, 0]
        return logits

    def lstm(self, node):
        """(N, inputs) → (N, hidden); the cell's state is kept beside the value."""
        cell, x = node.cell, self.values[node.x]
        inputs, hidden, bias = map(torch.from_numpy, (cell.weight_input, cell.weight_hidden, cell.bias))
        before = (x.new_zeros(len(x), node.channels),) * 2 if node.before is None else self.state
        i, f, g, o = (functional.linear(x, inputs, bias) + before[0] @ hidden.T).chunk(4, 1)
        cell = torch.sigmoid(f) * before[1] + torch.sigmoid(i) * torch.tanh(g)
        self.state = torch.sigmoid(o) * torch.tanh(cell), cell
        return self.state[0]


def _cut(y, node):
    """A ReLU where there is one, and the node's limit; in place."""
    if node.limit is None:
        return y.relu_() if node.relu else y
    return y.clamp_(0 if node.relu else -node.limit, node.limit)
