"""Tables of the documents as HTML, each with the commands and commits of the rows that it shows.

print(shown(rows))
"""

from html import escape

from bench.documents import TABLES
from bench.front.page.html import kind, table

CHOSEN = (  # block of the documents, kind of its rows that are shown (None: it has a column of kinds), caption, page
    ("promises", "simulated", "What must hold, counted over every budget", "results.md"),
    ("promises", "measured", "The float model in PyTorch, to compare with", "results.md"),
    ("pool", "simulated", "Budgets that images share", "training.md"),
    ("engine", None, "The engine beside what it was meant to reach", "results.md"),
    ("speed", "measured", "How fast the co-simulation is", "results.md"),
    ("lockstep", None, "The main loop as RTL, beside the C++", "synthesis.md"),
    ("host", "count", "What the board’s side survives", "board.md"),
    ("host", "simulated", "How often the power meter’s interval holds the truth", "power.md"),
)


class Watched(dict):
    """Rows that remember which of them were looked at."""

    def __init__(self, rows):
        super().__init__(rows)
        self.seen = {}

    def __getitem__(self, name):
        self.seen[name] = super().__getitem__(name)
        return self.seen[name]

    def get(self, name, default=None):
        try:
            return self[name]
        except KeyError:
            return default


def shown(rows):
    """Sections of the page, one a table that has rows."""
    found = []
    for block, sort, caption, page in CHOSEN:
        watched = Watched({name: row for name, row in rows.items() if sort in (None, row["kind"])})
        lines = TABLES[block](watched)
        if watched.seen:
            title = escape(caption) + (f" {kind(sort)}" if sort else "")
            more = f'<p class="source">{source(watched.seen.values())} More: <a href="{page}">{page}</a>.</p>'
            found.append(f'<div class="rows">{table(lines, title)}{more}</div>')
    return "\n".join(found)


def source(rows):
    """Where rows come from: commands, and the commits that were measured."""
    commits = {}
    for row in rows:
        commits.setdefault(row["command"], set()).add(row["commit"].removesuffix("+"))
    told = (
        f"<code>{escape(command)}</code> at {', '.join(sorted(found))}" for command, found in sorted(commits.items())
    )
    return f"From {'; '.join(told)}."
