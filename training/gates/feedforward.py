"""FFGate-I, SkipNet's deeper feed-forward layer gate (Wang et al., ECCV 2018, Fig. 3a).

    gate = FeedForwardGate(channels=64)
    logits, state = gate(x, pooled, state)      # (N, 1)

2×2 max pool → 3×3 convolution → 3×3 convolution with stride 2 → global pool → linear; a batch norm and a ReLU behind
each convolution. Its one logit is the difference of the paper's two, whose softmax is then a sigmoid. FFGate-II is one
3×3 convolution with stride 2 → global pool → linear: convolution.py with one output.
"""

from torch import nn
from torch.nn import functional

from hls import cost


class FeedForwardGate(nn.Module):
    """One unit's gate, with maps of its own."""

    def __init__(self, channels, outputs=1, bias=1.0):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, outputs)
        nn.init.kaiming_normal_(self.conv1.weight)
        nn.init.kaiming_normal_(self.conv2.weight)
        nn.init.normal_(self.linear.weight, std=0.5 / channels**0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x, pooled, state):
        """The unit's input (N, C, H, W), H and W at least 2 → logits (N, outputs), the state as it was."""
        y = functional.relu(self.bn1(self.conv1(functional.max_pool2d(x, 2))))
        return self.linear(functional.relu(self.bn2(self.conv2(y))).mean((2, 3))), state

    def cost(self, size):
        """FLOPs of one decision for an input of `size` (height, width)."""
        outputs, channels = self.linear.weight.shape
        pooled = [side // 2 for side in size]
        first = cost.conv_flops(*pooled, channels, channels, 3)
        second = cost.conv_flops(*((side + 1) // 2 for side in pooled), channels, channels, 3)
        return first + second + cost.fc_flops(channels, outputs)

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        y = graph.convolution(graph.pool(x, 2), self.conv1, self.bn1, relu=True)
        y = graph.convolution(y, self.conv2, self.bn2, relu=True)
        return graph.linear(graph.mean(y), self.linear), state


def feedforward_gates(members, bias=1.0):
    """One for each of `members`, (input channels, outputs)."""
    return [FeedForwardGate(channels, outputs, bias) for channels, outputs in members]
