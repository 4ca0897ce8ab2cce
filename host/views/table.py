"""A run's summary (host/views/report.py) as text for a terminal.

print(table(summary))
"""

from hls.command.words import counted
from host.budgets.budget import show

BAR = 30  # columns of the longest bar
ROWS = 12  # exits in the table
SIMULATIONS = ("cosim", "golden")


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
        *([("top-5 accuracy", f"{summary['top5_accuracy']:.2%}")] if summary["top5_accuracy"] is not None else []),
        ("FLOPs", f"{_pair(flops, 'flops')}  ({flops['mean'] / flops['full']:.0%} of the full network's)"),
        ("cycles (modelled)", f"mean {cycles['mean']:,.0f}  max {cycles['max']:,} an image"),
        (
            "time (modelled)",
            f"mean {time['mean']:.3g} ms  max {time['max']:.3g} ms an image, "
            f"at {time['clock_mhz']:g} MHz ({time['clock_kind']} clock, {time['board']})",
        ),
        *_measured_rows(summary),
        *_energy_rows(summary["energy"]),
        *_class_exit_rows(summary["class_exit"]),
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
        text = f"{budget['text']} FLOPs an image, {share}; {_kept(summary)}"
    elif "steps" in budget:
        text = _steps_line(budget["steps"])
    else:
        text = f"{budget['text']} an image, {_limits(budget)} (modelled); {_kept(summary)}"
    rows = [("budget", text)]
    if budget["hardware"] is not None:
        rows.append(("", _hardware_line(budget["hardware"])))
    if summary["pool"] is not None:
        rows += _pool_rows(summary["pool"])
    if "limit" in budget:
        rows.append(("limit", _limit_line(budget["limit"])))
    if rule["threshold"] is not None:
        rows.append(
            ("stopping rule", f"{rule['name'].lower()} under {rule['threshold']:.4g} nats; classifiers on the way cost")
        )
    if rule["average"] is not None:
        rows.append(("average budget", _average_line(rule["average"])))
    return rows


def _hardware_line(found):
    """What the board's timer says of a budget of time, which the engine keeps by modelled cycles."""
    if found["kept"]:
        return f"kept by the board's timer too: a start took {found['most']:.1%} of it at most, by its mean"
    return (
        f"NOT kept by the board's timer: {found['images_over']:,} images were in starts that took more by their mean, "
        f"up to {found['most']:.1%} of it"
    )


def _average_line(chosen):
    """What was asked and what the package's thresholds gave on validation images."""
    expected = f"{chosen['expected'] / 1e6:.4g}M FLOPs and {chosen['accuracy']:.2%} on validation images"
    return f"{chosen['budget']} FLOPs, by an entropy threshold an exit: {expected}; classifiers on the way cost"


def _kept(summary):
    pool = summary["pool"]
    return "kept for every image" if pool is None else f"kept for any {pool['images']} images in a row"


def _pool_rows(pool):
    """What the pool did: a line for each budget that it shares."""
    for unit, name in (("flops", "FLOPs"), ("cycles", "cycles")):
        if unit in pool:
            item = pool[unit]
            lent, fullest = (show(item[key], "flops") for key in ("lent", "fullest_window_mean"))
            yield (
                f"pool of {pool['images']}",
                f"fullest window {fullest} {name} an image; {item['images_over']:,} images over their share, {lent} "
                f"{name} lent; {item['windows_over']} of {pool['windows']:,} windows over",
            )


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
    kind = "measured, with idle" if limit["kind"] == "measured" else limit["kind"]
    return f"{limit['text']} on average: {kept}, {limit['average']:.4g} {limit['unit']} ({kind})"


def _class_exit_rows(found):
    """Who stopped at the class exits, and what that took."""
    if found is None:
        return
    name, cycles = found["class"], found["cycles"]
    share = "" if found["stopped_share"] is None else f"{found['stopped_share']:.1%} of its "
    right = (
        "" if found["precision"] is None else f"; {found['precision']:.1%} of the {found['stopped']:,} that stop are"
    )
    text = f"{share}{found['images']:,} images stop early{right} of it" if right else "no image stops early"
    yield "class exit", f"{name}: {text}"
    means = [f"{what} {value:,.0f}" for what, value in zip((name, "others"), cycles.values()) if value is not None]
    yield "", f"cycles (modelled), mean: {', '.join(means)}"


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
        yield from _modelled_rows(energy)
        return
    low, high = energy["interval95_mj"]
    yield (
        f"energy ({energy['kind']})",
        f"mean {energy['mean_mj']:.3g} mJ an image, 95% within {low:.3g} … {high:.3g} mJ",
    )
    yield "", energy["source"]
    for warning in energy["warnings"]:
        yield "", warning
    if energy["modelled"]:
        yield from _modelled_rows(energy["modelled"], ", above idle")


def _modelled_rows(energy, note=""):
    """Modelled energy, and the first words of where its coefficients are from; --json has all of it."""
    yield "energy (modelled)", f"mean {energy['mean_mj']:.3g} mJ  max {energy['max_mj']:.3g} mJ an image{note}"
    yield "", energy["source"].split(";")[0].removeprefix("modelled, ")


def _of_total(spread, what):
    share = f" ({spread['mean'] / spread['total']:.0%})" if spread["total"] else ""
    return f"mean {spread['mean']:.1f} of {spread['total']:,} {what}{share}"


def _reasons(reasons):
    words = {"END": "the end of the network", "BUDGET": "the budget", "RULE": "the stopping rule"}
    words["TIME"] = "time lost to the memory"
    return ", ".join(f"{words[name]} {count:,}" for name, count in reasons.items() if count)


def _speed(summary):
    speed = f"{summary['seconds']:.1f} s, {summary['images_per_second']:,.0f} images/s"
    if summary["backend"] not in SIMULATIONS:
        return speed
    return f"{speed} on {counted(summary['threads'], 'thread')} of this machine"


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
