"""The schedule: plans worked by hand, what holds of every plan, and a simulation of its fetches, steps and drains."""

from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls import isa
from hls.schedule import MULTIPLICATIONS, Group, Shape, conv_plan, loops, map_plan, window_reads
from hls.shapes import conv_row, fetched_row, filter_bytes, output_size

DELAY = isa.WRITE_DELAY  # of the last pixels
HALOS = isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM


def conv(ins, outs, side, kernel=3, stride=1, in_mask=0, **changes):
    shape = {"in_channels": ins, "out_channels": outs, "height": side, "width": side, "kernel": kernel}
    return {"opcode": isa.CONV, "flags": 0, "stride": stride, "in_mask": in_mask, "out_mask": 0, **shape, **changes}


@st.composite
def convolutions(draw):
    """A CONV that fits the engine, its active input channels, all or fewer, and its active output channels."""
    kernel, in_mask = draw(st.sampled_from((1, 3, 3, 5, 7))), draw(st.integers(0, 1))
    small = draw(st.booleans())
    sides = [draw(st.integers(1, 2 * isa.PART if small else 48)) for _ in range(2)]
    most = isa.LANE_BYTES // filter_bytes({"kernel": kernel, "in_mask": in_mask})
    ins, outs = draw(st.integers(1, min(most, isa.MAX_CHANNELS))), draw(st.integers(1, 130))
    flags = draw(st.sampled_from((0, isa.FLAG_ADD)))
    stride = draw(st.sampled_from((1, 2)))
    fields = conv(ins, outs, 1, kernel, stride, in_mask, height=sides[0], width=sides[1], flags=flags)
    return fields, draw(st.integers(0, ins)) if in_mask else ins, draw(st.integers(1, outs))


@pytest.mark.parametrize(
    ("fields", "active", "groups", "start", "cycles"),
    [
        # ResNet-74, 16 → 16 on 32×32: 16 tiles; 3 cycles an input channel. Two rows of 144 bytes come in 18 cycles.
        # The second channel is listed in cycle 1, its first bytes are in the queue with cycle 2, in the lanes with 3.
        (conv(16, 16, 32), (16, 16), [Group(8, 2, 16, 48, 48, 18, 16)], 4, 4 + 8 * 16 * 48 + 16 + DELAY),
        # 9 of 16 into 5 of 16: two pairs of channels, and one alone, whose lane beside it is idle
        (conv(16, 16, 32, in_mask=1), (9, 5),
         [Group(2, 2, 16, 27, 27, 18, 16), Group(1, 1, 16, 27, 27, 18, 8)], 4, 4 + 3 * 16 * 27 + 8 + DELAY),
        # 3 of 16: the drain takes longer than the multiplications, but for the first step
        (conv(16, 16, 32, in_mask=1), (3, 4), [Group(2, 2, 16, 16, 9, 6, 16)], 4, 4 + 9 + 31 * 16 + 16 + DELAY),
        # 64 → 64 on 8×8: one tile, 192 cycles a step
        (conv(64, 64, 8), (64, 64), [Group(32, 2, 1, 192, 192, 72, 16)], 4, 4 + 32 * 192 + 16 + DELAY),
        # 64 → 64 to 4×4: eight channels at once, whose rows come in three turns, slower than they are used: all turns
        # but the last of the first 64 bytes are waited for
        (conv(64, 64, 8, stride=2), (64, 64), [Group(8, 8, 1, 192, 192, 216, 16)],
         3 + 2 * 8 + 1 + 1, 21 + 8 * 216 + 16 + DELAY),
        # stride 2 to 16×16: 16 parts
        (conv(16, 13, 32, stride=2), (16, 13),
         [Group(1, 8, 16, 48, 48, 54, 16), Group(1, 5, 16, 48, 48, 36, 10)], 21, 21 + 54 + 31 * 48 + 10 + DELAY),
        # 1×1 at stride 2: its 7×7 pixels take one read
        (conv(64, 3, 32, 1, 2), (64, 3), [Group(1, 3, 16, 64, 64, 8, 6)], 5, 5 + 16 * 64 + 6 + DELAY),
        # 1×1: two channels a cycle, whose two reads wait where the drain writes
        (conv(65, 12, 8, 1), (65, 12), [Group(6, 2, 1, 35, 33, 9, 16)], 4, 4 + 5 * 35 + 33 + 16 + DELAY),
        # 1×1 under a mask: one by one, and 8 bytes a filter
        (conv(64, 12, 8, 1, 1, 1), (40, 12), [Group(6, 2, 1, 40, 40, 40, 16)], 4, 4 + 6 * 40 + 16 + DELAY),
        # no input: every step still drains, the first after its bias and scale have come
        (conv(16, 12, 32, in_mask=1), (0, 12), [Group(6, 2, 16, 16, 0, 0, 16)], 3, 3 + 1 + 95 * 16 + 16 + DELAY),
        # the same of eight channels at once: theirs come one a cycle
        (conv(16, 12, 32, stride=2, in_mask=1), (0, 12), [Group(1, 8, 16, 16, 0, 0, 16), Group(1, 4, 16, 8, 0, 0, 8)],
         8 + 1, 9 + 1 + 15 * 16 + 16 * 8 + (16 - 8) + 8 + DELAY),
        # a band of 24 rows between its halos
        (conv(16, 6, 32, height=40, flags=HALOS), (16, 6), [Group(3, 2, 12, 48, 48, 18, 16)],
         4, 4 + 36 * 48 + 16 + DELAY),
        # 7×7 at stride 2 of a 224×224 image: three cycles for each of the kernel's rows
        (conv(3, 64, 224, 7, 2), (3, 64), [Group(8, 8, 784, 63, 63, 57, 16)], 21, 21 + 8 * 784 * 63 + 16 + DELAY),
        # an identity's word is read for each that is written: over the drain one port is left for the windows
        (conv(8, 8, 4, flags=isa.FLAG_ADD), (8, 8), [Group(1, 8, 1, 28, 24, 27, 16)], 21, 21 + 27 + 16 + DELAY),
    ],
)  # fmt: skip
def test_plans_worked_by_hand(fields, active, groups, start, cycles):
    plan = conv_plan(fields, *active)
    assert (list(plan.groups), plan.start, plan.cycles) == (groups, start, cycles)


