"""The engine's schedule: how a convolution is cut into groups and steps, and how often each loop runs.

    plan = conv_plan(fields, active_in, active_out)   # groups of output channels, with their steps and lengths
    loops(fields, active_in, active_out)              # name → (trips, entries, ii, depth) of every pipelined loop

hls/isa.toml lists the loops with their trips as expressions; here are the terms of these. hls/src/schedule.hpp says
the same in closed form, and a test counts the iterations of the running code.

A convolution computes groups of output channels one after the other, each in steps of one tile:
outputs   six channels at once, a lane each; a tap of one input channel a cycle
rows      two channels, or one; each of the three columns takes a third of the kernel's rows
pair      one channel of two neighbouring tiles, in the two lanes of a column; rows as above
Full groups run as outputs; what is left of the channels runs as rows and pair where that is shorter. A map of outputs
of at most SMALL_MAP × SMALL_MAP pixels fills a quarter of a tile, so that four times as many channels run at once.
"""

from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from hls import isa
from hls.shapes import conv_row, fetched_row, output_size, row_bytes, tiles

TILE_PIXELS = isa.TILE**2


class Shape(NamedTuple):
    """All that a convolution's schedule depends on."""

    height: int  # of the output
    width: int
    kernel: int
    stride: int
    row: int  # bytes of weights fetched for one output channel
    fold: int  # how many times OUT_LANES channels are computed at once
    active_in: int


class Group(NamedTuple):
    """Channels that run together: `count` groups alike, of `channels` each, take `steps` steps of `step` cycles."""

    mode: str
    count: int
    channels: int
    steps: int
    step: int
    load: int  # cycles in which the weights of one group are fetched
    drain: int  # cycles in which a step's results are requantised


class Plan(NamedTuple):
    """A convolution's groups, and the cycles until it may start: its first bursts of weights, its first window."""

    groups: tuple
    start: int
    fold: int

    @property
    def cycles(self):
        """Iterations of the main loop: computing and fetching overlap, each group's weights ahead of it."""
        groups = self.groups
        compute = [group.count * group.steps * group.step for group in groups]
        fetch = [group.count * group.load for group in groups]
        if self.fold == 1:
            busy = max(sum(compute) + max(0, groups[0].load - groups[0].step), sum(fetch))
        else:  # weights come no faster than they are used: a group takes the longer of the two, to a burst's rounding
            busy = sum(map(max, compute, fetch)) + self.fold - 1
        # A group's first results wait until those of the group before are requantised.
        wait = sum(max(0, before.drain - after.step) for before, after in pairwise(groups))
        return self.start + busy + wait + groups[-1].drain


def window_reads(kernel, stride, tiles_across=1):
    """Reads of 8 × 8 pixels, at any position, that fill the window of one output tile, or of two side by side."""
    high = (isa.TILE - 1) * stride + kernel
    wide = (tiles_across * isa.TILE - 1) * stride + kernel
    return ceil(high / isa.TILE) * ceil(wide / isa.TILE)


def conv_plan(fields, active_in, active_out):
    """The Plan of a CONV with that many active channels, active_out at least 1."""
    height, width = output_size(fields)
    small = max(height, width) <= isa.SMALL_MAP and isa.FOLD * conv_row(fields) <= isa.LANE_BYTES
    row, fold = fetched_row(fields, active_in), isa.FOLD if small else 1
    return _plan(Shape(height, width, fields["kernel"], fields["stride"], row, fold, active_in), active_out)


@lru_cache(maxsize=1 << 16)
def _plan(shape, active_out):
    lanes = isa.OUT_LANES * shape.fold
    full, rest = divmod(active_out, lanes)
    groups = [_group("outputs", shape, full, lanes)] if full else []
    if not rest:
        return _started(groups, shape)
    whole = _started([*groups, _group("outputs", shape, 1, rest)], shape)
    if shape.fold > 1:
        return whole
    return min(whole, _started(groups + _left_over(shape, rest), shape), key=lambda plan: plan.cycles)


def _started(groups, shape):
    """The Plan of these groups: it starts when the first bursts of weights and the first window are there."""
    rows = ceil(groups[0].channels / isa.WEIGHT_PORTS)
    window = ceil(window_reads(shape.kernel, shape.stride, 1 + (groups[0].mode == "pair")) / isa.MAP_READS)
    return Plan(tuple(groups), max(rows * min(isa.BURST, shape.row) // isa.PORT_BYTES, window), shape.fold)


def _left_over(shape, rest):
    """Fewer channels than lanes: in pairs, and the odd one with two tiles at once where tiles pair up."""
    pairs, odd = divmod(rest, 2)
    across = ceil(shape.width / isa.TILE)
    single = "pair" if shape.stride == 1 and across % 2 == 0 else "rows"
    groups = [_group("rows", shape, pairs, 2)] if pairs else []
    return groups + ([_group(single, shape, 1, 1)] if odd else [])


def _group(mode, shape, count, channels):
    kernel, active_in = shape.kernel, shape.active_in
    taps = kernel**2 if mode == "outputs" else ceil(kernel / isa.COLUMNS) * kernel
    across = 2 if mode == "pair" else 1
    reads = window_reads(kernel, shape.stride, across)
    results = channels * across  # channels' tiles that a step finishes
    drain = ceil(results * TILE_PIXELS / shape.fold / isa.DRAIN)
    beat = max(taps, ceil(reads / isa.MAP_READS))
    # The drain reads the identity and writes its word through the same ports.
    step = max(active_in * beat, ceil(active_in * reads / isa.MAP_READS) + results, drain)
    load = ceil(channels / isa.WEIGHT_PORTS) * shape.row // isa.PORT_BYTES
    return Group(mode, count, channels, tiles(shape.height, shape.width) // across, step, load, drain)


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
    terms = {"ceil": ceil, "WEIGHT_PORTS": isa.WEIGHT_PORTS, **fields}
    opcode = fields["opcode"]
    if opcode == isa.GLOBAL_POOL:
        terms["input_tiles"] = tiles(fields["height"], fields["width"])
    if opcode in (isa.POOL, isa.AFFINE):
        terms["output_tiles"] = tiles(*output_size(fields))
    if opcode == isa.POOL:
        kernel = fields["kernel"]
        side_by_side = kernel == fields["stride"] and isa.TILE % kernel == 0 and fields["padding"] == 0
        terms["pool_reads"] = ceil(window_reads(kernel, fields["stride"]) / isa.MAP_READS)
        terms["pool_taps"] = 0 if side_by_side else kernel**2
    if opcode == isa.IMAGE:
        terms["image_groups"] = ceil(fields["channels"] / isa.OUT_LANES)
        terms["input_columns"] = ceil(fields["width"] / isa.TILE)
    if opcode == isa.FC:
        terms["row_words"] = row_bytes(fields["inputs"]) // isa.PORT_BYTES
    if opcode == isa.LSTM:
        terms["row_words"] = row_bytes(fields["inputs"] + fields["hidden"]) // isa.PORT_BYTES
    if opcode == isa.MOVE:
        terms["active_channels"] = fields["channels"] if active_in is None else active_in
    if opcode == isa.CONV:
        active_in = fields["in_channels"] if active_in is None else active_in
        active_out = fields["out_channels"] if active_out is None else active_out
        terms["conv_entries"] = int(active_out > 0)
        terms["conv_cycles"] = conv_plan(fields, active_in, active_out).cycles if active_out else 0
    return terms
