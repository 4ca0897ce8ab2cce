"""What every backbone is: a stem, units in order, a head.

backbone = Backbone(stem, units, head, "resnet20")
for unit, place in zip(backbone.units, backbone.places((32, 32))): ...
"""

from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn import functional

from hls import cost


@dataclass(frozen=True)
class Place:
    """Where a unit stands: its stage (a new one begins where the map shrinks) and the size of its input."""

    stage: int
    size: tuple[int, int]  # height, width


class Stem(nn.Module):
    """3×3 convolution, batch norm, ReLU: pixels to the first map (He et al. 2016, section 4.2)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x):
        """Normalised images (N, in_channels, H, W) → (N, out_channels, H, W)."""
        return functional.relu(self.bn(self.conv(x)))

    def cost(self, size):
        """FLOPs for an image of `size`."""
        return cost.conv_flops(*size, self.conv.in_channels, self.conv.out_channels, 3)

    def output_size(self, size):
        """(height, width) of the output."""
        return size

    def lower(self, graph, x):
        """`forward` as a node."""
        return graph.convolution(x, self.conv, self.bn, relu=True)


class Head(nn.Module):
    """Global average pool and a linear layer."""

    def __init__(self, channels, classes):
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x):
        """(N, C, H, W) → (N, classes) logits."""
        return self.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1))

    def cost(self, size):
        """FLOPs, whatever the map's size."""
        return cost.fc_flops(self.linear.in_features, self.linear.out_features)

    def lower(self, graph, x):
        """`forward` as nodes."""
        return graph.linear(graph.mean(x), self.linear)


class Backbone(nn.Module):
    """The static network."""

    units: Any  # an nn.ModuleList of units

    def __init__(self, stem, units, head, name):
        super().__init__()
        self.stem, self.units, self.head, self.name = stem, nn.ModuleList(units), head, name
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x):
        """Normalised images (N, C, H, W) → (N, classes) logits."""
        x = self.stem(x)
        for unit in self.units:
            x = unit.run(x)
        return self.head(x)

    def places(self, size):
        """A Place for each unit, for images of `size` (height, width)."""
        places, stage, size = [], 0, self.stem.output_size(size)
        for i, unit in enumerate(self.units):
            after = unit.output_size(size)
            stage += i > 0 and after != size
            places.append(Place(stage, size))
            size = after
        return places

    def cost(self, size):
        """FLOPs of the whole network for an image of `size`."""
        units = sum(unit.cost(place.size) for unit, place in zip(self.units, self.places(size)))
        return self.stem.cost(size) + units + self.head.cost(size)
