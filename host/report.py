"""What a run found: a dictionary for programs (JSON), and a table of it for people.

Accuracy, FLOPs and exits are counted by the engine (kind: simulated, on a simulation); cycles are those of the modelled
schedule, and times are these cycles at the board's clock (kind: modelled).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hls import isa
from hls.package import Package
from hls.record import NO_BUDGET, Results, Start
from host.boards import Board
from host.budget import Budget, show

BAR = 30  # columns of the longest bar
ROWS = 12  # exits in the table


class OverBudget(Exception):
    """An image that spent more than its budget: the engine is at fault; the message is one line."""


@dataclass(frozen=True)
class Run:
    """A finished run: what was asked, on what, and the engine's results with the true labels (N,)."""

    package: Package
    package_file: str
    sha256: str  # of the package's file
    data: str  # where the images came from, for people
    budget: Budget
    board: Board
    start: Start
    backend: str
    backend_title: str
    engine: str
    threads: int
    seconds: float  # on the backend, without reading and building
    command: str
    results: Results
    labels: np.ndarray


def check_spent(results, start):
    """Raise OverBudget naming the first image that spent more than `start` allows, in FLOPs or in cycles."""
    for unit, spent, limit in (
        ("FLOPs", results.flops, start.budget_flops),
        ("cycles", results.cycles, start.budget_cycles),
    ):
        over = np.flatnonzero(spent > limit)
        if len(over):
            raise OverBudget(
                f"{len(over)} of {len(spent)} images went over the budget, the first is image {over[0]} with "
                f"{spent[over[0]]} {unit} of {limit}: this is a fault of the engine, do not use this result"
            )


def summarize(run):
    """The run as a dictionary of plain numbers and texts, as `--json` writes it."""
    results, package = run.results, run.package
    correct = results.label == run.labels
    last = package.exits[-1]
    return {
        "images": len(correct),
        "accuracy": float(correct.mean()),
        "budget": _budget(run),
        "flops": {**_spread(results.flops), "full": last["flops"], "kind": "simulated"},
        "cycles": {**_spread(results.cycles), "full": last["cycles"], "kind": "modelled"},
        "time_ms": {
            **_spread(run.board.seconds(results.cycles) * 1e3),
            "full": run.board.seconds(last["cycles"]) * 1e3,
            "kind": "modelled",
            "clock_mhz": run.board.clock_hz / 1e6,
            "clock_kind": run.board.clock_kind,
            "board": run.board.name,
        },
        "exits": _exits(package, results, correct),
        "layers_run": {**_spread(results.layers_run), "total": _layers(package)},
        "channels_run": {**_spread(results.channels_run), "total": _channels(package)},
        "weight_bytes": _spread(results.weight_bytes),
        "reasons": {name: int((results.reason == value).sum()) for name, value in isa.REASONS.items()},
        "gates": _gates(package, results.trace),
        "data": {"name": package.dataset, "source": run.data},
        "seconds": float(run.seconds),
        "images_per_second": len(correct) / max(run.seconds, 1e-9),
        "backend": run.backend,
        "threads": run.threads,
        "package": {
            "name": package.name,
            "architecture": package.meta["architecture"],
            "file": run.package_file,
            "sha256": run.sha256,
        },
        "engine": {"isa": isa.HASH, "version": run.engine, "title": run.backend_title},
        "command": run.command,
    }


def _budget(run):
    flops, cycles = (
        None if limit == NO_BUDGET else limit for limit in (run.start.budget_flops, run.start.budget_cycles)
    )
    return {"text": str(run.budget), "kind": run.budget.kind, "flops": flops, "cycles": cycles}


def _spread(values):
    return {"mean": float(np.mean(values)), "min": np.min(values).item(), "max": np.max(values).item()}


def _layers(package):
    """How many blocks a layer gate can skip."""
    return int((package.program[:, 0] == isa.GATE_LAYER).sum())


def _channels(package):
    """The sum of a full trace: every gated block's channels."""
    return sum(gate["channels"] for gate in package.meta["gates"])


def _exits(package, results, correct):
    """Exit name → how many images took it, their share and their accuracy (None where no image did)."""
    exits = {}
    for index, item in enumerate(package.exits):
        taken = results.exit == index
        exits[item["name"]] = {
            "index": index,
            "block": item["block"],
            "images": int(taken.sum()),
            "share": float(taken.mean()),
            "accuracy": float(correct[taken].mean()) if taken.any() else None,
            "flops": float(results.flops[taken].mean()) if taken.any() else None,
        }
    return exits


