"""The engine's schedule: how a convolution is cut into groups and steps, and how often each loop runs.

    plan = conv_plan(fields, active_in, active_out)   # groups of output channels, with their steps and lengths
    loops(fields, active_in, active_out)              # name → (trips, entries, ii, depth) of every pipelined loop

hls/isa.toml lists the loops with their trips as expressions; here are the terms of these. hls/src/schedule.hpp says
the same in closed form, and a test counts the iterations of the running code.

A convolution computes groups of output channels one after the other, each in steps over the output map; a step takes
ROW_TAPS taps of one input channel a cycle. It covers
a tile  for OUT_LANES channels: stride 1
a part  of a tile, for FOLD times as many channels: stride 2, whose windows of a tile would not be read in time, and
        maps of at most PART × PART pixels, which fill no more of a tile
A 1 × 1 kernel over tiles takes two input channels a cycle, where no mask sets their weights apart and the window holds
two tiles side by side.
AFFINE, POOL and GLOBAL_POOL use the same loop, a channel at a time: POOL by parts, the others as a convolution.
"""

from functools import lru_cache
from math import ceil
from typing import NamedTuple

from hls import isa
from hls.shapes import fetched_row, output_size, row_bytes

MULTIPLICATIONS = isa.TILE**2 * isa.OUT_LANES * isa.ROW_TAPS  # products of a cycle


class Shape(NamedTuple):
    """All that a convolution's schedule depends on."""

    height: int  # of the output
    width: int
    kernel: int
    stride: int
    side: int  # of what a step covers: TILE or PART
    lanes: int  # output channels at once
    row: int  # bytes of weights fetched for one output channel
    inputs: int  # input channels that are multiplied one after the other: pairs of them, if paired
    paired: bool
    reads_identity: bool


class Group(NamedTuple):
    """Channels that run together: `count` groups alike, of `channels` each, take `steps` steps of `step` cycles."""

    count: int
    channels: int
    steps: int
    step: int
    multiply: int  # of a step's cycles, those of its multiplications
    load: int  # cycles in which the weights of one group are fetched
    drain: int  # cycles in which a step's results are requantised


class Plan(NamedTuple):
    """A convolution's groups, and the cycles until it may start: its first weights, its first window."""

    groups: tuple
    start: int

    @property
    def cycles(self):
        """Iterations of the main loop: computing and fetching overlap, each group's weights ahead of it."""
        first, last = self.groups[0], self.groups[-1]
        before = sum(group.count for group in self.groups) - 1
        # The first step waits for its weights, but not for a drain.
        compute = before * first.steps * first.step + last.steps * last.step
        compute += max(first.load, first.multiply, 1) - first.step
        fetch = before * first.load + max(last.steps * last.step, last.load) if before else 0
        # A group's first results wait until those of the group before are requantised.
        wait = max(0, first.drain - last.step) if before else 0
        return self.start + max(compute, fetch) + wait + last.drain + isa.WRITE_DELAY


def window_reads(kernel, stride, paired=False):
    """Reads of 8 × 8 pixels that fill a step's window: of a tile at stride 1, of a part at stride 2; or of a pair's."""
    side = (isa.TILE if stride == 1 else isa.PART) * stride - stride + kernel
    return 2 if paired else ceil(side / isa.TILE) ** 2


def conv_plan(fields, active_in, active_out):
    """The Plan of a CONV with that many active channels, active_out at least 1."""
    height, width = output_size(fields)
    by_parts = fields["stride"] > 1 or max(height, width) <= isa.PART
    side, lanes = (isa.PART, isa.OUT_LANES * isa.FOLD) if by_parts else (isa.TILE, isa.OUT_LANES)
    paired = isa.WINDOW >= 2 * isa.TILE and fields["kernel"] == 1 and not by_parts and not fields["in_mask"]
    inputs, adds = ceil(active_in / 2) if paired else active_in, bool(fields["flags"] & isa.FLAG_ADD)
    row = fetched_row(fields, active_in)
    return _plan(
        Shape(height, width, fields["kernel"], fields["stride"], side, lanes, row, inputs, paired, adds), active_out
    )


def map_plan(fields):
    """The Plan of an AFFINE, a POOL or a GLOBAL_POOL."""
    pools = fields["opcode"] == isa.POOL
    height, width = (fields["height"], fields["width"]) if fields["opcode"] == isa.GLOBAL_POOL else output_size(fields)
    count = fields["out_channels"] if fields["opcode"] == isa.AFFINE else fields["channels"]
    kernel, stride = fields["kernel"] if pools else 1, fields.get("stride", 1)
    side = isa.PART if pools or stride > 1 else isa.TILE
    return _plan(Shape(height, width, kernel, stride, side, 1, 0, 1, False, False), count)


