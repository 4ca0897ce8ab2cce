"""What all drawings share: one look, and the same text for the same rows on any machine.

    text = svg(draw, "fig9")       # draw(figure) puts axes on a matplotlib Figure; "fig9" makes its ids its own

No date, no version and no font of the machine goes into a file, so that `python -m bench.documents --check` can compare
it. Matplotlib is imported where a drawing is made, not where only tables are.
"""

import io

INCHES = (7.6, 4.3)
OURS, OTHER, SOFT, STATIC, WARM = "#1b7f4d", "#2f6fb3", "#9fb3c8", "#5c6876", "#c2571a"
STYLE = {"svg.fonttype": "none", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
         "axes.grid": True, "axes.axisbelow": True, "grid.color": "#e3e7ec"}  # fmt: skip


def svg(draw, salt, inches=INCHES):
    """The SVG document of what `draw(figure)` draws."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({**STYLE, "svg.hashsalt": salt}):
        drawing, text = Figure(figsize=inches, layout="constrained"), io.StringIO()
        draw(drawing)
        drawing.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def titled(axes, title, x, y):
    """Name axes and drawing."""
    axes.figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def legend_below(axes, columns=2):
    """What the marks mean, under the drawing: there it covers nothing."""
    axes.figure.legend(loc="outside lower center", ncols=columns, frameon=False)


def plain_log(axis, places):
    """A logarithmic axis with these numbers on it, as people write them."""
    from matplotlib.ticker import FixedLocator, NullLocator

    axis.axes.set_xscale("log")
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([f"{place:g}" for place in places])
