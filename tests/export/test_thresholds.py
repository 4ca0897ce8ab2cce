"""Thresholds for an average budget: by hand, never worse than one threshold for all, monotone tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.thresholds import NOISE, leave, outcome, search


def images(seed, n=400, exits=3):
    """Images of some difficulty: later exits are surer and righter; entropy tells, with noise."""
    rng = np.random.default_rng(seed)
    hard = rng.random(n)[:, None]
    skill = np.linspace(0.4, 1.0, exits + 1)
    right = rng.random((n, exits + 1)) < np.clip(skill + 0.5 - hard * (1.4 - skill), 0.1, 1)
    entropy = (60000 * np.clip(hard * (1.3 - skill) + rng.normal(0, 0.1, right.shape), 0.01, 1)).astype(int)
    flops = np.cumsum(rng.uniform(5e6, 2e7, (n, exits + 1)), 1)
    return entropy, right, flops


def test_an_image_leaves_at_the_first_sure_exit():
    entropy = np.array([[5, 3, 9], [9, 3, 9], [9, 9, 9]])
    assert leave(entropy, [6, 4]).tolist() == [0, 1, 2]
    assert leave(entropy, [0, 0]).tolist() == [2, 2, 2]


def test_outcome_by_hand():
    entropy, right = np.array([[1, 9], [9, 9]]), np.array([[True, False], [True, False]])
    flops = np.array([[2.0, 6.0], [2.0, 6.0]])
    assert outcome(entropy, right, flops, [5]) == (0.5, 4.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999))
def test_a_table_costs_more_and_is_better_line_by_line(seed):
    given_images = images(seed)
    table = search(*given_images)
    best = np.maximum.accumulate(table["accuracy"])
    assert (np.diff(table["flops"]) > 0).all() and (np.array(table["accuracy"]) >= best - NOISE).all()
    for flops, accuracy, thresholds in zip(*(table[name] for name in ("flops", "accuracy", "thresholds"))):
        assert outcome(*given_images, thresholds) == (accuracy, flops)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 199))
def test_thresholds_an_exit_are_no_worse_than_one_for_all(seed):
    """For every cost that one threshold for all reaches, a row of the table costs no more and loses little."""
    entropy, right, flops = images(seed)
    table = search(entropy, right, flops)
    for one in np.quantile(entropy, [0.2, 0.4, 0.6, 0.8]).astype(int):
        accuracy, cost = outcome(entropy, right, flops, [one] * 3)
        within = [a for a, c in zip(table["accuracy"], table["flops"]) if c <= 1.02 * cost]
        assert within and max(within) >= accuracy - 0.02


def test_exits_that_are_never_right_are_never_taken():
    entropy, right, flops = images(3)
    right[:, 0] = False
    table = search(entropy, right, flops)
    taken = leave(entropy, table["thresholds"][-1])
    assert (taken == 0).mean() < 0.01
    assert table["accuracy"][-1] >= right[:, -1].mean() - 1e-9


def test_seeds_make_no_difference():
    assert search(*images(1)) == search(*images(1))


@pytest.mark.parametrize("exits", [1, 5])
def test_any_number_of_exits(exits):
    table = search(*images(2, exits=exits))
    assert all(len(thresholds) == exits for thresholds in table["thresholds"])


def hard(right, flops, budget):
    """(accuracy, mean FLOPs) where every image goes as far as a budget of its own lets it."""
    at = np.maximum((flops <= budget).sum(1) - 1, 0)
    rows = np.arange(len(flops))
    return right[rows, at].mean(), flops[rows, at].mean()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_on_other_images_a_budget_is_spent_and_does_better_than_a_hard_one(seed):
    """Thresholds of one draw on another: within 2 % of what was asked, and better than a hard budget at equal means."""
    (*found, flops), (entropy, right, _) = images(seed, 5000), images(seed + 100, 10_000)
    costs = flops.mean(0)  # of an exit, for every image alike
    table, flops = search(*found, np.tile(costs, (5000, 1))), np.tile(costs, (10_000, 1))
    low, high = table["flops"][0], table["flops"][-1]
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        asked, spent = low + share * (high - low), None
        row = max(i for i, mean in enumerate(table["flops"]) if mean <= asked)
        accuracy, spent = outcome(entropy, right, flops, table["thresholds"][row])
        assert abs(spent / asked - 1) < 0.02
        means = [hard(right, flops, budget) for budget in costs]
        equal = max(accuracy for accuracy, mean in means if mean <= spent)
        assert accuracy > equal + 0.02
