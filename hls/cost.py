"""What an operation costs, written once: FLOPs here are 2 × MACs of convolutions and fully connected layers.

Training's loss, the compiler's bounds, the golden model and the engine's counters all come from these functions.
The first three take plain numbers, or arrays and tensors of counts where a mask decides how many channels run; the
rest prices encoded instructions, its cycles those of the modelled schedule (docs/engine.md, Cost).
"""

from typing import NamedTuple

from hls import isa
from hls.program import decode, output_size, row_bytes, tiles, weight_size


def conv_flops(out_height, out_width, in_channels, out_channels, kernel):
    """FLOPs of a convolution that computes `out_channels` maps from `in_channels` maps (active ones, both)."""
    return 2 * out_height * out_width * kernel * kernel * in_channels * out_channels


def fc_flops(inputs, outputs):
    """FLOPs of a fully connected layer."""
    return 2 * inputs * outputs


def lstm_flops(inputs, hidden):
    """FLOPs of one LSTM step: four gates, each from the input and the hidden state."""
    return fc_flops(inputs + hidden, 4 * hidden)


class Cost(NamedTuple):
    """What one instruction, or a run of them, costs: FLOPs, cycles of the modelled schedule, bytes of weights."""

    flops: int
    cycles: int
    weight_bytes: int


class ExitCost(NamedTuple):
    """The budget that is always enough for exit number `exit`, in FLOPs and in cycles."""

    exit: int
    flops: int
    cycles: int


def instruction_cost(words, active_in=None, active_out=None):
    """Cost of one instruction, by docs/engine.md; a CONV's active channels are counts, None for all of them."""
    fields = decode(words)
    opcode = fields["opcode"]
    if opcode == isa.CONV:
        active_in = fields["in_channels"] if active_in is None else active_in
        active_out = fields["out_channels"] if active_out is None else active_out
        return _conv_cost(fields, active_in, active_out)
    flops = 0
    if opcode == isa.FC:
        flops = fc_flops(fields["inputs"], fields["outputs"])
    elif opcode == isa.LSTM:
        flops = lstm_flops(fields["inputs"], fields["hidden"])
    weight_bytes = weight_size(fields)
    return Cost(flops, _cycles(fields, weight_bytes // isa.WEIGHT_BYTES), weight_bytes)


def _conv_cost(fields, active_in, active_out):
    if active_out == 0:
        return Cost(0, isa.ISSUE, 0)
    kernel, taps = fields["kernel"], fields["kernel"] ** 2
    height, width = output_size(fields)
    row = row_bytes(fields["in_channels"] * taps)
    reads = taps
    if fields["stride"] == 2:
        reads = max(taps, isa.STRIDED_READS if kernel == 1 else isa.WINDOW_READS)
    step = max(active_in * reads, isa.DRAIN)
    groups, rest = divmod(active_out, isa.OUT_LANES)
    sizes = [isa.OUT_LANES] * groups + [rest] * (rest > 0)
    loads = [size * (row // isa.WEIGHT_BYTES + 1) for size in sizes] + [0]
    count = tiles(height, width)
    cycles = isa.ISSUE + isa.PIPELINE + loads[0]
    for size, next_load in zip(sizes, loads[1:]):
        steps = -(-count // 2) if size <= isa.OUT_LANES // 2 else count
        cycles += max(steps * step, next_load)
    return Cost(conv_flops(height, width, active_in, active_out, kernel), cycles, active_out * row)


def _cycles(fields, fetches):
    """Cycles of any instruction but CONV; `fetches` are cycles spent on fetching its weights."""
    opcode = fields["opcode"]
    if opcode in (isa.GATE_LAYER, isa.TAP, isa.END):
        return isa.ISSUE
    if opcode == isa.GATE_CHANNEL:
        return isa.ISSUE + fields["channels"]
    if opcode == isa.IMAGE:
        work = fields["height"] * fields["width"]
    elif opcode == isa.AFFINE:
        work = fields["out_channels"] * tiles(*output_size(fields)) * fields["stride"] ** 2
    elif opcode == isa.POOL:
        work = fields["channels"] * tiles(*output_size(fields)) * fields["kernel"] ** 2
    elif opcode == isa.GLOBAL_POOL:
        work = fields["channels"] * tiles(fields["height"], fields["width"])
    elif opcode == isa.LSTM:
        work = 4 * fields["hidden"]
    else:
        work = 4 * fields["classes"] if opcode == isa.EXIT else 0
    return isa.ISSUE + isa.PIPELINE + work + fetches


def classifier_cost(program, target):
    """Cost of the classifier at `target`, up to and with its EXIT, every channel active: a TAP's flops and cycles."""
    total = Cost(0, 0, 0)
    for words in program[target:]:
        total = Cost(*map(sum, zip(total, instruction_cost(words))))
        if int(words[0]) == isa.EXIT:
            return total
    raise ValueError(f"the classifier at instruction {target} has no EXIT")


def worst_case(program, rule=isa.RULE_NONE):
    """Per exit, in the order they are reached, the smallest budget that is enough for it whatever the gates decide.

    Every gate open, every channel active; with the reserve that the engine keeps for the exit it passed last, and,
    under a rule other than NONE, with the classifiers that run on the way.
    """
    spent, need, reserve, exits = [0, 0], [0, 0], [0, 0], []
    for words in program:
        fields, opcode = decode(words), int(words[0])
        spent = _add(spent, instruction_cost(words)[:2])
        if opcode == isa.TAP:
            reserve = [fields["flops"], fields["cycles"]]
        need = [max(pair) for pair in zip(need, _add(spent, reserve))]
        if opcode in (isa.TAP, isa.EXIT):
            exits.append(ExitCost(fields["exit"], *need))
        if opcode == isa.TAP and rule != isa.RULE_NONE:
            spent, reserve = _add(spent, reserve), [0, 0]
        if opcode in (isa.EXIT, isa.END):
            break
    return exits


def _add(one, other):
    return [a + b for a, b in zip(one, other)]


def smallest_budget(program):
    """The cheapest exit's worst case: a smaller budget may end without a result."""
    return min(worst_case(program), key=lambda cost: (cost.flops, cost.cycles))
