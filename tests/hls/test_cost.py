"""Costs: the table of docs/engine.md worked by hand, and the counters of whole programs."""

from dataclasses import replace

import numpy as np
import pytest

from hls import isa
from hls.cost import Cost, classifier_cost, instruction_cost, smallest_budget, worst_case
from hls.golden import run
from hls.program import decode as decode_instruction
from hls.program import encode
from hls.record import NO_BUDGET, decode
from tests.hls.random_programs import random_program


def conv(ins, outs, side, kernel=3, stride=1):
    return encode(isa.CONV, input=0, output=0, identity=0, in_channels=ins, out_channels=outs, height=side, width=side,
                  kernel=kernel, stride=stride, in_mask=0, out_mask=0, weights=0, table=0)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "active", "expected"),
    [
        # 16 → 16 channels, 32×32: 16 tiles of 144 cycles; groups of 6, 6 and 4, each after a load of 6·(144/16 + 1)
        (conv(16, 16, 32), (), Cost(2 * 1024 * 9 * 256, 40 + 60 + 3 * 16 * 144, 16 * 144)),
        # 9 of 16: the last group of 3 takes two tiles at once
        (conv(16, 16, 32), (16, 9), Cost(2 * 1024 * 9 * 144, 40 + 60 + 16 * 144 + 8 * 144, 9 * 144)),
        (conv(16, 16, 32), (16, 0), Cost(0, 8, 0)),
        # no input: every step still drains
        (conv(16, 16, 32), (0, 16), Cost(0, 40 + 60 + 3 * 16 * 48, 16 * 144)),
        # stride 2, 1×1: four reads a tap; 64 → 3 channels on 4 tiles, two at once
        (conv(64, 3, 32, 1, 2), (), Cost(2 * 256 * 64 * 3, 40 + 3 * 5 + 2 * 256, 3 * 64)),
        # one tile: loading the next group takes longer than the step
        (conv(3, 12, 5, 7), (), Cost(2 * 25 * 49 * 36, 40 + 66 + max(147, 66) + 147, 12 * 160)),
        (encode(isa.IMAGE, output=0, channels=3, height=32, width=32, weights=0), (), Cost(0, 40 + 1024 + 48, 768)),
        (encode(isa.AFFINE, input=0, output=0, in_channels=5, out_channels=7, height=17, width=9, stride=2,
                channel_offset=0, table=0), (), Cost(0, 40 + 7 * 2 * 4, 0)),
        (encode(isa.POOL, input=0, output=0, channels=7, height=17, width=17, kernel=3, stride=2, padding=1, scale=0),
         (), Cost(0, 40 + 7 * 4 * 9, 0)),
        (encode(isa.GLOBAL_POOL, input=0, output=0, channels=7, height=9, width=8, scale=0), (), Cost(0, 40 + 14, 0)),
        (encode(isa.FC, input=0, output=0, inputs=17, outputs=10, weights=0, table=0), (), Cost(340, 40 + 20, 320)),
        (encode(isa.LSTM, input=0, output=0, inputs=10, hidden=10, weights=0, table=0), (),
         Cost(1600, 40 + 80 + 40, 1280)),
        (encode(isa.GATE_LAYER, input=0, threshold=0, target=0, gate=0, channels=0), (), Cost(0, 8, 0)),
        (encode(isa.GATE_CHANNEL, input=0, channels=16, threshold=0, mask=1, gate=0), (), Cost(0, 24, 0)),
        (encode(isa.TAP, exit=0, target=0, flops=5, cycles=5), (), Cost(0, 8, 0)),
        (encode(isa.EXIT, exit=0, input=0, classes=10, scale=0), (), Cost(0, 80, 0)),
        (encode(isa.END), (), Cost(0, 8, 0)),
    ],
)  # fmt: skip
def test_instruction_costs(words, active, expected):
    assert instruction_cost(words, *active) == expected


def test_costs_never_fall_with_more_channels():
    """So that worst cases are those with every channel active."""
    for words in (conv(16, 37, 32), conv(16, 37, 5), conv(257, 37, 3, 1, 2), conv(3, 37, 17, 7)):
        costs = [instruction_cost(words, active_in, out) for active_in in (0, 1, 3) for out in range(38)]
        assert all(one.cycles <= instruction_cost(words).cycles for one in costs)
        by_out = [instruction_cost(words, 3, out).cycles for out in range(38)]
        assert by_out == sorted(by_out)


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
            yield case


def test_worst_case_is_enough_for_its_exit_and_no_budget_is_exceeded():
    for program, weights, tables, images, start in open_programs(60):
        for number, (_, flops, cycles) in enumerate(worst_case(program)):
            tight = replace(start, rule=isa.RULE_NONE, budget_flops=flops, budget_cycles=cycles)
            results = decode(run(program, weights, tables, images, tight), tight)
            assert (results.status == isa.STATUS_OK).all() and (results.exit >= number).all()
            assert (results.flops <= flops).all() and (results.cycles <= cycles).all()


def test_worst_case_under_a_rule_counts_every_classifier():
    for program, weights, tables, images, start in open_programs(30):
        *_, (last, flops, cycles) = worst_case(program, isa.RULE_ENTROPY)
        never = replace(start, rule=isa.RULE_ENTROPY, threshold=-1, budget_flops=flops, budget_cycles=cycles)
        results = decode(run(program, weights, tables, images, never), never)
        assert (results.status == isa.STATUS_OK).all() and (results.exit == last).all()


def test_smallest_budget_is_the_cheapest_exit():
    program = next(open_programs(1))[0]
    assert smallest_budget(program).flops == min(item.flops for item in worst_case(program))


def test_a_straight_program_costs_the_sum_of_its_instructions():
    for program, weights, tables, images, start in open_programs(60):
        ends = np.flatnonzero(program[:, 0] == isa.EXIT)
        if isa.TAP in program[:, 0] or isa.GATE_CHANNEL in program[:, 0] or not len(ends):
            continue
        free = replace(start, rule=isa.RULE_NONE, budget_flops=NO_BUDGET, budget_cycles=NO_BUDGET)
        results = decode(run(program, weights, tables, images, free), free)
        flops, cycles, weight_bytes = np.sum([instruction_cost(words) for words in program[: ends[0] + 1]], axis=0)
        assert set(results.flops) == {flops} and set(results.cycles) == {cycles}
        assert set(results.weight_bytes) == {weight_bytes}


def test_a_classifier_without_exit_is_an_error():
    with pytest.raises(ValueError, match="no EXIT"):
        classifier_cost(np.stack([encode(isa.END)]), 0)
