"""RNN gates for channels, which Wang et al. (JSTSP 2020, Figs. 9 and 10) compare G^C with.

    cell = nn.LSTMCell(10, 10)                                       # one for the whole network
    gate = RecurrentChannelGate(cell, channels=64, outputs=64)       # one a unit
    logits, state = gate(x, pooled, state)                           # (N, 64)

The papers say no more of them than that they are recurrent. Here they are G^L (recurrent.py) with as many outputs as
there are channels: global pool → 1×1 convolution (on one pixel: linear) → the LSTM that all share → a linear layer for
each unit, whose number of channels differs. The state must pass through every unit, so no layer gate may stand before.
"""

from torch import nn

from hls import cost

HIDDEN = 10


class RecurrentChannelGate(nn.Module):
    """One unit's gate."""

    def __init__(self, cell, channels, outputs, bias=1.0):
        super().__init__()
        self.embed, self.lstm = nn.Linear(channels, cell.input_size), cell
        self.linear = nn.Linear(cell.hidden_size, outputs)
        nn.init.normal_(self.linear.weight, std=0.5)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x, pooled, state):
        """The unit's input, its average (N, C), (hidden, cell) or None → logits (N, outputs), the new state."""
        state = self.lstm(self.embed(pooled), state)
        return self.linear(state[0]), state

    def cost(self, size):
        """FLOPs of one decision."""
        inputs, hidden = self.lstm.input_size, self.lstm.hidden_size
        own = cost.fc_flops(self.embed.in_features, inputs) + cost.fc_flops(hidden, self.linear.out_features)
        return own + cost.lstm_flops(inputs, hidden)

    def lower(self, graph, x, pooled, state):
        """`forward` as nodes."""
        state = graph.lstm(graph.linear(pooled, self.embed), self.lstm, state)
        return graph.linear(state, self.linear), state


def recurrent_channel_gates(members, hidden=HIDDEN, bias=1.0):
    """One for each of `members`, (input channels, outputs), on one cell."""
    cell = nn.LSTMCell(hidden, hidden)
    return [RecurrentChannelGate(cell, channels, outputs, bias) for channels, outputs in members]
