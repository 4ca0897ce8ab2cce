"""Schedules: the parser against all texts, the steps against a clock, lines as they come; limits on a noisy plant."""

import io
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.errors import UserError
from host.budgets.budget import Budget, parse
from host.budgets.limit import LimitPlan, parse_limit
from host.budgets.schedule import SMALL, LinesPlan, SchedulePlan, Step, parse_line, parse_steps, read

BUDGETS = st.one_of(
    st.just(Budget("none")),
    st.builds(Budget, st.just("flops"), st.integers(1, 10**15)),
    st.builds(Budget, st.just("time"), st.integers(1, 10**12)),
)
LENGTHS = st.one_of(
    st.tuples(st.integers(1, 10**12 - 1), st.none()),
    st.tuples(st.none(), st.integers(1, 10**15).map(lambda nanoseconds: nanoseconds / 10**9)),
)
STEPS = st.builds(lambda budget, length: Step(budget, *length), BUDGETS, LENGTHS)


# -------------------------------------------------------------------------------------------------------------- parser
@given(st.lists(STEPS, min_size=1, max_size=20), st.booleans(), st.sampled_from(["\n", "  # note\n", "\n\n#\n"]))
def test_what_is_written_is_read(steps, open_end, between):
    if open_end:
        steps = [*steps, Step(Budget("none"))]
    found = parse_steps(between.join(map(str, steps)))
    assert [step.budget for step in found] == [step.budget for step in steps]
    assert [step.images for step in found] == [step.images for step in steps]
    for one, other in zip(found, steps):
        assert (one.seconds is None) == (other.seconds is None)
        assert one.seconds is None or one.seconds == pytest.approx(other.seconds, abs=1e-9)


@given(st.text(max_size=60))
def test_any_text_is_steps_or_one_line_that_names_the_line(text):
    try:
        steps = parse_steps(text, "day.txt")
    except UserError as error:
        assert str(error).startswith("day.txt") and "\n" not in str(error)
    else:
        assert steps and parse_steps("\n".join(map(str, steps))) == steps


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "has no steps"),
        ("# nothing\n", "has no steps"),
        ("5 74M 3", "line 1: 3 words"),
        ("5 74M\n0 74M", "line 2: '0' is no length"),
        ("-5 74M", "no length"),
        ("0s 74M", "no length"),
        ("1e3 74M", "no length"),
        ("2.5m 74M", "no length"),
        ("٣ 74M", "no length"),
        ("5 74", "line 1: budget '74' has no unit"),
        ("74M\n5 33M", "line 2: the step before it has no length"),
    ],
)
def test_bad_schedules(text, expected):
    with pytest.raises(UserError, match=expected):
        parse_steps(text)


