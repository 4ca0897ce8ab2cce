"""A picture of a run for people, as SVG: what each image spent, where it left, and which blocks it ran.

svg = draw(run, summary, images)   # text; run and summary of host/views/report.py, images (N, H, W, C) uint8
"""

import numpy as np

from hls.record import NO_BUDGET
from host.budgets.budget import show
from host.energy.model import modelled
from host.views.svg import GRID, INK, PAPER, SOFT, Canvas, Plot, blend, ticks

WIDTH, HEIGHT, MARGIN = 1200, 1140, 48
EARLY_TO_LATE = ("#2bb3a3", "#2f76c0", "#4b3aa8", "#8b1e74")
BUDGET, GOOD, BAD = "#d4351c", "#1d7f4e", "#c62828"
RAN, THINNED, SKIPPED, NOT_REACHED = "#2f5fa8", "#a9c3e8", "#f2c572", "#eef1f4"
BINS = 60
DOTS = 2000  # images drawn one by one
SAMPLES = 8
FEW = 10  # images whose accuracy is a guess


def draw(run, summary, images):
    """The SVG document."""
    canvas = Canvas(WIDTH, HEIGHT)
    canvas.rect(0, 0, WIDTH, HEIGHT, PAPER)
    _header(canvas, run, summary)
    _tiles(canvas, run, summary)
    _spending(canvas, run, (MARGIN + 52, 258, 560, 226))
    _exits(canvas, run, summary, (MARGIN + 712, 258, 392, 226))
    _blocks(canvas, summary, (MARGIN + 52, 632, WIDTH - 2 * MARGIN - 52, 190))
    _samples(canvas, run, images, 902)
    _footer(canvas, run, summary)
    return canvas.text()


def exit_colour(index, count):
    """Exits from the first (green) to the last (purple)."""
    return blend(index / max(count - 1, 1), EARLY_TO_LATE)


def _heading(canvas, x, y, title, note=""):
    canvas.label(x, y, title, 16, INK, weight=600)
    canvas.label(x, y + 18, note, 12)


# ----------------------------------------------------------------------------------------------------------- headline
def _header(canvas, run, summary):
    budget = summary["budget"]
    words = {
        "none": "without a budget",
        "flops": f"under {budget['text']} FLOPs an image",
        "time": f"under {budget['text']} an image",
        "energy": f"under {budget['text']} an image",
        "schedule": "under a budget that changed",
        "limit": f"under {budget.get('limit', {}).get('text')} on average",
    }
    canvas.label(MARGIN, 54, f"{run.package.meta['architecture']} {words[budget['kind']]}", 26, INK, weight=700)
    canvas.label(MARGIN, 78, f"{summary['images']:,} images: {run.data}; {run.backend_title}", 14)


def _tiles(canvas, run, summary):
    """The few figures that answer the first questions."""
    flops, time = summary["flops"], summary["time_ms"]
    clock = f"at {time['clock_mhz']:g} MHz ({time['clock_kind']} clock)"
    kept, found = _kept(run, summary), summary["time_measured_ms"] or time
    figures = (
        ("Accuracy", f"{summary['accuracy']:.1%}", f"of {summary['images']:,} images"),
        (
            "FLOPs, mean",
            show(flops["mean"], "flops"),
            f"{flops['mean'] / flops['full']:.0%} of the full network's {show(flops['full'], 'flops')}",
        ),
        (f"Time, mean ({found['kind']})", f"{found['mean']:.3g} ms", clock),
        kept,
    )
    if summary["energy"]:
        figures += (_energy(summary["energy"]),)
    step = (WIDTH - 2 * MARGIN + 16) / len(figures)
    for index, (name, value, note) in enumerate(figures):
        x = MARGIN + index * step
        canvas.rect(x, 100, step - 16, 92, "#f5f7f9", radius=8)
        canvas.label(x + 16, 122, name, 12)
        canvas.label(x + 16, 156, value, 28, INK, weight=700)
        canvas.label(x + 16, 178, note, 11.5)


