"""The example images, each with what ran for it, and the timeline of one of them.

print(card(package, example, chosen), timeline(rows, package, example, chosen))
"""

import base64
from html import escape

from bench.front.page.examples import CUT, FIRST, LAST, RAN, SKIPPED, UNREACHED
from bench.front.page.figures import PARTS, bars, strip
from bench.front.page.points import millions
from data.formats.png import write_png

STATES = {SKIPPED: "skipped by its gate", CUT: "let run, then the budget ended it", UNREACHED: "not reached"}


def card(package, example, chosen):
    """One image under the budget number `chosen`."""
    run, name = example.runs[chosen], package.class_names[example.truth]
    png = base64.b64encode(write_png(example.pixels[..., :1])).decode()
    shown = texts(package, example, run)
    return f"""<li{"" if run.label == example.truth else ' class="wrong"'}>
<img src="data:image/png;base64,{png}" width="32" height="32" alt="Grey picture of the class {escape(name)}">
<h3>{escape(name)}</h3>
<p class="answer" data-shown="answer">{escape(shown["answer"])}</p>
{strip(package, example, run)}
<p class="cost"><strong data-shown="flops">{shown["flops"]}</strong><br>
<span data-shown="energy">{shown["energy"]}</span><br>
<span data-shown="ran">{shown["ran"]}</span><br>
<span data-shown="exit">{escape(shown["exit"])}</span></p>
</li>"""


def texts(package, example, run):
    """What a card says of a run."""
    answer, right = package.class_names[run.label], run.label == example.truth
    ran = [i for i, state in enumerate(run.blocks) if state == RAN]
    channels = sum(len(example.channels[i]) for i in ran)
    total = sum(gate["channels"] for gate in package.meta["gates"])
    return {
        "answer": f"✓ {answer}" if right else f"✗ {answer} (wrong)",
        "flops": f"{millions(run.flops)} FLOPs",
        "energy": f"{run.energy_mj:.3f} mJ, modelled",
        "ran": f"{len(ran)} of {len(run.blocks)} blocks, {channels} of {total} channels",
        "exit": left(package, run),
    }


def left(package, run):
    """Where the image left the network."""
    last = run.exit == len(package.exits) - 1
    return "ran to the end" if last else f"left at {package.exits[run.exit]['name']}"


def data(package, rows, example):
    """For each budget what the slider puts into an image's card, and into the timeline."""
    return [
        {
            "shown": texts(package, example, run),
            "right": run.label == example.truth,
            "blocks": run.blocks,
            "exit": run.exit,
            "slices": [[row, PARTS.index(part), cycles] for row, part, cycles in run.slices],
            "what": whats(package, rows, example, run),
        }
        for run in example.runs
    ]


def whats(package, rows, example, run):
    """Of each row of the timeline what became of it."""
    blocks = {gate["block"]: i for i, gate in enumerate(package.meta["gates"])}
    found = []
    for row in rows:
        if row.block is None:
            found.append({FIRST: "ran", LAST: left(package, run)}[row.title])
            continue
        index = blocks[row.block]
        kept, channels = example.channels[index], package.meta["gates"][index]["channels"]
        ran = None if kept is None else f"{len(kept)} of {channels} channels"
        found.append(STATES.get(run.blocks[index]) or f"ran, {ran}")
    return found


def timeline(package, rows, example, chosen):
    """The table of one image's steps, with a bar for when each of them ran."""
    run, total = example.runs[chosen], package.exits[-1]["cycles"]
    lines = []
    for row, what, (paths, cycles) in zip(rows, whats(package, rows, example, run), bars(run, len(rows))):
        drawn = "".join(f'<path class="{part}" d="{paths[part]}"/>' for part in PARTS)
        box = f'viewBox="0 0 {total} 1" preserveAspectRatio="none" aria-hidden="true"'
        lines.append(
            f'<tr><th scope="row">{row.title}</th><td class="what">{what}</td><td class="number cycles">{cycles:,}</td>'
            f'<td class="bar"><svg {box}>{drawn}</svg></td></tr>'
        )
    head = "".join(f'<th scope="col">{title}</th>' for title in ("step", "what became of it", "cycles", "when it ran"))
    return f"""<table id="timeline"><caption class="silent">Steps of one image, with modelled cycles</caption>
<thead><tr>{head}</tr></thead><tbody>
{chr(10).join(lines)}
</tbody><tfoot><tr><th scope="row">all</th><td></td><td class="number all">{run.cycles:,}</td><td></td></tr></tfoot>
</table>"""
