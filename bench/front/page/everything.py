"""Everything that README and docs/ show of result rows, made anew in one command; or one table or figure of the papers.

    python -m bench all                       # documents, drawings, docs/index.html; writes what differs
    python -m bench all --check               # writes nothing, exit code 1 where something differs
    python -m bench all --figure fig9         # draws one, and prints what docs/figures.md says of it

It reads the committed rows and packages, so a fresh clone makes the same; it trains nothing and needs no data set.
"""

from bench import documents
from bench.front.page.__main__ import files
from bench.papers.figures import page
from bench.rows import ROOT, latest
from hls.command.generated import renewed

COMMAND = "python -m bench all, which reads bench/results/ and runs packages/"


def run(names, check):
    """Make all, or the tables and figures of these names; the exit code."""
    rows = latest()
    if not names:
        return renewed({**documents.made(rows), **files(rows)}, ROOT, COMMAND, check)
    made = {}
    for name in names:
        drawn, text = page.one(name, rows)
        made |= {ROOT / page.FOLDER / f"{name}.svg": drawn} if drawn else {}
        print(text)
    return renewed(made, ROOT, COMMAND, check)
