"""The mutation run: a sample that stays, mutants that change nothing, rows of what was noticed."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench import documents, mutants
from bench.mutants import calls, folders, make, order, sample, tool
from bench.rows import ROOT, Rows
from hls.errors import UserError

NAMES = [f"hls.cost.x_{letter}__mutmut_{number}" for letter in "abcdefgh" for number in range(30)]
OPTIONS = SimpleNamespace(folder=None)


def test_the_sample_is_the_same_whatever_comes_beside_it():
    chosen = sample.drawn(NAMES, 75)
    assert len(set(chosen)) == 75 and set(chosen) <= set(NAMES) and chosen == sample.drawn(NAMES[::-1], 75)
    less = sample.drawn([name for name in NAMES if name != chosen[0]], 75)
    assert set(chosen) - set(less) == {chosen[0]} and len(set(less) - set(chosen)) == 1
    assert {name.split("__")[0] for name in chosen} == {name.split("__")[0] for name in NAMES}


def test_what_changes_nothing_has_its_change_and_a_reason(tmp_path):
    for entry in sample.equivalent().values():
        assert entry["change"].startswith("- ") and " + " in entry["change"] and len(entry["reason"].split()) > 4
    path = tmp_path / "equivalent.toml"
    path.write_text('["a.x"]\nreason = "so it is"\n')
    with pytest.raises(UserError, match=r"a.x has \['reason'\], expected \['change', 'reason'\]"):
        sample.equivalent(path)


def test_folders_are_there():
    for folder in folders.FOLDERS:
        assert all(list(ROOT.glob(pattern)) for pattern in folder.mutated)
        assert all((ROOT / name).exists() for name in (*folder.tests, *folder.without)), folder.name


class Work:
    """A tool's Work with mutants 0 to 9, of which 3 and 7 are not noticed."""

    def __init__(self, folder):
        self.folder = folder

    def names(self):
        return [f"x.x_f__mutmut_{number}" for number in range(10)]

    def change(self, name):
        return f"- old + {name[-1]}"

    def outcomes(self, names):
        return {name: name[-1] not in "37" for name in names}


@pytest.fixture
def done(monkeypatch):
    monkeypatch.setattr(tool, "check", lambda: None)
    monkeypatch.setattr(tool, "Work", Work)
    monkeypatch.setattr(mutants, "FOLDERS", (folders.Folder("hls", ("hls/cost.py",), ()),))

    def run(known):
        monkeypatch.setattr(sample, "equivalent", lambda: known)
        rows = Rows("mutants", "python -m bench mutants")
        mutants.run(rows, None, OPTIONS)
        return rows.rows

    return run


def test_rows_are_of_what_was_tried(done, capsys):
    (row,) = done({})
    assert (row["name"], row["value"], row["n"], row["target"]) == ("mutants.hls.killed", 0.8, 10, 0.9)
    out = capsys.readouterr().out
    assert "survived: x.x_f__mutmut_3: - old + 3" in out and out.count("survived") == 2


def test_what_changes_nothing_is_not_tried_and_looked_at_again_where_it_moved(done):
    (row,) = done({"x.x_f__mutmut_7": {"change": "- old + 7", "reason": "-"}})
    assert (row["value"], row["n"], row["note"]) == (1 - 1 / 9, 9, "1 of 10 change nothing")
    with pytest.raises(UserError, match=r"x.x_f__mutmut_7 is now '- old \+ 7': look at it again"):
        done({"x.x_f__mutmut_7": {"change": "- older + 7", "reason": "-"}})


def test_without_the_tool_it_is_one_line(monkeypatch):
    monkeypatch.setattr(tool.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"mutmut is not installed: pip install -r requirements/mutants.txt"):
        tool.check()


SUBJECT = """
import os
def test_quick(): pass
def test_looks(): assert mutant_now() != "a.x_wrong__mutmut_1"
def test_waits():
    while mutant_now() == "a.x_endless__mutmut_1": pass
def test_is_broken(): assert False
def mutant_now(): return os.environ["MUTANT_UNDER_TEST"]
"""
NAMES_OF_IT = [f"a.x_{name}__mutmut_1" for name in ("wrong", "endless", "same", "untested")]


