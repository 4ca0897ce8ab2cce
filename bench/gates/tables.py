"""Tables of what gates are worth, from result rows: of the packages, of short runs, of budgets on the average."""

import re

KINDS = {  # of `python -m bench controls` → what a reader calls them
    "whole": "**gates and exits**, budget on the average, int8",
    "whole_twin": "its static twin at its best",
    "alike": "static ResNet, trained alike",
    "larger_whole": "**gates and exits**, a larger budget on the average, int8",
    "larger_whole_twin": "its static twin at its best",
    "larger_alike": "larger static ResNet, trained alike",
    "dynamic": "**gates alone**, all images to the end",
    "twin": "its static twin at its best",
    "exit_0": "the same, all images leave at the first exit",
    **{f"exit_{number}": f"at exit {number}" for number in range(1, 8)},
    "half": "gates alone, thresholds moved to half of the FLOPs",
    "half_twin": "its static twin at its best",
    "static_majority_bn": "each gate's most frequent decision, statistics renewed",
    "permuted": "another image's decisions",
    "permuted_same_class": "decisions of another image of the same class",
    "logistic_regression": "logistic regression on the pixels",
    "mlp_256": "MLP of 256 units on the pixels",
}
FIGURES = {
    "whole_minus_twin": ("gates and exits minus the better twin, points", "{:+.2f}"),
    "whole_twin_p_value": ("its p-value (McNemar)", "{:.1g}"),
    "whole_minus_alike": ("gates and exits minus the static ResNet, points", "{:+.2f}"),
    "whole_alike_p_value": ("its p-value", "{:.1g}"),
    "larger_whole_minus_twin": ("the same at the larger budget: minus the better twin", "{:+.2f}"),
    "larger_whole_twin_p_value": ("its p-value", "{:.1g}"),
    "larger_whole_minus_alike": ("and minus the larger static ResNet", "{:+.2f}"),
    "larger_whole_alike_p_value": ("its p-value", "{:.1g}"),
    "dynamic_minus_twin": ("gates alone minus the better twin, points", "{:+.2f}"),
    "dynamic_twin_p_value": ("its p-value", "{:.1g}"),
    "half_minus_twin": ("the same at half of the FLOPs", "{:+.2f}"),
    "half_twin_p_value": ("its p-value", "{:.1g}"),
    "unsure_quarter_minus_twin": ("the same on the twin's least confident quarter", "{:+.2f}"),
    "confident_quarter_minus_twin": ("the same on its most confident quarter", "{:+.2f}"),
    "dead_layer_gates": ("layer gates that decide alike for > 98 % of the images", "{:.0%}"),
    "varying_channels": ("gated channels kept for 10 to 90 % of the images", "{:.0%}"),
    "gate_share": ("gates' share of the FLOPs", "{:.1%}"),
    "flops_spread": ("spread of an image's FLOPs, std ÷ mean", "{:.2f}"),
    "wrong_minus_right": ("FLOPs of wrong images minus those of right ones", "{:+,.0f}"),
    "training_hours": ("training, hours on a GPU that other runs share", "{:.1f}"),
}
BUDGETS = {
    "none": "none",
    "hard": "`--budget`",
    "average": "`--average-budget`",
    "pool100": "`--budget --pool 100`",
    "single_exit": "the best single exit",
}


def controls_table(rows):
    """Each package's accuracy at mean FLOPs beside its controls, and what follows."""
    names = _names(rows, r"controls\.(.+)\.dynamic\.accuracy")
    lines = [f"| | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for kind, text in KINDS.items():
        best = best_twin if kind.endswith("twin") else lambda rows, name: name
        pairs = [_pair(rows, best(rows, f"controls.{name}.{kind}")) for name in names]
        if any(pairs):
            lines.append(f"| {text} | {' | '.join(pairs)} |")
    for key, (text, form) in FIGURES.items():
        found = [rows.get(f"controls.{name}.{key}") for name in names]
        if any(found):
            lines.append(f"| {text} | {' | '.join(form.format(row['value']) if row else '' for row in found)} |")
    return lines


def best_twin(rows, name):
    """The name of a static twin's best form: as it is, with renewed statistics, or retrained."""
    forms = [f"{name}{form}" for form in ("", "_bn", "_retrained") if f"{name}{form}.accuracy" in rows]
    return max(forms, key=lambda form: rows[f"{form}.accuracy"]["value"], default=name)


def shortcuts_table(rows):
    """What each small change of a short run did to its accuracy and its time, beside the plain run."""
    lines = ["| change | accuracy | over plain, points | first exit | processor minutes |", "|---" * 5 + "|"]
    names = _names(rows, r"shortcuts\.(.+)\.accuracy")
    for name in sorted(names, key=lambda name: (name != "plain", name)):
        own = {key: rows.get(f"shortcuts.{name}.{key}") for key in ("accuracy", "first_exit", "processor_minutes")}
        accuracy, first, minutes = (row and row["value"] for row in own.values())
        over = "" if name == "plain" else f"{100 * (accuracy - rows['shortcuts.plain.accuracy']['value']):+.1f}"
        early = f"{100 * first:.1f} %" if first else ""
        lines.append(f"| {name.replace('_', ' ')} | {100 * accuracy:.1f} % | {over} | {early} | {minutes:.1f} |")
    return lines


def training_table(rows):
    """What a gated step costs in training beside a plain one."""
    lines = ["| recipe | images/s, backbone alone | with gates and exits | ratio |", "|---|---|---|---|"]
    for name in _names(rows, r"training\.(.+)\.gated_over_plain"):
        rates = [rows[f"training.{name}.{kind}_images_per_s"]["value"] for kind in ("plain", "gated")]
        ratio = rows[f"training.{name}.gated_over_plain"]["value"]
        lines.append(f"| {name} | {rates[0]:.0f} | {rates[1]:.0f} | {ratio:.2f} |")
    return lines


def pool_table(rows):
    """Budgets on the average and over windows beside the hard one."""
    lines = ["| package | budget, FLOPs | kind | accuracy at mean FLOPs | won back |", "|---|---|---|---|---|"]
    for name in _names(rows, r"pool\.(.+)\.hard\.accuracy"):
        budget = f"{rows[f'pool.{name}.budget']['value'] / 1e6:.1f}M"
        for kind, text in BUDGETS.items():
            won = rows.get(f"pool.{name}.{kind}.won_back")
            back = f"{won['value']:.0%}" if won else ""
            shown = "" if kind == "none" else budget
            lines.append(f"| {name} | {shown} | {text} | {_pair(rows, f'pool.{name}.{kind}')} | {back} |")
    return lines


def _names(rows, pattern):
    return sorted(match[1] for match in (re.fullmatch(pattern, name) for name in rows) if match)


def _pair(rows, name):
    """Accuracy and FLOPs of a kind, or nothing where it was not measured."""
    if f"{name}.accuracy" not in rows:
        return ""
    accuracy, flops = (rows[f"{name}.{what}"]["value"] for what in ("accuracy", "flops"))
    return f"{100 * accuracy:.2f} % at {flops / 1e6:.3g}M"
