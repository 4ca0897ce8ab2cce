"""The schedule: plans worked by hand, what holds of every plan, and a simulation of its fetches, steps and drains."""

from itertools import product
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls import isa
from hls.schedule import Group, Shape, conv_plan, loops, window_reads
from hls.shapes import conv_row, fetched_row, filter_bytes, output_size

MULTIPLIERS = isa.OUT_LANES * isa.TILE**2  # products of a cycle


def conv(ins, outs, side, kernel=3, stride=1, in_mask=0, **changes):
    shape = {"in_channels": ins, "out_channels": outs, "height": side, "width": side, "kernel": kernel}
    return {"opcode": isa.CONV, "flags": 0, "stride": stride, "in_mask": in_mask, "out_mask": 0, **shape, **changes}


@st.composite
def convolutions(draw):
    """A CONV that fits the engine, its active input channels, all or fewer, and its active output channels."""
    kernel, in_mask = draw(st.sampled_from((1, 3, 3, 5, 7))), draw(st.integers(0, 1))
    small = draw(st.booleans())
    sides = [draw(st.integers(1, 2 * isa.SMALL_MAP if small else 48)) for _ in range(2)]
    most = isa.LANE_BYTES // filter_bytes({"kernel": kernel, "in_mask": in_mask})
    ins, outs = draw(st.integers(1, min(most, isa.MAX_CHANNELS))), draw(st.integers(1, 130))
    fields = conv(ins, outs, 1, kernel, draw(st.sampled_from((1, 2))), in_mask, height=sides[0], width=sides[1])
    return fields, draw(st.integers(0, ins)) if in_mask else ins, draw(st.integers(1, outs))


@pytest.mark.parametrize(
    ("fields", "active", "groups", "start", "cycles"),
    [
        # ResNet-74, 16 → 16 on 32×32: 16 tiles; 9·16 cycles a step for six channels, a third of it for the last four,
        # which are two pairs. A row has 144 bytes: 2 rows a port and 18 cycles each for six channels.
        (conv(16, 16, 32), (16, 16),
         [Group("outputs", 2, 6, 16, 144, 36, 24), Group("rows", 2, 2, 16, 48, 18, 8)],
         16, 16 + 2 * 2304 + 2 * 768 + 8),
        # 9 of 16 into 5 of 16: two pairs, and one channel two tiles at a time: 6 reads fill its window, 2 a cycle, and
        # its two results are written through the same ports
        (conv(16, 16, 32, in_mask=1), (9, 5),
         [Group("rows", 2, 2, 16, 27, 18, 8), Group("pair", 1, 1, 8, 29, 18, 8)], 8, 8 + 2 * 432 + 232 + 8),
        # 64 → 64 on 8×8: one tile, 576 cycles a step
        (conv(64, 64, 8), (64, 64),
         [Group("outputs", 10, 6, 1, 576, 144, 24), Group("rows", 2, 2, 1, 192, 72, 8)], 16, 16 + 5760 + 384 + 8),
        # 64 → 64 to 4×4: 24 channels at once, whose 8 rows a port come just as fast as they are used
        (conv(64, 64, 8, stride=2), (64, 64),
         [Group("outputs", 2, 24, 1, 576, 576, 24), Group("outputs", 1, 16, 1, 576, 432, 16)],
         64, 64 + 3 * 576 + 3 + 16),
        # too many bytes for four rows in a lane: no fold
        (conv(129, 6, 4), (129, 6), [Group("outputs", 1, 6, 1, 1161, 292, 24)], 16, 16 + 1161 + 24),
        # 1×1 at stride 2: two cycles a channel, since 15×15 pixels take four reads; and each result its write
        (conv(64, 3, 32, 1, 2), (64, 3), [Group("outputs", 1, 3, 4, 131, 8, 12)], 8, 8 + 4 * 131 + 12),
        # 1×1 of one tile under a mask: the weights, 8 bytes an input channel, come slower than they are used
        (conv(64, 12, 8, 1, 1, 1), (40, 12), [Group("outputs", 2, 6, 1, 40, 80, 24)], 16, 16 + 160 + 24),
        # no input: every step still drains; nothing is fetched, and the first window is waited for
        (conv(16, 12, 32, in_mask=1), (0, 12), [Group("outputs", 2, 6, 16, 24, 0, 24)], 2, 2 + 2 * 16 * 24 + 24),
        # a band of 24 rows between its halos
        (conv(16, 6, 32, height=40, flags=isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM), (16, 6),
         [Group("outputs", 1, 6, 12, 144, 36, 24)], 16, 16 + 12 * 144 + 24),
    ],
)  # fmt: skip
def test_plans_worked_by_hand(fields, active, groups, start, cycles):
    plan = conv_plan(fields, *active)
    assert (list(plan.groups), plan.start, plan.cycles) == (groups, start, cycles)


