"""Budgets: what is typed, what is refused, and that the smallest that works does work when typed."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.standin import tiny
from hls import golden, isa
from hls.cost import instruction_cost
from hls.errors import UserError
from hls.program import decode as decode_instruction
from hls.record import NO_BUDGET, decode
from hls.stress.random_programs import random_program
from host.board import catalog
from host.budgets.budget import (
    ENERGY,
    EXPECTED,
    FLOPS,
    FLOPS_A_CYCLE,
    TIME,
    Budget,
    check,
    limits,
    parse,
    show,
    smallest,
)
from host.energy.model import modelled, worst_case

BOARD = catalog.read()
AMOUNTS = st.integers(1, 10**18)
KINDS = st.sampled_from(["flops", "time", "energy"])
EXITS = st.lists(
    st.fixed_dictionaries({"flops": st.integers(1, 10**12), "cycles": st.integers(1, 10**10)}), min_size=1, max_size=5
)


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("74M", Budget("flops", 74_000_000)),
        ("0.85G", Budget("flops", 850_000_000)),
        ("500k", Budget("flops", 500_000)),
        ("1.2345k", Budget("flops", 1234)),
        (" 74 M ", Budget("flops", 74_000_000)),
        ("1.5ms", Budget("time", 1_500_000)),
        ("900us", Budget("time", 900_000)),
        ("900µs", Budget("time", 900_000)),
        (".5s", Budget("time", 500_000_000)),
        ("1.2mJ", Budget("energy", 1_200_000_000)),
        ("900uJ", Budget("energy", 900_000_000)),
        ("900 µJ", Budget("energy", 900_000_000)),
        ("3J", Budget("energy", 3 * 10**12)),
        ("none", Budget("none")),
        ("None", Budget("none")),
    ],
)
def test_what_is_understood(text, budget):
    assert parse(text) == budget


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("74", "no unit"),
        ("74m", "unknown unit 'm'"),
        ("74MB", "unknown unit 'MB'"),
        ("5 parsecs", "unknown unit 'parsecs'"),
        ("", "not a number"),
        ("M", "not a number"),
        ("-3M", "not a number"),
        ("1e6k", "not a number"),
        ("nan", "not a number"),
        ("infM", "not a number"),
        ("1,5ms", "not a number"),
        ("74M\n75M", "not a number"),
        ("٣M", "not a number"),
        ("9" * 400 + "M", "not a number"),
        ("0M", "is nothing"),
        ("0.0001k", "is nothing"),
        ("0.0001nJ", "is nothing"),
        ("1.2MJ", "unknown unit 'MJ'"),
        ("1.2 mj", "unknown unit 'mj'"),
    ],
)
def test_what_is_refused(text, expected):
    with pytest.raises(UserError, match=expected) as error:
        parse(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 220
    assert "74M" in str(error.value)  # every refusal shows what would be understood


@given(st.text(max_size=12))
def test_garbage_is_refused_or_round_trips(text):
    try:
        budget = parse(text)
    except UserError as error:
        assert EXPECTED in str(error)
    else:
        assert parse(str(budget)) == budget


@given(KINDS, AMOUNTS)
def test_round_trip(kind, amount):
    assert parse(str(Budget(kind, amount))) == Budget(kind, amount)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([*FLOPS, *TIME, *ENERGY]))
def test_more_typed_is_more(one, other, unit):
    one, other = sorted((one + 1, other + 1))
    small, large = (limits(parse(f"{number / 1000:.3f}{unit}"), BOARD) for number in (one * 1000, other * 1000))
    assert small[0] <= large[0] and small[1] <= large[1]


def test_time_becomes_cycles_rounded_down():
    assert limits(parse("1ms"), BOARD) == (NO_BUDGET, 143_000)
    assert limits(parse("13ns"), BOARD) == (NO_BUDGET, 1)
    assert limits(parse("74M"), BOARD) == (74_000_000, NO_BUDGET)
    assert limits(parse("none"), BOARD) == (NO_BUDGET, NO_BUDGET)


@given(KINDS, EXITS)
def test_the_smallest_works_when_typed(kind, exits):
    least = parse(str(smallest(kind, exits, BOARD)))
    check(least, exits, BOARD)
    need = min(_need(kind, item) for item in exits)
    spent = limits(least, BOARD)[kind != "flops"]
    assert need <= spent <= need * 1.01 + 1


def _need(kind, item):
    """What an exit takes of the one limit that decides: FLOPs, or cycles."""
    if kind == "energy":
        return max(item["cycles"], -(-item["flops"] // FLOPS_A_CYCLE))
    return item["flops" if kind == "flops" else "cycles"]


@given(KINDS, EXITS, AMOUNTS)
def test_a_budget_is_enough_or_refused_with_one_that_is(kind, exits, amount):
    budget = Budget(kind, amount)
    flops, cycles = limits(budget, BOARD)
    enough = any(item["flops"] <= flops and item["cycles"] <= cycles for item in exits)
    try:
        check(budget, exits, BOARD)
    except UserError as error:
        assert not enough
        typed = str(error).rsplit("--budget ", 1)[1]
        check(parse(typed), exits, BOARD)
        assert parse(typed).amount > amount
    else:
        assert enough


@pytest.mark.parametrize(("text", "clock"), [("1k", ""), ("1ns", " at 143 MHz"), ("1uJ", " at 143 MHz")])
def test_a_refusal_names_the_clock_where_it_matters(text, clock):
    board = replace(BOARD, clock_hz=143e6)
    with pytest.raises(
        UserError, match=f"^budget {text} is below the worst case of the first exit{clock}: the smallest"
    ):
        check(parse(text), [{"flops": 10**7, "cycles": 10**5}], board)


def test_no_budget_is_never_refused():
    check(parse("none"), [{"flops": 10**12, "cycles": 10**10}], BOARD)
    assert smallest("none", [], BOARD) == Budget("none")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (74_000_000, "flops", "74M"),
        (51_234_567, "flops", "51.2M"),
        (999_700, "flops", "1000k"),
        (0, "flops", "0k"),
        (999_500, "flops", "1000k"),
    ],
)
def test_for_people(value, kind, text):
    assert show(value, kind) == text


# ------------------------------------------------------------------------------------------------------------ energy
@given(st.integers(1, 10**15), st.lists(st.floats(0, 1), min_size=4, max_size=4), st.sampled_from([1, 1e-3, 1e3]))
def test_a_record_within_the_limits_of_an_energy_keeps_it(amount, shares, scale):
    """Any record that the engine can write: weight bytes and instructions share the cycles as it prices them."""
    board = replace(
        BOARD, energy=replace(BOARD.energy, mac=BOARD.energy.mac * scale, static=BOARD.energy.static / scale)
    )
    most_flops, most_cycles = limits(Budget("energy", amount), board)
    cycles = int(most_cycles * shares[1])
    record = SimpleNamespace(
        flops=np.array([int(most_flops * shares[0])]),
        cycles=np.array([cycles]),
        weight_bytes=np.array([int((isa.WEIGHT_PORTS * isa.PORT_BYTES) * cycles * shares[2] * shares[3])]),
        instructions=np.array([int(cycles / isa.FETCH * shares[2] * (1 - shares[3]))]),
    )
    joule = modelled(record, board).joule[0]
    assert joule <= worst_case(most_flops, most_cycles, board) * (1 + 1e-12)
    assert worst_case(most_flops, most_cycles, board) <= amount * 1e-12


@given(st.integers(10**6, 10**15))
def test_little_of_an_energy_is_lost_to_rounding(amount):
    flops, cycles = limits(Budget("energy", amount), BOARD)
    assert worst_case(flops + FLOPS_A_CYCLE, cycles + 1, BOARD) > amount * 1e-12 * (1 - 2e-9)


@pytest.mark.parametrize("seed", range(40))
def test_every_instruction_is_priced_as_the_bound_of_energy_says(seed):
    """What rates() rests on, for every instruction of random programs with any number of active channels."""
    random = np.random.default_rng(seed)
    for words in random_program(random)[0]:
        fields = decode_instruction(words)
        active = {}
        if fields["opcode"] == isa.CONV:
            active = {
                "active_in": int(random.integers(0, fields["in_channels"] + 1)),
                "active_out": int(random.integers(0, fields["out_channels"] + 1)),
            }
        cost = instruction_cost(words, **active)
        assert isa.FETCH + cost.weight_bytes / (isa.WEIGHT_PORTS * isa.PORT_BYTES) <= cost.cycles


@pytest.mark.parametrize("share", [1.0, 1.3, 3.0])
def test_the_engine_keeps_an_energy(share):
    package = tiny.package()
    least = smallest("energy", package.exits, BOARD)
    budget = Budget("energy", int(least.amount * share))
    check(budget, package.exits, BOARD)
    flops, cycles = limits(budget, BOARD)
    start = package.start(budget_flops=flops, budget_cycles=cycles)
    images = np.random.default_rng(3).integers(0, 256, (20, *package.image_shape), dtype=np.uint8)
    results = decode(golden.run(package.program, package.weights, package.tables, images, start), start)
    assert (results.status == isa.STATUS_OK).all()
    assert (modelled(results, BOARD).joule <= budget.amount * 1e-12).all()


def test_an_energy_on_a_board_without_a_model_is_refused():
    with pytest.raises(UserError, match="board zedboard has no energy model: give FLOPs"):
        limits(parse("1mJ"), replace(BOARD, energy=None))


# ------------------------------------------------------------------------------------------------------------ boards
def test_the_zedboard():
    assert BOARD.clock_hz == 143_000_000 and BOARD.clock_kind == "target"
    assert BOARD.seconds(143_000) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"pynq-z2": {}}', "unknown board 'zedboard': expected one of pynq-z2"),
        ('{"zedboard": {"title": "Z"}}', "'power'"),
        ('{"zedboard": {"title": "Z", "clock_mhz": "x", "power": {}}}', "not as expected"),
    ],
)
def test_damaged_list_of_boards(tmp_path, content, expected):
    if content is not None:
        (tmp_path / "boards.json").write_text(content)
    with pytest.raises(UserError, match=expected) as error:
        catalog.read(path=tmp_path / "boards.json")
    assert "\n" not in str(error.value)
