"""Golden model and C++ engine give the same records, bit for bit: random programs, broken ones, and the extremes.

The engine runs twice: with CONV's main loop as the chip has it, whose results are whole only if all its work fits the
cycles that the cost model counts, and as a processor runs it fast.

    pytest --cosim tests/hls/test_conformance.py

A difference is settled by docs/engine.md. A random seed that fails becomes a fixed case in tests/hls/extremes.py.
"""

from dataclasses import replace

import numpy as np
import pytest

from hls import cosim, golden, isa
from hls.stress.random_programs import mutate, random_program
from tests.hls.agreement import STALE, assert_same
from tests.hls.extremes import EXTREMES

pytestmark = pytest.mark.cosim
CHUNK = 300


@pytest.mark.parametrize("chunk", range(8))
def test_random_programs(chunk):
    statuses = set()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        records = assert_same(random_program(np.random.default_rng(seed)), f"seed {seed}", STALE)
        statuses |= set(records[:, 0].tolist())
    assert {isa.STATUS_OK, isa.STATUS_BUDGET_TOO_SMALL, isa.STATUS_NOT_RUN} <= statuses


@pytest.mark.parametrize("chunk", range(5))
def test_broken_programs(chunk):
    statuses = set()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        rng = np.random.default_rng(seed)
        program, *rest = random_program(rng)
        statuses |= set(assert_same((mutate(program, rng), *rest), f"broken seed {seed}")[:, 0].tolist())
    assert set(range(isa.STATUS_BAD_OPCODE, isa.STATUS_BAD_TARGET + 1)) <= statuses


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda extreme: extreme.__name__)
def test_extremes(extreme):
    records = assert_same(extreme(), extreme.__name__, STALE)
    assert not records[:, 0].any(), "an extreme case is a valid program"
    assert len(np.unique(records[:, isa.RECORD_HEADER + extreme()[-1].gates :])) > 2


def test_every_budget_of_one_program():
    """Around every sum that the engine compares with the budget, from nothing to enough."""
    seed = next(
        seed for seed in range(999) if (random_program(np.random.default_rng(seed))[0][:, 0] == isa.TAP).sum() > 3
    )
    *case, start = random_program(np.random.default_rng(seed))
    for rule in isa.RULES.values():
        for cycles in range(0, 4000, 29):
            assert_same(
                (*case, replace(start, rule=rule, budget_cycles=cycles)), f"{cycles} cycles, rule {rule}", STALE
            )


def test_threads_do_not_change_records():
    for seed in range(50):
        case = random_program(np.random.default_rng(seed))
        images = np.concatenate([case[3]] * 5)
        records = [cosim.run(*case[:3], images, case[4], threads=threads) for threads in (1, 3)]
        assert np.array_equal(*records)


@pytest.mark.parametrize(
    "change",
    [
        {"gates": 257},
        {"classes": 0},
        {"rule": 4},
        {"rule": 3, "target_class": 99},
        {"gates": -1},
        {"map_words": -1},
        {"map_words": isa.DDR_ADDRESS},
    ],
)
def test_bad_starts_are_refused_by_both(change):
    *case, start = random_program(np.random.default_rng(0))
    for run, error in ((golden.run, ValueError), (cosim.run, cosim.CosimError)):
        with pytest.raises(error, match="BAD_START"):
            run(*case, replace(start, **change))
