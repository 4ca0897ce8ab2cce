"""What a run found, as a dictionary for programs (JSON); host/views/table.py makes the text for people of it.

Accuracy, FLOPs and exits are counted by the engine (kind: simulated, on a simulation); cycles are those of the modelled
schedule, and times are these cycles at the board's clock (kind: modelled).
"""

import json
from dataclasses import dataclass

import numpy as np

from hls import isa
from hls.package import Package
from hls.record import NO_BUDGET, Results, Start, top
from host.batches import Batches
from host.board.catalog import Board
from host.budgets.average import Average
from host.budgets.budget import Budget, limits
from host.budgets.limit import LimitPlan
from host.budgets.plan import Plan
from host.verdict import window_sums

FEW_CLASSES = 20  # up to here the five best of them say little


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
    plan: Plan | None = None  # what set the budgets, where they changed
    batches: Batches | None = None
    energy: dict | None = None  # host/energy/gauge.py
    average: Average | None = None  # what was chosen for a budget on the average

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
        "top5_accuracy": _top5(run),
        "budget": _budget(run),
        "pool": _pool(run),
        "rule": _rule(run),
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
        "class_exit": _class_exit(run),
        "layers_run": {**_spread(_layers_run(package, results)), "total": gated_blocks(package)},
        "channels_run": {**_spread(results.channels_run), "total": gated_channels(package)},
        "weight_bytes": _spread(results.weight_bytes),
        "instructions": _spread(results.instructions),
        "reasons": {name: int((results.reason == value).sum()) for name, value in isa.REASONS.items()},
        "gates": _gates(package, results.trace),
        "data": {"name": package.dataset, "source": run.data},
        "seconds": float(run.seconds),
        "images_per_second": len(correct) / max(run.seconds, 1e-9),
        "backend": run.backend,
        "threads": run.threads,
        "package": _package(run),
        "engine": {"isa": isa.HASH, "version": run.engine, "title": run.backend_title},
        "command": run.command,
    }


def _top5(run):
    """The share of images whose label is among the five largest logits; None where classes are too few to ask."""
    if run.package.classes <= FEW_CLASSES:
        return None
    return float((top(run.results.logits, 5) == run.labels[:, None]).any(axis=1).mean())


def _package(run):
    names = {"name": run.package.name, "architecture": run.package.meta["architecture"]}
    return {**names, "file": run.package_file, "sha256": run.sha256}


def _counted(run):
    """How FLOPs and exits were come by: the engine counts them, on a board or in a simulation of one."""
    on_board = run.backend == "pynq" or (run.batches is not None and run.batches.measured_cycles is not None)
    return "measured" if on_board else "simulated"


def _budget(run):
    if run.varied:
        return _varied(run)
    flops, cycles = (
        None if limit == NO_BUDGET else limit for limit in (run.start.budget_flops, run.start.budget_cycles)
    )
    found = {"text": str(run.budget), "kind": run.budget.kind, "flops": flops, "cycles": cycles}
    return {**found, "hardware": _kept_by_hardware(run)}


def _kept_by_hardware(run):
    """Whether the board's own timer says that budgets of time were kept; None without such a budget or such a timer.

    The engine keeps them by modelled cycles, which a bus that stalls makes longer. The timer counts each start of the
    engine, so an image's share is its start's mean: of images in starts whose mean, or whose pool's window, is over
    the budget it tells how many, and the most that an image took, of the budget.
    """
    batches = run.batches
    if batches is None or batches.measured_cycles is None:
        return None
    allowed = np.concatenate([np.full(count, _cycles_allowed(run, budget)) for budget, count in batches.steps])
    timed = allowed < NO_BUDGET
    if not timed.any():
        return None
    sums = (window_sums(np.where(timed, cycles, 0), run.start.pool) for cycles in (batches.measured_cycles, allowed))
    took = next(sums) / np.maximum(next(sums), 1)
    over = int((took[timed] > 1).sum())
    return {"kept": over == 0, "images_over": over, "most": float(took[timed].max()), "kind": "measured"}


def _cycles_allowed(run, budget):
    """Cycles that a budget of time is, at the board's clock; NO_BUDGET for another kind."""
    return limits(budget, run.board)[1] if budget.kind == "time" else NO_BUDGET