def _energy(energy):
    """(name, value, note) of the mean energy of an image, measured with half of its interval."""
    if energy["kind"].startswith("modelled"):
        return "Energy, mean (modelled)", f"{energy['mean_mj']:.3g} mJ", f"at most {energy['max_mj']:.3g} mJ an image"
    low, high = energy["interval95_mj"]
    beside = f"; modelled: {energy['modelled']['mean_mj']:.3g} mJ" if energy["modelled"] else ""
    note = f"± {(high - low) / 2:.2g} (95%){beside}"
    return f"Energy above idle ({energy['kind']})", f"{energy['mean_mj']:.3g} mJ", note


def _kept(run, summary):
    """(name, value, note) of the fourth figure: whether the budget, or the limit on the average, was kept."""
    budget = summary["budget"]
    if "limit" in budget and budget["limit"]["average"] is not None:
        limit = budget["limit"]
        note = f"{limit['text']} was {'kept' if limit['kept'] else 'NOT kept'} ({limit['kind']})"
        return "Average", f"{limit['average']:.3g} {limit['unit'].split()[0]}", note
    if budget["hardware"] and not budget["hardware"]["kept"]:
        within = 1 - budget["hardware"]["images_over"] / summary["images"]
        return "Within the budget", f"{within:.0%}", "by the board's own timer; all by modelled cycles"
    if "steps" in budget:
        return "Within the budget", "100%", f"of images, over {len(budget['steps'])} steps"
    if budget["kind"] == "none":
        return "Budget", "none", "every image ran freely"
    values, limit, _, _ = _spent(run)
    return "Within the budget", "100%", f"the dearest took {values.max() / limit:.1%} of it"


# ----------------------------------------------------------------------------------------------------------- spending
def _spending(canvas, run, box):
    """Histogram of what images spent, stacked by exit, with the budget's line; over the images if it changed."""
    if run.varied:
        return _over_images(canvas, run, box)
    values, limit, title, unit = _spent(run)
    high = max(float(values.max()) * 1.04, 1e-9)
    if limit and limit < 2 * high:  # a far larger budget would only squeeze the images together
        high = max(high, limit * 1.04)
    count = len(run.package.exits)
    edges = np.linspace(0, high, BINS + 1)
    stacks = np.stack([np.histogram(values[run.results.exit == exit_], edges)[0] for exit_ in range(count)])
    tallest = int(stacks.sum(0).max())
    plot = Plot(canvas, box, (0, high), (0, tallest * 1.12))
    _heading(canvas, box[0] - 52, box[1] - 38, "What each image spent", f"{title}, coloured by the exit it took")
    plot.y_axis(_whole(ticks(tallest * 1.12, 5)), lambda value: f"{value:,.0f}", "images")
    for bin_ in range(BINS):
        below = 0
        for exit_ in np.flatnonzero(stacks[:, bin_]):
            taken = int(stacks[exit_, bin_])
            x, y = plot.x(edges[bin_]), plot.y(below + taken)
            text = f"{taken} images, {run.package.exits[exit_]['name']}"
            canvas.rect(x + 0.5, y, plot.width / BINS - 1, plot.y(below) - y, exit_colour(exit_, count), text)
            below += taken
    plot.x_axis(ticks(high), lambda value: f"{value:g}", f"{title} ({unit})")
    if limit:
        seen = limit <= high
        x, arrow = (plot.x(limit), "") if seen else (plot.left + plot.width, " →")
        canvas.label(x + 4, box[1] - 12, f"budget {run.budget}{arrow}", 12, BUDGET, "end", 600)
        if seen:
            canvas.line(x, box[1] - 6, x, plot.bottom, BUDGET, 2, "5 3")


def _over_images(canvas, run, box):
    """What each image spent, in the order they were run, under the steps of its budget."""
    flops, count = run.results.flops * 1e-6, len(run.results.flops)
    allowed = run.results.allowed_flops
    limits = np.where(allowed == NO_BUDGET, np.nan, allowed * 1e-6)
    high = float(np.nanmax([flops.max() * 1.04, np.nanmin([np.nanmax(limits, initial=0), flops.max() * 1.5]) * 1.04]))
    plot = Plot(canvas, box, (0, count), (0, high))
    note = "FLOPs of each image, coloured by the exit it took; the line is its budget, where that is one of FLOPs"
    _heading(canvas, box[0] - 52, box[1] - 38, "What each image spent, one after the other", note)
    plot.y_axis(ticks(high, 5), lambda value: f"{value:g}", "MFLOPs")
    for index in np.unique(np.linspace(0, count - 1, min(count, DOTS)).astype(int)):
        exit_ = int(run.results.exit[index])
        canvas.dot(plot.x(index), plot.y(flops[index]), 1.6, exit_colour(exit_, len(run.package.exits)))
    first = 0
    for _, images in run.batches.steps:
        limit, last = limits[first], first + images
        if limit <= high:
            canvas.line(plot.x(first), plot.y(limit), plot.x(last), plot.y(limit), BUDGET, 2)
        first = last
    plot.x_axis(_whole(ticks(count)), lambda value: f"{value:,.0f}", "image")


