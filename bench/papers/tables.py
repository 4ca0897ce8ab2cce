"""Tables of docs/papers.md: equation → file:line → row, from equations.toml; and what the short runs gave.

A line is looked up in the file when the table is made, so `python -m bench.documents --check` fails where it moved.
"""

import ast
import re
import tomllib
from functools import cache, partial

from bench.gates.tables import best_twin
from bench.papers.methods import FILE, methods
from bench.rows import ROOT
from hls.errors import UserError
from hls.generate.markdown import items, prose

OTHERS = ("class-exits", "class-exits-cifar10", "entropy-search")  # rows of no recipe of methods.toml
EQUATIONS = FILE.with_name("equations.toml")


def equations_table(group, rows):
    """One group of equations.toml, whatever rows there are; paths under training/ without it."""
    lines = ["| method | where in the paper | definition | rows |", "|---|---|---|---|"]
    for item in tomllib.loads(EQUATIONS.read_text(encoding="utf-8"))[group]:
        shown = f"`{item['row']}`" if "row" in item else "–"
        place = line_of(item["at"]).removeprefix("training/")
        lines.append(f"| {item['method']} | {item['where']} | `{place}` | {shown} |")
    return lines


GROUPS = {f"papers_{group}": partial(equations_table, group) for group in ("gates", "costs", "exits")}


def line_of(place):
    """FILE:LINE of FILE:NAME. UserError where the file defines no such name."""
    path, _, name = place.partition(":")
    known = _defined(path)
    if name not in known:
        raise UserError(f"{EQUATIONS.name}: {path} defines no {name}: name what is there now")
    return f"{path}:{known[name]}"


@cache
def _defined(path):
    """{name, or Class.name: line} of what a module defines."""
    found = {}
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        for name, one in _named(node):
            found[name] = one.lineno
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}": one.lineno for inner in node.body for name, one in _named(inner)}
    return found


def _named(node):
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name, node
    if isinstance(node, ast.Assign):
        yield from ((target.id, node) for target in node.targets if isinstance(target, ast.Name))


COLUMNS = {  # of the table of short runs: key of a row, how it is shown
    "minus_plain": "{:+.1f}", "share_minus_target": "{:+.1f}", "held_within": "{:.1f}",
    "static_majority_bn.accuracy": "{:.1%}", "permuted.accuracy": "{:.1%}", "gate_share": "{:.1%}",
    "int8_accuracy": "{:.1%}",
}  # fmt: skip


def runs_table(rows):
    """Every method's short run; which ones were not run, and how to."""
    lines = ["| run | accuracy, FLOPs | plain | target | held | fixed | other | gates | int8 | bits |"]
    lines.append("|---" * 10 + "|")
    for name in methods():
        if f"papers.{name}.dynamic.accuracy" in rows:
            cells = [f"`{name}`", _pair(rows, f"papers.{name}.dynamic")]
            cells += [_value(rows, f"papers.{name}", key, form) for key, form in COLUMNS.items()]
            lines.append(f"| {' | '.join([*cells, _bits(rows, name)])} |")
    missing = [name for name in [*methods(), *OTHERS] if not any(row.startswith(f"papers.{name}.") for row in rows)]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        lines += ["", *prose(f"Without rows yet: {names}.")]
    return lines


def twins_table(rows):
    """What ways of training gates gave, beside static twins, at their best."""
    lines = ["| way | decisions as they are | static twin | points | p | fixed | other | dead |", "|---" * 8 + "|"]
    names = [name for name in methods() if f"papers.{name}.dynamic_minus_twin" in rows]
    for name in names:
        twin = best_twin(rows, f"papers.{name}.twin")
        cells = [f"`{name}`", _pair(rows, f"papers.{name}.dynamic"), _pair(rows, twin)]
        shown = {"dynamic_minus_twin": "{:+.1f}", "dynamic_twin_p_value": "{:.1g}"}
        shown |= {"static_majority_bn.accuracy": "{:.1%}", "permuted.accuracy": "{:.1%}", "dead_layer_gates": "{:.0%}"}
        cells += [_value(rows, f"papers.{name}", key, form) for key, form in shown.items()]
        lines.append(f"| {' | '.join(cells)} |")
    told = [f"`{name}`: {methods()[name].text}." for name in names]
    return [*lines, "", *items(told)] if names else ["No rows yet: `python -m bench papers --data cifar10=DIR`."]


def class_exits_table(method, rows):
    """Gain and loss of each class of a network."""
    pattern = rf"papers\.{method}\.([^.]+)\.gain"
    names = [match[1] for match in (re.fullmatch(pattern, row) for row in rows) if match]
    if not names:
        return [f"No rows yet: `python -m bench papers --method {method} --data cifar10=DIR` makes them."]
    lines = ["| class | gain | own images | loss | precision | accuracy | engine's gain | engine's loss |"]
    lines.append("|---" * 8 + "|")
    forms = {"gain": "{:.2f}×", "measured_gain": "{:.2f}×", "loss": "{:.3f}×", "precision": "{:.0%}",
             "accuracy_points": "{:+.1f}", "engine_gain": "{:.2f}×", "engine_loss": "{:.3f}×"}  # fmt: skip
    for name in names:
        cells = [_value(rows, f"papers.{method}.{name}", key, form) for key, form in forms.items()]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return lines


def thresholds_table(rows):
    """What budgets on the average spend and win."""
    pattern = r"papers\.entropy-search\.(.+)\.spent_off@(.+)M"
    found = [match.groups() for match in (re.fullmatch(pattern, name) for name in rows) if match]
    if not found:
        return ["No rows yet: `python -m bench papers --method entropy-search --data cifar10=DIR` makes them."]
    lines = ["| package | asked for | spent | off | accuracy | over hard, points |", "|---" * 6 + "|"]
    for package, budget in sorted(found, key=lambda pair: (pair[0], float(pair[1]))):
        prefix, shown = f"papers.entropy-search.{package}", {"spent_off": "{:.1f} %", "accuracy": "{:.2%}"}
        shown["over_hard"] = "{:+.2f}"
        cells = [_value(rows, prefix, f"{key}@{budget}M", form) for key, form in shown.items()]
        spent = rows[f"{prefix}.flops@{budget}M"]["value"] / 1e6
        lines.append(f"| {package} | {budget}M | {spent:.2f}M | {' | '.join(cells)} |")
    return lines


def _value(rows, prefix, key, form):
    row = rows.get(f"{prefix}.{key}")
    return form.format(row["value"]) if row else ""


def _pair(rows, name):
    if f"{name}.accuracy" not in rows:
        return ""
    accuracy, flops = (rows[f"{name}.{what}"]["value"] for what in ("accuracy", "flops"))
    return f"{accuracy:.1%}, {flops / 1e6:.3g}M"


def _bits(rows, name):
    row = rows.get(f"papers.{name}.bit_exact")
    return f"{row['value']}/{row['n']}" if row else "–"


TABLES = {
    **GROUPS,
    "papers_runs": runs_table,
    "ways": twins_table,
    "papers_class_exits": partial(class_exits_table, "class-exits"),
    "papers_class_exits_cifar10": partial(class_exits_table, "class-exits-cifar10"),
    "papers_thresholds": thresholds_table,
}
