"""Costs: the table of docs/engine.md worked by hand, and the counters of whole programs."""

from dataclasses import replace

import numpy as np
import pytest

from bench.standin import tiny
from hls import isa
from hls.cost import (
    Cost,
    classifier_cost,
    flatten_flops,
    flatten_parts,
    instruction_cost,
    smallest_budget,
    worst_case,
)
from hls.golden import run
from hls.program import decode as decode_instruction
from hls.program import encode
from hls.record import NO_BUDGET, decode
from hls.stress.random_programs import random_program


def conv(ins, outs, side, kernel=3, stride=1, in_mask=0, flags=0):
    return encode(isa.CONV, flags=flags, input=0, output=0, identity=0, in_channels=ins, out_channels=outs,
                  height=side, width=side, kernel=kernel, stride=stride, in_mask=in_mask, out_mask=0, weights=0,
                  table=0, pool=-1)  # fmt: skip


def affine(ins, outs, height, width, stride, pool=-1):
    return encode(isa.AFFINE, input=0, output=0, in_channels=ins, out_channels=outs, height=height, width=width,
                  stride=stride, channel_offset=0, table=0, pool=pool, pool_scale=0)  # fmt: skip


def pool(channels, side, kernel, stride, padding=0, flags=0):
    return encode(isa.POOL, flags=flags, input=0, output=0, channels=channels, height=side, width=side, kernel=kernel,
                  stride=stride, padding=padding, scale=0)  # fmt: skip


def fc(inputs, outputs):
    return encode(isa.FC, input=0, output=0, inputs=inputs, outputs=outputs, weights=0, table=0)


MOVE = encode(isa.MOVE, input=0, output=99, channels=3, words=5, input_pitch=5, output_pitch=9, mask=0)