def _varied(run):
    """A budget that changed: its steps, and for a limit what it kept to."""
    steps = run.batches.steps
    found = {"text": f"{len({str(budget) for budget, _ in steps})} budgets", "kind": run.plan.kind}
    found |= {"flops": None, "cycles": None, "hardware": _kept_by_hardware(run)}
    found["steps"] = [{"budget": str(budget), "images": count} for budget, count in steps]
    if isinstance(run.plan, LimitPlan):
        found["limit"] = run.plan.summary()
    return found


def _pool(run):
    """What a pool did to each budget that it shares, in its unit; None without one."""
    size, found = run.start.pool, {}
    if size == 1:
        return None
    for unit, budget in (("flops", run.start.budget_flops), ("cycles", run.start.budget_cycles)):
        if budget != NO_BUDGET:
            spent = getattr(run.results, unit)
            sums = window_sums(spent, size)
            found[unit] = {
                "budget": budget,
                "fullest_window_mean": int(sums.max()) / size,
                "images_over": int((spent > budget).sum()),
                "lent": int(np.maximum(spent - budget, 0).sum()),
                "windows_over": int((sums > size * budget).sum()),
            }
    return {"images": size, "windows": max(len(run.labels) - size, 0) + 1, **found}


def _rule(run):
    """The stopping rule: its threshold in nats, or the budget on the average that chose one for each exit."""
    start, chosen = run.start, run.average
    name = next(name for name, value in isa.RULES.items() if value == start.rule)
    if chosen is None:
        return {"name": name, "threshold": start.threshold / 65536 if start.rule else None, "average": None}
    found = {"budget": chosen.text, "flops": chosen.asked, "expected": chosen.flops, "accuracy": chosen.accuracy}
    return {"name": name, "threshold": None, "average": found}


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


def gated_blocks(package):
    """How many blocks a layer gate can skip: a class exit's gate has no channels."""
    channels = isa.FIELDS[isa.GATE_LAYER].index("channels") + 1
    return int(((package.program[:, 0] == isa.GATE_LAYER) & (package.program[:, channels] > 0)).sum())


def _layers_run(package, results):
    """(N,) blocks that a layer gate let run and that had a channel open: one with none computes nothing."""
    gate = isa.FIELDS[isa.GATE_LAYER].index("gate") + 1  # after the opcode
    gated = np.unique(package.program[package.program[:, 0] == isa.GATE_LAYER, gate])
    return results.layers_run - (results.trace[:, gated] == 0).sum(1)


def gated_channels(package):
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


def _class_exit(run):
    """What the class exits did: shares of the class's images that stopped there, of those that did that are of it.

    FLOPs and cycles are means over the class's images and over all others. None of what there is none; None as a whole
    without class exits.
    """
    results, exits = run.results, run.package.exits
    own = [number for number, item in enumerate(exits) if "class" in item]
    if not own:
        return None
    target = exits[own[0]]["class"]
    stopped, member = np.isin(results.exit, own), run.labels == target
    found = {"class": run.package.class_names[target], "images": int(member.sum()), "stopped": int(stopped.sum())}
    found["stopped_share"] = _mean(stopped[member])
    found["precision"] = _mean(member[stopped])
    for unit in ("flops", "cycles"):
        spent = getattr(results, unit)
        found[unit] = {"class": _mean(spent[member]), "others": _mean(spent[~member])}
    return found


def _mean(values):
    return float(values.mean()) if len(values) else None


def _gates(package, trace):
    """Per gate: shares of images that ran, skipped and never reached its block; mean channels where it ran.

    A block that was let run with no channel open counts as `empty`, not as run.
    """
    gates = []
    for index, gate in enumerate(package.meta["gates"]):
        if not gate["channels"]:  # a class exit's
            continue
        column = trace[:, index]
        ran = column > 0
        gates.append(
            {
                "block": gate["block"],
                "stage": gate["stage"],
                "channels": gate["channels"],
                "run": float(ran.mean()),
                "empty": float((column == 0).mean()),
                "skipped": float((column == isa.TRACE_SKIPPED).mean()),
                "not_reached": float((column == isa.TRACE_NOT_REACHED).mean()),
                "channels_mean": float(column[ran].mean()) if ran.any() else None,
            }
        )
    return gates


# ------------------------------------------------------------------------------------------------------------- files
def json_text(summary):
    """The summary as JSON, with a newline at its end."""
    return json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
