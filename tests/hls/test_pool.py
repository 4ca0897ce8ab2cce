"""Pooled budgets: no window over its budget, no image starved, and golden model, engine and carried history agree.

pytest --cosim tests/hls/test_pool.py
"""

from dataclasses import replace

import numpy as np
import pytest

from hls import cosim, cost, golden, isa
from hls.pool import MOST, NO_BUDGET, Pool, fresh
from hls.record import Start, agreed, decode
from hls.stress.driver import Base, Case, Driver
from hls.stress.random_programs import random_program


def random_start(rng):
    size = int(rng.choice([1, 2, 3, 7, isa.MAX_POOL]))
    budgets = [int(rng.choice([NO_BUDGET, rng.integers(1, 1000), MOST - 1])) for _ in range(2)]
    floors = [int(rng.integers(0, min(budget, MOST))) if size > 1 else 0 for budget in budgets]
    return Start(1, 10, *budgets, pool=size, floor_flops=floors[0], floor_cycles=floors[1])


@pytest.mark.parametrize("seed", range(40))
def test_no_window_is_over_its_budget_and_no_image_is_starved(seed):
    """Whatever images spend of what they are allowed, and wherever one start ends and the next begins."""
    rng = np.random.default_rng(seed)
    start = random_start(rng)
    history, spent, limits = fresh(start), [], ((start.budget_flops, start.floor_flops),)
    limits += ((start.budget_cycles, start.floor_cycles),)
    while len(spent) < 3 * start.pool + 20:
        pool = Pool(start, history)
        for _ in range(int(rng.integers(1, 2 * start.pool))):
            assert all(allowed >= floor for allowed, (_, floor) in zip(pool.allowed, limits))
            share = rng.choice([0, 0.5, 1, 1])
            spent.append([int(min(allowed, MOST * isa.MAX_POOL) * share) for allowed in pool.allowed])
            pool.charge(*spent[-1])
        history = pool.history()
    for index in range(len(spent)):
        for unit, (budget, _) in enumerate(limits):
            window = sum(row[unit] for row in spent[max(0, index - start.pool + 1) : index + 1])
            assert window <= start.pool * budget


def test_nothing_is_lent_before_something_was_saved_and_what_is_saved_is_lent_once():
    pool = Pool(start := Start(1, 10, 100, pool=3, floor_flops=10), fresh(start))
    allowed = []
    for spent in (100, 40, 160, 10, 100, 0, 0, 0):
        allowed.append(pool.allowed[0])
        pool.charge(spent, 5)
    assert allowed == [100, 100, 160, 100, 130, 190, 190, 280]  # an image that spends 0 is charged the floor
    assert pool.allowed == (280, NO_BUDGET) and pool.history().tolist() == [[10, 0], [10, 0]]


@pytest.mark.parametrize(
    "history", [[[9, 0], [100, 0]], [[291, 0], [0, 0]], [[150, 0], [141, 0]], [[-1, 0], [2**62, 0]]]
)
def test_a_history_that_no_run_leaves_is_refused(history):
    start, history = Start(1, 10, 100, pool=3, floor_flops=10), np.array(history, np.int64)
    with pytest.raises(ValueError, match="BAD_START: the pool's history"):
        Pool(start, history)
    with pytest.raises(ValueError, match="BAD_START: the pool's history is int64"):
        Pool(start, history[:1])


def pooled_case(seed, count=23):
    """A random program whose images cost different amounts, many of them, and budgets between its exits', shared."""
    rng = np.random.default_rng(seed)
    while True:
        program, weights, tables, images, start = random_program(rng)
        images = rng.integers(0, 256, (count, *images.shape[1:]), dtype=np.uint8)
        images[::3] //= 16
        free = Start(start.gates, start.classes, map_words=start.map_words)
        results = decode(cosim.run(program, weights, tables, images, free), free)
        if results.status.any() or len(cost.worst_case(program)) < 2 or len(set(results.flops)) < 2:
            continue
        least = cost.smallest_budget(program)  # not enough where gates may skip a TAP, as no exported program does
        tight = replace(free, budget_flops=least.flops, budget_cycles=least.cycles)
        if not cosim.run(program, weights, tables, images, tight)[:, 0].any():
            break
    budgets = [
        rng.integers(low, max(low, *spent) + 1) for low, spent in zip(least[1:], (results.flops, results.cycles))
    ]
    size, budgets = int(rng.choice([2, 3, 5])), [int(budget) for budget in budgets]
    return program, weights, tables, images, replace(free, budget_flops=budgets[0], budget_cycles=budgets[1], pool=size,
                                                     floor_flops=least.flops, floor_cycles=least.cycles)  # fmt: skip


