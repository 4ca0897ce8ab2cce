"""Files that appear whole or not at all."""

import os
from pathlib import Path


def write_whole(path, text):
    """Write a text file whole or not at all. OSError when that fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
