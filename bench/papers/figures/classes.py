"""Exits of their own for single classes: gain and loss of each, ours beside the printed.

text = gains(rows)          # docs/figures/class-fig5.svg
lines = gains_table(rows)
"""

import re

from bench.papers.figures import cited
from bench.sizes.chart import INCHES, OTHER, OURS, SOFT, svg, titled

PACKAGE, SHORT = "class-exits-cifar10", "class-exits"  # rows of the committed package, of a ResNet-21 in a short run
TEXTS = {PACKAGE: "the CIFAR-10 package", SHORT: "ResNet-21, short run"}
CONNECTIONS = ("kp_off", "kp_on")


def classes(rows, method, key="gain"):
    """Names of the classes that rows have a gain of, or another figure."""
    pattern = rf"papers\.{method}\.([^.]+)\.{re.escape(key)}"
    return [match[1] for match in (re.fullmatch(pattern, name) for name in rows) if match]


def _value(rows, method, name, key):
    row = rows.get(f"papers.{method}.{name}.{key}")
    return row and row["value"]


def gains(rows):
    """Gain of each class by the equations and on the engine, beside the paper's on its own network."""
    names = classes(rows, PACKAGE)
    if not names:
        return ""

    def draw(figure):
        axes = figure.subplots()
        titled(axes, "Class exits: time of the class without its exit ÷ with it", "", "gain, ×")
        printed = {row["name"]: row["gain"] for row in cited.group("class-table3")["rows"]}
        own = [[_value(rows, PACKAGE, name, key) for name in names] for key in ("gain", "engine_gain")]
        bars = (("ours, by the paper's equations (modelled)", OURS, own[0]),
                ("ours, cycles on the engine (modelled)", SOFT, own[1]),
                ("the paper, ResNet-21, Table 3 (cited)", OTHER, [printed.get(name, 0) for name in names]))  # fmt: skip
        for number, (text, colour, values) in enumerate(bars):
            axes.bar([i + 0.27 * (number - 1) for i in range(len(names))], values, 0.25, color=colour, label=text)
        axes.axhline(1, color="#1c2430", linewidth=0.8)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.legend(loc="upper left", ncols=1, frameon=False)
        axes.set_ylim(0, 4.4)

    return svg(draw, "class-fig5", (INCHES[0], 3.8))


def gains_table(rows):
    """Gain, loss and precision of each class, ours and the printed."""
    printed = {row["name"]: row for row in cited.group("class-table3")["rows"]}
    lines = ["| class | gain | loss | precision | printed gain | loss | precision |", "|---" * 7 + "|"]
    for name in classes(rows, PACKAGE):
        own = [_value(rows, PACKAGE, name, key) for key in ("gain", "loss", "precision")]
        cells = [f"{own[0]:.2f} ×", f"{own[1]:.3f} ×", f"{own[2]:.1%}" if own[2] is not None else ""]
        other = printed.get(name)
        forms = {"gain": "{:.2f} ×", "loss": "{:.2f} ×", "precision": "{:.1f} %"}
        cells += [form.format(other[key]) if other else "" for key, form in forms.items()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


def connections_table(rows):
    """Gain and loss of each class of the ResNet-21 with dense connections alone, and without any."""
    lines = ["| class | KP Off: gain | loss | KP On: gain | loss |", "|---" * 5 + "|"]
    found = {name: [_value(rows, SHORT, name, f"{kind}.{key}") for kind in CONNECTIONS for key in ("gain", "loss")]
             for kind in CONNECTIONS for name in classes(rows, SHORT, f"{kind}.gain")}  # fmt: skip
    for name in sorted(found):
        cells = [f"{value:.2f} ×" if value is not None else "none" for value in found[name]]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines if found else []


def missed_table(rows):
    """How many test images the last exit gets and answers wrongly, with each class's exit in place."""
    lines = ["| exit of | " + " | ".join(TEXTS.values()) + " |", "|---" * (1 + len(TEXTS)) + "|"]
    plain = {method: rows.get(f"papers.{method}.missed") for method in TEXTS}
    if not any(plain.values()):
        return []
    lines.append(_missed("none", plain))
    names = sorted({name for method in TEXTS for name in classes(rows, method, "missed")})
    return lines + [_missed(name, {method: rows.get(f"papers.{method}.{name}.missed") for method in TEXTS})
                    for name in names]  # fmt: skip


def _missed(name, found):
    cells = [f"{row['value']:,} of {row['n']:,}" if row else "" for row in found.values()]
    return f"| {name} | {' | '.join(cells)} |"


def mean_gains_table(rows):
    """The mean gain over the classes, a line a network."""
    lines = ["| ours | classes | mean gain, equations | mean gain, engine |", "|---|---|---|---|"]
    for method, text in TEXTS.items():
        names = classes(rows, method)
        means = [_mean([_value(rows, method, name, key) for name in names]) for key in ("gain", "engine_gain")]
        if names:
            lines.append(f"| {text} | {len(names)} | {' | '.join(means)} |")
    return lines if len(lines) > 2 else []


def _mean(values):
    found = [value for value in values if value is not None]
    return f"{sum(found) / len(found):.2f} ×" if found else ""
