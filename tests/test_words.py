"""Documents can be read in a terminal: prose stays under 100 characters a line; tables and code may be longer."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WIDTH = 100


def prose(text):
    """(number, line) of every line that is neither a table's, nor code, nor one word that cannot be broken."""
    code = False
    for number, line in enumerate(text.splitlines(), start=1):
        fence = line.lstrip().startswith("```")
        code ^= fence
        words = line.lstrip("-* ").split()
        if not (code or fence or line.lstrip().startswith(("|", "<!--", "![")) or len(words) < 2):
            yield number, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_lines_of_prose_are_short(path):
    long = [f"{path.name}:{number}" for number, line in prose(path.read_text("utf-8")) if len(line) >= WIDTH]
    assert not long, long


def test_long_lines_are_seen():
    text = "\n".join(["word " * 30, "| " + "cell " * 30, "```", "code " * 30, "```", "- " + "item " * 30])
    assert [number for number, _ in prose(text)] == [1, 6]
