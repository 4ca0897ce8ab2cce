"""The feedback behind --limit, worked by hand: what a limit says, one step of the budget, what is reported."""

import pytest

from hls.errors import UserError
from host.budgets.budget import Budget
from host.budgets.limit import PATIENCE, LimitPlan, parse_limit
from host.budgets.schedule import SMALL

LOW, HIGH = 100, 10_000


def plan(text="1J", gauge=None):
    return LimitPlan(parse_limit(text), LOW, HIGH, gauge)


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("2.9W", "power", 2.9),
        ("900 mW", "power", 0.9),
        (" .8mJ ", "energy", 0.8e-3),
        ("500uJ", "energy", 500e-6),
        ("500\u00b5J", "energy", 500e-6),  # the micro sign
        ("500\u03bcJ", "energy", 500e-6),  # the Greek letter
        ("3J", "energy", 3.0),
    ],
)
def test_limits_that_are_understood(text, kind, amount):
    found = parse_limit(text)
    assert (found.kind, found.text) == (kind, text.strip()) and found.amount == pytest.approx(amount)


@pytest.mark.parametrize("text", ["", "5", "mJ", "-1mJ", "1e3J", "1kJ", "1MW", "1" * 50])
def test_limits_that_are_not_understood(text):
    with pytest.raises(
        UserError, match=r"^limit '.{0,40}…?' is not understood: expected power \(2.9W, 900mW\) or energy"
    ):
        parse_limit(text)


@pytest.mark.parametrize("text", ["0W", "0.0mJ"])
def test_a_limit_of_nothing(text):
    with pytest.raises(UserError, match=f"^limit '{text}' is nothing: give more than 0$"):
        parse_limit(text)


def test_one_step():
    """Ten images took 5 J of 10: the aim is 0.995 J and 2.45 J ÷ (12 · 10), √(1.01542 ÷ 0.5) = 1.42506."""
    controller = plan()
    assert controller.next(0, 0) == (Budget("flops", LOW), SMALL)
    controller.ran_with(10, 3.0, 5.0)
    assert (controller.joule, controller.weight, controller.average) == (5.0, 10.0, 0.5)
    assert controller.next(10, 3) == (Budget("flops", 142), SMALL)


def test_of_power_the_weight_is_seconds():
    controller = plan("1W")
    controller.ran_with(3, 10.0, 5.0)
    assert (controller.weight, controller.budget) == (10.0, Budget("flops", 142))


@pytest.mark.parametrize(("joule", "budgets"), [(0.0, [160, 256, 409]), (1000.0, [100, 100, 100])])
def test_a_step_is_no_larger_than_it_may_be(joule, budgets):
    controller, found = plan(), []
    for _ in budgets:
        controller.ran_with(10, 1.0, joule)
        found.append(controller.budget.amount)
    assert found == budgets


def test_no_budget_is_above_the_highest():
    controller = plan()
    for _ in range(12):
        controller.ran_with(10, 1.0, 0.1)
    assert controller.budget == Budget("flops", HIGH)


@pytest.mark.parametrize("batch", [(0, 1.0, 1.0), (10, 1.0, -1.0)])
def test_what_says_nothing_changes_nothing(batch):
    controller = plan()
    controller.ran_with(*batch)
    assert controller.average is None and controller.budget == Budget("flops", LOW)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("1mJ", "takes about 2 mJ an image: give a higher --limit"),
        ("1mW", "takes about 0.02 W of power: give a higher --limit, or let images arrive more slowly (--rate)"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_told_after_some_patience(text, end):
    controller = plan(text)
    for _ in range(PATIENCE - 1):
        controller.ran_with(10, 1.0, 0.02)
    with pytest.raises(UserError) as raised:
        controller.ran_with(10, 1.0, 0.02)
    expected = f"limit {text} cannot be kept: even the smallest budget, {Budget('flops', LOW)} FLOPs, {end}"
    assert str(raised.value) == expected


def test_patience_begins_anew_with_a_batch_under_the_limit():
    controller = plan("1mJ")
    for joule in [*[0.02] * (PATIENCE - 1), 0.009, *[0.02] * (PATIENCE - 1)]:
        controller.ran_with(10, 1.0, joule)
    with pytest.raises(UserError, match="cannot be kept"):
        controller.ran_with(10, 1.0, 0.02)


def test_images_that_the_gauge_did_not_know_of_are_counted_once():
    answers = iter([None, (32.0, 2.0), (16.0, 1.0), None])
    controller = plan(gauge=lambda images, results, seconds: next(answers))
    weights = []
    for _ in range(4):
        controller.ran(16, None, 0.01)
        weights.append(controller.weight)
    assert weights == [0, 32, 48, 48] and controller.joule == 48.0


def test_of_power_the_gauge_tells_the_seconds():
    controller = plan("1W", gauge=lambda images, results, seconds: (5.0, 10.0))
    controller.ran(16, None, 0.01)
    assert (controller.joule, controller.weight) == (5.0, 10.0)


@pytest.mark.parametrize(
    ("text", "joule", "average", "unit", "kept"),
    [("1mJ", 0.009, 0.9, "mJ an image", True), ("2W", 2.5, 2.5, "W", False), ("2W", 2.0, 2.0, "W", True)],
)
def test_the_summary(text, joule, average, unit, kept):
    controller = plan(text)
    before = {"text": text, "of": controller.limit.kind, "average": None, "unit": unit, "kept": False}
    assert controller.summary() == before | {"kind": "modelled"}
    controller.ran_with(10, 1.0, joule)
    assert controller.summary() == before | {"average": pytest.approx(average), "kept": kept, "kind": "modelled"}


def test_the_summary_says_that_the_gauge_measured():
    class Gauge:
        kind = "measured"

    assert plan(gauge=Gauge()).summary()["kind"] == "measured"