@pytest.mark.parametrize(
    ("opcode", "fields", "cycles"),
    [
        # a tile is drained in 8 cycles; the first step has one of its own: 5 channels of 16 tiles
        (isa.GLOBAL_POOL, {"channels": 5, "height": 32, "width": 32}, 2 + 1 + 79 * 8 + 8 + DELAY),
        (isa.AFFINE, {"out_channels": 5, "height": 32, "width": 32, "stride": 1}, 2 + 1 + 79 * 8 + 8 + DELAY),
        # by parts: 16 of a 16×16 map, drained in 2 cycles
        (isa.AFFINE, {"out_channels": 5, "height": 32, "width": 32, "stride": 2}, 2 + 1 + 79 * 2 + 2 + DELAY),
        (isa.POOL, {"channels": 5, "height": 32, "width": 32, "kernel": 2, "stride": 2}, 2 + 80 * 2 + 2 + DELAY),
        # 3 × 3: a cycle for each row of the kernel
        (isa.POOL, {"channels": 5, "height": 34, "width": 34, "kernel": 3, "stride": 2}, 3 + 80 * 3 + 2 + DELAY),
        # 7 × 7: three cycles for each of seven rows
        (isa.POOL, {"channels": 5, "height": 22, "width": 22, "kernel": 7, "stride": 1}, 3 + 80 * 21 + 2 + DELAY),
    ],
)
def test_plans_of_single_channels(opcode, fields, cycles):
    assert map_plan({"opcode": opcode, "flags": 0, "padding": 0, **fields}).cycles == cycles


def test_windows():
    """At stride 1 a tile's: 8, 10 and 14 pixels; at stride 2 a part's: 7, 9 and 13."""
    assert [window_reads(kernel, stride) for stride in (1, 2) for kernel in (1, 2, 3, 7)] == [1, 4, 4, 4, 1, 1, 4, 4]
    assert window_reads(1, 1, paired=True) == 2


@given(convolutions())
def test_groups_share_the_channels_and_use_no_more_multipliers_than_there_are(case):
    fields, active_in, active_out = case
    plan = conv_plan(fields, active_in, active_out)
    assert sum(group.count * group.channels for group in plan.groups) == active_out
    assert all(group.step >= max(group.drain, group.multiply) for group in plan.groups)
    height, width = output_size(fields)
    macs = active_in * active_out * fields["kernel"] ** 2 * height * width
    assert macs <= MULTIPLICATIONS * plan.cycles


