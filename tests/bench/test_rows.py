"""Result rows and the documents made from them."""

import json

import pytest

from bench import __main__ as command
from bench import documents, rows
from bench.front import tables


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_rows_hold_what_is_needed_to_measure_again(results):
    written = rows.Rows("speed", "python -m bench speed")
    written.add("speed.a", 1.5, "s", "measured", 3, "abc")
    path = written.write()
    row = json.loads(path.read_text())
    assert path == results / "speed.jsonl"
    assert set(row) == {"name", "value", "unit", "kind", "n", "commit", "package", "host", "command"}
    assert row["host"]["cores"] >= 1


def test_rows_are_appended_and_the_newest_counts(results):
    for value in (1, 2):
        written = rows.Rows("speed", "c")
        written.add("speed.a", value, "s", "measured", 1)
        written.write()
    assert len((results / "speed.jsonl").read_text().splitlines()) == 2
    assert rows.latest()["speed.a"]["value"] == 2


def test_a_file_of_their_own(results, tmp_path):
    written = rows.Rows("speed", "c")
    written.add("speed.a", 1, "s", "measured", 1)
    written.write(tmp_path / "rows.jsonl")
    assert not results.exists() and rows.latest() == {}


def test_rows_of_a_room_are_read_and_written_there(monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / "power.jsonl").write_text('{"name": "power.x", "value": 1}\n')
    assert rows.own_file("power") == tmp_path / "board" / "power.jsonl" and rows.latest()["power.x"]["value"] == 1
    assert rows.own_file("speed") == tmp_path / "speed.jsonl"


def test_kinds_are_checked():
    with pytest.raises(ValueError, match="kind 'guessed'"):
        rows.Rows("speed", "c").add("a", 1, "s", "guessed", 1)


def test_blocks_are_made_from_rows():
    row = {"value": 0, "n": 10}
    found = documents.rewritten("a\n<!-- rows:promises -->\nold\n<!-- end -->\nb\n", {"x.over_budget": row}, {})
    assert "old" not in found and "| x | 0 | 10 images |" in found
    assert documents.rewritten(found, {"x.over_budget": row}, {}) == found


def test_budgets_of_an_older_package_are_not_shown():
    rows = {"x.over_budget": {}}
    for at, sha256 in (("5.0M", "old"), ("9.0M", "new"), ("none", "new")):
        for what, value in (("accuracy", 0.5), ("flops", 8e6), ("cycles", 9.0), ("layers", 1.0)):
            rows[f"x.{what}@{at}"] = {"value": value, "package": sha256}
    found = tables.packages_table(rows)[2:]
    assert [line.split(" | ")[1] for line in found] == ["9.0M", "none"]


def test_unknown_blocks_are_refused():
    with pytest.raises(KeyError):
        documents.rewritten("<!-- rows:nothing -->\n<!-- end -->", {}, {})


def test_command_names_bad_input(capsys):
    assert command.main(["speed", "--data", "mnist=there"]) == 2
    assert "SET=DIR with SET one of cifar10" in capsys.readouterr().err
