"""The part of the page that shows a package under one of its budgets, and what its slider needs.

print(explorer(measured), data(measured)[0]["said"])
"""

from html import escape

from bench.front.page.figures import accuracy_chart, spending_chart
from bench.front.page.html import grid, kind
from bench.front.page.sources import source

FIGURES = (  # title, kind, what is large, what stands below it
    ("Accuracy", "simulated", "accuracy", "images"),
    ("FLOPs, mean", "simulated", "flops", "flops_share"),
    ("Time, mean", "modelled", "time", "clock"),
    ("Energy, mean", "modelled", "energy", "coefficients"),
)
COLUMNS = (("budget", "Budget"), ("accuracy", "Accuracy"), ("flops", "FLOPs, mean"), ("flops_max", "FLOPs, dearest"),
           ("cycles", "Cycles (modelled)"), ("time", "Time (modelled)"), ("energy", "Energy (modelled)"),
           ("layers", "Gated blocks let run"), ("exits", "Exits taken"))  # fmt: skip


def choice(measured, checked):
    """The radio button of a package."""
    value = escape(measured.name)
    mark = " checked" if checked else ""
    return f'<label><input type="radio" name="package" value="{value}"{mark}>{escape(measured.title)}</label>'


def explorer(measured):
    """A package at the budget that is shown first, with its slider, charts and the table of all budgets."""
    name, now = escape(measured.name), measured.points[measured.chosen]
    figures = "".join(_figure(*one, now) for one in FIGURES)
    rows = [row for point in measured.points for row in point.rows.values()]
    return f"""<article class="explorer" data-package="{name}" aria-label="{escape(measured.title)}">
<h3>{escape(measured.title)}, {measured.images:,} test images</h3>
{control(measured)}
<p class="silent" role="status" aria-live="polite"></p>
<p class="still">At {now.shown["budget"]}; the table below has all budgets.</p>
<dl class="figures">{figures}</dl>
<div class="three">
<div><h4>Accuracy over the budget</h4>{accuracy_chart(measured)}</div>
<div><h4>FLOPs that images spend</h4>{spending_chart(measured)}
<ul class="key"><li style="--key:var(--gate)">dearest image</li><li style="--key:var(--ran)">mean</li>
<li style="--key:var(--limit)">the budget</li></ul></div>
<div><h4>Exits taken</h4>{_exits(now)}
<p class="source"><span data-shown="within">{now.shown["within"]}</span>. Of the blocks with a gate
<span data-shown="layers">{now.shown["layers"]}</span> are let run, on average.</p></div>
</div>
<details open><summary>All budgets of {escape(measured.title)} as a table</summary>
{_table(measured)}
<p class="source">{source(rows)}</p></details>
</article>"""


def control(measured, again=False):
    """The slider, which needs scripts; `again`: one that moves with that of the same package further up."""
    name, points, now = escape(measured.name), measured.points, measured.points[measured.chosen].shown["budget"]
    slider, place = (f"again-{name}", "data-shared") if again else (f"slider-{name}", "data-shown")
    return f"""<div class="control{" again" if again else ""}"><label for="{slider}">Budget</label>
<output for="{slider}" aria-live="off" {place}="budget">{now}</output>
<input type="range" id="{slider}" data-of="{name}" min="0" max="{len(points) - 1}" step="1" value="{measured.chosen}"
aria-valuetext="{now}">
<p class="ends" aria-hidden="true"><span>{points[0].name}</span><span>{points[-1].name}</span></p></div>"""


def data(measured):
    """For each point what the slider puts into the page: texts by their place, exits, a sentence to be read out."""
    return [
        {"shown": point.shown, "exits": [[round(share, 4), percent(share)] for _, share in point.exits],
         "said": said(point)}
        for point in measured.points
    ]  # fmt: skip


def said(point):
    """The figures of a point in one sentence."""
    shown = point.shown
    return (
        f"{shown['budget']}: accuracy {shown['accuracy']}, {shown['flops']} FLOPs on average, {shown['time']} and "
        f"{shown['energy']}, both modelled; {shown['exits']} exits taken"
    )


def percent(share):
    """A share as text; what is small is not said to be nothing."""
    return "0" if share == 0 else "< 0.1%" if share < 0.001 else f"{share:.1%}"


def _figure(title, sort, large, below, point):
    return (
        f'<div><dt>{title} {kind(sort)}</dt><dd class="big" data-shown="{large}">{point.shown[large]}</dd>'
        f'<dd class="note" data-shown="{below}">{point.shown[below]}</dd></div>'
    )


def _exits(point):
    lines = (
        f'<li style="--share:{share:.4f}"><span>{escape(name)}</span><span class="share">{percent(share)}</span></li>'
        for name, share in point.exits
    )
    return f'<ol class="exits">{"".join(lines)}</ol>'


def _table(measured):
    body = [[point.shown[what] if what != "budget" else point.name for what, _ in COLUMNS] for point in measured.points]
    return grid([title for _, title in COLUMNS], body, f"{measured.title} under every budget")
