"""The rows of a sweep: one JSON object a line for each finished point, in the grid's order, written whole.

rows = Rows("runs/table1/rows.jsonl")
rows.add(point, {"validation": …, "test": …})
"""

import json
from pathlib import Path

from hls.command.outputs import write
from training.sweep.grid import GridError


class Rows:
    """Rows of a file by the points' keys; those of points that the grid no longer has are kept behind the others."""

    def __init__(self, path):
        self.path, self.found = Path(path), {}
        self.order = []  # keys, as the grid has them
        text = self.path.read_text(encoding="utf-8") if self.path.exists() else ""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                row = json.loads(line)
                self.found[row["key"]] = row
            except (ValueError, KeyError, TypeError):
                raise GridError(f"{self.path}: line {number} is no row of a sweep: give another --out") from None

    def expect(self, points):
        """Points whose rows come in this order, behind those that were expected before."""
        self.order += [point.key for point in points if point.key not in self.order]

    def __contains__(self, point):
        return point.key in self.found

    def of(self, point):
        """A finished point's row."""
        return self.found[point.key]

    def add(self, point, figures):
        """Take a point's figures in, and write all rows. OutputError."""
        self.found[point.key] = {"recipe": point.recipe, "axes": point.axes, **figures, "key": point.key}
        place = {key: number for number, key in enumerate(self.order)}
        ordered = sorted(self.found.values(), key=lambda row: place.get(row["key"], len(place)))
        write(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ordered))
