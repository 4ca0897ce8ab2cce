"""Documents can be read in a terminal: every line is under 100 characters, those of tables and code too."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("docs", "training", "export", "hls", "bitstreams", "host", "bench", "data", "packages", "tests", "examples")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
WIDTH = 100


def long_lines(text):
    """Numbers of the lines that are too long, but for a link or a name that stands alone and cannot be broken."""
    lines = enumerate(text.splitlines(), start=1)
    return [number for number, line in lines if len(line) >= WIDTH and len(line.strip("-*| ").split()) > 1]


def test_there_are_pages():
    assert {"README.md", "CHANGELOG.md", "isa.md", "engine.md"} <= {path.name for path in PAGES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_short(path):
    numbers = long_lines(path.read_text("utf-8"))
    assert not numbers, [f"{path.relative_to(ROOT)}:{number}" for number in numbers]


def test_long_lines_are_seen():
    lines = ["word " * 30, "| " + "cell " * 30, "```", "code " * 30, "```", "- " + "item " * 30, "- " + "x" * 120]
    assert long_lines("\n".join(lines)) == [1, 2, 4, 6]
