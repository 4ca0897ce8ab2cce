"""A picture of a sweep, as SVG: accuracy, time and energy over the FLOPs that were spent, and what budgets allowed.

svg = draw(points)   # summaries of host/views/report.py, one a budget
"""

import math
from itertools import pairwise

from host.budgets.budget import show
from host.views.svg import GRID, INK, PAPER, SOFT, Canvas, Plot, ticks

WIDTH, HEIGHT, MARGIN = 1100, 878, 48
POINT, LINE, BUDGET, TOP = "#2f5fa8", "#a9c3e8", "#d4351c", "#2bb3a3"
BOXES = ((100, 158, 420, 240), (640, 158, 420, 240), (100, 518, 420, 240), (640, 518, 420, 240))


def draw(points):
    """The SVG document."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.rect(0, 0, WIDTH, HEIGHT, PAPER)
    first = points[0]
    canvas.label(MARGIN, 50, f"{first['package']['architecture']} under {len(points)} budgets", 24, INK, weight=700)
    source = f"{first['images']:,} images: {first['data']['source']}; {first['engine']['title']}"
    canvas.label(MARGIN, 74, source, 13)
    across = max(point["flops"]["mean"] for point in points) * 1.06 / 1e6
    _panel(canvas, BOXES[0], points, across, "Accuracy", "accuracy", _accuracy, percent=True)
    time = "time_measured_ms" if all(point["time_measured_ms"] for point in points) else "time_ms"
    kind = first[time]["kind"]
    _panel(canvas, BOXES[1], points, across, f"Time of an image ({kind})", "ms, mean", lambda point: _mean(point[time]))
    _energies(canvas, points, across)
    _spending(canvas, BOXES[3], points)
    text = f"package {first['package']['name']}, sha256 {first['package']['sha256'][:12]}"
    canvas.line(MARGIN, HEIGHT - 40, WIDTH - MARGIN, HEIGHT - 40, GRID)
    canvas.label(MARGIN, HEIGHT - 22, f"{text}; engine contract {first['engine']['isa']}", 11)
    return canvas.text()


def _accuracy(point):
    """(share, half of its 95 % interval): the binomial's normal approximation."""
    share = point["accuracy"]
    return share, 1.96 * (share * (1 - share) / point["images"]) ** 0.5


def _mean(spread):
    return spread["mean"], 0.0


def _energy(energy):
    """(mJ, half of its 95 % interval where it was measured)."""
    low, high = energy.get("interval95_mj", (0.0, 0.0))
    return energy["mean_mj"], (high - low) / 2


def _energies(canvas, points, across):
    box = BOXES[2]
    if any(point["energy"] is None for point in points):
        _heading(canvas, box, "Energy of an image", "neither measured nor modelled for this board")
        return
    kind = " and ".join(sorted({point["energy"]["kind"].split(",")[0] for point in points}))
    beside = [(point["flops"]["mean"] / 1e6, _modelled(point["energy"])) for point in points]
    beside = [(x, y) for x, y in beside if y is not None]
    title = f"Energy of an image ({kind})"
    _panel(canvas, box, points, across, title, "mJ, mean", lambda point: _energy(point["energy"]), beside=beside)


def _modelled(energy):
    """Modelled mJ beside measured ones; None where there are none."""
    return energy["modelled"]["mean_mj"] if energy.get("modelled") else None


def _heading(canvas, box, title, note):
    canvas.label(box[0] - 52, box[1] - 38, title, 16, INK, weight=600)
    canvas.label(box[0] - 52, box[1] - 20, note, 12)


def _panel(canvas, box, points, across, title, unit, value, percent=False, beside=()):
    """One figure over the mean FLOPs of an image; bars are 95 % intervals where there are some.

    `beside`: (MFLOPs, modelled value) pairs, drawn as small grey dots.
    """
    order = sorted(points, key=lambda point: point["flops"]["mean"])
    values = [value(point) for point in order]
    low, high = 0.0, max(max(*(mean + half for mean, half in values), *(y for _, y in beside), 1e-12) * 1.08, 1e-12)
    if percent:  # the tenths around the values: a share's differences are what is looked for
        low = max(math.floor(min(mean - half for mean, half in values) * 10) / 10, 0)
        low = min(low, 0.9)
        high = max(min(math.ceil(max(mean + half for mean, half in values) * 10) / 10, 1), low + 0.1)
    plot = Plot(canvas, box, (0, across), (low, high))
    bars = "; bars: 95% interval" if any(half for _, half in values) else ""
    _heading(canvas, box, title, f"over the FLOPs spent{bars}{'; grey: modelled' if beside else ''}")
    marks = [low + mark for mark in ticks(high - low, 5)]
    plot.y_axis(marks, lambda y: f"{y:.0%}" if percent else f"{y:g}", unit)
    plot.x_axis(ticks(across), lambda x: f"{x:g}", "MFLOPs of an image, mean")
    at = [(plot.x(point["flops"]["mean"] / 1e6), plot.y(mean)) for point, (mean, _) in zip(order, values)]
    for one, other in pairwise(at):
        canvas.line(*one, *other, LINE, 2)
    for x, y in beside:
        canvas.dot(plot.x(x), plot.y(y), 3, SOFT, f"modelled: {y:.3g}")
    for point, (x, y), (mean, half) in zip(order, at, values):
        if half:
            canvas.line(x, plot.y(mean - half), x, plot.y(mean + half), SOFT, 1.5)
        shown = f"{mean:.1%}" if percent else f"{mean:.3g}"
        canvas.dot(
            x, y, 4, POINT, f"budget {point['budget']['text']}: {shown}, {show(point['flops']['mean'], 'flops')}"
        )


def _spending(canvas, box, points):
    """What images spent, mean and most, over the budget of FLOPs; nothing may lie above the line."""
    _heading(canvas, box, "Spent and allowed", "dots: mean; ticks: the dearest image; the line is the budget")
    limited = [point for point in points if point["budget"]["kind"] == "flops"]
    if not limited:
        canvas.label(box[0], box[1] + 40, "No budget of FLOPs in this sweep.", 13)
        return
    high = max(point["budget"]["flops"] for point in limited) * 1.06 / 1e6
    plot = Plot(canvas, box, (0, high), (0, high))
    plot.y_axis(ticks(high, 5), lambda y: f"{y:g}", "MFLOPs spent")
    plot.x_axis(ticks(high), lambda x: f"{x:g}", "MFLOPs allowed")
    canvas.line(plot.x(0), plot.y(0), plot.x(high), plot.y(high), BUDGET, 1.5, "5 3")
    for point in limited:
        x = plot.x(point["budget"]["flops"] / 1e6)
        mean, most = (point["flops"][name] / 1e6 for name in ("mean", "max"))
        canvas.line(x - 6, plot.y(most), x + 6, plot.y(most), TOP, 2.5)
        canvas.dot(x, plot.y(mean), 4, POINT, f"budget {point['budget']['text']}: mean {mean:.3g}M, most {most:.3g}M")
