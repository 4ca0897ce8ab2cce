"""The engine's benchmark: its arithmetic on programs worked out by hand, and the oracle's graphs."""

import numpy as np
import pytest

from bench.engine import add_ceiling, image_ratios, random_ratio
from bench.networks import densenet, oracle_speed
from bench.networks.densenet import spent
from bench.networks.oracle import codes, onnx_of, open_session, ratio
from bench.networks.walk import Walker, busy, overlapped, proportionality, total
from bench.rows import Rows
from export.compile import shapes
from export.compile.shapes import resnet8
from hls import cosim, golden, isa
from hls.cost import instruction_cost
from hls.errors import UserError
from hls.program import encode
from hls.record import MEASURED, Start, decode
from hls.schedule import MULTIPLICATIONS


def conv(out_channels=12, in_channels=6, in_mask=0, out_mask=0):
    return encode(isa.CONV, input=0, output=64, identity=64, in_channels=in_channels, out_channels=out_channels,
                  height=8, width=8, kernel=3, stride=1, in_mask=in_mask, out_mask=out_mask, weights=0, table=0,
                  pool=-1)  # fmt: skip


def two_layers():
    """A gated block of two convolutions with channel masks, then the network's own exit."""
    return np.stack([
        encode(isa.FC, input=0, output=8, inputs=8, outputs=1, weights=0, table=0),
        encode(isa.GATE_LAYER, input=8, threshold=0, target=6, gate=0, channels=12),
        conv(),  # of the channel gate
        encode(isa.FC, input=0, output=8, inputs=8, outputs=12, weights=0, table=0),
        encode(isa.GATE_CHANNEL, input=8, channels=12, threshold=0, mask=1, gate=0),
        conv(out_mask=1),
        encode(isa.FC, input=0, output=8, inputs=8, outputs=4, weights=0, table=0),
        encode(isa.EXIT, exit=0, input=8, classes=4, scale=0),
    ])  # fmt: skip


def prices(program, *skipped):
    """Sum over all but some instructions, every channel active."""
    costs = [instruction_cost(words, pc=pc) for pc, words in enumerate(program) if pc not in skipped]
    return sum(cost.flops for cost in costs), sum(cost.cycles for cost in costs)


