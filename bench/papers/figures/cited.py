"""What the papers and others printed, from cited.toml: tables for a document, points for a drawing, rows.

print(table("jstsp-table1"))
points("static")                    # [(FLOPs in millions, accuracy in %, name), …]
rows()                              # name → row of kind `cited`, as bench/rows.py has rows
"""

import re
import textwrap
import tomllib
from functools import cache
from pathlib import Path

from hls.errors import UserError

FILE = Path(__file__).with_suffix(".toml")
WIDTH = 98
COLUMNS = {  # key of a row → (title of its column, how it is shown)
    "flops": ("FLOPs", "{:g}M"),
    "counted": ("FLOPs as printed", "{}"),
    "accuracy": ("accuracy", "{:.2f} %"),
    "base": ("static, same cost", "{:.2f} %"),
    "saved": ("FLOPs saved", "{:g} %"),
    "energy_saved": ("energy saved", "{:.2f} %"),
    "gain": ("gain", "{:.2f} ×"),
    "loss": ("loss", "{:.2f} ×"),
    "precision": ("precision", "{:.1f} %"),
    "rate": ("images/s", "{:,g}"),
    "energy": ("energy", "{:g} mJ"),
    "chip": ("board, clock", "{}"),
    "source": ("source", "{}"),
}
UNITS = {"flops": "MFLOPs", "gain": "×", "loss": "×", "rate": "images/s", "energy": "mJ"}
TEXTS = ("counted", "source", "chip")


@cache
def groups():
    """Name → {"source": …, "says": text or nothing, "rows": [{"name": …}]}, as the file has them."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def group(name):
    """One group of the file. UserError where it has none of that name."""
    if name not in groups():
        raise UserError(f"{FILE.name} has no [{name}]: expected one of {', '.join(groups())}")
    return groups()[name]


def table(name):
    """Lines of Markdown: the source, what the text says, and the printed values."""
    found = group(name)
    lines = [f"*{found['source']}* (cited)."]
    if found.get("rows"):
        keys = [key for key in COLUMNS if any(key in row for row in found["rows"])]
        lines += ["", f"| | {' | '.join(COLUMNS[key][0] for key in keys)} |", "|---" * (len(keys) + 1) + "|"]
        for row in found["rows"]:
            cells = [COLUMNS[key][1].format(row[key]) if key in row else "" for key in keys]
            lines.append(f"| {row['name']} | {' | '.join(cells)} |")
    said = textwrap.wrap(_tied(found.get("says", "")), WIDTH, break_on_hyphens=False)
    return [*lines, "", *said] if said else lines


def _tied(text):
    """The text with numbers and their units on one line."""
    return re.sub(r"(?<=\d) (?=[×%])", "\u00a0", text)


def points(name):
    """(FLOPs in millions, accuracy in %, name) of a group's rows that have both."""
    return [(row["flops"], row["accuracy"], row["name"]) for row in group(name)["rows"] if "flops" in row]


def rows():
    """Name → row, one a printed value: cited.GROUP.NUMBER.KEY."""
    found = {}
    for name, one in groups().items():
        for number, item in enumerate(one.get("rows", [])):
            for key, value in item.items():
                if key in COLUMNS and key not in TEXTS:
                    row = f"cited.{name}.{number}.{key}"
                    found[row] = {"name": row, "value": value, "unit": UNITS.get(key, "%"), "kind": "cited", "n": 1,
                                  "note": item["name"], "source": item.get("source", one["source"])}  # fmt: skip
    return found
