"""Accuracy against FLOPs: the committed packages among what others printed; short runs of the methods compared.

text = against_others(rows)        # docs/figures/fig6.svg; "" where there are no rows
lines = against_others_table(rows)
"""

import re

from bench.papers.figures import cited
from bench.papers.methods import methods
from bench.sizes.chart import INCHES, OTHER, OURS, SOFT, STATIC, WARM, legend_below, plain_log, svg, titled

PACKAGE = "cifar10"
MARKS = "o^sDvP*X"
PLACES = (10, 20, 50, 100, 200, 400)  # MFLOPs
CITED = (  # group of cited.toml, what names of it begin with, what a reader calls it, colour, mark
    ("iccv-table1", "ResNet74", "ResNet74-DDI at its exits, ICCV Table 1", OTHER, "^"),
    ("iccv-table1", "DenseNet100", "DenseNet100-DDI at its exits", OTHER, "2"),
    ("static", "static ResNet", "static ResNets", STATIC, "v"),
    ("static", "DynConv", "DynConv, ResNet-32", STATIC, "x"),
    ("elsewhere", "BlockDrop", "BlockDrop, ResNet-110", SOFT, "P"),
    ("elsewhere", "PFEC", "PFEC, pruned ResNets", SOFT, "d"),
)
WAYS = {  # of a short run's row → what a reader calls it
    "dynamic": ("its own decisions", OURS, "o"),
    "static_majority_bn": ("every gate fixed", STATIC, "|"),
    "permuted": ("others' decisions", WARM, "x"),
    "twin_retrained": ("static twin", OTHER, "D"),
}


def at_budgets(rows, package):
    """The hard budgets that a package has rows of, as its rows call them, rising; `none` at the end."""
    prefix = f"{package}.accuracy@"
    found = [name.removeprefix(prefix) for name in rows if name.startswith(prefix)]
    return sorted(found, key=lambda at: float("inf") if at == "none" else float(at.removesuffix("M")))


def budgets(rows, package):
    """[(MFLOPs spent on the mean, accuracy in %)] of a package under hard budgets, by rising FLOPs."""
    pairs = [(rows[f"{package}.flops@{at}"], rows[f"{package}.accuracy@{at}"]) for at in at_budgets(rows, package)]
    return sorted((spent["value"] / 1e6, 100 * accuracy["value"]) for spent, accuracy in pairs)


def averages(rows, package):
    """The same under budgets on the average, whose images leave by their own entropy."""
    search, saved = rf"papers\.entropy-search\.{package}\.accuracy@(.+)", rf"table1\.{package}\.accuracy@(\d+)"
    found = []
    for name, row in rows.items():
        if match := re.fullmatch(search, name):
            spent = rows[f"papers.entropy-search.{package}.flops@{match[1]}"]["value"]
        elif match := re.fullmatch(saved, name):
            share = 1 - rows[f"table1.{package}.flops_saved@{match[1]}"]["value"]
            spent = share * rows[f"{package}.full_flops"]["value"]
        else:
            continue
        found.append((spent / 1e6, 100 * row["value"]))
    return sorted(found)


def alike(rows, package):
    """(MFLOPs, accuracy in %) of each static network that was trained alike."""
    pairs = []
    for kind in ("alike", "larger_alike"):
        found = [rows.get(f"controls.{package}.{kind}.{what}") for what in ("flops", "accuracy")]
        pairs += [(found[0]["value"] / 1e6, 100 * found[1]["value"])] if all(found) else []
    return pairs


# ------------------------------------------------------------------------------------------- beside what others printed
def against_others(rows):
    """The package under budgets, and what others printed on the same data set."""
    if not budgets(rows, PACKAGE):
        return ""

    def draw(figure):
        axes = figure.subplots()
        titled(axes, "CIFAR-10: accuracy against FLOPs", "MFLOPs an image, 2 × MACs", "accuracy, %")
        ours = budgets(rows, PACKAGE)
        axes.plot(*zip(*ours), "o-", color=OURS, markersize=3, label="our package, hard budgets (simulated)")
        if averages(rows, PACKAGE):
            axes.plot(*zip(*averages(rows, PACKAGE)), "s-", color=OURS, markersize=4, markerfacecolor="white",
                      label="our package, budgets on the average (simulated)")  # fmt: skip
        if alike(rows, PACKAGE):
            label = "our static ResNets, trained alike (measured)"
            axes.plot(*zip(*alike(rows, PACKAGE)), "D", color=WARM, label=label)
        for group, start, text, colour, mark in CITED:
            found = [point[:2] for point in cited.points(group) if point[2].startswith(start)]
            axes.plot(*zip(*found), mark, color=colour, markersize=5, label=f"{text} (cited)")
        plain_log(axes.xaxis, PLACES)
        legend_below(axes)

    return svg(draw, "fig6", (INCHES[0], 5.4))


def against_others_table(rows):
    """What of the drawing is ours."""
    lines = ["| ours, CIFAR-10 | mean FLOPs | accuracy | kind |", "|---|---|---|---|"]
    for text, found in (("hard budgets", budgets(rows, PACKAGE)), ("on the average", averages(rows, PACKAGE))):
        lines += [f"| {text} | {flops:.1f}M | {accuracy:.2f} % | simulated |" for flops, accuracy in _ends(found)]
    for flops, accuracy in alike(rows, PACKAGE):
        lines.append(f"| static ResNet, trained alike | {flops:.1f}M | {accuracy:.2f} % | measured |")
    return lines if len(lines) > 2 else []