def _gates(package, trace):
    """Per gate: shares of images that ran, skipped and never reached its block; mean channels where it ran."""
    gates = []
    for index, gate in enumerate(package.meta["gates"]):
        column = trace[:, index]
        ran = column >= 0
        gates.append(
            {
                "block": gate["block"],
                "stage": gate["stage"],
                "channels": gate["channels"],
                "run": float(ran.mean()),
                "skipped": float((column == isa.TRACE_SKIPPED).mean()),
                "not_reached": float((column == isa.TRACE_NOT_REACHED).mean()),
                "channels_mean": float(column[ran].mean()) if ran.any() else None,
            }
        )
    return gates


# ------------------------------------------------------------------------------------------------------------ people
def table(summary):
    """The summary as text for a terminal, no line over 100 columns."""
    flops, cycles, time = summary["flops"], summary["cycles"], summary["time_ms"]
    package = summary["package"]
    rows = [
        ("package", f"{package['name']} ({package['architecture']}), sha256 {package['sha256'][:12]}"),
        ("data", f"{summary['images']:,} images, {summary['data']['source']}"),
        ("engine", f"{summary['engine']['title']}, {summary['engine']['version']}"),
        ("budget", _budget_line(summary)),
        ("accuracy", f"{summary['accuracy']:.2%}"),
        ("FLOPs", f"{_pair(flops, 'flops')}  ({flops['mean'] / flops['full']:.0%} of the full network's)"),
        ("cycles (modelled)", f"mean {cycles['mean']:,.0f}  max {cycles['max']:,} an image"),
        (
            "time (modelled)",
            f"mean {time['mean']:.3g} ms  max {time['max']:.3g} ms an image, "
            f"at {time['clock_mhz']:g} MHz ({time['clock_kind']} clock, {time['board']})",
        ),
        ("layers run", _of_total(summary["layers_run"], "gated blocks")),
        ("channels run", _of_total(summary["channels_run"], "gated channels")),
        ("stopped by", _reasons(summary["reasons"])),
        ("simulated in", _speed(summary)),
    ]
    lines = [f"{name:<18} {text}" for name, text in rows]
    return "\n".join([*lines, "", *_exit_lines(summary["exits"])])


def _pair(spread, kind):
    return f"mean {show(spread['mean'], kind)}  max {show(spread['max'], kind)} an image"


def _budget_line(summary):
    budget, full = summary["budget"], summary["flops"]["full"]
    if budget["kind"] == "none":
        return f"none; the full network takes up to {show(full, 'flops')} FLOPs"
    if budget["kind"] == "flops":
        share = f"{budget['flops'] / full:.0%} of the full network's {show(full, 'flops')}"
        return f"{budget['text']} FLOPs an image, {share}; kept for every image"
    return f"{budget['text']} an image, {budget['cycles']:,} cycles (modelled); kept for every image"


def _of_total(spread, what):
    share = f" ({spread['mean'] / spread['total']:.0%})" if spread["total"] else ""
    return f"mean {spread['mean']:.1f} of {spread['total']:,} {what}{share}"


def _reasons(reasons):
    words = {"END": "the end of the network", "BUDGET": "the budget", "RULE": "the stopping rule"}
    return ", ".join(f"{words[name]} {count:,}" for name, count in reasons.items() if count)


def _speed(summary):
    threads = f"{summary['threads']} thread{'s' if summary['threads'] > 1 else ''}"
    return f"{summary['seconds']:.1f} s, {summary['images_per_second']:,.0f} images/s on {threads} of this machine"


def _exit_lines(exits):
    """A line for each exit taken, in order; of many, the ROWS taken most, and one line for the others."""
    taken = {name: item for name, item in exits.items() if item["images"]}
    shown = sorted(taken, key=lambda name: -taken[name]["images"])[:ROWS]
    width = max(len("exit"), *(len(name) for name in shown))
    most = max(item["share"] for item in taken.values())
    lines = [f"{'exit':<{width}}  images   share  accuracy  FLOPs (mean)"]
    for name in (name for name in taken if name in shown):
        item = taken[name]
        numbers = f"{item['images']:>6,}  {item['share']:>6.1%}  {item['accuracy']:>8.1%}"
        bar = "█" * max(round(BAR * item["share"] / most), 1)
        lines.append(f"{name:<{width}}  {numbers}  {show(item['flops'], 'flops'):>12}  {bar}")
    others = sum(item["images"] for name, item in taken.items() if name not in shown)
    if others:
        lines.append(f"({len(taken) - ROWS} more exits taken by {others:,} images, see --json or --picture)")
    if len(exits) > len(taken):
        lines.append(f"({len(exits) - len(taken)} of {len(exits)} exits taken by no image)")
    return lines


# ------------------------------------------------------------------------------------------------------------- files
def json_text(summary):
    """The summary as JSON, with a newline at its end."""
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path, text):
    """Write a file whole or not at all. OSError when that fails."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
