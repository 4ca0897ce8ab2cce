"""Units: the parts of a backbone that gates act on. A layer gate skips a unit, a channel gate narrows it.

    unit = ResidualUnit(16, 16)
    y = unit.run(x, {"hidden": keep})       # x (N, 16, H, W), keep (N, 16) of 0/1
    y = unit.skip(x)                        # what a skipped unit passes on, of the same shape as `run`'s
    flops = unit.cost((H, W), {"hidden": keep.sum(1)})

Another kind of unit is another class with these methods:

- `masks`: name → number of channels of every mask that a channel gate may decide;
- `skippable`: whether `skip` costs nothing, so that a layer gate may stand before the unit;
- `run(x, keep)`, `skip(x)`: (N, in_channels, H, W) → (N, out_channels, H/stride, W/stride);
- `cost(size, active)`: FLOPs for an input of `size` (height, width); `active` holds the number of channels that are
  kept, by mask, as numbers or (N,) tensors; what it does not name runs in full;
- `lower(graph, x, masks, skipped)`: the same as `run` in the nodes of a graph that is to be compiled
  (training/lowering.py), and `lower_skip(graph, x)`, whose value is `skipped` where a layer gate has asked for it;
- `lower_join(graph, x, y)`: the unit's output from its input and what one of these two gave: `y` itself, or, where a
  unit adds channels to what it reads, both.
"""

from torch import nn
from torch.nn import functional

from hls import cost


class PadShortcut(nn.Module):
    """Identity across a change of shape: every stride-th pixel, `before` of the new channels of zeros in front of it.

    He et al. 2016, section 4.2, option A. Half of the zeros stand in front where nothing is said.
    """

    def __init__(self, in_channels, out_channels, stride, before=None):
        super().__init__()
        self.stride = stride
        self.before = (out_channels - in_channels) // 2 if before is None else before
        self.after = out_channels - in_channels - self.before

    def forward(self, x):
        """(N, C, H, W) → (N, before + C + after, H/stride, W/stride)."""
        return functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


class ResidualUnit(nn.Module):
    """Two 3×3 convolutions and a shortcut (He et al. 2016, Fig. 2).

    Masks: `hidden` drops channels between the convolutions, `residual` leaves channels of the sum as the identity has
    them (Wang et al., JSTSP 2020, Eq. 2).
    """

    def __init__(self, in_channels, out_channels, stride=1, shortcut="pad"):
        super().__init__()
        self.in_channels, self.out_channels, self.stride = in_channels, out_channels, stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = _shortcut(in_channels, out_channels, stride, shortcut)
        self.skippable = not isinstance(self.shortcut, nn.Sequential) or not len(self.shortcut)
        self.masks = {"hidden": out_channels} | ({"residual": out_channels} if self.skippable else {})

    def run(self, x, keep=None):
        """(N, in_channels, H, W) → (N, out_channels, H/stride, W/stride); `keep`: mask → (N, channels) of 0/1."""
        keep = keep or {}
        y = functional.relu(self.bn1(self.conv1(x)))
        if "hidden" in keep:
            y = y * keep["hidden"][:, :, None, None].to(y.dtype)
        identity = self.shortcut(x)
        y = functional.relu(self.bn2(self.conv2(y)) + identity)
        if "residual" in keep:
            mask = keep["residual"][:, :, None, None].to(y.dtype)
            y = mask * y + (1 - mask) * identity
        return y

    def skip(self, x):
        """What a skipped unit passes on: its shortcut."""
        return self.shortcut(x)

    def cost(self, size, active=None):
        """FLOPs for an input of `size` (height, width); `active`: mask → kept channels, a number or (N,)."""
        active = active or {}
        height, width = self.output_size(size)
        hidden = active.get("hidden", self.out_channels)
        first = cost.conv_flops(height, width, self.in_channels, hidden, 3)
        second = cost.conv_flops(height, width, hidden, active.get("residual", self.out_channels), 3)
        projection = 0
        if not self.skippable:
            projection = cost.conv_flops(height, width, self.in_channels, self.out_channels, 1)
        return first + second + projection

    def output_size(self, size):
        """(height, width) of the output for an input of `size`."""
        return tuple(-(-side // self.stride) for side in size)

    def lower(self, graph, x, masks, skipped=None):
        """`run` as nodes; `masks`: mask → a mask node; `skipped`: what `lower_skip` gave, where it was called."""
        hidden, residual = masks.get("hidden"), masks.get("residual")
        identity = self.lower_skip(graph, x) if skipped is None else skipped
        y = graph.convolution(x, self.conv1, self.bn1, relu=True, out_mask=hidden)
        return graph.convolution(y, self.conv2, self.bn2, relu=True, add=identity, in_mask=hidden, out_mask=residual)

    def lower_skip(self, graph, x):
        """The shortcut as nodes."""
        if isinstance(self.shortcut, PadShortcut):
            return graph.pad(x, self.shortcut.before, self.shortcut.after, self.stride)
        return x if self.skippable else graph.convolution(x, *self.shortcut, relu=False)

    def lower_join(self, graph, x, y):
        """The sum is the output."""
        return y


SHORTCUTS = ("pad", "behind", "conv")  # zeros on both sides, zeros behind alone, a 1×1 convolution


def _shortcut(in_channels, out_channels, stride, kind):
    if kind not in SHORTCUTS:
        raise ValueError(f"shortcut {kind!r}: expected one of {', '.join(SHORTCUTS)}")
    if stride == 1 and in_channels == out_channels:
        return nn.Sequential()
    if kind != "conv":
        return PadShortcut(in_channels, out_channels, stride, 0 if kind == "behind" else None)
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
