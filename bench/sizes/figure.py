"""docs/dse.svg: images/s of every size against the DSP it takes, block RAM as the size of a dot.

text = figure(rows)     # the same text for the same rows, on any machine
"""

from bench.sizes.chart import svg
from bench.sizes.page import front, points, shipped
from bitstreams import resources

BEATEN, FRONT, SHIPPED, LIMIT = "#9fb3c8", "#c2571a", "#1b7f4d", "#b3261e"
SMALL, BIG = 24, 100  # points² of the dots of the fewest and the most block RAMs


def figure(rows):
    """The SVG document; each dot's id says what it stands for."""

    def draw(drawing):
        axes = drawing.subplots()
        axes.set_title("Sizes of the engine: images a second against DSP", loc="left", fontweight="bold")
        axes.set_xlabel("DSP48E1 (estimated from the sources)")
        axes.set_ylabel("images/s, package at its own decisions")
        if points(rows):
            _draw(axes, points(rows))
        else:
            axes.text(0.5, 0.5, "No rows: run python -m bench dse", transform=axes.transAxes, ha="center")

    return svg(draw, "dse")


def _draw(axes, at):
    """The dots, those of the front over the beaten ones, the board's limit, and what the colours mean."""
    best, limit = front(at), resources.limits()["dsp"]
    blocks = [detail["bram18"] for _, detail in at]
    for rate, detail in sorted(at, key=lambda point: point in best):
        colour = SHIPPED if shipped(detail) else FRONT if (rate, detail) in best else BEATEN
        title = ", ".join(f"{name} {value}" for name, value in detail.items())
        area = _area(detail["bram18"], blocks)
        axes.scatter(detail["dsp"], rate, area, colour, gid=f"{rate:,.0f} images/s: {title}", linewidths=0, zorder=2)
    axes.axvline(limit, color=LIMIT, linestyle="--", linewidth=1.2)
    axes.annotate(f"the board's {limit}", (limit, 1), (4, -10), ("data", "axes fraction"), "offset points", color=LIMIT)
    for colour, name in ((SHIPPED, "shipped"), (FRONT, "on the front"), (BEATEN, "beaten")):
        axes.scatter([], [], 40, colour, label=name)
    for block in (min(blocks), max(blocks)):
        axes.scatter([], [], _area(block, blocks), "#5c6876", label=f"{block} BRAM18")
    axes.set_xlim(0, 1.05 * max(limit, *(detail["dsp"] for _, detail in at)))
    axes.set_ylim(0, 1.08 * max(rate for rate, _ in at))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.7), frameon=False)


def _area(block, blocks):
    spread = max(blocks) - min(blocks) or 1
    return SMALL + (BIG - SMALL) * (block - min(blocks)) / spread
