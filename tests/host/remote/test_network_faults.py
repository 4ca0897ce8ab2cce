"""Every fault of boards elsewhere (bench/fault_cases/network.py) ends in one line, with nothing held."""

import pytest

pytest.importorskip("rpyc", reason="needs requirements/remote.txt")

from bench.fault_cases import Runner, cases

CASES = cases("network")


@pytest.fixture(scope="module")
def runner():
    with Runner("network") as process:
        yield process


def test_there_are_enough():
    assert len(CASES) >= 25 and len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_fault(case, runner):
    assert runner.judge(case) == ""
