"""What packages do under budgets, beside the papers' tables: hard ones, exits that all take, energy that is saved.

lines = hard_table(rows)
text = energy_chart(rows)
"""

import re

from bench.packages import PACKAGES
from bench.papers.figures import cited
from bench.papers.figures.curves import alike, at_budgets
from bench.sizes.chart import OTHER, OURS, WARM, legend_below, svg, titled

TITLES = {"fashion-mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
COLOURS = {"cifar10": OURS, "fashion-mnist": WARM}


def millions(flops):
    """FLOPs as `45.5M`."""
    return f"{flops / 1e6:.1f}M"


def packages():
    """Names of the committed packages, CIFAR-10's first: it is what the papers have."""
    return sorted(path.stem for path in PACKAGES.glob("*.npz"))


def hard_table(rows):
    """Accuracy, FLOPs and energy under hard budgets; the static networks that were trained alike under them."""
    lines = ["| ours | hard budget | accuracy | mean FLOPs | energy, modelled | exits taken |", "|---" * 6 + "|"]
    for name in packages():
        for at in _few(at_budgets(rows, name)):
            value = {what: rows[f"{name}.{what}@{at}"]["value"] for what in ("accuracy", "flops", "exits", "energy")}
            lines.append(f"| {TITLES.get(name, name)} | {at} | {value['accuracy']:.2%} | {value['flops'] / 1e6:.1f}M "
                         f"| {value['energy']:.3f} mJ | {value['exits']} |")  # fmt: skip
        for flops, accuracy in alike(rows, name):
            title = f"{TITLES.get(name, name)}, static, trained alike"
            lines.append(f"| {title} | – | {accuracy:.2f}% | {flops:.1f}M | – | – |")
    return lines if len(lines) > 2 else []


def _few(found, count=5):
    """Some of many budgets: the ends and what lies evenly between; 74M where it is there."""
    numbers = {round(i * (len(found) - 1) / (count - 1)) for i in range(count)} if found else set()
    numbers |= {i for i, at in enumerate(found) if at == "74.0M"}
    return [found[i] for i in sorted(numbers)]


def average_table(rows):
    """Accuracy where images leave by their own entropy, so that the mean keeps a budget."""
    pattern = r"papers\.entropy-search\.(.+)\.accuracy@(.+M)"
    found = [match.groups() for match in (re.fullmatch(pattern, name) for name in rows) if match]
    lines = ["| ours | budget on the average | accuracy | mean FLOPs | over hard budgets, points |", "|---" * 5 + "|"]
    for name, at in sorted(found, key=lambda pair: (pair[0], float(pair[1][:-1]))):
        prefix, keys = f"papers.entropy-search.{name}", ("accuracy", "flops", "over_hard")
        own = {key: rows[f"{prefix}.{key}@{at}"]["value"] for key in keys}
        lines.append(f"| {TITLES.get(name, name)} | {at} | {own['accuracy']:.2%} | {own['flops'] / 1e6:.1f}M "
                     f"| {own['over_hard']:+.2f} |")  # fmt: skip
    return lines if len(lines) > 2 else []


def exits_table(rows):
    """Accuracy and FLOPs where all images leave at one exit: of the packages' networks, and of short runs."""
    places = [(f"{TITLES.get(name, name)}, package", f"controls.{name}", "exit_") for name in packages()]
    places += [(f"`{name}`, short run", f"papers.{name}", "exit") for name in ("ddi", "radi", "balanced")]
    lines = ["| ours | exit | accuracy | FLOPs |", "|---|---|---|---|"]
    for text, prefix, stem in places:
        pattern = rf"{re.escape(prefix)}\.{stem}(\d+)\.accuracy"
        numbers = sorted(int(match[1]) for match in (re.fullmatch(pattern, name) for name in rows) if match)
        for kind, shown in [*((f"{stem}{i}", str(i)) for i in numbers), *([("dynamic", "end")] if numbers else [])]:
            accuracy, flops = (rows[f"{prefix}.{kind}.{what}"]["value"] for what in ("accuracy", "flops"))
            lines.append(f"| {text} | {shown} | {accuracy:.2%} | {flops / 1e6:.1f}M |")
    return lines if len(lines) > 2 else []


# ----------------------------------------------------------------------------------------------------------- energy
def savings_table(rows):
    """JSTSP Table I, ours: what was to be saved → FLOPs and energy that are, and accuracy."""
    found = _savings(rows)
    if not found:
        return []
    lines = ["| ours | to be saved | FLOPs saved | energy saved | kind | accuracy |", "|---" * 6 + "|"]
    for name, asked, own in found:
        saved, energy, accuracy = (own[key]["value"] for key in ("flops_saved", "energy_saved", "accuracy"))
        lines.append(f"| {TITLES.get(name, name)} | {_asked(asked)} | {saved:.2%} | {energy:.2%} "
                     f"| {own['energy_saved']['kind']} | {accuracy:.2%} |")  # fmt: skip
    return lines


def _asked(at):
    """`gates`, or percent of the FLOPs."""
    return "gates alone, no budget" if at == "gates" else f"{at} %"


def _savings(rows):
    """[(package, what was to be saved, its rows)]."""
    pattern = r"table1\.(.+)\.accuracy@(gates|\d+)"
    found = [match.groups() for match in (re.fullmatch(pattern, name) for name in rows) if match]
    found.sort(key=lambda pair: (pair[0], 0 if pair[1] == "gates" else int(pair[1])))
    keys = ("flops_saved", "energy_saved", "accuracy")
    return [(name, asked, {key: rows[f"table1.{name}.{key}@{asked}"] for key in keys}) for name, asked in found]


def energy_chart(rows):
    """Accuracy against energy saved: our packages', and the paper's Table I."""
    found = _savings(rows)
    if not found:
        return ""

    def draw(figure):
        axes = figure.subplots()
        titled(axes, "Accuracy against energy saved", "energy saved, % of the whole network's", "accuracy, %")
        for name in sorted({name for name, _, _ in found}):
            own = [values for one, _, values in found if one == name]
            kinds = "/".join(sorted({values["energy_saved"]["kind"] for values in own}))
            text = f"our package, {TITLES.get(name, name)} ({kinds})"
            points = sorted([100 * values[key]["value"] for key in ("energy_saved", "accuracy")] for values in own)
            axes.plot(*zip(*points), "o-", color=COLOURS.get(name), label=text)
        printed = [(row["energy_saved"], row["accuracy"]) for row in cited.group("jstsp-table1")["rows"]]
        axes.plot(*zip(*printed), "^-", color=OTHER, label="JSTSP Table I, ResNet74-IADI, CIFAR-10 (cited)")
        legend_below(axes, 1)

    return svg(draw, "fig12")
