"""Every fault of the board ends in one line, with nothing held and the next run fine: bench/fault_cases/board.py.

    pytest --cosim tests/host/board/test_board_faults.py

And the judge itself can say no: drivers that hang, leak or stammer are found out.
"""

import pytest

import bench.fault_cases as fault_cases
from bench import faults
from bench.fault_cases import Case, Outcome, Runner, cases, verdict

FINE = Outcome("the board is in use by process 7: wait for it", 2, 0, True)


@pytest.fixture(scope="module")
def runner():
    with Runner("board") as runner:
        yield runner


@pytest.mark.cosim
@pytest.mark.parametrize("case", cases("board"), ids=lambda case: case.name)
def test_the_fault_is_survived(runner, case):
    assert runner.judge(case) == ""


def test_there_are_as_many_as_promised():
    assert len(cases("board")) >= 30
    assert len({case.name for case in cases("board")}) == len(cases("board"))
    assert cases("no such family") == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ""),
        ({"sentence": ""}, "not one clear line"),
        ({"sentence": "a\nb"}, "not one clear line"),
        ({"sentence": "Traceback (most recent call last)"}, "not one clear line"),
        ({"sentence": "ValueError: 3"}, "not one clear line"),
        ({"sentence": "long " * 200}, "not one clear line"),
        ({"exit_code": 0}, "exit code 0, expected 2"),
        ({"leaked": 1}, "1 things still held"),
        ({"next_run_fine": False}, "the next run fails"),
    ],
)
def test_what_surviving_means(change, expected):
    case = Case("one", lambda: FINE, 1.0)
    found = verdict(case, Outcome(**{**vars(FINE), **change}))
    assert expected in found and bool(found) == bool(expected)
    assert "exit code 2, expected 0" in verdict(Case("one", lambda: FINE, 1.0, recovers=True), FINE)


TRY = """
import os, time
from bench.fault_cases import Case, Outcome
fine = Outcome("a line", 2, 0, True)
CASES = (
    Case("fine", lambda: fine, 5.0),
    Case("hangs", lambda: time.sleep(60), 0.2),
    Case("dies", lambda: os._exit(3), 5.0),
    Case("raises", lambda: 1 / 0, 5.0),
    Case("leaks", lambda: Outcome("a line", 2, 1, True), 5.0),
)
"""


@pytest.fixture
def trial(tmp_path, monkeypatch):
    """A family of cases that do what no driver should."""
    (tmp_path / "trial.py").write_text(TRY)
    monkeypatch.setenv("TRIAL", str(tmp_path))
    code = "import os, bench.fault_cases as f; f.__path__.append(os.environ['TRIAL']); "
    code += "from bench.fault_cases.worker import main; main(['trial'])"
    original = fault_cases.subprocess.Popen
    monkeypatch.setattr(
        fault_cases.subprocess, "Popen", lambda command, **options: original([command[0], "-c", code], **options)
    )
    monkeypatch.setattr(fault_cases, "__path__", [*fault_cases.__path__, str(tmp_path)])
    return cases("trial")


def test_a_hang_a_death_and_a_leak_fail_their_case_and_nothing_else(trial):
    with Runner("trial") as runner:
        found = {case.name: runner.judge(case) for case in (*trial, trial[0])}
    assert found["fine"] == ""
    assert found["hangs"] == "no end within 0.2 s"
    assert found["dies"] == "its process ended with status 3"
    assert "ZeroDivisionError" in found["raises"] and "1 things still held" in found["leaks"]


def test_rows_count_cases_and_survivors(trial, monkeypatch, capsys):
    class Rows:
        def __init__(self):
            self.found = {}

        def add(self, name, value, unit, kind, n):
            self.found[name] = value
            assert (unit, kind, n) == ("cases", "count", 5)

    rows = Rows()
    monkeypatch.setattr(faults, "FAMILIES", ("trial", "not yet written"))
    faults.run(rows, {}, None)
    assert rows.found == {"faults.trial.total": 5, "faults.trial.survived": 1}
    assert "faults: trial hangs: no end within 0.2 s" in capsys.readouterr().err
