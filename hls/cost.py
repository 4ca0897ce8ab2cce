"""What an operation costs, written once: FLOPs here are 2 × MACs of convolutions and fully connected layers.

Training's loss, the compiler's bounds, the golden model and the engine's counters all come from these functions.
The first three take plain numbers, or arrays and tensors of counts where a mask decides how many channels run; the
rest prices encoded instructions, its cycles those of the modelled schedule (hls/schedule.py; docs/engine.md, Cost).
"""

from typing import NamedTuple

from hls import isa, schedule
from hls.program import decode
from hls.shapes import fetched_row, output_size, weight_size

FLATTENED = 64  # inputs of a layer that takes pixels apart, about


def conv_flops(out_height, out_width, in_channels, out_channels, kernel):
    """FLOPs of a convolution that computes `out_channels` maps from `in_channels` maps (active ones, both)."""
    return 2 * out_height * out_width * kernel * kernel * in_channels * out_channels


def fc_flops(inputs, outputs):
    """FLOPs of a fully connected layer."""
    return 2 * inputs * outputs


def lstm_flops(inputs, hidden):
    """FLOPs of one LSTM step: four gates, each from the input and the hidden state."""
    return fc_flops(inputs + hidden, 4 * hidden)


def flatten_parts(channels, pixels):
    """Channels of each of the small layers that take a map's pixels apart (export/compile/flatten.py)."""
    most = max(1, FLATTENED // pixels)
    return [min(most, channels - first) for first in range(0, channels, most)]


def flatten_flops(channels, pixels):
    """FLOPs of a map of so many pixels as a vector."""
    return sum(fc_flops(count * pixels, count * pixels) for count in flatten_parts(channels, pixels))


class Cost(NamedTuple):
    """What one instruction, or a run of them, costs: FLOPs, cycles of the modelled schedule, bytes of weights."""

    flops: int
    cycles: int
    weight_bytes: int


class ExitCost(NamedTuple):
    """The budget that is always enough for exit number `exit`, in FLOPs and in cycles.

    `open`: whether every image may leave there, and none only because a gate says so (a class exit).
    """

    exit: int
    flops: int
    cycles: int
    open: bool = True


def instruction_cost(words, active_in=None, active_out=None, pc=0):
    """Cost of the instruction `words` at `pc`, by docs/engine.md; None stands for every channel active.

    `active_in` and `active_out` are numbers of channels: a CONV's, and active_in a MOVE's.
    """
    fields = decode(words)
    opcode, flops, weight_bytes = fields["opcode"], 0, weight_size(fields)
    if opcode == isa.CONV:
        active_in = fields["in_channels"] if active_in is None else active_in
        active_out = fields["out_channels"] if active_out is None else active_out
        flops = conv_flops(*output_size(fields), active_in, active_out, fields["kernel"])
        weight_bytes = active_out * fetched_row(fields, active_in)
    elif opcode == isa.FC:
        flops = fc_flops(fields["inputs"], fields["outputs"])
    elif opcode == isa.LSTM:
        flops = lstm_flops(fields["inputs"], fields["hidden"])
    fetch = isa.FETCH if pc < isa.CODE_STORE else isa.FETCH_FAR
    counts = schedule.loops(fields, active_in, active_out).values()
    return Cost(flops, fetch + sum(trips * ii + entries * depth for trips, entries, ii, depth in counts), weight_bytes)


def classifier_cost(program, target):
    """Cost of the classifier at `target`, up to and with its EXIT, every channel active: a TAP's flops and cycles."""
    total = Cost(0, 0, 0)
    for pc, words in enumerate(program[target:], target):
        total = Cost(*map(sum, zip(total, instruction_cost(words, pc=pc))))
        if int(words[0]) == isa.EXIT:
            return total
    raise ValueError(f"the classifier at instruction {target} has no EXIT")


def worst_case(program, rule=isa.RULE_NONE):
    """Per exit, in the order they are reached, the smallest budget that is enough for it whatever the gates decide.

    Every gate open, every channel active; with the reserve that the engine keeps for the exit it passed last, and,
    under a rule other than NONE, with the classifiers that run on the way. An EXIT in a layer gate's body ends the
    images that run the body; the others go on behind it, at no cost of it.
    """
    spent, need, reserve, exits, body = [0, 0], [0, 0], [0, 0], [], (0, [0, 0], [0, 0])
    for pc, words in enumerate(program):
        fields, opcode = decode(words), int(words[0])
        spent = _add(spent, instruction_cost(words, pc=pc)[:2])
        if opcode == isa.TAP:
            reserve = [fields["flops"], fields["cycles"]]
        need = [max(pair) for pair in zip(need, _add(spent, reserve))]
        inside = pc + 1 == body[0]
        if opcode in (isa.TAP, isa.EXIT):
            exits.append(ExitCost(fields["exit"], *need, not (opcode == isa.EXIT and inside)))
        if opcode == isa.GATE_LAYER:
            body = fields["target"], spent, need
        if opcode == isa.EXIT and inside:
            spent, need = body[1:]
            continue
        if opcode == isa.TAP and rule != isa.RULE_NONE:
            spent, reserve = _add(spent, reserve), [0, 0]
        if opcode in (isa.EXIT, isa.END):
            break
    return exits


def _add(one, other):
    return [a + b for a, b in zip(one, other)]


def smallest_budget(program):
    """The cheapest exit's worst case: a smaller budget may end without a result."""
    return min((cost for cost in worst_case(program) if cost.open), key=lambda cost: (cost.flops, cost.cycles))