def test_a_walk_is_the_sum_of_what_runs():
    program = two_layers()
    walker = Walker(program)
    assert total(walker.steps()) == prices(program)
    assert total(walker.steps(keep=lambda gate: False)) == prices(program, 2, 3, 4, 5)
    half = instruction_cost(program[5], None, 6, pc=5)
    flops, cycles = prices(program, 5)
    assert total(walker.steps(active=lambda gate, count: count // 2)) == (flops + half.flops, cycles + half.cycles)
    none = total(walker.steps(active=lambda gate, count: 0))
    assert none == (flops, cycles + isa.FETCH)


def test_parts_tell_gates_from_the_network():
    assert Walker(two_layers()).parts() == [*["gate"] * 5, *["network"] * 3]
    exits = np.stack([
        encode(isa.POOL, input=0, output=9, channels=1, height=8, width=8, kernel=2, stride=2, padding=0, scale=0),
        encode(isa.TAP, exit=0, target=3, flops=0, cycles=0, threshold=0),
        conv(),
        encode(isa.GLOBAL_POOL, input=64, output=0, channels=12, height=8, width=8, scale=0),
        encode(isa.FC, input=0, output=8, inputs=8, outputs=4, weights=0, table=0),
        encode(isa.EXIT, exit=1, input=8, classes=4, scale=0),
    ])  # fmt: skip
    assert Walker(exits).parts() == ["exit", "exit", *["network"] * 4]


@pytest.mark.cosim
def test_walks_agree_with_the_engine_for_a_network():
    compiled = resnet8(size=8)
    start = Start(gates=0, classes=10, map_words=compiled.map_words)
    images = compiled.sample.image[None]
    found = decode(cosim.run(compiled.program, compiled.weights, compiled.tables, images, start), start)
    assert total(Walker(compiled.program).steps()) == (found.flops[0], found.cycles[0])


def test_proportionality_by_hand():
    assert proportionality(50, 600, 100, 1000) == pytest.approx(0.8)  # half the FLOPs, 40 % of the cycles saved
    assert proportionality(0, 0, 100, 1000) == 1
    assert busy(2 * MULTIPLICATIONS * 7, 10) == pytest.approx(0.7)


def test_images_that_saved_nothing_have_no_ratio():
    class Found:
        flops, cycles = np.array([100, 50]), np.array([1000, 500])

    assert image_ratios(Found, (100, 1000)).tolist() == [1.0]


def test_random_draws_are_those_of_their_seed_and_always_save():
    walker = Walker(two_layers())
    full = total(walker.steps())
    draws = [[random_ratio(walker, np.random.default_rng(seed), full, True, True) for seed in range(20)] for _ in "ab"]
    assert draws[0] == draws[1] and all(np.isfinite(draws[0]))
    skipped = [random_ratio(walker, np.random.default_rng(3), full, True, False) for _ in range(5)]
    flops, cycles = total(walker.steps(keep=lambda gate: False))
    assert set(skipped) == {proportionality(flops, cycles, *full)}


def test_cycles_by_operation_are_those_of_a_full_walk():
    program = two_layers()
    found = spent(program)
    assert sum(found.values()) == total(Walker(program).steps())[1]
    assert found[isa.CONV] == sum(instruction_cost(words).cycles for words in program if words[0] == isa.CONV)


@pytest.mark.parametrize(("word", "exact"), [(MEASURED[0], 2), ("cycles_low", 1)])
def test_what_an_engine_measures_is_no_difference_of_bits(monkeypatch, word, exact):
    """The chip's form counts what the golden model cannot know; another count of the model's cycles is a difference."""

    def run(*arguments, forget=None, shape="cpu"):
        records = golden.run(*arguments)
        records[:, isa.RECORD.index(word)] += shape == "chip"
        return records

    small = shapes.densenet((1, 1, 1, 1), 8, 16, 32, 10)
    monkeypatch.setattr(densenet, "densenet201", lambda: small)
    monkeypatch.setattr(cosim, "run", run)
    rows = Rows("densenet", "python -m bench densenet")
    densenet.run(rows, {}, None)
    assert {row["name"]: row["value"] for row in rows.rows}["densenet201.bit_exact"] == exact


def test_layers_in_flight_hide_what_comes_before_the_first_step_of_all_but_the_first():
    program = np.stack([conv(), conv(), encode(isa.END)])
    steps = Walker(program).steps()
    flops, cycles = total(steps)
    assert overlapped(steps) == (flops, cycles - isa.FETCH - 32)
    assert overlapped(steps[1:]) == total(steps[1:])


def test_the_ceiling_is_the_share_of_cycles_whose_flops_can_be_saved():
    walker = Walker(two_layers())
    steps = walker.steps()
    convolutions = [step.cost for step in steps if step.fields["opcode"] == isa.CONV]
    rows = Rows("engine", "python -m bench engine")
    add_ceiling(rows, walker, "abc")
    flops, cycles = total(steps)
    wanted = sum(cost.cycles for cost in convolutions) / cycles * flops / sum(cost.flops for cost in convolutions)
    assert [row["value"] for row in rows.rows] == [wanted] and 0 < wanted < 1


def test_ratios_take_the_oracle_s_better_batch_and_medians():
    speeds = {"cosim": [10, 30, 20], "int8 1": [5, 5, 50], "int8 64": [40, 8, 8], "float 1": [1, 1, 1]}
    assert oracle_speed.median_ratio(speeds, "cosim", "int8") == 20 / 8
    assert oracle_speed.median_ratio(speeds, "cosim", "float") == 20


def test_runs_take_turns():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    speeds = oracle_speed.in_turn(runs)
    assert order == ["a", "b"] * (1 + oracle_speed.REPETITIONS)
    assert [len(found) for found in speeds.values()] == [oracle_speed.REPETITIONS] * 2


def test_scale_words_are_factors():
    assert ratio(16 << 16 | 32768) == 0.5 and ratio(np.int32(-(2**31) + (1 << 16) + 1)) == -0.5


@pytest.mark.parametrize("quantised", [True, False])
def test_the_oracle_computes_our_network(quantised):
    compiled = resnet8(size=16)
    session = open_session(onnx_of(compiled, quantised), 1)
    logits = session.run(None, {"codes": codes(compiled, compiled.sample.image[None])})[0][0]
    ours = compiled.sample.logits
    assert logits.argmax() == ours.argmax()
    assert np.abs(logits - ours).max() < (0.1 if quantised else 1) * ours.std()


def test_programs_with_gates_have_no_counterpart():
    class Gated:
        program = two_layers()[1:2]

    with pytest.raises(ValueError, match="GATE_LAYER has no counterpart"):
        onnx_of(Gated, True)


@pytest.mark.cosim
def test_another_network_is_an_error(monkeypatch):
    compiled = resnet8(size=8)
    graph, images = onnx_of(compiled, True), np.stack([compiled.sample.image] * 2)
    assert oracle_speed.check_labels(compiled, graph, images) == 1
    monkeypatch.setattr(oracle_speed, "codes", lambda compiled, images: 255 - codes(compiled, images))
    monkeypatch.setattr(oracle_speed, "open_session", lambda graph, threads: Wrong(compiled.sample.logits))
    with pytest.raises(UserError, match="agrees with the engine on 0%"):
        oracle_speed.check_labels(compiled, graph, images)


class Wrong:
    """A session whose labels are all wrong."""

    def __init__(self, logits):
        self.logits = -logits

    def run(self, names, inputs):
        return [np.stack([self.logits] * len(inputs["codes"]))]
