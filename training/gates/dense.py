"""The light channel gate for dense layers (Wang et al., JSTSP 2020, Fig. 4): about an eighth of its layer's FLOPs.

    gate = LightGate(channels=60, outputs=12)
    logits, state = gate(x, pooled, state)      # (N, 12)

A dense layer reads all channels before it, so a gate with as many maps of its own (convolution.py) would cost several
times the layer. This one is a small dense layer itself: batch norm, ReLU, 1×1 convolution with stride 2 to half of the
layer's bottleneck; batch norm, ReLU, 3×3 convolution; then global pool and a linear layer. A batch norm and a ReLU
stand before the pool, as in convolution.py: without them the last convolution and the linear layer would be one.
With `groups` the 3×3 convolution is ACS-DG's (Zou et al. 2023, Table 4), whose inputs are as many as its outputs.
"""

from torch import nn
from torch.nn import functional

from hls import cost
from training.gates import grouped


class LightGate(nn.Module):
    """One layer's gate. `bottleneck`: channels between its convolutions; 0: 2 · outputs, or the outputs in groups."""

    def __init__(self, channels, outputs, bias=1.0, bottleneck=0, groups=1):
        super().__init__()
        bottleneck = bottleneck or (2 * outputs if groups == 1 else outputs)
        if groups != 1 and bottleneck != outputs:
            raise ValueError(f"bottleneck {bottleneck} with groups: expected the {outputs} channels of the outputs")
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, bottleneck, 1, 2, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(bottleneck), _second(bottleneck, outputs, groups)
        self.bn3, self.linear = nn.BatchNorm2d(outputs), nn.Linear(outputs, outputs)
        nn.init.kaiming_normal_(self.conv1.weight)
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
        bottleneck, channels = self.conv1.weight.shape[:2]
        first, last = cost.conv_flops(*small, channels, bottleneck, 1), cost.fc_flops(*self.linear.weight.shape)
        return first + grouped.flops(self.conv2, small) + last

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        y = graph.convolution(graph.affine(x, self.bn1), self.conv1, self.bn2, relu=True)
        y, order = grouped.lower(graph, y, self.conv2, self.bn3)
        return graph.linear(graph.mean(y), self.linear, inputs=order), state


def _second(bottleneck, outputs, groups):
    if groups != 1:
        return grouped.convolution(outputs, 1, groups)
    conv = nn.Conv2d(bottleneck, outputs, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv


def light_gates(members, bias=1.0, bottleneck=0, groups=1):
    """One for each of `members`, (input channels, outputs)."""
    return [LightGate(channels, outputs, bias, bottleneck, groups) for channels, outputs in members]
