"""Put the newest result rows into the documents: no figure there is typed by hand.

    python -m bench.documents            # rewrite the blocks between <!-- rows:NAME --> and <!-- end -->
    python -m bench.documents --check    # exit code 1 if a block differs from the rows

A block's name says which table is made; the tables are below.
"""

import re
import sys

from bench.gates.tables import controls_table, pool_table, shortcuts_table, trials_table
from bench.papers.tables import TABLES as PAPERS
from bench.rows import ROOT, latest
from bench.sizes.figure import figure
from bench.sizes.page import front_table, reason_text, rule_text
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.generated import renewed
from hls.generate.markdown import items

DOCUMENTS = (
    "README.md", "docs/dse.md", "docs/hls4ml.md", "docs/own.md", "docs/papers.md", "docs/synthesis.md",
    "docs/training.md", "tests/README.md",
)  # fmt: skip
FIGURES = {"docs/dse.svg": figure}  # file → what draws it from the rows
# Block → what commands printed: `python -m bench main_command`, `newcomer`, `papers --method class-exits-cifar10`.
PRINTED = {name: ROOT / "docs" / f"{name}.txt" for name in ("run", "own", "classes")}
BLOCK = re.compile(r"(<!-- rows:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def packages_table(rows):
    """Accuracy and cost of each package at the paper's budget and without one."""
    lines = [
        "| package | budget | accuracy | mean FLOPs | mean cycles (modelled) | blocks run |",
        "|---|---|---|---|---|---|",
    ]
    names = sorted({name.partition(".")[0] for name in rows if name.endswith(".over_budget")})
    for name in names:
        sha256 = rows[f"{name}.accuracy@none"]["package"]  # rows of an older package have other budgets
        own = [key for key, row in rows.items() if key.startswith(f"{name}.accuracy@") and row["package"] == sha256]
        budgets = [key.partition("@")[2] for key in own]
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
        (".flops_differ", "images whose FLOPs differ from the training model's count"),
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


ENGINE = {
    "array_busy.resnet74": "MAC array busy, ResNet-74",
    "array_busy.resnet20": "MAC array busy, ResNet-20",
    "array_busy.ddi_74M": "MAC array busy, ResNet-74-DDI at 74M FLOPs",
    "proportionality.mean": "cycles saved ÷ FLOPs saved at 74M, mean over images",
    "proportionality.p5": "the same, 5th percentile",
    "proportionality.mean.none": "the same without a budget, mean",
    "proportionality.layers": "random layer skips",
    "proportionality.random_both": "random layer and channel skips",
    "proportionality.random_masks": "random channel masks alone",
    "proportionality.random_pairs": "random channel masks in pairs (recipe: `pairs = true`)",
    "gates.share": "gates and exits, share of a full image's cycles",
    "resnet8.images_per_s_143MHz": "MLPerf Tiny's ResNet-8 at 143 MHz, images/s",
    "resnet8.images_per_s_100MHz": "the same at 100 MHz",
    "ic02.images_per_s_143MHz": "MLPerf Tiny's IC02 (the same with 40 filters) at 143 MHz, images/s",
    "ic02.images_per_s_100MHz": "the same at 100 MHz",
    "points.zedboard.lut_share": "LUTs of the ZedBoard's chip that engine and adapters take",
    "points.zedboard.bram18_share": "its block RAMs",
    "points.zedboard.dsp_share": "its DSPs",
    "points.zedboard-safe.bram18_share": "its block RAMs with 128 KB of tile memory",
    "points.kv260.lut_share": "LUTs of a KV260's chip",
    "bounds.worst_ii_gap": "loops: least II by docs/bounds.md over the model's, the worst, cycles",
    "bounds.worst_period_ns": "loops: least period by docs/bounds.md, the worst, ns",
    "bounds.not_told_apart": "memories whose loads and stores need a dependence pragma",
    "densenet201.array_busy": "MAC array busy, DenseNet-201 at 224×224, maps through the DDR",
    "cosim_over_ort_int8.resnet20.t1": "co-simulation ÷ ONNX Runtime int8, ResNet-20, one thread",
    "cosim_over_ort_int8.resnet74.t1": "co-simulation ÷ ONNX Runtime int8, ResNet-74, one thread",
    "cosim_over_ort_float.resnet74.t1": "co-simulation ÷ ONNX Runtime float, ResNet-74, one thread",
    "cosim_ddi_74M_over_ort_int8_full": "ResNet-74-DDI at 74M ÷ ONNX Runtime int8 on the full network",
}
SURVIVED = {
    "faults.board": "faults of the board that end in a sentence, nothing leaked, the next run fine",
    "faults.meter": "the same of the power meter",
    "faults.network": "the same of boards over the network",
    "faults.checkpoints": "the same of files of weights, or they are read as they should be",
    "faults.files": "the same of files: devices, FIFOs, links, full disks, folders",
    "faults.signals": "the same of signals, to a run, a sweep, a recording, a compiler, the board",
    "faults.environment": "the same of locale, user, read-only checkout, damaged builds",
    "faults.tools": "the same of the vendor's tools: silent failures, old results, locale, paths",
}
COVERAGE = {
    "power.coverage": "energy's 95 % interval holds the truth, synthetic traces",
    "power.coverage_glitches": "the same where 1 % of the samples are 0 A and 1 % are spikes",
}


def engine_table(rows):
    """The engine's figures beside what they were meant to reach."""
    lines = ["| what | value | target | kind |", "|---|---|---|---|"]
    for name, text in ENGINE.items():
        if name in rows:
            row = rows[name]
            value = f"{row['value']:,.0f}" if row["value"] >= 100 else f"{row['value']:.3g}"
            lines.append(f"| {text} | {value} | {row.get('target', '')} | {row['kind']} |")
    return lines


def host_table(rows):
    """What the board's side survives, and how often the power meter's interval holds the truth."""
    lines = ["| what | value | of |", "|---|---|---|"]
    for name, text in SURVIVED.items():
        if f"{name}.total" in rows:
            lines.append(f"| {text} | {rows[f'{name}.survived']['value']} | {rows[f'{name}.total']['value']} |")
    for name, text in COVERAGE.items():
        if name in rows:
            lines.append(f"| {text} | {rows[name]['value']:.1%} | {rows[name]['n']:,} draws |")
    return lines


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
        lines += ["", *items([f"The longest way: {rows['lockstep.period_ns']['note']}.",
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
    return [*lines, f"| `from host import Engine`, processor time, seconds | {one['value']:.2g} | | {one['target']} |"]


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
    "controls": controls_table,
    "hls4ml": hls4ml_table,
    "newcomer": newcomer_table,
    "pool": pool_table,
    "rtl": rtl_table,
    "lockstep": lockstep_table,
    "mutants": mutants_table,
    "engine": engine_table,
    "equalise": equalise_table,
    "host": host_table,
    "packages": packages_table,
    "promises": promises_table,
    "speed": speed_table,
    "shortcuts": shortcuts_table,
    "trials": trials_table,
    "dse_front": front_table,
    "dse_reason": reason_text,
    "dse_rule": rule_text,
    **PAPERS,
}


def rewritten(text, rows, printed):
    """The document with every block made anew. KeyError for a block that nothing here makes.

    `printed`: block → what commands printed.
    """

    def block(match):
        name = match[2]
        lines = ["```", printed[name].rstrip("\n"), "```"] if name in printed else TABLES[name](rows)
        return match[1] + "\n".join(lines) + "\n" + match[3]

    return BLOCK.sub(block, text)


def main(argv=None):
    """Exit code 0, or 1 when --check finds a stale document."""
    parser = Parser(prog="python -m bench.documents", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a document is stale")
    arguments = parser.parse_args(argv)
    return guarded("bench.documents", lambda: _rewrite(arguments.check))


def _rewrite(check):
    rows = latest()
    printed = {name: path.read_text(encoding="utf-8") for name, path in PRINTED.items() if path.exists()}
    made = {ROOT / name: rewritten((ROOT / name).read_text(encoding="utf-8"), rows, printed) for name in DOCUMENTS}
    made |= {ROOT / name: draw(rows) for name, draw in FIGURES.items()}
    return renewed(made, ROOT, "python -m bench.documents, which reads bench/results/", check)


if __name__ == "__main__":
    sys.exit(main())