def _spent(run):
    """(what each image spent, the budget or None, name, unit), in FLOPs, modelled time or energy, by the budget."""
    if run.budget.kind == "time":
        factor, unit = 1e3 / run.board.clock_hz, "ms"
        return run.results.cycles * factor, run.start.budget_cycles * factor, "time, modelled", unit
    if run.budget.kind == "energy":
        return modelled(run.results, run.board).joule * 1e3, run.budget.amount * 1e-9, "energy, modelled", "mJ"
    factor, unit = (1e-9, "GFLOPs") if run.results.flops.max() >= 2e9 else (1e-6, "MFLOPs")
    limit = run.start.budget_flops * factor if run.budget.kind == "flops" else None
    return run.results.flops * factor, limit, "FLOPs of an image", unit


def _whole(values):
    return [value for value in values if value == int(value)]


# -------------------------------------------------------------------------------------------------------------- exits
def _exits(canvas, run, summary, box):
    """Two plots over the same exits: how many images took each, and how many of them were right."""
    left, top, width, height = box
    exits = list(summary["exits"].values())
    upper, gap = height * 0.55, 26
    most = max(item["share"] for item in exits)
    across = (-0.5, len(exits) - 0.5)
    shares = Plot(canvas, (left, top, width, upper), across, (0, most * 1.15))
    right = Plot(canvas, (left, top + upper + gap, width, height - upper - gap), across, (0, 1))
    _heading(
        canvas,
        left - 52,
        top - 38,
        "Exits taken, and how often they were right",
        "an image leaves at the last exit it could afford",
    )
    shares.y_axis(
        ticks(most * 1.15, 3), lambda value: f"{value:.3g}"[:5] if most < 0.01 else f"{value:.0%}", "of images"
    )
    right.y_axis((0, 0.5, 1), lambda value: f"{value:.0%}", "right")
    slot = width / len(exits)
    for index, item in enumerate(exits):
        if not item["images"]:
            continue
        name = f"{run.package.exits[index]['name']}: {item['images']:,} images, {item['accuracy']:.1%} right"
        colour, y = exit_colour(index, len(exits)), shares.y(item["share"])
        radius = min(5, slot / 2.2) if item["images"] >= FEW else 2  # a small dot says little
        canvas.rect(shares.x(index) - slot * 0.38, y, slot * 0.76, shares.bottom - y, colour, name)
        canvas.line(right.x(index), right.y(item["accuracy"]), right.x(index), right.bottom, colour, 1)
        canvas.dot(right.x(index), right.y(item["accuracy"]), radius, colour, name)
        if slot >= 40:
            canvas.label(shares.x(index), y - 5, _percent(item["share"]), 11, INK, "middle")
            canvas.label(right.x(index), right.y(item["accuracy"]) - 9, f"{item['accuracy']:.0%}", 11, INK, "middle")
    canvas.line(left, shares.bottom, left + width, shares.bottom, SOFT)
    shown = range(0, len(exits), max(1, -(-len(exits) * 26 // int(width))))
    right.x_axis(shown, lambda index: _exit_name(exits, index), "exit, by the block it follows")


def _percent(share):
    return f"{share:.0%}" if share >= 0.01 else "<1%"


def _exit_name(exits, index):
    """A short name: the number of the block, and "end" for the network's own output."""
    return "end" if index == len(exits) - 1 else str(exits[index]["block"])


# ------------------------------------------------------------------------------------------------------------- blocks
def _blocks(canvas, summary, box):
    """Per gated block, the images stacked by what was done: run (channels kept, left out), skipped, not reached."""
    gates = summary["gates"]
    left, top, width, _ = box
    _heading(
        canvas, left - 52, top - 58, "Which blocks and channels were run", "share of images, per block with a gate"
    )
    if not gates:
        canvas.label(left, top + 40, "This network has no gates: every block runs for every image that reaches it.", 13)
        return
    plot = Plot(canvas, box, (-0.5, len(gates) - 0.5), (0, 1))
    plot.y_axis((0, 0.25, 0.5, 0.75, 1), lambda value: f"{value:.0%}", "of images")
    slot = width / len(gates)
    for index, gate in enumerate(gates):
        kept = gate["run"] * (gate["channels_mean"] or 0) / gate["channels"]
        parts = (
            (kept, RAN),
            (gate["run"] - kept, THINNED),
            (gate["skipped"] + gate["empty"], SKIPPED),
            (gate["not_reached"], NOT_REACHED),
        )
        channels = f", {gate['channels_mean']:.1f} of {gate['channels']} channels" if gate["channels_mean"] else ""
        text = f"block {gate['block']}: run {gate['run']:.0%}{channels}, skipped {gate['skipped']:.0%}"
        text += f", without a channel {gate['empty']:.0%}" if gate["empty"] else ""
        below = 0.0
        for share, colour in parts:
            y = plot.y(below + share)
            canvas.rect(plot.x(index) - slot * 0.42, y, slot * 0.84, plot.y(below) - y, colour, text)
            below += share
        if index and gate["stage"] != gates[index - 1]["stage"]:
            canvas.line(plot.x(index - 0.5), top - 6, plot.x(index - 0.5), plot.bottom + 6, SOFT, 1, "2 3")
    shown = range(0, len(gates), max(1, -(-len(gates) * 24 // int(width))))
    plot.x_axis(shown, lambda index: str(gates[index]["block"]), "block (dotted: a new stage)")
    names = ("run, channels computed", "run, channels skipped", "skipped by its gates", "not reached: left before")
    x = left + width
    for name, colour in reversed(list(zip(names, (RAN, THINNED, SKIPPED, NOT_REACHED)))):
        x -= 28 + 6.3 * len(name)
        canvas.rect(x, top - 33, 12, 12, colour, radius=2)
        canvas.label(x + 17, top - 23, name, 11.5)


# ------------------------------------------------------------------------------------------------------------ samples
def _samples(canvas, run, images, top):
    """Images from the cheapest to the dearest, with what became of them."""
    results, names = run.results, run.package.class_names
    spent = results.cycles if run.budget.kind == "time" else results.flops
    order = np.argsort(spent, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(SAMPLES, len(order))).round().astype(int)]
    _heading(canvas, MARGIN, top, "Some of the images", "from the one that spent least to the one that spent most")
    step = (WIDTH - 2 * MARGIN) / SAMPLES
    for place, index in enumerate(chosen):
        x = MARGIN + place * step
        label, truth, exit_ = int(results.label[index]), int(run.labels[index]), int(results.exit[index])
        pixels = images[index] if images.shape[-1] in (1, 3) else images[index][..., :1]
        canvas.image(x, top + 36, 88, pixels)
        right = label == truth
        canvas.label(x, top + 142, f"{'✓' if right else '✗'} {names[label]}", 12, GOOD if right else BAD, weight=600)
        if not right:
            canvas.label(x, top + 190, f"is: {names[truth]}", 11.5, BAD)
        canvas.rect(x, top + 151, 9, 9, exit_colour(exit_, len(run.package.exits)), radius=2)
        after = (
            "at the end" if exit_ == len(run.package.exits) - 1 else f"after block {run.package.exits[exit_]['block']}"
        )
        canvas.label(x + 14, top + 159.5, after, 11.5)
        canvas.label(x, top + 175, f"{show(int(results.flops[index]), 'flops')} FLOPs", 11.5)


def _footer(canvas, run, summary):
    y = HEIGHT - 22
    canvas.line(MARGIN, y - 18, WIDTH - MARGIN, y - 18, GRID)
    package = summary["package"]
    text = f"package {package['name']}, sha256 {package['sha256'][:12]}; engine contract {summary['engine']['isa']}"
    canvas.label(MARGIN, y, text, 11)
    times = "times by the board's own timer" if summary["time_measured_ms"] else "times modelled, not measured"
    note = f"FLOPs and exits counted by the engine; {times}"
    canvas.label(WIDTH - MARGIN, y, note, 11, anchor="end")
