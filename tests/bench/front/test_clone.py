"""A newcomer's clone: the commands run in what is committed, and nothing of this checkout is in their way."""

import subprocess

import pytest

from bench import documents
from bench.front import clone
from bench.rows import latest
from hls.errors import UserError

MAKEFILE = """
run:
\ttest -z "$$PYTHONPATH" && cp committed made
test:
\ttest -e made
wrong:
\techo no >&2; false
"""


@pytest.fixture
def source(tmp_path):
    """A repository with a Makefile, a file that is committed and one that is not."""
    root = tmp_path / "source"
    root.mkdir()
    (root / "Makefile").write_text(MAKEFILE)
    (root / "committed").write_text("here")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    (root / "other").write_text("not committed")
    return root


def test_commands_are_timed_in_what_is_committed(source, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    found = clone.times(tmp_path, source, ("run", "test"))
    assert list(found) == ["run_seconds", "run_processor_seconds", "test_seconds", "test_processor_seconds"]
    assert all(seconds >= 0 for seconds in found.values())
    assert (tmp_path / "clone" / "made").read_text() == "here" and not (tmp_path / "clone" / "other").exists()


def test_a_command_that_fails_is_one_line(source, tmp_path):
    with pytest.raises(UserError, match=r"^make wrong in a fresh clone ended with 2: make.*: .*wrong.*$"):
        clone.times(tmp_path, source, ("wrong",))


def test_the_table_has_a_line_a_command_that_has_rows():
    rows = latest()
    rows = {name: row for name, row in rows.items() if not name.startswith("newcomer.clone.")}
    before = documents.newcomer_table(rows)
    rows["newcomer.clone.run_seconds"] = {"value": 24.4, "target": 180}
    assert documents.newcomer_table(rows) == [*before, "| `make run` in a fresh clone, seconds | 24 | | 180 |"]