@pytest.mark.parametrize(
    ("words", "active", "expected"),
    [
        # FETCH is 8, MapCycles' depth 32, the last write's delay 16; more plans are worked by hand in test_plans.py.
        # 8 pairs of channels, 16 tiles, 3·16 cycles a tile; from listing a pair and fetching it by a queue 4, one drain
        (conv(16, 16, 32), (), Cost(2 * 1024 * 9 * 256, 56 + 4 + 8 * 16 * 48 + 16, 16 * 144)),
        # 9 of 16 into 5 of 16: of a row, the filters of 9 channels, 16 bytes each; the last channel has half a drain
        (conv(16, 16, 32, in_mask=1), (9, 5), Cost(2 * 1024 * 9 * 45, 56 + 4 + 3 * 16 * 27 + 8, 5 * 9 * 16)),
        (conv(16, 16, 32, in_mask=1), (16, 0), Cost(0, 8, 0)),
        # no input: 6 pairs, 16 steps as long as a drain, but the first, which has none before it
        (conv(16, 12, 32, in_mask=1), (0, 12), Cost(0, 56 + 3 + (6 * 16 - 1) * 16 + 1 + 16, 0)),
        (conv(64, 64, 8), (), Cost(2 * 64 * 9 * 4096, 56 + 4 + 32 * 192 + 16, 64 * 576)),
        # 8 channels at once, of one part: a port fetches three rows, 216 cycles, and a step takes 192; at first 16
        # cycles fill all lanes with 64 bytes but the last three's, whose bytes are used as they come
        (conv(64, 64, 8, stride=2), (), Cost(2 * 16 * 9 * 4096, 56 + 4 + 16 + 1 + 7 * 216 + 216 + 16, 64 * 576)),
        # 16 parts of a 16×16 map
        (conv(64, 3, 32, 1, 2), (), Cost(2 * 256 * 64 * 3, 56 + 5 + 16 * 64 + 6, 3 * 64)),
        # a kernel's row of 7 takes three cycles
        (conv(3, 4, 32, 7), (), Cost(2 * 1024 * 49 * 12, 56 + 4 + 2 * 16 * 63 + 16, 4 * 152)),
        # the identity's word is read through the ports too: 4 · 8 + 2 · 2 uses of them are 18 cycles of 24
        (conv(8, 16, 32, flags=isa.FLAG_ADD), (), Cost(2 * 1024 * 9 * 128, 56 + 4 + 8 * 16 * 24 + 16, 16 * 72)),
        # 1×1 of 4 channels, two a cycle: a drain of 16 is longer; 2 cycles for the first of 8 · 16 steps
        (conv(4, 16, 32, 1), (), Cost(2 * 1024 * 64, 56 + 4 + (8 * 16 - 1) * 16 + 2 + 16, 16 * 8)),
        # of 63: 32 cycles, and in all steps but the first one more for each of the two words that the drain writes
        (conv(63, 16, 32, 1), (), Cost(2 * 1024 * 1008, 56 + 4 + (8 * 16 - 1) * 34 + 32 + 16, 16 * 64)),
        # under a mask a filter of 1×1 has 8 bytes, and channels come one by one
        (conv(63, 16, 32, 1, in_mask=1), (), Cost(2 * 1024 * 1008, 56 + 4 + 8 * 16 * 63 + 16, 16 * 504)),
        # three channels at a time: a port fills their tables with 8 bytes a cycle, then 4 bytes of the image a cycle,
        # and one more a tile's row
        (encode(isa.IMAGE, output=0, channels=3, height=32, width=32, weights=0), (),
         Cost(0, 8 + 96 + 28 + 32 * 4 * (2 * 3 + 1) + 28, 768)),
        (encode(isa.IMAGE, output=0, channels=7, height=5, width=3, weights=0), (),
         Cost(0, 8 + 224 + 3 * 28 + 3 * (5 * 1 * (2 * 7 + 1) + 28), 1792)),
        # a channel at a time. 3×2 parts of 9×5 pixels, two cycles of drain each; the first step is one tap
        (affine(5, 7, 17, 9, stride=2), (), Cost(0, 56 + 2 + (7 * 6 - 1) * 2 + 1 + 2, 0)),
        # 3×2 tiles, 8 cycles of drain each
        (affine(5, 7, 17, 9, stride=1), (), Cost(0, 56 + 2 + (7 * 6 - 1) * 8 + 1 + 8, 0)),
        (affine(5, 7, 17, 9, stride=1, pool=3), (), Cost(0, 56 + 2 + (7 * 6 - 1) * 8 + 1 + 8, 0)),
        # 3×3 parts of 9×9 pixels; three taps a cycle
        (pool(7, 17, 3, 2, 1), (), Cost(0, 56 + 3 + 7 * 9 * 3 + 2, 0)),
        # 4×4 parts of 16×16; 8×8 pixels a window, one read
        (pool(7, 32, 2, 2), (), Cost(0, 56 + 2 + 7 * 16 * 2 + 2, 0)),
        # 2×2 parts of 8×8. At stride 1 a window is a tile's: 9×9 pixels, 4 reads, and a write: 3 cycles, for 2 of taps;
        # 2 in the first step, when nothing is written yet
        (pool(7, 9, 2, 1), (), Cost(0, 56 + 3 + (7 * 4 - 1) * 3 + 2 + 2, 0)),
        # 7×7: 7 rows of three cycles
        (pool(2, 9, 7, 2, 3, isa.FLAG_HALO_TOP), (), Cost(0, 56 + 3 + 2 * 2 * 21 + 2, 0)),
        # two tiles, 8 cycles each
        (encode(isa.GLOBAL_POOL, input=0, output=0, channels=7, height=9, width=8, scale=0), (),
         Cost(0, 56 + 2 + (7 * 2 - 1) * 8 + 1 + 8, 0)),
        # rows of 24 bytes, three at a time, and the last three's finish
        (fc(17, 10), (), Cost(340, 8 + 4 * 3 + 3 + 36, 240)),
        # rows of 8 bytes: three of them are finished in no less than three cycles
        (fc(8, 10), (), Cost(160, 8 + 4 * 3 + 3 + 36, 80)),
        (fc(40, 9), (), Cost(720, 8 + 3 * 5 + 3 + 36, 360)),
        (fc(1, 1), (), Cost(2, 8 + 3 + 3 + 36, 8)),
        (encode(isa.LSTM, input=0, output=0, inputs=10, hidden=10, weights=0, table=0), (),
         Cost(1600, 8 + 14 * 3 + 3 + 36 + 10 + 16, 960)),
        (encode(isa.GATE_LAYER, input=0, threshold=0, target=0, gate=0, channels=0), (), Cost(0, 8, 0)),
        (encode(isa.GATE_CHANNEL, input=0, channels=16, threshold=0, mask=1, gate=0), (), Cost(0, 8 + 16 + 4, 0)),
        (encode(isa.TAP, exit=0, target=0, flops=5, cycles=5, threshold=0), (), Cost(0, 8, 0)),
        (encode(isa.EXIT, exit=0, input=0, classes=10, scale=0), (), Cost(0, 8 + 10 + 4 + 10 + 216, 0)),
        (encode(isa.END), (), Cost(0, 8, 0)),
        (MOVE, (), Cost(0, 8 + 3 * 5 * 8 + 28, 0)),
        (MOVE, (1,), Cost(0, 8 + 5 * 8 + 28, 0)),
        (MOVE, (0,), Cost(0, 8 + 28, 0)),
    ],
)  # fmt: skip
def test_instruction_costs(words, active, expected):
    assert instruction_cost(words, *active) == expected
    more = isa.FETCH_FAR - isa.FETCH
    assert instruction_cost(words, *active, pc=isa.CODE_STORE - 1) == expected
    assert instruction_cost(words, *active, pc=isa.CODE_STORE).cycles == expected.cycles + more


