"""docs/figures.md and its drawings: every table and figure of the papers, ours beside what they print.

    texts = made(latest())      # file → text
    print(texts["docs/figures.md"])

Which there are is in items.toml, what is ours in DRAWN and TABLES. An item without rows says so, and names its command.
"""

import textwrap
import tomllib
from functools import partial
from pathlib import Path
from typing import NamedTuple

from bench.packages import PACKAGES, fingerprint
from bench.papers.figures import budgets, cited, classes, curves, looks
from hls.errors import UserError
from hls.generate.markdown import prose

FILE = Path(__file__).with_name("items.toml")
FOLDER, DOCUMENT = "docs/figures", "docs/figures.md"
WIDTH = 98
LAYERS_AND_CHANNELS = ("plain-resnet", "skipnet", "ffgate1", "ffgate2", "channels", "channels-rnn", "iadi", "ddi")
DENSE = ("plain-densenet", "light-repeat", "light-zeros", "light-dg")
GATES = ("skipnet", "ffgate1", "ffgate2", "channels", "channels-rnn", "acs-gn", "acs-dg", "iadi", "iadi-dg", "ddi")
COSTS = ("iadi", "energy", "cycles", "units")
RESNETS, DENSENETS = "Short runs on a small ResNet, CIFAR-10", "Short runs on a small DenseNet, CIFAR-10"
DRAWN = {  # name of an item → rows → SVG, "" where it has no rows
    "fig6": curves.against_others,
    "fig9": partial(curves.over_savings, names=LAYERS_AND_CHANNELS, title=RESNETS, salt="fig9"),
    "fig10": partial(curves.over_savings, names=DENSE, title=DENSENETS, salt="fig10"),
    "fig12": budgets.energy_chart,
    "fig13": looks.easy_and_hard,
    "fig14": looks.feature_maps,
    "fig15": looks.skipping_by_block,
    "iccv-fig10": looks.one_exit,
    "acs-fig4": partial(curves.costs, names=GATES, title="What is left of the FLOPs, short runs", salt="acs-fig4"),
    "class-fig4": classes.gains,
}
TABLES = {  # name of an item → rows → lines of Markdown, none where it has no rows
    "fig6": curves.against_others_table,
    "fig9": partial(curves.short_runs_table, names=LAYERS_AND_CHANNELS),
    "fig10": partial(curves.short_runs_table, names=DENSE),
    "table1": budgets.savings_table,
    "fig12": partial(curves.short_runs_table, names=COSTS),
    "table2": budgets.hard_table,
    "fig13": looks.easy_and_hard_table,
    "fig14": looks.feature_table,
    "fig15": looks.skipping_by_block_table,
    "iccv-fig10": looks.one_exit_table,
    "iccv-table1": budgets.exits_table,
    "iccv-table2": budgets.average_table,
    "acs-fig4": partial(curves.short_runs_table, names=GATES),
    "acs-table1": partial(curves.beside, group="acs-table1"),
    "acs-table2": partial(curves.beside, group="acs-table2"),
    "acs-table3": partial(curves.beside, group="acs-table3"),
    "acs-table4": partial(curves.beside, group="acs-table4"),
    "acs-table5": partial(curves.beside, group="acs-table5"),
    "class-fig4": classes.gains_table,
    "class-table2": classes.connections_table,
    "class-table4": classes.missed_table,
    "class-fig6": classes.mean_gains_table,
}
HEAD = """# The papers' tables and figures

For those who know the papers and want to see what of them stands here. *Ours* is drawn from the
result rows in `bench/results/` or run by the engine when the page is made; *cited* is what a paper
prints. Nothing is shown that was not run; what is missing names its command. All of it is made
by one command, a single one of them by its name:

```
python -m bench all
python -m bench all --figure fig9
```

The papers, and which method is which file: [papers.md](papers.md). Networks of the packages were
trained on a GPU within minutes, those of short runs on two cores, with schedules far shorter than
the papers': most figures are not repetitions of them, and each says what differs. JSTSP's Figs. 1
to 5 are designs ([papers.md](papers.md)), its
Fig. 11 is the measurement's setup ([power.md](power.md)). The ICCV submission's Figs. 5 to 9 and
11 are early forms of JSTSP's and stand with them.
"""


def items():
    """Name → its entry of items.toml, in the page's order."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def made(rows):
    """File → text, of the document and of all its drawings; each is drawn once."""
    rows = current(rows)
    drawn = {name: draw(rows) for name, draw in DRAWN.items()}
    found = {f"{FOLDER}/{name}.svg": text or _missing(name) for name, text in drawn.items()}
    ours = {name: Ours(bool(drawn.get(name)), TABLES[name](rows) if name in TABLES else []) for name in items()}
    return {**found, DOCUMENT: page(ours)}


def one(name, rows):
    """(its drawing, "" where it has none; its section of the document) of one item. UserError for an unknown name."""
    if name not in items():
        raise UserError(f"--figure {name}: expected one of {', '.join(items())}")
    rows = current(rows)
    drawn = DRAWN[name](rows) if name in DRAWN else ""
    ours = Ours(bool(drawn), TABLES[name](rows) if name in TABLES else [])
    return drawn, "\n".join(section(name, items()[name], ours)) + "\n"


def current(rows):
    """Without the rows of packages that are not the committed ones."""
    committed = {None, *(fingerprint(path.stem) for path in PACKAGES.glob("*.npz"))}
    return {name: row for name, row in rows.items() if row["package"] in committed}


class Ours(NamedTuple):
    """What an item shows of ours: whether it is drawn, and the lines of its table."""

    drawn: bool
    lines: list


def _missing(name):
    from host.views.svg import Canvas

    canvas = Canvas(720, 60)
    canvas.rect(0, 0, 720, 60, "#ffffff")
    canvas.label(16, 34, f"{items()[name]['paper']}: no rows yet", 14)
    return canvas.text()


def page(ours):
    """The document; `ours`: name → Ours."""
    parts = [HEAD, "| paper | | ours |", "|---|---|---|"]
    for name, item in items().items():
        state = "here" if any(ours[name]) else "not run yet"
        parts.append(f"| [{item['paper']}](#{name}) | {item['title']} | {state} |")
    for name, item in items().items():
        parts += ["", *section(name, item, ours[name])]
    return "\n".join(parts) + "\n"


def section(name, item, ours):
    """Lines of one table or figure: ours, the paper's, what differs, the command of the whole."""
    lines = [f'<a id="{name}"></a>', "", f"## {item['paper']}: {item['title']}"]
    lines += ["", f"![{item['title']}](figures/{name}.svg)"] if ours.drawn else []
    lines += ["", *ours.lines] if ours.lines else []
    lines += [] if any(ours) else ["", "Ours: not run yet."]
    for group in item.get("cited", []):
        lines += ["", *cited.table(group)]
    if "differs" in item and any(ours):
        lines += ["", *prose(f"*What differs*: {item['differs']}")]
    if "full" in item:
        verb = "The paper's own size, not run yet" if any(ours) else "The command"
        lines += ["", f"{verb}:", "", "```", *_command(item["full"]), "```"]
    return lines


def _command(text):
    """A command, over two lines where it is too long for a document."""
    if len(text) <= WIDTH:
        return [text]
    found = textwrap.wrap(text, WIDTH - 3, subsequent_indent="    ", break_on_hyphens=False, break_long_words=False)
    return [f"{part} \\" for part in found[:-1]] + found[-1:]
