"""G^L, the papers' layer gate (Wang et al., JSTSP 2020, Fig. 2; SkipNet's RNN gate, Wang et al., ECCV 2018, Fig. 3c).

    cell = RecurrentCell()                      # one for the whole network
    gate = RecurrentGate(cell, channels=64)     # one a unit
    logits, state = gate(x, pooled, state)      # (N, 1)

Global pool → 1×1 convolution (on one pixel: a linear layer) → LSTM of 10 → linear. The cell sees every unit's input in
turn, whether the unit runs or not.
"""

from torch import nn

from hls import cost

HIDDEN = 10


class RecurrentCell(nn.Module):
    """What all gates of a network share: the LSTM and the layer that decides."""

    def __init__(self, hidden=HIDDEN, bias=1.0):
        super().__init__()
        self.lstm = nn.LSTMCell(hidden, hidden)
        self.linear = nn.Linear(hidden, 1)
        nn.init.normal_(self.linear.weight, std=0.5)
        nn.init.constant_(self.linear.bias, bias)


class RecurrentGate(nn.Module):
    """One unit's gate."""

    def __init__(self, cell, channels):
        super().__init__()
        self.embed = nn.Linear(channels, cell.lstm.input_size)
        self.shared = cell

    def forward(self, x, pooled, state):
        """The unit's input, its average (N, C), (hidden, cell) or None → logits (N, 1), the new (hidden, cell)."""
        state = self.shared.lstm(self.embed(pooled), state)
        return self.shared.linear(state[0]), state

    def cost(self, size):
        """FLOPs of one decision."""
        hidden, channels = self.embed.weight.shape
        return cost.fc_flops(channels, hidden) + cost.lstm_flops(hidden, hidden) + cost.fc_flops(hidden, 1)

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        state = graph.lstm(graph.linear(pooled, self.embed), self.shared.lstm, state)
        return graph.linear(state, self.shared.linear), state