def test_a_program_behind_the_store_is_fetched_from_the_ddr():
    """In classifiers and worst cases alike."""
    leave = encode(isa.EXIT, exit=0, input=0, classes=2, scale=0)
    gates = [encode(isa.GATE_LAYER, input=0, threshold=0, target=4, gate=0, channels=0)] * isa.CODE_STORE
    program = np.stack([*gates, leave])
    own = instruction_cost(leave).cycles + isa.FETCH_FAR - isa.FETCH
    assert classifier_cost(program, isa.CODE_STORE) == (0, own, 0)
    assert worst_case(program)[0].cycles == isa.CODE_STORE * isa.FETCH + own


def test_an_exit_in_a_gate_s_body_ends_those_who_run_it_and_costs_the_others_nothing():
    """Gate; its body is FC and EXIT 0, then EXIT 1 behind it: what the body costs is in the first alone."""
    gate = encode(isa.GATE_LAYER, input=0, threshold=0, target=3, gate=0, channels=0)
    first, last = (encode(isa.EXIT, exit=number, input=0, classes=10, scale=0) for number in (0, 1))
    program = np.stack([gate, fc(1, 10), first, fc(17, 10), last])
    one, other = worst_case(program)
    leaving = 8 + 10 + 4 + 10 + 216
    assert one == (0, 20, 8 + (8 + 4 * 3 + 3 + 36) + leaving, False)
    assert other == (1, 340, 8 + (8 + 4 * 3 + 3 + 36) + leaving, True)
    assert smallest_budget(program) == other, "no budget can rely on an exit that a gate may leave closed"