def _ends(found):
    """First, middle and last of a curve."""
    return [found[i] for i in sorted({0, len(found) // 2, len(found) - 1})] if found else []


# -------------------------------------------------------------------------------------------------------- short runs
def ran(rows, names):
    """Those of `names` whose short run has rows, each followed by itself at other savings (NAME-60)."""
    wanted = [one for name in names for one in methods() if re.fullmatch(rf"{re.escape(name)}(-\d+)?", one)]
    return [name for name in wanted if f"papers.{name}.dynamic.accuracy" in rows]


def pair(rows, name, way="dynamic"):
    """(MFLOPs, accuracy in %) of a short run, None where it has no such row."""
    found = [rows.get(f"papers.{name}.{way}.{what}") for what in ("flops", "accuracy")]
    return (found[0]["value"] / 1e6, 100 * found[1]["value"]) if all(found) else None


def short_runs(rows, names, title, salt):
    """A line a method: its accuracy, with gates fixed, and with another image's decisions; its FLOPs beside it."""
    found = ran(rows, names)
    if not found:
        return ""

    def draw(figure):
        axes = figure.subplots()
        titled(axes, title, "accuracy on the first test images, %", "")
        for way, (text, colour, mark) in WAYS.items():
            points = [(pair(rows, name, way)[1], i) for i, name in enumerate(found) if pair(rows, name, way)]
            if points:
                axes.plot(*zip(*points), mark, color=colour, markersize=7, label=text)
        axes.set_yticks(range(len(found)), found)
        axes.invert_yaxis()
        right = axes.secondary_yaxis("right")
        right.set_yticks(range(len(found)), [f"{pair(rows, name)[0]:.1f}M" for name in found])
        right.tick_params(length=0)
        right.set_ylabel("mean FLOPs")
        legend_below(axes, 3)

    return svg(draw, salt, (INCHES[0], 1.7 + 0.32 * len(found)))


def over_savings(rows, names, title, salt):
    """A line a method through its short runs at several savings; one below the other where each has but one."""
    families = {name: ran(rows, [name]) for name in names}
    if max(map(len, families.values())) < 2:
        return short_runs(rows, names, title, salt)

    def draw(figure):
        axes = figure.subplots()
        titled(axes, title, "mean FLOPs, millions", "accuracy on the first test images, %")
        for number, (name, found) in enumerate(families.items()):
            if found:
                points = sorted(pair(rows, one) for one in found)
                axes.plot(*zip(*points), f"{MARKS[number % len(MARKS)]}-", color=f"C{number}", markersize=5, label=name)
        twins = sorted(
            twin for found in families.values() for one in found if (twin := pair(rows, one, "twin_retrained"))
        )
        if twins:
            axes.plot(
                *zip(*twins), "D", color=STATIC, markersize=4, markerfacecolor="white", label="their static twins"
            )
        legend_below(axes, 4)

    return svg(draw, salt)


def short_runs_table(rows, names):
    """The same as a table."""
    found = ran(rows, names)
    if not found:
        return []
    others = {key: text for key, (text, *_) in WAYS.items() if key != "dynamic"}
    ways = {key: text for key, text in others.items() if any(pair(rows, name, key) for name in found)}
    lines = [f"| our short runs | accuracy | FLOPs | {' | '.join([*ways.values(), 'cycles'])} |"]
    lines.append("|---" * (4 + len(ways)) + "|")
    for name in found:
        flops, accuracy = pair(rows, name)
        found_ways, cycles = [pair(rows, name, way) for way in ways], rows.get(f"papers.{name}.cycles")
        cells = [f"`{name}`", f"{accuracy:.1f} %", f"{flops:.2f}M"]
        cells += [f"{other[1]:.1f} %" if other else "" for other in found_ways]
        cells.append(f"{cycles['value']:,.0f}" if cycles else "")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def beside(rows, group):
    """A table of cited.toml with the short runs that its rows name: accuracy and FLOPs of both."""
    printed = [row for row in cited.group(group)["rows"] if "ours" in row]
    if not ran(rows, [row["ours"] for row in printed]):
        return []
    has_flops = any("flops" in row for row in printed)
    lines = ["| | printed |" + (" FLOPs |" if has_flops else "") + " ours, short run | accuracy | FLOPs |"]
    lines.append("|---" * (6 if has_flops else 5) + "|")
    for row in printed:
        ours = pair(rows, row["ours"])
        cells = [row["name"], f"{row['accuracy']:.2f} %"]
        cells += [f"{row['flops']:g}M"] if has_flops else []
        cells += [f"`{row['ours']}`", *((f"{ours[1]:.1f} %", f"{ours[0]:.2f}M") if ours else ("no rows yet", ""))]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def costs(rows, names, title, salt):
    """FLOPs of each method over its plain network, gates' own part marked."""
    found = [name for name in ran(rows, names) if _plain(rows, name)]
    if not found:
        return ""

    def draw(figure):
        axes = figure.subplots()
        titled(axes, title, "FLOPs, % of the plain network", "")
        shares = [100 * pair(rows, name)[0] / _plain(rows, name) for name in found]
        gates = [rows.get(f"papers.{name}.gate_share", {"value": 0})["value"] for name in found]
        axes.barh(range(len(found)), shares, color=SOFT, label="network")
        own = [share * gate for share, gate in zip(shares, gates)]
        axes.barh(range(len(found)), own, color=WARM, label="of these, gates")
        axes.set_yticks(range(len(found)), found)
        axes.invert_yaxis()
        legend_below(axes)

    return svg(draw, salt, (INCHES[0], 1.7 + 0.32 * len(found)))


def _plain(rows, name):
    """MFLOPs of the plain network that a method began with, or None."""
    found = pair(rows, f"plain-{methods()[name].of}")
    return found and found[0]