@lru_cache(maxsize=1 << 16)
def _plan(shape, active_out):
    full, rest = divmod(active_out, shape.lanes)
    groups = [_group(shape, full, shape.lanes)] if full else []
    groups += [_group(shape, 1, rest)] if rest else []
    # Channels are listed, a cycle each, and the ports start with the first; all rows of the first burst come but the
    # last three, whose bytes are used as they come. Without weights the biases and scales are waited for.
    channels = groups[0].channels
    bursts = (ceil(channels / isa.WEIGHT_PORTS) - 1) * min(isa.BURST, shape.row) // isa.PORT_BYTES
    weights = max(channels, min(channels, isa.WEIGHT_PORTS) + bursts) + 1 if shape.row else channels  # + 1: the queue
    window = ceil(window_reads(shape.kernel, shape.stride, shape.paired) / isa.MAP_READS)
    return Plan(tuple(groups), max(weights, window) + 1)


def _group(shape, count, channels):
    kernel, inputs = shape.kernel, shape.inputs
    reads = window_reads(kernel, shape.stride, shape.paired)
    drain = ceil(channels * shape.side**2 / isa.DRAIN)
    beat = max(kernel * ceil(kernel / isa.ROW_TAPS), ceil(reads / isa.MAP_READS))
    # The drain reads the identity and writes its word through the same ports as the windows, or, where these have one
    # port alone, writes through the other: what the windows lack then, and over the whole step.
    uses = channels * ((isa.MAP_READS == 2) + shape.reads_identity)
    # A pair's two reads take a cycle, and another one where the drain takes a port.
    late = max(0, ceil((reads * drain - beat * (isa.MAP_READS * drain - uses)) / reads))
    late = uses if shape.paired else late
    multiply = inputs * beat
    step = max(multiply + late, drain)  # windows and drain together fill no port for longer: see the test of plans
    load = ceil(channels / isa.WEIGHT_PORTS) * shape.row // isa.PORT_BYTES
    steps = ceil(shape.height / shape.side) * ceil(shape.width / shape.side)
    return Group(count, channels, steps, step, multiply, load, drain)


def loops(fields, active_in=None, active_out=None):
    """Name → (trips, entries, ii, depth) of the pipelined loops of one instruction; active channels of None are all."""
    terms = _terms(fields, active_in, active_out)
    return {
        name: (_value(trips, terms), _value(entries, terms), ii, depth)
        for name, trips, entries, ii, depth in _LOOPS.get(fields["opcode"], ())
    }


def _value(expression, terms):
    """The integer that a compiled expression of hls/isa.toml has for these terms."""
    return int(eval(expression, {"__builtins__": {}}, terms))  # our own contract, never input


def _compiled():
    """Opcode → its loops of hls/isa.toml as (name, trips, entries, ii, depth), the expressions compiled."""
    found = {}
    for loop in isa.LOOPS:
        name, opcode = str(loop["name"]), isa.OPCODES[str(loop["opcode"])]
        trips, entries = (compile(str(loop[key]), name, "eval") for key in ("trips", "entries"))
        found.setdefault(opcode, []).append((name, trips, entries, loop["ii"], loop["depth"]))
    return found


_LOOPS = _compiled()


def _terms(fields, active_in, active_out):
    """What the expressions may name: the instruction's fields, and what follows from them."""
    terms = {"ceil": ceil, "max": max, "WEIGHT_PORTS": isa.WEIGHT_PORTS, **fields}
    terms |= {"TILE": isa.TILE, "IMAGE_BYTES": isa.IMAGE_BYTES}
    opcode = fields["opcode"]
    if opcode in (isa.AFFINE, isa.POOL, isa.GLOBAL_POOL):
        terms["map_entries"], terms["map_cycles"] = 1, map_plan(fields).cycles
    if opcode == isa.IMAGE:
        terms["image_groups"] = ceil(fields["channels"] / isa.IMAGE_LANES)
        terms["input_columns"] = ceil(fields["width"] / isa.TILE)
    if opcode == isa.FC:
        terms["row_words"] = row_bytes(fields["inputs"]) // isa.PORT_BYTES
    if opcode == isa.LSTM:
        terms["row_words"] = row_bytes(fields["inputs"] + fields["hidden"]) // isa.PORT_BYTES
    if opcode == isa.MOVE:
        terms["active_channels"] = fields["channels"] if active_in is None else active_in
        terms["from_ddr"] = int(fields["input"] >= isa.DDR_ADDRESS)
        terms["from_tiles"] = 1 - terms["from_ddr"]
    if opcode == isa.CONV:
        active_in = fields["in_channels"] if active_in is None else active_in
        active_out = fields["out_channels"] if active_out is None else active_out
        terms["map_entries"] = int(active_out > 0)
        terms["map_cycles"] = conv_plan(fields, active_in, active_out).cycles if active_out else 0
    return terms