def test_windows_of_a_tile_and_of_two():
    assert [window_reads(kernel, stride) for kernel, stride in ((1, 1), (3, 1), (1, 2), (3, 2), (7, 2))] == [
        1,
        4,
        4,
        9,
        9,
    ]
    assert [window_reads(kernel, 1, 2) for kernel in (1, 3, 7)] == [2, 6, 6]


@given(convolutions())
def test_groups_share_the_channels_and_use_no_more_multipliers_than_there_are(case):
    fields, active_in, active_out = case
    plan = conv_plan(fields, active_in, active_out)
    assert sum(group.count * group.channels for group in plan.groups) == active_out
    assert all(group.step >= group.drain for group in plan.groups)
    height, width = output_size(fields)
    macs = active_in * active_out * fields["kernel"] ** 2 * height * width
    assert macs <= MULTIPLIERS * plan.cycles


@given(convolutions())
def test_another_output_channel_never_takes_fewer_cycles(case):
    fields, active_in, active_out = case
    assert conv_plan(fields, active_in, active_out).cycles <= conv_plan(fields, active_in, active_out + 1).cycles


def test_a_convolution_without_outputs_has_no_iterations():
    assert loops(conv(16, 16, 32), 16, 0) == {"RunConv::ConvCycles": (0, 0, 1, 32)}


def simulate(fields, active_in, active_out):
    """Cycles until the last result is requantised, by the events: bursts, steps and drains.

    Each weight port fetches the bursts of its rows in turn, group after group; a group's go to the bank that the
    group before last has left. A step's results go to the drain when it is free.
    """
    plan, row = conv_plan(fields, active_in, active_out), fetched_row(fields, active_in)
    uses = {group.mode: first_uses(group.mode, fields, active_in) for group in plan.groups}
    computed, drained, fetched = first_window(plan.groups[0].mode, fields), 0, 0
    left = [0, 0]  # when each group was done with its bank
    for kind in plan.groups:
        for _ in range(kind.count):
            fetched = max(fetched, left[-2])
            for burst, use in enumerate(uses[kind.mode]):
                length = min(isa.BURST, row - burst * isa.BURST)
                fetched += ceil(kind.channels / isa.WEIGHT_PORTS) * length // isa.PORT_BYTES
                computed += max(0, fetched - (computed + use))  # the first step waits; for the others all is there
            for _ in range(kind.steps):
                computed = max(computed + kind.step, drained)
                drained = computed + kind.drain
            left.append(computed)
    return drained


def first_uses(mode, fields, active_in):
    """For each burst of a row, the cycle of a step in which its first weight is used."""
    kernel, size = fields["kernel"], filter_bytes(fields)
    uses = [active_in * channel_cycles(mode, fields)] * ceil(fetched_row(fields, active_in) / isa.BURST)
    for channel in range(active_in):
        for ky, kx in product(range(kernel), repeat=2):
            # As rows and pair, each column takes its part of the kernel's rows, all at the same time.
            turn = ky if mode == "outputs" else ky % ceil(kernel / isa.COLUMNS)
            burst = (channel * size + ky * kernel + kx) // isa.BURST
            uses[burst] = min(uses[burst], channel * channel_cycles(mode, fields) + turn * kernel + kx)
    return uses


def channel_cycles(mode, fields):
    """Cycles of one input channel in a step: a tap a cycle, or its reads."""
    kernel = fields["kernel"]
    taps = kernel**2 if mode == "outputs" else ceil(kernel / isa.COLUMNS) * kernel
    return max(taps, first_window(mode, fields))


def first_window(mode, fields):
    """Cycles in which an input channel's window is read."""
    return ceil(window_reads(fields["kernel"], fields["stride"], 1 + (mode == "pair")) / isa.MAP_READS)


@settings(max_examples=800)
@given(convolutions())
def test_the_plan_is_enough_for_what_happens(case):
    assert simulate(*case) <= conv_plan(*case).cycles


def test_the_plan_is_close_to_what_happens():
    """For ResNet-74's three widths, all channels and half of them; a stage's first convolution halves the map."""
    for channels, side in ((16, 32), (32, 16), (64, 8)):
        for active in (channels, channels // 2):
            for ins, stride in ((channels, 1), (channels // 2, 2)):
                fields = conv(ins, channels, side * stride, stride=stride, in_mask=1)
                plan, found = (
                    conv_plan(fields, min(active, ins), active).cycles,
                    simulate(fields, min(active, ins), active),
                )
                assert found <= plan <= 1.02 * found


def test_shape_holds_all_that_a_plan_depends_on():
    """Plans are kept by Shape: two convolutions alike in it have one plan."""
    one, other = conv(16, 40, 32), conv(16, 16, 32, weights=8, table=4, flags=isa.FLAG_RELU)
    assert conv_plan(one, 16, 7) is conv_plan(other, 16, 7)
    assert Shape._fields == ("height", "width", "kernel", "stride", "row", "fold", "active_in")
    assert conv_row(one) == conv_row(other)
