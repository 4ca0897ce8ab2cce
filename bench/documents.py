"""Put the newest result rows into the documents: no figure there is typed by hand.

    python -m bench.documents            # rewrite the blocks between <!-- rows:NAME --> and <!-- end -->
    python -m bench.documents --check    # exit code 1 if a block differs from the rows

A block's name says which table is made; the tables are below.
"""

import argparse
import re
import sys

from bench.dse_page import figure, front_table, reason_text
from bench.rows import ROOT, latest

DOCUMENTS = ("README.md", "docs/dse.md")
FIGURES = {"docs/dse.svg": figure}  # file → what draws it from the rows
PRINTED = ROOT / "docs" / "run.txt"  # written by `python -m bench main_command`
BLOCK = re.compile(r"(<!-- rows:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def packages_table(rows):
    """Accuracy and cost of each package at the paper's budget and without one."""
    lines = [
        "| package | budget | accuracy | mean FLOPs | mean cycles (modelled) | blocks run |",
        "|---|---|---|---|---|---|",
    ]
    names = sorted({name.partition(".")[0] for name in rows if name.endswith(".over_budget")})
    for name in names:
        budgets = [key.partition("@")[2] for key in rows if key.startswith(f"{name}.accuracy@")]
        numeric = sorted((budget for budget in budgets if budget != "none"), key=lambda text: float(text[:-1]))
        for budget in [numeric[0], *(["74.0M"] if "74.0M" in numeric[1:] else []), "none"]:
            value = {key: rows[f"{name}.{key}@{budget}"]["value"] for key in ("accuracy", "flops", "cycles", "layers")}
            lines.append(
                f"| {name} | {budget} | {100 * value['accuracy']:.2f} % | {value['flops'] / 1e6:.1f}M "
                f"| {value['cycles']:,.0f} | {value['layers']:.1f} |"
            )
    return lines


def promises_table(rows):
    """What must hold, as counted."""
    wanted = [
        (".over_budget", "images that spent more than their budget"),
        (".flops_differ", "images whose FLOPs on the engine differ from the training model's count"),
        (".float_accuracy", "accuracy of the float model, all exits open to the end"),
        (".int8_minus_float", "int8 on the engine minus float, percentage points"),
    ]
    lines = ["| what | package | value | over |", "|---|---|---|---|"]
    for suffix, text in wanted:
        for name in sorted(rows):
            if name.endswith(suffix):
                row = rows[name]
                shown = (
                    f"{row['value']:.4f}".rstrip("0").rstrip(".") if isinstance(row["value"], float) else row["value"]
                )
                lines.append(f"| {text} | {name.partition('.')[0]} | {shown} | {row['n']:,} images |")
    return lines


def speed_table(rows):
    """The co-simulation on the machine that measured it."""
    texts = {
        "speed.cifar10_74M_seconds": "CIFAR-10's test set at 74M FLOPs, seconds",
        "speed.cifar10_74M_images_per_s": "images a second",
        "speed.host_memory": "memory of the host process, MiB",
    }
    lines = ["| co-simulation (measured) | value | machine |", "|---|---|---|"]
    for name, text in texts.items():
        if name in rows:
            host = rows[name]["host"]
            lines.append(f"| {text} | {rows[name]['value']:.1f} | {host['cores']} cores, {host['vector']} |")
    return lines


TABLES = {
    "packages": packages_table,
    "promises": promises_table,
    "speed": speed_table,
    "dse_front": front_table,
    "dse_reason": reason_text,
}


def rewritten(text, rows, printed=""):
    """The document with every block made anew. KeyError for a block that no table here makes.

    `printed` is what the main command printed; it stands in the block called run.
    """

    def block(match):
        lines = ["```", printed.rstrip("\n"), "```"] if match[2] == "run" else TABLES[match[2]](rows)
        return match[1] + "\n".join(lines) + "\n" + match[3]

    return BLOCK.sub(block, text)


def main(argv=None):
    """Exit code 0, or 1 when --check finds a stale document."""
    parser = argparse.ArgumentParser(prog="python -m bench.documents", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is stale")
    arguments = parser.parse_args(argv)
    rows, printed, stale = latest(), PRINTED.read_text() if PRINTED.exists() else "", 0
    made = {name: rewritten((ROOT / name).read_text(), rows, printed) for name in DOCUMENTS}
    made |= {name: draw(rows) for name, draw in FIGURES.items()}
    for name, new in made.items():
        path = ROOT / name
        if not path.exists() or path.read_text() != new:
            stale += 1
            if arguments.check:
                print(f"error: {name} differs from bench/results/: run python -m bench.documents", file=sys.stderr)
            else:
                path.write_text(new)
                print(f"wrote {name}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