def test_costs_never_exceed_those_of_every_channel():
    """So that worst cases are those with every channel active."""
    narrow = [conv(ins, 37, size, kernel, in_mask=1) for ins, size, kernel in ((1, 8, 5), (2, 8, 3), (4, 17, 7))]
    wide = [conv(16, 37, 32, in_mask=1), conv(16, 37, 5, in_mask=1), conv(257, 37, 3, 1, 2, in_mask=1)]
    for words in (*narrow, *wide, MOVE):
        ins = decode_instruction(words).get("in_channels", 3)
        costs = [
            instruction_cost(words, active, out)
            for active in {0, 1, 2, 3, ins // 2, ins}
            if active <= ins
            for out in range(38)
        ]
        assert all(max(one, full) == full for cost in costs for one, full in zip(cost, instruction_cost(words)))


ALONE = {"pool": 1, "floor_flops": 0, "floor_cycles": 0}  # each image has a budget of its own


def open_programs(count):
    """Random programs without layer gates and with honest TAPs, that are not stopped by a rule."""
    seed = 0
    while count:
        case = random_program(np.random.default_rng(seed))
        seed += 1
        taps = [decode_instruction(words) for words in case[0] if words[0] == isa.TAP]
        honest = all(classifier_cost(case[0], tap["target"])[:2] == (tap["flops"], tap["cycles"]) for tap in taps)
        if honest and isa.GATE_LAYER not in case[0][:, 0] and worst_case(case[0]):
            count -= 1
            case[0][case[0][:, 0] == isa.TAP, 1 + isa.FIELDS[isa.TAP].index("threshold")] = 0
            yield case


def test_worst_case_is_enough_for_its_exit_and_no_budget_is_exceeded():
    for program, weights, tables, images, start in open_programs(60):
        for number, (_, flops, cycles, _) in enumerate(worst_case(program)):
            tight = replace(start, **ALONE, rule=isa.RULE_NONE, budget_flops=flops, budget_cycles=cycles)
            results = decode(run(program, weights, tables, images, tight), tight)
            assert (results.status == isa.STATUS_OK).all() and (results.exit >= number).all()
            assert (results.flops <= flops).all() and (results.cycles <= cycles).all()


def test_worst_case_under_a_rule_counts_every_classifier():
    for program, weights, tables, images, start in open_programs(30):
        *_, (last, flops, cycles, _) = worst_case(program, isa.RULE_ENTROPY)
        never = {"rule": isa.RULE_ENTROPY, "threshold": -1, "budget_flops": flops, "budget_cycles": cycles}
        never = replace(start, **ALONE, **never)
        results = decode(run(program, weights, tables, images, never), never)
        assert (results.status == isa.STATUS_OK).all() and (results.exit == last).all()


def test_smallest_budget_is_the_cheapest_exit():
    program = next(open_programs(1))[0]
    assert smallest_budget(program).flops == min(item.flops for item in worst_case(program))


def test_the_smallest_budget_is_by_cost_and_not_by_number():
    """The exit that is reached first has the higher number."""
    program = tiny.program()
    for pc, number in enumerate((1, 0, 1)):
        at = np.flatnonzero(np.isin(program[:, 0], (isa.TAP, isa.EXIT)))[pc]
        program[at, 1 + isa.FIELDS[int(program[at, 0])].index("exit")] = number
    first, last = worst_case(program)
    assert (first.exit, last.exit) == (1, 0) and first.flops < last.flops
    assert smallest_budget(program) == first


def test_a_map_is_flattened_by_small_layers():
    """Five channels of 16 pixels: one layer of four channels, 64 · 64 weights, and one of one."""
    assert flatten_parts(5, 16) == [4, 1] and flatten_flops(5, 16) == 2 * 64 * 64 + 2 * 16 * 16
    assert flatten_parts(2, 100) == [1, 1] and flatten_flops(2, 100) == 2 * 2 * 100 * 100


def test_a_straight_program_costs_the_sum_of_its_instructions():
    for program, weights, tables, images, start in open_programs(60):
        ends = np.flatnonzero(program[:, 0] == isa.EXIT)
        if isa.TAP in program[:, 0] or isa.GATE_CHANNEL in program[:, 0] or not len(ends):
            continue
        free = replace(start, rule=isa.RULE_NONE, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET)
        results = decode(run(program, weights, tables, images, free), free)
        flops, cycles, weight_bytes = np.sum(
            [instruction_cost(words, pc=pc) for pc, words in enumerate(program[: ends[0] + 1])], axis=0
        )
        assert set(results.flops) == {flops} and set(results.cycles) == {cycles}
        assert set(results.weight_bytes) == {weight_bytes}


def test_a_classifier_without_exit_is_an_error():
    with pytest.raises(ValueError, match="no EXIT"):
        classifier_cost(np.stack([encode(isa.END)]), 0)
