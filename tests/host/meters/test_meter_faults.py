"""Every fault of a meter (bench/fault_cases/meter.py) ends in one line, with nothing held and the next run fine."""

import pytest

from bench.fault_cases import Runner, cases

CASES = cases("meter")


@pytest.fixture(scope="module")
def runner():
    with Runner("meter") as process:
        yield process


def test_there_are_enough():
    assert len(CASES) >= 15 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fault(case, runner):
    assert runner.judge(case) == ""
