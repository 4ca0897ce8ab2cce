"""G^C, the papers' channel gate (Wang et al., JSTSP 2020, Fig. 2): 12.5 % of its unit's FLOPs.

    gate = ConvolutionGate(channels=64, outputs=64)
    logits, state = gate(x, pooled, state)      # (N, 64)

3×3 convolution with stride 2 → batch norm → ReLU → global pool → linear. Without batch norm and ReLU the whole would
be one linear map of sums. With `groups` the convolution is ACS-DG's (Zou et al. 2023, Table 4: IADI with ACS-DG).
"""

from torch import nn
from torch.nn import functional

from hls import cost
from training.gates import grouped


class ConvolutionGate(nn.Module):
    """One unit's gate, with maps of its own."""

    def __init__(self, channels, outputs, bias=1.0, groups=1):
        super().__init__()
        self.conv = grouped.convolution(channels, 2, groups)
        self.bn = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, outputs)
        nn.init.normal_(self.linear.weight, std=0.5 / channels**0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x, pooled, state):
        """The unit's input (N, C, H, W) → logits (N, outputs), the state as it was."""
        features = functional.relu(self.bn(self.conv(x)))  # (N, C, H/2, W/2)
        return self.linear(functional.adaptive_avg_pool2d(features, 1).flatten(1)), state

    def cost(self, size):
        """FLOPs of one decision for an input of `size` (height, width)."""
        outputs, channels = self.linear.weight.shape
        return grouped.flops(self.conv, [(side + 1) // 2 for side in size]) + cost.fc_flops(channels, outputs)

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        features, order = grouped.lower(graph, x, self.conv, self.bn)
        return graph.linear(graph.mean(features), self.linear, inputs=order), state