@pytest.mark.cosim
@pytest.mark.parametrize("seed", range(8))
def test_engine_and_golden_model_agree_however_the_images_are_cut_into_starts(seed):
    *case, images, start = pooled_case(seed)
    history = fresh(start)
    expected = golden.run(*case, images, start, history)
    assert not expected[:, 0].any()
    for shape in cosim.SHAPES:
        for size in (1, 4, 23):
            carried, found = fresh(start), []
            for at in range(0, len(images), size):
                found.append(cosim.run(*case, images[at : at + size], start, 3, shape=shape, history=carried))
            found = agreed(np.concatenate(found))
            found[:, isa.RECORD.index("image")] = np.arange(len(images))
            assert np.array_equal(found, expected) and np.array_equal(carried, history)


@pytest.mark.cosim
def test_a_pool_lends_what_was_saved():
    """Somewhere an image spends more than its share, and never is a window over."""
    over = 0
    for seed in range(8):
        *case, images, start = pooled_case(seed)
        results = decode(cosim.run(*case, images, start), start)
        over += int((results.flops > start.budget_flops).sum())
        assert (results.flops <= results.allowed_flops).all() and (results.cycles <= results.allowed_cycles).all()
        alone = decode(cosim.run(*case, images, replace(start, pool=1)), start)
        assert (alone.flops <= start.budget_flops).all() and (alone.allowed_flops == start.budget_flops).all()
    assert over


@pytest.mark.cosim
def test_the_history_of_a_failed_start_is_left_alone():
    *case, images, start = pooled_case(0)
    for change in ({"pool": isa.MAX_POOL + 1}, {"budget_flops": MOST}, {"floor_cycles": start.budget_cycles + 1}):
        history = np.zeros((replace(start, **change).pool - 1, 2), np.int64)
        for run, error in ((golden.run, ValueError), (cosim.run, cosim.CosimError)):
            with pytest.raises(error, match="BAD_START"):
                run(*case, images, replace(start, **change), history=history)
        assert not history.any()
    with pytest.raises(cosim.CosimError, match="BAD_START"):
        cosim.run(*case, images, start, history=np.zeros((start.pool - 1, 2), np.int64))  # less than the floor


@pytest.mark.cosim
def test_the_history_is_read_behind_the_map_memory_and_nowhere_else():
    """Under the address sanitizer, by the top function itself; its history is all 0, so that all of N·B is free."""
    cases = [pooled_case(seed, 9) for seed in range(6)]
    cases = [(*case, replace(start, floor_flops=0, floor_cycles=0)) for *case, start in cases]
    bases = [Base(*case) for case in cases]
    outcomes = Driver(bases).run([Case(number, base.start, images=9) for number, base in enumerate(bases)])
    for case, (_, records) in zip(cases, outcomes):
        assert np.array_equal(records, golden.run(*case, np.zeros((case[-1].pool - 1, 2), np.int64)))


@pytest.mark.cosim
@pytest.mark.parametrize("unit", [0, 1])
def test_a_history_that_leaves_less_than_the_floor_is_refused_by_both(unit):
    """Each charge is one that an image may have had; their sum leaves the floor, or one less."""
    *case, images, start = pooled_case(1)
    budget, floor = ((start.budget_flops, start.floor_flops), (start.budget_cycles, start.floor_cycles))[unit]
    history = fresh(start)
    history[:, unit] = floor
    history[-1, unit] = start.pool * budget - (start.pool - 1) * floor
    for more in (0, 1):
        history[-1, unit] += more
        for run, error in ((golden.run, ValueError), (cosim.run, cosim.CosimError)):
            if not more:
                assert not run(*case, images, start, history=history.copy())[:, 0].any()
                continue
            with pytest.raises(error, match="BAD_START"):
                run(*case, images, start, history=history.copy())
