"""The page's drawings, as SVG that takes its colours from the page's style and so follows its dark mode.

print(accuracy_chart(measured), spending_chart(measured))
"""

from html import escape

from bench.front.page.points import millions
from host.views.paths import runs
from host.views.svg import ticks

WIDTH, HEIGHT = 360, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 44, 14, 40
BLOCK, GAP, TALL = 20, 4, 64  # of a strip: a block's width, the room between two, their height
PARTS = ("network", "gate", "exit")


class Axes:
    """A plot of budgets: x in FLOPs, with room at the right for the point without a budget."""

    def __init__(self, measured, low, high):
        self.budgets = [point.budget for point in measured.points]
        self.most, self.low, self.high = max(filter(None, self.budgets)), low, high

    def x(self, budget):
        wide = WIDTH - LEFT - RIGHT
        return WIDTH - RIGHT / 2 if budget is None else LEFT + wide * budget / self.most

    def y(self, value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def drawn(self, values, form):
        """Both axes; `values` and `form` of the numbers at y."""
        lines = []
        for value in values:
            y = self.y(value)
            lines.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
            lines.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{form(value)}</text>')
        base = HEIGHT - BOTTOM
        for value in ticks(self.most, 4):
            lines.append(f'<text class="middle" x="{self.x(value):.1f}" y="{base + 16}">{value / 1e6:g}</text>')
        lines.append(f'<text class="middle" x="{self.x(None):.1f}" y="{base + 16}">none</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        lines.append(f'<text class="middle" x="{middle:g}" y="{base + 33}">budget, MFLOPs an image</text>')
        return lines

    def series(self, values, name):
        """A line through the points of `values`, and a dot for each."""
        places = [(self.x(budget), self.y(value)) for budget, value in zip(self.budgets, values)]
        line = "L".join(f"{x:.1f} {y:.1f}" for (x, y), budget in zip(places, self.budgets) if budget is not None)
        dots = "".join(f'<circle class="{name}" data-i="{i}" cx="{x:.1f}" cy="{y:.1f}" r="2.6"/>'
                       for i, (x, y) in enumerate(places))  # fmt: skip
        return f'<path class="line {name}" d="M{line}"/>{dots}'


def chart(title, body, chosen):
    """A drawing with its title for those who cannot see it; the dots of point `chosen` stand out."""
    marked = "\n".join(body).replace(f'data-i="{chosen}"', f'data-i="{chosen}" data-now=""')
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n{marked}\n</svg>'
    )


def accuracy_chart(measured):
    """Accuracy over the budget."""
    values = [point.rows["accuracy"]["value"] for point in measured.points]
    low, high = min(values), max(values)
    step = 0.02 if high - low > 0.05 else 0.01
    low, high = step * int(low / step), step * (int(high / step) + 1)
    axes = Axes(measured, low, high)
    marks = [low + step * i for i in range(round((high - low) / step) + 1)]
    first, last = measured.points[0], measured.points[-1]
    ends = (f"{point.shown['accuracy']} at {point.name}" for point in (first, last))
    title = f"Accuracy over the budget: {', '.join(ends)}"
    body = [*axes.drawn(marks, lambda value: f"{value:.0%}"), axes.series(values, "accuracy")]
    return chart(title, body, measured.chosen)


def spending_chart(measured):
    """What images spent over the budget, the mean and the dearest, below the line on which all of it would be spent."""
    mean, most = ([point.rows[what]["value"] for point in measured.points] for what in ("flops", "flops_max"))
    high = max(most) * 1.05
    axes = Axes(measured, 0, high)
    limit = f"M{axes.x(0):.1f} {axes.y(0):.1f}L{axes.x(axes.most):.1f} {axes.y(axes.most):.1f}"
    title = f"FLOPs spent over the budget: the dearest image never over it, the mean up to {millions(max(mean))}"
    body = [*axes.drawn(ticks(high, 4), lambda value: f"{value / 1e6:g}M"), f'<path class="limit" d="{limit}"/>']
    return chart(title, [*body, axes.series(most, "most"), axes.series(mean, "mean")], measured.chosen)


def strip(package, example, run):
    """A column for each gated block, a line in it for each channel, coloured by what of it ran; then the exits.

    What it shows stands beside it as text, so it is hidden from those who cannot see it.
    """
    parts, gates = [], package.meta["gates"]
    for index, (gate, active, state) in enumerate(zip(gates, example.channels, run.blocks)):
        x, one = index * (BLOCK + GAP), TALL / gate["channels"]
        kept = [] if active is None else runs(active.tolist())
        lines = "".join(f"M{x} {first * one:g}h{BLOCK}V{last * one:g}h-{BLOCK}z" for first, last in kept)
        ground = f'<path class="ground" d="M{x} 0h{BLOCK}v{TALL}h-{BLOCK}z"/>'
        parts.append(f'<g class="{state}">{ground}<path class="on" d="{lines}"/></g>')
    wide = len(gates) * (BLOCK + GAP) + GAP
    for index, item in enumerate(package.exits):
        taken = " taken" if index == run.exit else ""
        x = sum(gate["block"] <= item["block"] for gate in gates) * (BLOCK + GAP) - GAP / 2
        parts.append(f'<circle class="exit{taken}" cx="{x:g}" cy="{TALL + 8}" r="3"/>')
    return f'<svg class="strip" viewBox="0 0 {wide} {TALL + 13}" aria-hidden="true">{"".join(parts)}</svg>'


def bars(run, rows):
    """For each of so many rows of the timeline: part → path of its slices, a cycle wide and 1 high; and its cycles."""
    found, at = [(dict.fromkeys(PARTS, ""), 0) for _ in range(rows)], 0
    for row, part, cycles in run.slices:
        paths, spent = found[row]
        paths[part] += f"M{at} 0h{cycles}v1h-{cycles}z"
        found[row] = paths, spent + cycles
        at += cycles
    return found
