"""Drawings of what skipping looks like: easy and hard images, features, blocks, an exit that takes more and more.

    text = easy_and_hard(rows)          # docs/figures/fig13.svg; the engine runs the repository's own sample for it

They need no rows: what they show is run when they are drawn (runs.py).
"""

import numpy as np

from bench.papers.figures.runs import SHOWN, blocks, early, features, sample_runs
from bench.sizes.chart import OTHER, OURS, SOFT, WARM, legend_below, svg, titled
from host.views.svg import INK, Canvas

EASY, HARD = 0.6, 0.4  # skipped shares of JSTSP Fig. 13
EACH, CELL, GAP = 10, 64, 12
PAPER_FALLS = 80  # % of the images, ICCV Fig. 10
WIDE = 2 * GAP + EACH * (CELL + GAP) - GAP


def groups():
    """{"easy": numbers of images, "hard": …} of the sample by the share that they skip."""
    skipped = sample_runs().skipped
    return {"easy": np.flatnonzero(skipped > EASY), "hard": np.flatnonzero(skipped < HARD)}


def easy_and_hard(rows):
    """The first image of each class that skips more than 60 % of the FLOPs, and less than 40 %, with its share."""
    found, canvas, top = sample_runs(), Canvas(WIDE, 2 * (CELL + 58) + 40), 40
    canvas.rect(0, 0, WIDE, canvas.height, "#ffffff")
    canvas.label(GAP, 24, "Easy and hard images, by the share of FLOPs skipped", 15, INK, weight=700)
    for name, numbers in groups().items():
        limit = f"more than {EASY:.0%}" if name == "easy" else f"less than {HARD:.0%}"
        text = f"{name}: {limit} skipped; {len(numbers)} of {len(found.images):,} images"
        canvas.label(GAP, top + 14, text, 12, OURS if name == "easy" else WARM, weight=600)
        for place, number in enumerate(_firsts(numbers, found.labels)):
            x = GAP + place * (CELL + GAP)
            canvas.image(x, top + 22, CELL, found.images[number][..., :1])
            title = found.package.class_names[found.labels[number]]
            canvas.label(x + CELL / 2, top + CELL + 36, title[:11], 10, anchor="middle")
            canvas.label(x + CELL / 2, top + CELL + 49, f"{found.skipped[number]:.0%}", 11, INK, "middle", 600)
        top += CELL + 58
    return canvas.text()


def _firsts(numbers, labels):
    """The first image of each class, by the classes' order."""
    firsts = {}
    for number in numbers:
        firsts.setdefault(int(labels[number]), int(number))
    return [firsts[label] for label in sorted(firsts)][:EACH]


def easy_and_hard_table(rows):
    """How many images are easy and hard, and how many of them are right."""
    found = sample_runs()
    right = found.results.label == found.labels
    lines = ["| ours, 1,000 images of Fashion-MNIST | images | right | mean skipped |", "|---|---|---|---|"]
    for name, numbers in [*groups().items(), ("all", np.arange(len(right)))]:
        if len(numbers):
            shares = f"{right[numbers].mean():.1%} | {found.skipped[numbers].mean():.1%}"
            lines.append(f"| {name} | {len(numbers):,} | {shares} |")
    return lines


