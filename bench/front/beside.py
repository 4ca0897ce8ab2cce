"""Tables that set the packages beside others: README's first one, other runtimes on this machine, others' FPGAs.

for line in first_table(rows): print(line)
"""

import re

from bench.packages import PACKAGES, PAPER_BUDGET, fingerprint
from bench.papers.figures import cited
from bench.papers.figures.budgets import TITLES, millions
from bench.papers.figures.curves import alike
from hls.generate.markdown import prose

PEERS = {
    "cosim": "co-simulation of the engine, int8",
    "ort_int8": "ONNX Runtime, int8",
    "ort_float": "ONNX Runtime, float",
    "pytorch": "PyTorch, float",
    "hls4ml": "hls4ml's C simulation, int8",
}
# % of FLOPs that a budget on the average is to save (bench/papers/table1.py): the first that has rows is shown.
AVERAGES = ("75", "80")
NONE = "none"
COMMAND = "python -m bench packages --data cifar10=DIR --data fashion-mnist=DIR"
CONTROLS = "python -m bench controls --data cifar10=DIR --data fashion-mnist=DIR"


def first_table(rows):
    """README's table: budget → accuracy, FLOPs, energy of each package, and the static network trained alike."""
    lines = ["| | budget | accuracy | mean FLOPs | energy, modelled |", "|---|---|---|---|---|"]
    names = sorted((path.stem for path in PACKAGES.glob("*.npz")), key=lambda name: (name != "fashion-mnist", name))
    missing = []
    for name in names:
        title, sha256 = TITLES.get(name, name), fingerprint(name)
        own = {key: row for key, row in rows.items() if row["package"] == sha256}
        found = [*_hard(own, name, title), *_average(own, name, title), *_static(rows, name, title)]
        lines += found
        missing += [title] * ("static" not in found[-1])
    if missing:
        text = f"Static networks without rows yet: {', '.join(missing)}. The command: `{CONTROLS}`."
        lines += ["", *prose(text)]
    return lines


def _hard(own, name, title):
    """The smallest budget, the paper's, and none."""
    found = {key.partition("@")[2]: row["value"] for key, row in own.items() if key.startswith(f"{name}.budget@")}
    chosen = [at for at, budget in found.items() if budget in (min(found.values()), PAPER_BUDGET)]
    lines = []
    for at in [*sorted(chosen, key=lambda at: found[at]), *([NONE] if f"{name}.accuracy@{NONE}" in own else [])]:
        accuracy, flops, energy = (own[f"{name}.{key}@{at}"]["value"] for key in ("accuracy", "flops", "energy"))
        shown = "none" if at == NONE else f"{at}, hard"
        lines.append(f"| {title} | {shown} | {accuracy:.2%} | {millions(flops)} | {energy:.3f} mJ |")
    return lines or [f"| {title} | no rows yet: `{COMMAND}` | | | |"]


def _average(own, name, title):
    """A budget on the average; nothing where it was not measured."""
    whole, asked_for = own.get(f"{name}.full_flops"), [at for at in AVERAGES if f"table1.{name}.accuracy@{at}" in own]
    if not asked_for or not whole:
        return []
    found = [own[f"table1.{name}.{key}@{asked_for[0]}"] for key in ("accuracy", "flops_saved", "energy")]
    accuracy, saved, energy = (row["value"] for row in found)
    flops, asked = ((1 - share) * whole["value"] for share in (saved, int(asked_for[0]) / 100))
    return [f"| {title} | {millions(asked)}, on the average | {accuracy:.2%} | {millions(flops)} | {energy:.3f} mJ |"]


def _static(rows, name, title):
    """The static networks that were trained alike, in float on all test images; nothing where controls have no rows."""
    lines = []
    for number, (flops, accuracy) in enumerate(alike(rows, name)):
        energy = None if number else rows.get(f"peers.{name}.energy")  # which the first alone has
        shown = f"{energy['value']:.3f} mJ" if energy else "–"
        lines.append(f"| {title}, *static*, trained alike, float | – | {accuracy:.2f}% | {flops:.1f}M | {shown} |")
    return lines


def peers_table(rows):
    """One static network on every runtime, in one run."""
    names = sorted(
        {match[1] for match in (re.fullmatch(r"peers\.(.+)\.cosim\.accuracy", name) for name in rows) if match}
    )
    if not names:
        return ["No rows yet: `python -m bench peers` makes them."]
    lines = [
        "| static ResNet | runtime | images/s, 1 thread | 2 threads | accuracy | as the engine |",
        "|---" * 6 + "|",
    ]
    for name in names:
        for who, text in PEERS.items():
            prefix = f"peers.{name}.{who}"
            if f"{prefix}.accuracy" in rows:
                speeds = [rows.get(f"{prefix}.images_per_s.t{threads}") for threads in (1, 2)]
                cells = [f"{row['value']:,.0f}" if row else "" for row in speeds]
                accuracy, agree = (rows[f"{prefix}.{key}"] for key in ("accuracy", "labels_agree"))
                cells += [f"{accuracy['value']:.1%} of {accuracy['n']}", f"{agree['value']:.1%}"]
                lines.append(f"| {TITLES.get(name, name)} | {text} | {' | '.join(cells)} |")
    host = rows[f"peers.{names[0]}.cosim.images_per_s.t1"]["host"]
    return [*lines, "", f"Measured on {host['cores']} cores, {host['vector']}, runs taking turns."]


def published_table(rows):
    """What others printed of their FPGA designs, and this engine's modelled rate on the same network."""
    lines = [*cited.table("fpga"), "", *cited.table("fpga-gains")]
    ours = rows.get("resnet8.images_per_s_143MHz")
    if ours:
        lines += [
            "",
            f"This engine on MLPerf Tiny's ResNet-8 at 143 MHz: {ours['value']:,.0f} images/s ({ours['kind']}).",
        ]
    return lines
