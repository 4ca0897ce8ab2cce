"""Prose of generated pages: lines under 100 characters, so that they read in a terminal.

lines = [*prose("A long sentence."), *items(["One point.", "Another."])]
"""

import textwrap
from typing import Any

WIDTH = 99
WHOLE_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def prose(text, first="", rest=""):
    """The lines of a paragraph, indented by `first` and `rest`."""
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, **WHOLE_WORDS)


def items(texts):
    """The lines of a list."""
    return [line for text in texts for line in prose(text, "- ", "  ")]
