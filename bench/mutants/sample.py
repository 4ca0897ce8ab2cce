"""Which mutants are tried: the same ones as long as their functions stay, and those that are known to change nothing.

A mutant is drawn by its name, not by its place in a list: what is added elsewhere moves none of the others.
"""

import hashlib
import tomllib
from pathlib import Path

from hls.errors import UserError

EQUIVALENT = Path(__file__).with_name("equivalent.toml")
FIELDS = {"change", "reason"}


def drawn(names, count):
    """`count` of the names, by their SHA-256; all where there are fewer."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def equivalent(path=EQUIVALENT):
    """Name → {change, reason} of the mutants that no test can kill. UserError for an entry without either."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, entry in found.items():
        if set(entry) != FIELDS:
            raise UserError(f"{path.name}: {name} has {sorted(entry)}, expected {sorted(FIELDS)}")
    return found
