"""The light channel gate for dense layers (Wang et al., JSTSP 2020, Fig. 4): about an eighth of its layer's FLOPs.

    gate = LightGate(channels=60, outputs=12)
    logits, state = gate(x, pooled, state)      # (N, 12)

A dense layer reads all channels before it, so a gate with as many maps of its own (convolution.py) would cost several
times the layer. This one is a small dense layer itself: batch norm, ReLU, 1×1 convolution with stride 2 to half of the
layer's bottleneck; batch norm, ReLU, 3×3 convolution; then global pool and a linear layer. A batch norm and a ReLU
stand before the pool, as in convolution.py: without them the last convolution and the linear layer would be one.
"""

from torch import nn
from torch.nn import functional

from hls import cost


class LightGate(nn.Module):
    """One layer's gate. `bottleneck`: channels between its convolutions, 2 · outputs where 0."""

    def __init__(self, channels, outputs, bias=1.0, bottleneck=0):
        super().__init__()
        bottleneck = bottleneck or 2 * outputs
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, bottleneck, 1, 2, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(bottleneck), nn.Conv2d(bottleneck, outputs, 3, 1, 1, bias=False)
        self.bn3, self.linear = nn.BatchNorm2d(outputs), nn.Linear(outputs, outputs)
        nn.init.kaiming_normal_(self.conv1.weight)
        nn.init.kaiming_normal_(self.conv2.weight)
        nn.init.normal_(self.linear.weight, std=0.5 / outputs**0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x, pooled, state):
        """The layer's input (N, C, H, W) → logits (N, outputs), the state as it was."""
        y = self.conv1(functional.relu(self.bn1(x)))  # (N, bottleneck, H/2, W/2)
        y = functional.relu(self.bn3(self.conv2(functional.relu(self.bn2(y)))))
        return self.linear(y.mean((2, 3))), state

    def cost(self, size):
        """FLOPs of one decision for an input of `size` (height, width)."""
        small = [(side + 1) // 2 for side in size]
        bottleneck, outputs = self.conv2.in_channels, self.conv2.out_channels
        first = cost.conv_flops(*small, self.conv1.in_channels, bottleneck, 1)
        return first + cost.conv_flops(*small, bottleneck, outputs, 3) + cost.fc_flops(outputs, outputs)

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        y = graph.convolution(graph.affine(x, self.bn1), self.conv1, self.bn2, relu=True)
        y = graph.convolution(y, self.conv2, self.bn3, relu=True)
        return graph.linear(graph.mean(y), self.linear), state


def light_gates(members, bias=1.0, bottleneck=0):
    """One for each of `members`, (input channels, outputs)."""
    return [LightGate(channels, outputs, bias, bottleneck) for channels, outputs in members]