def judged(folder, tests, names=NAMES_OF_IT):
    """(exit code, what is said, outcomes) of the judge on SUBJECT; its endless tests end after 0.2 s."""
    (folder / "test_a.py").write_text(SUBJECT)
    tests = {name: [f"test_a.py::test_{test}" for test in found] for name, found in zip(names, tests)}
    orders = {"mutants": dict.fromkeys(names, "digest"), "tests": tests, "options": [], "seconds": {}}
    code = "import sys; from bench.mutants import judge; judge.LEAST_S = 0.2; sys.exit(judge.main('found.jsonl'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=json.dumps(orders),
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in (folder / "found.jsonl").read_text().splitlines()]
    return done.returncode, done.stderr, found


def test_a_mutant_is_noticed_by_a_failure_or_an_endless_test_and_by_no_other(tmp_path):
    every = ["quick", "looks", "waits"]
    code, said, found = judged(tmp_path, [every, every, every, []])
    assert code == 0, said
    assert [(item["name"], item["function"]) for item in found] == [(name, "digest") for name in NAMES_OF_IT]
    assert [item["killed"] for item in found] == [True, True, False, False]
    assert [item["by"] for item in found] == ["test_a.py::test_looks", "test_a.py::test_waits", None, None]


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (["quick", "is_broken"], "test_a.py::test_is_broken fails without a mutant"),
        (["gone"], "pytest ended with 4"),
    ],
)
def test_a_test_that_fails_anyway_or_is_gone_notices_nothing(tests, said, tmp_path):
    code, error, found = judged(tmp_path, [tests], NAMES_OF_IT[:1])
    assert code == 1 and said in error and found == []


def test_the_units_own_tests_come_first_then_the_callers_quick_ones_first_then_their_neighbours():
    seconds = {
        "tests/hls/test_cost.py::test_own": 3,
        "tests/hls/test_cost.py::test_beside": 1,
        "tests/hls/golden/test_slow.py::test_a": 5,
        "tests/hls/golden/test_quick.py::test_b": 2,
        "tests/hls/golden/test_quick.py::test_a": 0.5,
        "tests/hls/golden/test_quick.py::test_not_asked": 0.1,
        "tests/host/test_other.py::test_a": 0.1,
    }
    called = [name for name in seconds if name.endswith(("_own", "_a", "_b")) and "host" not in name]
    assert [name.partition("::")[2] for name in order.ordered("hls.cost", called, seconds)] == [
        "test_own", "test_a", "test_b", "test_a", "test_beside", "test_not_asked",
    ]  # fmt: skip
    room = [name for name in seconds if "golden" in name]
    assert set(order.ordered("hls.golden.model", [], seconds)) == set(room)
    assert order.ordered("hls.schedule", [], seconds) == []


def test_files_that_can_not_be_read_at_all_notice_nothing(tmp_path):
    (tmp_path / "conftest.py").write_text("raise RuntimeError('broken')")
    code, _, found = judged(tmp_path, [["quick"]], NAMES_OF_IT[:1])
    assert code != 0 and found == []


def test_a_module_that_a_stop_left_half_written_is_found(tmp_path):
    for name in ("whole.py", "whole.py.meta", "half.py", "notes.txt"):
        (tmp_path / name).write_text("")
    assert make.unfinished(tmp_path) == [tmp_path / "half.py"] and make.unfinished(tmp_path / "none") == []


def test_what_is_known_of_tests_that_changed_is_forgotten(tmp_path):
    for name in ("same", "other"):
        (tmp_path / f"test_{name}.py").write_text(name)
    lines = [{"test": f"test_{name}.py::test_it", "file": calls._digest(tmp_path / f"test_{name}.py")}
             for name in ("same", "other")]  # fmt: skip
    gone = {"test": "test_gone.py::test_it", "file": lines[0]["file"]}
    (tmp_path / "test_other.py").write_text("changed")
    assert calls.present([*lines, gone], tmp_path) == lines[:1]


def test_folders_are_chosen_by_name():
    assert [folder.name for folder in mutants.folders_of(["host", "hls"])] == ["hls", "host"]
    assert mutants.folders_of(None) == list(folders.FOLDERS)
    with pytest.raises(UserError, match="no folder data is mutated: expected --folder hls, host, training, export"):
        mutants.folders_of(["data"])


def test_the_table_has_a_line_a_folder():
    rows = {f"mutants.{name}.killed": {"value": value, "n": 75, "target": 0.9} for name, value in (("hls", 0.96),)}
    assert documents.mutants_table(rows | {"mutants.other": {}})[2:] == ["| `hls/` | 75 | 96.0% | 90% |"]
    assert documents.mutants_table({}) == ["No rows yet: `python -m bench mutants` makes them."]
