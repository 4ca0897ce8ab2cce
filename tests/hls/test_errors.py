"""Errors that are the user's to mend have one base, so that an entry point needs one `except` for them."""

import ast
from pathlib import Path

from hls.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("hls", "data", "host", "bitstreams", "bench")
INSIDE = {
    "PragmaError",  # of a parser, which ends in a sentence of the check that asked it
    "BusError",  # of the board in software, where a real processor would stop
}


def raised():
    """(file, name, names of the bases) of every class that is an exception by its name or base."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and node.name.endswith("Error") and node.name != UserError.__name__:
                    yield path.relative_to(ROOT), node.name, [ast.unparse(base) for base in node.bases]


def test_every_error_with_a_name_of_its_own_is_a_user_error():
    found = [(str(path), name) for path, name, bases in raised() if bases != ["UserError"] and name not in INSIDE]
    assert not found


def test_the_search_finds_what_it_is_for():
    assert {"PackageError", "DataError", "CosimError"} <= {name for _, name, _ in raised()}
