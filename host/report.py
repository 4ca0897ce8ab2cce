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
from host.batches import Batches
from host.boards import Board
from host.budget import Budget, show
from host.limit import Controller
from host.schedule import Fixed

BAR = 30  # columns of the longest bar
ROWS = 12  # exits in the table
SIMULATIONS = ("cosim", "golden")


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
    plan: Fixed | None = None  # what set the budgets, where they changed
    batches: Batches | None = None
    energy: dict | None = None  # host/gauge.py

    @property
    def varied(self):
        """Whether the budget could change while images ran."""
        return self.plan is not None and self.plan.kind != "fixed"


def summarize(run):
    """The run as a dictionary of plain numbers and texts, as `--json` writes it."""
    results, package = run.results, run.package
    correct = results.label == run.labels
    last = package.exits[-1]
    return {
        "images": len(correct),
        "accuracy": float(correct.mean()),
        "budget": _budget(run),
        "rule": _rule(run.start),
        "flops": {**_spread(results.flops), "full": last["flops"], "kind": _counted(run)},
        "cycles": {**_spread(results.cycles), "full": last["cycles"], "kind": "modelled"},
        "time_ms": {
            **_spread(run.board.seconds(results.cycles) * 1e3),
            "full": run.board.seconds(last["cycles"]) * 1e3,
            "kind": "modelled",
            "clock_mhz": run.board.clock_hz / 1e6,
            "clock_kind": run.board.clock_kind,
            "board": run.board.name,
        },
        **_measured(run),
        "energy": run.energy,
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


def _counted(run):
    """How FLOPs and exits were come by: the engine counts them, on a board or in a simulation of one."""
    return "measured" if run.backend == "pynq" else "simulated"


def _budget(run):
    if run.varied:
        return _varied(run)
    flops, cycles = (
        None if limit == NO_BUDGET else limit for limit in (run.start.budget_flops, run.start.budget_cycles)
    )
    return {"text": str(run.budget), "kind": run.budget.kind, "flops": flops, "cycles": cycles}


def _varied(run):
    """A budget that changed: its steps, and for a limit what it kept to."""
    steps = run.batches.steps
    found = {"text": f"{len({str(budget) for budget, _ in steps})} budgets", "kind": run.plan.kind}
    found |= {"flops": None, "cycles": None}
    found["steps"] = [{"budget": str(budget), "images": count} for budget, count in steps]
    if isinstance(run.plan, Controller):
        found["limit"] = run.plan.summary()
    return found


def _rule(start):
    name = next(name for name, value in isa.RULES.items() if value == start.rule)
    return {"name": name, "threshold": start.threshold / 65536 if start.rule else None}


def _measured(run):
    """What only a board tells: cycles by its timer and the share of time with the engine running; else None."""
    batches, found = run.batches, {"cycles_measured": None, "time_measured_ms": None, "busy_share": None}
    if batches is None or batches.measured_cycles is None:
        return found
    milliseconds = run.board.seconds(batches.measured_cycles) * 1e3
    found["cycles_measured"] = {**_spread(batches.measured_cycles), "kind": "measured"}
    found["time_measured_ms"] = {**_spread(milliseconds), "kind": "measured"}
    found["busy_share"] = batches.busy_share
    return found


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
    """The summary as text for a terminal."""
    flops, cycles, time = summary["flops"], summary["cycles"], summary["time_ms"]
    package = summary["package"]
    rows = [
        ("package", f"{package['name']} ({package['architecture']}), sha256 {package['sha256'][:12]}"),
        ("data", f"{summary['images']:,} images, {summary['data']['source']}"),
        ("engine", f"{summary['engine']['title']}, {summary['engine']['version']}"),
        *_budget_rows(summary),
        ("accuracy", f"{summary['accuracy']:.2%}"),
        ("FLOPs", f"{_pair(flops, 'flops')}  ({flops['mean'] / flops['full']:.0%} of the full network's)"),
        ("cycles (modelled)", f"mean {cycles['mean']:,.0f}  max {cycles['max']:,} an image"),
        (
            "time (modelled)",
            f"mean {time['mean']:.3g} ms  max {time['max']:.3g} ms an image, "
            f"at {time['clock_mhz']:g} MHz ({time['clock_kind']} clock, {time['board']})",
        ),
        *_measured_rows(summary),
        *_energy_rows(summary["energy"]),
        ("layers run", _of_total(summary["layers_run"], "gated blocks")),
        ("channels run", _of_total(summary["channels_run"], "gated channels")),
        ("stopped by", _reasons(summary["reasons"])),
        ("simulated in" if summary["backend"] in SIMULATIONS else "run in", _speed(summary)),
    ]
    lines = [f"{name:<18} {text}" for name, text in rows]
    return "\n".join([*lines, "", *_exit_lines(summary["exits"])])


def _pair(spread, kind):
    return f"mean {show(spread['mean'], kind)}  max {show(spread['max'], kind)} an image"


def _budget_rows(summary):
    """What an image could spend, and the stopping rule if there is one."""
    budget, full, rule = summary["budget"], summary["flops"]["full"], summary["rule"]
    if budget["kind"] == "none":
        text = f"none; the full network takes up to {show(full, 'flops')} FLOPs"
    elif budget["kind"] == "flops":
        share = f"{budget['flops'] / full:.0%} of the full network's {show(full, 'flops')}"
        text = f"{budget['text']} FLOPs an image, {share}; kept for every image"
    elif "steps" in budget:
        text = _steps_line(budget["steps"])
    else:
        text = f"{budget['text']} an image, {_limits(budget)} (modelled); kept for every image"
    rows = [("budget", text)]
    if "limit" in budget:
        rows.append(("limit", _limit_line(budget["limit"])))
    if rule["threshold"] is not None:
        rows.append(
            ("stopping rule", f"{rule['name'].lower()} under {rule['threshold']:.4g} nats; classifiers on the way cost")
        )
    return rows


def _limits(budget):
    """What the engine compares with, where the budget is not one of FLOPs."""
    flops, cycles = budget["flops"], budget["cycles"]
    return " and ".join(
        ([f"{show(flops, 'flops')} FLOPs"] if flops else []) + ([f"{cycles:,} cycles"] if cycles else [])
    )


def _steps_line(steps):
    """The first few steps of a budget that changed; each was kept for its images."""
    shown = ", ".join(f"{step['images']:,} under {step['budget']}" for step in steps[:4])
    more = f", … {len(steps)} steps" if len(steps) > 4 else ""
    return (
        f"images: {shown}{more}; kept for every image" if len(steps) <= 4 else f"images: {shown}{more}; kept for each"
    )


def _limit_line(limit):
    if limit["average"] is None:
        return f"{limit['text']}: nothing is known of what the images took, the smallest budget was kept"
    kept = "kept" if limit["kept"] else "NOT kept"
    return f"{limit['text']} on average: {kept}, {limit['average']:.4g} {limit['unit']} ({limit['kind']})"


def _measured_rows(summary):
    """Cycles and time by the board's timer, and how busy the engine was."""
    if summary["cycles_measured"] is None:
        return
    cycles, time, busy = summary["cycles_measured"], summary["time_measured_ms"], summary["busy_share"]
    yield "cycles (measured)", f"mean {cycles['mean']:,.0f}  max {cycles['max']:,.0f} an image"
    share = f"; the engine ran {busy:.0%} of the time" if busy is not None else ""
    yield "time (measured)", f"mean {time['mean']:.3g} ms  max {time['max']:.3g} ms an image{share}"


def _energy_rows(energy):
    """Energy of an image: measured with its interval, or modelled with where the coefficients are from."""
    if energy is None:
        return
    if energy["kind"].startswith("modelled"):
        source = energy["source"].split(";")[0].removeprefix("modelled, ")  # --json has all of it
        yield "energy (modelled)", f"mean {energy['mean_mj']:.3g} mJ  max {energy['max_mj']:.3g} mJ an image"
        yield "", source
        return
    low, high = energy["interval95_mj"]
    yield (
        f"energy ({energy['kind']})",
        f"mean {energy['mean_mj']:.3g} mJ an image, 95% within {low:.3g} … {high:.3g} mJ",
    )
    yield "", energy["source"]
    for warning in energy["warnings"]:
        yield "", warning


def _of_total(spread, what):
    share = f" ({spread['mean'] / spread['total']:.0%})" if spread["total"] else ""
    return f"mean {spread['mean']:.1f} of {spread['total']:,} {what}{share}"


def _reasons(reasons):
    words = {"END": "the end of the network", "BUDGET": "the budget", "RULE": "the stopping rule"}
    return ", ".join(f"{words[name]} {count:,}" for name, count in reasons.items() if count)


def _speed(summary):
    speed = f"{summary['seconds']:.1f} s, {summary['images_per_second']:,.0f} images/s"
    if summary["backend"] not in SIMULATIONS:
        return speed
    return f"{speed} on {summary['threads']} thread{'s' if summary['threads'] > 1 else ''} of this machine"


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
