"""Make the project's page, docs/index.html, from result rows and from what the engine runs for ten images.

    python -m bench.front.page            # make page: write it
    python -m bench.front.page --check    # exit code 1 if it differs from rows, packages or engine

One file that loads nothing: style, script, pictures and figures are in it. It works without scripts, at one budget.
"""

import base64
import hashlib
import json
import string
import sys
from html import escape
from pathlib import Path

from bench.front.page import cards, engine, explorer, sources
from bench.front.page.examples import examples
from bench.front.page.html import kind
from bench.front.page.points import packages
from bench.packages import PACKAGES, fingerprint
from bench.rows import ROOT, latest
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.generated import renewed
from hls.package import read

HERE, PAGE = Path(__file__).resolve().parent, ROOT / "docs" / "index.html"
PICTURE = ROOT / "docs" / "figures" / "engine.svg"
SHARED = "fashion-mnist"  # the package whose images may be shown
KINDS = {
    "simulated": "counted by the engine’s own C++ source, compiled for this machine, bit for bit as the golden model",
    "modelled": "by the schedule’s cycles at a target clock, and by uncalibrated energy coefficients from literature",
    "estimated": "by open tools",
    "measured": "on the machine that the row names; there is no measurement on a board yet",
    "cited": "from others’ publications",
}
DOCS = {
    "own.md": "Your own images: from a folder to a prediction",
    "board.md": "On a board: from an empty SD card to the first prediction",
    "power.md": "Measuring energy, with wiring and calibration",
    "training.md": "Recipes, phases, gates, and how to add a method",
    "networks.md": "ONNX files and PyTorch modules",
    "papers.md": "Which equation of which paper is which file",
    "engine.md": "What each instruction computes, to the bit",
    "isa.md": "The instruction set, generated from the contract",
    "synthesis.md": "From C++ to a bitstream, and what open tools make of it",
    "resources.md": "What the engine takes of the chip",
    "dse.md": "Other sizes of the engine, and why these",
    "decisions.md": "What was chosen, and why",
}


def main(argv=None):
    """Exit code 0; 1 when --check finds a stale page; 2 where rows are missing."""
    parser = Parser(prog="python -m bench.front.page", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the page is stale")
    arguments = parser.parse_args(argv)
    made = "make page, which reads bench/results/ and runs packages/"
    return guarded("page", lambda: renewed(files(latest()), ROOT, made, arguments.check))


def files(rows):
    """Path → text of the page, and of the engine's picture by itself."""
    return {PAGE: page(rows), PICTURE: engine.document()}


def page(rows):
    """The page as text. UserError where rows of a committed package are missing."""
    found, package = packages(rows), read(PACKAGES / f"{SHARED}.npz")
    shared = next(one for one in found if one.name == SHARED)
    steps, shown = examples(package, [point.budget for point in shared.points])
    chosen, first = shared.chosen, len(shown) // 2
    style, script = ((HERE / f"page.{end}").read_text(encoding="utf-8") for end in ("css", "js"))
    points = {
        "shared": SHARED,
        "packages": {one.name: explorer.data(one) for one in found},
        "examples": [cards.data(package, steps, one) for one in shown],
    }
    return string.Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        policy=policy("\n" + script),
        style=style,
        script=script,
        points=json.dumps(points, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/"),
        facts=facts(rows, found, shared),
        choices="\n".join(explorer.choice(one, one is found[0]) for one in found),
        explorers="\n".join(explorer.explorer(one) for one in found),
        kinds=kinds(),
        budget=shared.points[chosen].shown["budget"],
        again=explorer.control(shared, again=True),
        cards="\n".join(cards.card(package, one, chosen) for one in shown),
        examples_source=examples_source(package),
        engine=engine.picture(),
        timeline_text=timeline_text(package, shared),
        picks=picks(package, shown, first),
        timeline=cards.timeline(package, steps, shown[first], chosen),
        tables=sources.shown(rows),
        docs="\n".join(f'<li><a href="{name}">{name}</a>{escape(text)}</li>' for name, text in DOCS.items()),
    )


def policy(script):
    """What a browser lets the page do: this script, styles and pictures that stand in it, nothing over a network."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def facts(rows, found, shared):
    """What the promise comes to, in a few figures."""
    over = [rows[f"{one.name}.over_budget"] for one in found]
    now = shared.points[shared.chosen]
    lines = [
        (f"{sum(row['value'] for row in over):,}", f"of {sum(row['n'] for row in over):,} runs of an image spent more "
         "than their budget", "simulated"),
        (now.shown["accuracy"], f"of {shared.images:,} test images of {shared.title} right at {now.name}, for "
         f"{now.shown['flops_share']}", "simulated"),
    ]  # fmt: skip
    saved = rows.get("proportionality.mean")
    if saved and saved["package"] == fingerprint(SHARED):
        lines.append((f"{saved['value']:.0%}", "of what an image saves in FLOPs is saved in cycles, too "
                      f"(mean of {saved['n']:,})", saved["kind"]))  # fmt: skip
    return "\n".join(f"<li><b>{large}</b>{escape(text)} {kind(sort)}</li>" for large, text, sort in lines)


def kinds():
    """What the small words beside figures mean."""
    return "".join(f"<dt>{kind(name)}</dt><dd>{escape(text)}</dd>" for name, text in KINDS.items())


def examples_source(package):
    """Which package ran, and that it runs whenever the page is made."""
    return (
        f"Run on the co-simulation by <code>make page</code>, package {escape(package.name)}, sha256 "
        f"{fingerprint(SHARED)}, for images of the repository’s sample of 1,000. Images of CIFAR-10 are not shown."
    )


def timeline_text(package, shared):
    """What the bars are."""
    now, whole = shared.points[shared.chosen].shown["budget"], package.exits[-1]["cycles"]
    return (
        f'At <strong data-shared="budget">{now}</strong>. A bar is as long as the cycles of its step '
        f"{kind('modelled')}, and stands where it ran; the full width is the {whole:,} cycles of the network with "
        "every gate open."
    )


def picks(package, shown, first):
    """The images that the timeline can show."""
    names = [escape(package.class_names[one.truth]) for one in shown]
    return "".join(f"<option{' selected' if i == first else ''}>{name}</option>" for i, name in enumerate(names))


if __name__ == "__main__":
    sys.exit(main())
