"""The engine's own cycles as a cost: those of the modelled schedule, which its counters hold (hls/schedule.py).

    price = cycles_of(operation)      # a number, or (N,) float64 where channels are masked

The value is that of the engine to the cycle, but that instructions behind the first CODE_STORE take longer to fetch.
It moves in steps with the number of channels; its gradient is the instruction's mean cycles a channel.
"""

from functools import lru_cache

from hls import isa, schedule


def cycles_of(operation):
    """Cycles of an Operation."""
    counts = operation.active_in, operation.active_out
    tensors = [count.double() for count in counts if count is not None]
    if not tensors:
        return float(_cycles(_fields(operation), None, None))
    pairs = list(zip(*(_whole(count, len(tensors[0])) for count in counts)))
    held = tensors[0].new_tensor([_cycles(_fields(operation), *pair) for pair in pairs])
    slopes = [count / count.detach().clamp(min=1) for count in tensors]  # 1, with the gradient 1 / count
    return held + sum(held * (slope - slope.detach()) for slope in slopes)


def _whole(count, images):
    """Plain numbers of active channels, or None for every image."""
    return [None] * images if count is None else [int(value) for value in count.detach().tolist()]


def _fields(operation):
    """An instruction's fields as a sorted tuple of pairs: those that its cycles depend on."""
    height, width = operation.size
    fields = {"opcode": isa.OPCODES[operation.kind.upper()], "flags": isa.FLAG_ADD * operation.adds}
    fields |= {"height": height, "width": width, "kernel": operation.kernel, "stride": operation.stride}
    fields |= {"in_channels": operation.inputs, "out_channels": operation.outputs, "channels": operation.outputs}
    fields |= {"inputs": operation.inputs, "outputs": operation.outputs, "hidden": operation.outputs}
    fields |= {"classes": operation.outputs, "in_mask": int(operation.active_in is not None)}
    fields |= {"padding": operation.padding}
    return tuple(sorted(fields.items()))


@lru_cache(maxsize=1 << 16)
def _cycles(fields, active_in, active_out):
    loops = schedule.loops(dict(fields), active_in, active_out).values()
    return isa.FETCH + sum(trips * ii + entries * depth for trips, entries, ii, depth in loops)