@given(convolutions())
def test_another_output_channel_never_takes_fewer_cycles(case):
    fields, active_in, active_out = case
    assert conv_plan(fields, active_in, active_out).cycles <= conv_plan(fields, active_in, active_out + 1).cycles


def test_a_convolution_without_outputs_has_no_iterations():
    assert loops(conv(16, 16, 32), 16, 0) == {"RunMaps::MapCycles": (0, 0, 1, 32)}


def test_channels_that_are_not_given_are_all():
    fields = conv(16, 12, 32)
    assert loops(fields) == loops(fields, 16, 12) != loops(fields, 15, 12) != loops(fields, 16, 11)


@given(convolutions())
def test_windows_and_drains_take_no_port_of_tile_memory_for_longer_than_a_step(case):
    """Reads of all windows, and what the drain reads and writes."""
    fields, active_in, active_out = case
    for group in conv_plan(fields, active_in, active_out).groups:
        paired = fields["kernel"] == 1 and group.multiply < active_in
        reads = window_reads(fields["kernel"], fields["stride"], paired) * (
            ceil(active_in / 2) if paired else active_in
        )
        uses = group.channels * (2 if fields["flags"] & isa.FLAG_ADD else 1)
        assert reads + uses <= isa.MAP_READS * group.step


def simulate(fields, active_in, active_out):
    """Cycles until the last result is requantised, by the events: channels listed, words fetched, steps and drains.

    A port fetches its rows in turn, a burst of each; a group's go to the bank that the group before last has left. A
    step's results go to the drain when it is free.
    """
    plan, row = conv_plan(fields, active_in, active_out), fetched_row(fields, active_in)
    length = plan.groups[0].multiply
    time = first_window(fields) + 1
    fetched, drained, started = 0, 0, [0, 0]  # when each group began to be computed
    for kind in plan.groups:
        for _ in range(kind.count):
            listing = started[-2]
            arrivals, fetched = arrive(kind.channels, row, fetched, listing)
            started.append(time)
            for cycle in range(length):  # of the first step; for the others all weights are there
                use = min(row, ceil((cycle + 1) * row / length))
                time = max(time, arrivals[ceil(use / isa.PORT_BYTES) - 1]) + 1
            time = max(time, listing + kind.channels + 2)  # through the table's queue
            for step in range(kind.steps):
                time += kind.multiply if step else 0
                time = max(time, drained)
                drained = time + kind.drain
    return drained + DELAY


def arrive(channels, row, free, listing):
    """(cycles in which the words of all rows of a group are there, the cycle in which the ports are done).

    The ports are `free` from that cycle on; the group's channels are listed from `listing` on, one a cycle.
    """
    turns, cycles = ceil(channels / isa.WEIGHT_PORTS), []
    free = max(free, listing + min(channels, isa.WEIGHT_PORTS) - 1)
    for burst in range(0, row, isa.BURST):
        words = min(isa.BURST, row - burst) // isa.PORT_BYTES
        free = max(free + (turns - 1) * words, listing + channels - 1)
        cycles += [free + word + 2 for word in range(words)]  # through the queue
        free += words
    return cycles, free


def first_window(fields):
    """Cycles in which an input channel's window is read."""
    return ceil(window_reads(fields["kernel"], fields["stride"]) / isa.MAP_READS)


@settings(max_examples=400)
@given(convolutions())
def test_the_plan_is_enough_for_what_happens(case):
    assert simulate(*case) <= conv_plan(*case).cycles


def test_the_plan_is_close_to_what_happens():
    """For ResNet-74's three widths, all channels and half of them; a stage's first convolution halves the map."""
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        for active in (channels, channels // 2):
            for ins, stride in ((channels, 1), (channels // 2, 2)):
                case = conv(ins, channels, side * stride, stride=stride, in_mask=1), min(active, ins), active
                assert simulate(*case) <= conv_plan(*case).cycles <= 1.02 * simulate(*case)


def test_shape_holds_all_that_a_plan_depends_on():
    """Plans are kept by Shape: two convolutions alike in it have one plan."""
    one, other = conv(16, 40, 32), conv(16, 16, 32, weights=8, table=4, flags=isa.FLAG_RELU)
    assert conv_plan(one, 16, 7) is conv_plan(other, 16, 7)
    names = ("height", "width", "kernel", "stride", "side", "lanes", "row", "inputs", "paired", "reads_identity")
    assert Shape._fields == names
    assert conv_row(one) == conv_row(other)