def feature_maps(rows):
    """The strongest channels behind a block: a row for each way of skipping, each channel on a scale of its own."""
    maps, distance, block, _ = features()
    rows_of, left, cell = list(maps), 190, 72
    canvas = Canvas(left + SHOWN * (cell + 8) + 8, 52 + len(rows_of) * (cell + 12))
    canvas.rect(0, 0, canvas.width, canvas.height, "#ffffff")
    canvas.label(GAP, 24, f"Features behind block {block}, its {SHOWN} strongest channels", 15, INK, weight=700)
    strongest = np.sort(np.argsort(-maps["nothing skipped"].sum((1, 2)), kind="stable")[:SHOWN])
    most = np.max([found[strongest].max((1, 2)) for found in maps.values()], 0)
    for line, way in enumerate(rows_of):
        top = 44 + line * (cell + 12)
        canvas.label(GAP, top + cell / 2, way, 12, INK, weight=600)
        if line:
            canvas.label(GAP, top + cell / 2 + 16, f"distance {distance[way]:.2f}", 11)
        for place, channel in enumerate(strongest):
            shade = (maps[way][channel] * 255 // max(most[place], 1)).astype(np.uint8)[..., None]
            canvas.image(left + place * (cell + 8), top, cell, shade)
    return canvas.text()


def feature_table(rows):
    """The mean distances."""
    _, distance, block, _ = features()
    lines = [f"| ours, behind block {block} | distance from nothing skipped |", "|---|---|"]
    return lines + [f"| {way} | {value:.3f} |" for way, value in distance.items() if value]


def skipping_by_block(rows):
    """How often each block is skipped, and how many of its channels where it runs."""
    lines = blocks(sample_runs())

    def draw(figure):
        axes = figure.subplots()
        titled(axes, "What is skipped, block by block", "block of the ResNet-74 (those pruned away are left out)", "%")
        places = np.arange(len(lines))
        axes.bar(places - 0.2, [100 * line[2] for line in lines], 0.38, color=OTHER, label="images that skip the block")
        axes.bar(places + 0.2, [100 * line[3] for line in lines], 0.38, color=SOFT,
                 label="its channels that are skipped where it runs")  # fmt: skip
        for place in (place for place, line in zip(places, lines) if not line[-1]):
            axes.annotate("no layer gate", (place, 2), (-8, 0), textcoords="offset points", rotation=90, ha="center",
                          fontsize=7, color=WARM)  # fmt: skip
        axes.set_xticks(places, [str(line[0]) for line in lines])
        axes.set_ylim(0, 100)
        legend_below(axes)

    return svg(draw, "fig15")


def skipping_by_block_table(rows):
    """The same as a table."""
    lines = ["| ours, block | stage | images that skip it | channels skipped where it runs |", "|---|---|---|---|"]
    for block, stage, skipped, channels, can_skip in blocks(sample_runs()):
        shown = f"{skipped:.1%}" if can_skip else "has no layer gate"
        lines.append(f"| {block} | {stage + 1} | {shown} | {channels:.1%} |")
    return lines


def one_exit(rows):
    """Accuracy as more images leave at an exit, the surest first; a line an exit."""
    found = sample_runs()
    exits = found.package.exits[:-1]

    def draw(figure):
        axes = figure.subplots()
        title, x = "Accuracy as more images leave at one exit", "images that leave there, the surest first, %"
        titled(axes, title, x, "accuracy, %")
        for number, one in enumerate(exits):
            points = early(found, number)
            shade = (number + 1) / len(exits)
            axes.plot([100 * share for share, _ in points], [100 * accuracy for _, accuracy in points],
                      color=(0.11 + 0.6 * (1 - shade), 0.5 + 0.3 * (1 - shade), 0.3 + 0.5 * (1 - shade)),
                      linewidth=1.4, label=f"{one['name']}, {one['flops'] / 1e6:.1f}M")  # fmt: skip
        axes.axvline(PAPER_FALLS, color=WARM, linestyle="--", linewidth=1)
        axes.annotate("where the paper's falls", (PAPER_FALLS, 0), (-4, 6), ("data", "axes fraction"), "offset points",
                      ha="right", color=WARM)  # fmt: skip
        legend_below(axes, 3)

    return svg(draw, "iccv-fig10")


def one_exit_table(rows):
    """Some points of it."""
    found, shares = sample_runs(), (0.5, 0.8, 0.9, 1.0)
    lines = [f"| ours | nobody leaves | {' | '.join(f'{share:.0%}' for share in shares)} |", "|---" * 6 + "|"]
    for number, one in enumerate(found.package.exits[:-1]):
        points = [accuracy for _, accuracy in early(found, number)]
        cells = [f"{points[round(share * (len(points) - 1))]:.1%}" for share in (0, *shares)]
        lines.append(f"| {one['name']} | {' | '.join(cells)} |")
    return lines
