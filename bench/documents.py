"""Put the newest result rows into the documents: no figure there is typed by hand.

    python -m bench.documents            # rewrite the blocks between <!-- rows:NAME --> and <!-- end -->
    python -m bench.documents --check    # exit code 1 if a block differs from the rows

A block's name says which table is made; the tables are below.
"""

import re
import sys

from bench.front import clone
from bench.front.beside import first_table, peers_table, published_table
from bench.front.tables import engine_table, host_table, packages_table, promises_table, speed_table
from bench.gates.tables import controls_table, pool_table, shortcuts_table, training_table
from bench.papers.figures import page as papers
from bench.papers.tables import TABLES as PAPERS
from bench.rows import ROOT, latest
from bench.sizes import queues
from bench.sizes.figure import figure
from bench.sizes.page import front_table, reason_text, rule_text
from bench.sizes.targets import targets_table
from bitstreams import bounds
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.generated import renewed
from hls.generate.markdown import items

DOCUMENTS = (
    "README.md", "docs/dse.md", "docs/engine.md", "docs/hls4ml.md", "docs/own.md", "docs/papers.md",
    "docs/results.md", "docs/synthesis.md", "docs/training.md", "tests/README.md",
)  # fmt: skip
# File → what draws it from the rows.
FIGURES = {"docs/dse.svg": figure}
# Block → what commands printed: `python -m bench main_command`, `newcomer`, `papers --method class-exits-cifar10`, and
# the three commands above it in docs/training.md.
PRINTED = {name: ROOT / "docs" / f"{name}.txt" for name in ("run", "own", "classes", "published")}
BLOCK = re.compile(r"(<!-- rows:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def equalise_table(rows):
    """What int8 loses by uneven channels, with equalisation and without."""
    lines = ["| package | N | int8 minus float, points | without | over |", "|---|---|---|---|---|"]
    for name, row in sorted(rows.items()):
        match = re.fullmatch(r"equalise\.(.+)\.int8_minus_float@(\d+)", name)
        if match:
            without = rows[f"equalise.{match[1]}.without@{match[2]}"]["value"]
            figures = f"{row['value']:+.2f} | {without:+.2f} | {row['n']:,} images"
            lines.append(f"| {match[1]} | {match[2]} | {figures} |")
    return lines


def rtl_table(rows):
    """What open tools made of the engine's parts, beside what is modelled of them; then what is in each part."""
    whats = {"cycles": "cycles of all images", "lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM18"}
    lines = ["| part | what | value | kind | modelled |", "|---|---|---|---|---|"]
    parts = sorted(name.split(".")[1] for name in rows if re.fullmatch(r"rtl\.\w+\.passed", name))
    for part in parts:
        passed = rows[f"rtl.{part}.passed"]
        text = "images whose records are the golden model's"
        lines.append(f"| {part} | {text} | {passed['value']} of {passed['n']} | simulated RTL | |")
        for what, text in whats.items():
            found, modelled = rows.get(f"rtl.{part}.{what}"), rows.get(f"rtl.{part}.{what}.modelled")
            if found:
                kind = "simulated RTL" if found["kind"] == "simulated" else "estimated by open tools"
                beside = f"{modelled['value']:,}" if modelled else ""
                lines.append(f"| {part} | {text} | {found['value']:,} | {kind} | {beside} |")
    return [*lines, "", *items(f"*{part}* has {rows[f'rtl.{part}.passed']['note']}." for part in parts)]


LOCKSTEP = {
    "layers": "random layers",
    "cycles": "their cycles",
    "differing_cycles": "cycles in which anything differed",
    "differing_words": "words that differ from the golden model's",
    "held_cycles": "cycles in which the streams were held back",
    "over_plan": "layers that took longer than planned, on a bus that never waits",
    "faults_seen": "seeded faults that were seen",
    "lut": "LUT",
    "ff": "FF",
    "dsp": "DSP",
    "bram18": "BRAM18",
    "period_ns": "longest way, ns",
}


def lockstep_table(rows):
    """CONV's loop as RTL: what was compared, and what yosys makes of it, beside what is estimated of the C++."""
    if "lockstep.layers" not in rows:
        return ["No rows yet: `python -m bench lockstep` makes them."]
    lines = ["| what | value | kind | estimated from the C++ |", "|---|---|---|---|"]
    for what, text in LOCKSTEP.items():
        row, beside = rows.get(f"lockstep.{what}"), rows.get(f"lockstep.{what}.modelled")
        if row:
            value = f"{row['value']:,}" + (f" of {row['target']}" if "target" in row else "")
            lines.append(f"| {text} | {value} | {row['kind']} | {beside['value']:,} |" if beside else
                         f"| {text} | {value} | {row['kind']} | |")  # fmt: skip
    if "lockstep.period_ns" not in rows:
        lines += ["", "What yosys makes of the RTL has no rows yet."]
    else:
        period, aim = rows["lockstep.period_ns"]["value"], bounds.board_of().clock_mhz
        allowed = f"It allows {1000 / period:.0f} MHz; the shipped engine's clock is aimed at {aim:.0f}"
        lines += ["", *items([f"The longest way: {rows['lockstep.period_ns']['note']}. {allowed}.",
                              f"The estimate is that of {rows['lockstep.lut.modelled']['note']}: with the process that "
                              "fetches, AFFINE and pools, the masks' second copy and vector memory, which the RTL does "
                              "not have."])]  # fmt: skip
    return lines


NEWCOMER = {
    "seconds": "from the folder to the first prediction, seconds",
    "processor_seconds": "processor time of all cores for it, seconds",
    "recipe_seconds": "what the recipe had promised for the training, seconds",
    "accuracy": "accuracy on the test part of the pictures",
    "predict_seconds": "one picture, from its file to its class, seconds",
}


def newcomer_table(rows):
    """A newcomer's way with both kinds of pictures, and how long the front door takes to open."""
    lines = ["| what | RGB JPEG | grey PNG | target |", "|---|---|---|---|"]
    for name, text in NEWCOMER.items():
        jpeg, grey = (rows[f"newcomer.{kind}.{name}"] for kind in ("jpeg", "grey_png"))
        lines.append(f"| {text} | {jpeg['value']:.3g} | {grey['value']:.3g} | {jpeg.get('target', '')} |")
    one = rows["newcomer.import_seconds"]
    lines.append(f"| `from host import Engine`, processor time, seconds | {one['value']:.2g} | | {one['target']} |")
    for command in clone.COMMANDS:
        if row := rows.get(f"newcomer.clone.{command}_seconds"):
            text = f"`make {command}` in a fresh clone, seconds"
            lines.append(f"| {text} | {row['value']:.0f} | | {row.get('target', '')} |")
    return lines


def hls4ml_table(rows):
    """Images on which hls4ml's C simulation gives the engine's logits, a network."""
    row = rows["hls4ml.agreement"]
    lines = [f"| network | images whose logits are all equal, of {row['n'] // len(row['detail']):,} |", "|---|---|"]
    return lines + [f"| {name} | {share:.1%} |" for name, share in row["detail"].items()]


def mutants_table(rows):
    """Of each folder's mutants, the share that a test notices."""
    lines = ["| code | mutants | noticed | target |", "|---|---|---|---|"]
    for name, row in sorted(rows.items()):
        match = re.fullmatch(r"mutants\.(\w+)\.killed", name)
        if match:
            lines.append(f"| `{match[1]}/` | {row['n']} | {row['value']:.1%} | {row['target']:.0%} |")
    return lines if len(lines) > 2 else ["No rows yet: `python -m bench mutants` makes them."]


TABLES = {
    "front": first_table,
    "peers": peers_table,
    "published_fpga": published_table,
    "controls": controls_table,
    "hls4ml": hls4ml_table,
    "newcomer": newcomer_table,
    "pool": pool_table,
    "rtl": rtl_table,
    "lockstep": lockstep_table,
    "mutants": mutants_table,
    "engine": engine_table,
    "targets": targets_table,
    "equalise": equalise_table,
    "host": host_table,
    "packages": packages_table,
    "promises": promises_table,
    "speed": speed_table,
    "shortcuts": shortcuts_table,
    "training": training_table,
    "dse_front": front_table,
    "dse_reason": reason_text,
    "dse_queues": queues.table,
    "dse_rule": rule_text,
    **PAPERS,
}


def rewritten(text, rows, printed):
    """The document with every block made anew. KeyError for a block that nothing here makes.

    `printed`: block → what commands printed.
    """

    def block(match):
        name = match[2]
        if name in printed:
            lines = ["```", printed[name].rstrip("\n"), "```"]
        else:
            lines = ["What it prints was not kept yet."] if name in PRINTED else TABLES[name](rows)
        return match[1] + "\n".join(lines) + "\n" + match[3]

    return BLOCK.sub(block, text)


def main(argv=None):
    """Exit code 0, or 1 when --check finds a stale document."""
    parser = Parser(prog="python -m bench.documents", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is stale")
    arguments = parser.parse_args(argv)
    return guarded("bench.documents", lambda: _rewrite(arguments.check))


def _rewrite(check):
    return renewed(made(latest()), ROOT, "python -m bench.documents, which reads bench/results/", check)


def made(rows):
    """Path → text of all documents and drawings."""
    printed = {name: path.read_text(encoding="utf-8") for name, path in PRINTED.items() if path.exists()}
    texts = {ROOT / name: rewritten((ROOT / name).read_text(encoding="utf-8"), rows, printed) for name in DOCUMENTS}
    texts |= {ROOT / name: draw(rows) for name, draw in FIGURES.items()}
    return texts | {ROOT / name: text for name, text in papers.made(rows).items()}


if __name__ == "__main__":
    sys.exit(main())