def test_a_file(tmp_path):
    (tmp_path / "day.txt").write_text("500 74M  # morning\n2.5s 1.2ms\nnone\n")
    assert read(tmp_path / "day.txt") == (
        Step(parse("74M"), images=500),
        Step(parse("1.2ms"), seconds=2.5),
        Step(parse("none")),
    )
    (tmp_path / "day.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError):
        read(tmp_path / "day.txt")


# --------------------------------------------------------------------------------------------------------------- steps
def test_images_are_counted_to_the_last_one():
    plan = SchedulePlan(parse_steps("10 1M\n5 2M\n3M"))
    assert plan.next(0, 0.0) == (parse("1M"), 10)
    assert plan.next(7, 9.0) == (parse("1M"), 3)
    assert plan.next(10, 9.0) == (parse("2M"), 5)
    assert plan.next(15, 9.0) == (parse("3M"), math.inf)
    assert plan.next(10**9, 1e9) == (parse("3M"), math.inf)


def test_seconds_begin_when_the_step_does():
    plan = SchedulePlan(parse_steps("10 1M\n2s 2M\n1s 3M\n4M"))
    plan.next(0, 0.0)
    assert plan.next(10, 5.0) == (parse("2M"), SMALL)
    assert plan.next(20, 6.9)[0] == parse("2M")
    assert plan.next(30, 7.1)[0] == parse("3M")
    assert plan.next(40, 7.9)[0] == parse("3M")
    assert plan.next(50, 8.1)[0] == parse("4M")
    late = SchedulePlan(parse_steps("1s 1M\n1s 2M\n3M"))
    assert late.next(0, 0.0)[0] == parse("1M") and late.next(10, 5.0)[0] == parse("3M")


def test_the_last_budget_holds_on():
    plan = SchedulePlan(parse_steps("10 1M\n5 2M"))
    plan.next(0, 0.0)
    assert plan.next(10, 0.0)[0] == plan.next(1000, 0.0)[0] == parse("2M")


# --------------------------------------------------------------------------------------------------------------- lines
def lines(text, check=lambda budget: None):
    """(plan, what it warned of) of lines that have all come in."""
    warned = []
    plan = LinesPlan(io.StringIO(text), parse("none"), check, warned.append)
    deadline = time.monotonic() + 5
    while plan._lines.qsize() < len(text.splitlines()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return plan, warned


def test_a_line_sets_the_next_batch():
    plan, warned = lines("74M\n")
    assert plan.next(0, 0.0) == (parse("74M"), SMALL) and plan.next(99, 1.0)[0] == parse("74M") and not warned


def test_lines_with_a_length_queue_up_and_one_without_ends_them():
    plan, _ = lines("40 1M\n5 2M\n")
    assert plan.next(0, 0.0) == (parse("1M"), SMALL)
    assert plan.next(32, 0.0) == (parse("1M"), 8)
    assert plan.next(40, 0.0) == (parse("2M"), 5)
    assert plan.next(45, 0.0)[0] == parse("2M")  # nothing came after it
    plan, _ = lines("40 1M\n5 2M\n3M\n")
    assert plan.next(0, 0.0)[0] == parse("3M")


def test_bad_lines_are_told_and_passed_over():
    def check(budget):
        if budget.amount < 1000:
            raise UserError("too small")

    plan, warned = lines("74M\n5parsecs\n\n0.5k\n", check)
    assert plan.next(0, 0.0)[0] == parse("74M")
    assert len(warned) == 2 and "unknown unit" in warned[0] and "too small" in warned[1]
    assert all("\n" not in line for line in warned)


def test_no_line_at_all():
    plan, _ = lines("")
    assert plan.next(0, 0.0)[0] == parse("none")
    assert parse_line("  # only a note") is None


# -------------------------------------------------------------------------------------------------------------- limits
@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [("2.9W", "power", 2.9), ("900mW", "power", 0.9), ("0.8mJ", "energy", 0.0008), ("500 µJ", "energy", 0.0005)],
)
def test_limits_are_read(text, kind, amount):
    limit = parse_limit(text)
    assert limit.kind == kind and limit.amount == pytest.approx(amount)


@given(st.text(max_size=30))
def test_other_limits_are_one_line(text):
    try:
        assert parse_limit(text).amount > 0
    except UserError as error:
        assert "\n" not in str(error)


def test_a_step_in_words():
    assert [str(Step(parse("74M"), *length)) for length in ((500,), (None, 2.0), (None, 0.5), ())] == [
        "500 74M", "2s 74M", "0.5s 74M", "74M"]  # fmt: skip


def test_a_step_of_seconds_ends_when_they_are_over():
    plan = SchedulePlan([Step(parse("1M"), seconds=2.0), Step(parse("2M"), seconds=1.0), Step(parse("3M"))])
    assert [plan.next(10, at)[0].amount / 1e6 for at in (0.0, 1.9, 2.0, 2.9, 3.0, 99.0)] == [1, 1, 2, 2, 3, 3]


def test_a_step_without_a_length_holds():
    plan = SchedulePlan([Step(parse("1M")), Step(parse("2M"))])
    assert plan.next(10**9, 1e9) == (parse("1M"), math.inf)


LOW, HIGH = 34_000_000, 381_000_000
PLANTS = {  # relative to the limit, for a share of the largest budget: what an image takes
    "affine": lambda share: 0.3 + 1.05 * share,
    "steep": lambda share: 2 * share**1.5,
    "saturating": lambda share: min(0.2 + 1.6 * share, 1.1),
    "stepped": lambda share: 0.2 + 0.13 * math.floor(share * 10),
}


def simulate(controller, plant, seed, batches=200, noise=0.1, disturbed=True):
    """Run a plant under the controller; it takes `plant` of the budget's share, times noise."""
    random = np.random.default_rng(seed)
    energy = controller.limit.kind == "energy"
    for batch in range(batches):
        taken = plant(controller.budget.amount / HIGH) * (1 + noise * random.standard_normal())
        taken *= 1.25 if disturbed and batches // 3 < batch < batches // 2 else 1  # a warm hour
        joule = max(taken, 0) * controller.limit.amount * (32 if energy else 0.02)
        controller.ran_with(32, 0.02, joule)
        assert LOW <= controller.budget.amount <= HIGH  # a hard budget for each image, always one that works
    return controller.average / controller.limit.amount


@pytest.mark.parametrize("text", ["0.8mJ", "2.9W"])
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("seed", range(10))
def test_the_average_stays_under_the_limit_and_uses_what_it_may(text, plant, seed):
    assert 0.97 <= simulate(LimitPlan(parse_limit(text), LOW, HIGH), PLANTS[plant], seed) <= 1.0


def test_what_takes_less_than_the_limit_runs_in_full():
    controller = LimitPlan(parse_limit("1mJ"), LOW, HIGH)
    assert simulate(controller, lambda share: 0.2 + 0.5 * share, 1, disturbed=False) < 0.75
    assert controller.budget.amount == HIGH


def test_a_limit_below_all_budgets_is_told():
    controller = LimitPlan(parse_limit("0.1mJ"), LOW, HIGH)
    with pytest.raises(UserError, match=r"34M FLOPs, takes about 0\.2 mJ an image: give a higher --limit"):
        for _ in range(20):
            controller.ran_with(32, 0.02, 32 * 0.2e-3)


def test_a_gauge_that_does_not_know_yet_changes_nothing():
    answers = iter([None, (32e-3, 0.02), None])
    controller = LimitPlan(parse_limit("1mJ"), LOW, HIGH, lambda *_: next(answers))
    controller.ran(16, None, 0.01)
    assert controller.average is None and controller.budget.amount == LOW and not controller.summary()["kept"]
    controller.ran(16, None, 0.01)
    assert controller.average == pytest.approx(1e-3)  # the 32 images since it last knew
    controller.ran(16, None, 0.01)
    assert controller.weight == 32
