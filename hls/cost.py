"""What an operation costs, written once: FLOPs here are 2 × MACs of convolutions and fully connected layers.

Training's loss, the compiler's bounds, the golden model and the engine's counters all come from these functions.
They take plain numbers, or arrays and tensors of counts where a mask decides how many channels run.
"""


def conv_flops(out_height, out_width, in_channels, out_channels, kernel):
    """FLOPs of a convolution that computes `out_channels` maps from `in_channels` maps (active ones, both)."""
    return 2 * out_height * out_width * kernel * kernel * in_channels * out_channels


def fc_flops(inputs, outputs):
    """FLOPs of a fully connected layer."""
    return 2 * inputs * outputs


def lstm_flops(inputs, hidden):
    """FLOPs of one LSTM step: four gates, each from the input and the hidden state."""
    return fc_flops(inputs + hidden, 4 * hidden)
