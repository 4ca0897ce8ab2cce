"""Every fault of files, signals, the environment and tools (bench/fault_cases/) is survived.

    pytest --cosim tests/bench/test_fault_families.py

Those that need the C++ engine run with --cosim alone.
"""

import shutil

import pytest

from bench.fault_cases import Runner, cases

FAMILIES = ("files", "signals", "environment", "tools")
ENGINE = ("engine", "build", "compiler", "board", "without UTF-8", "Latin-1")  # in the names of cases that need it
KNOWN = [(family, case) for family in FAMILIES for case in cases(family)]


@pytest.fixture(scope="module")
def runners():
    found = {family: Runner(family) for family in FAMILIES}
    yield found
    for runner in found.values():
        runner.close()


def marked(family, case):
    engine = family in ("signals", "environment") and any(word in case.name for word in ENGINE)
    marks = [pytest.mark.cosim] if engine else []
    return pytest.param(family, case, id=f"{family}: {case.name}", marks=marks)


@pytest.mark.parametrize(("family", "case"), [marked(*item) for item in KNOWN])
def test_the_fault_is_survived(runners, family, case):
    if family != "tools" and shutil.which("bash") is None:
        pytest.skip("needs bash")
    assert runners[family].judge(case) == ""


def test_there_are_enough_and_each_once():
    for family, least in zip(FAMILIES, (30, 15, 15, 20)):
        names = [case.name for case in cases(family)]
        assert len(set(names)) == len(names) >= least
