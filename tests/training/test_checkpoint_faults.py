"""Every file of weights that people have is read, or refused in one line: bench/fault_cases/checkpoints.py."""

import pytest

from bench.fault_cases import Runner, cases

KNOWN = cases("checkpoints")


@pytest.fixture(scope="module")
def runner():
    with Runner("checkpoints") as runner:
        yield runner


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case.name)
def test_the_file_is_read_or_named(runner, case):
    assert runner.judge(case) == ""


def test_there_are_files_of_both_kinds():
    assert len({case.name for case in KNOWN}) == len(KNOWN) >= 50
    assert sum(case.recovers for case in KNOWN) >= 12
