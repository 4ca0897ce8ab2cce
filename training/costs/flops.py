"""FLOPs of operations, as the engine counts them (hls/cost.py)."""

from hls import cost


def flops_of(operation):
    """2 × MACs of an Operation: a number, or (N,) where channels are masked."""
    inputs = operation.inputs if operation.active_in is None else operation.active_in.double()
    outputs = operation.outputs if operation.active_out is None else operation.active_out.double()
    if operation.kind == "conv":
        return cost.conv_flops(*operation.output_size, inputs, outputs, operation.kernel)
    if operation.kind == "fc":
        return cost.fc_flops(inputs, outputs)
    return cost.lstm_flops(inputs, outputs) if operation.kind == "lstm" else 0
