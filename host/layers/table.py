"""Where the time of a run goes, layer by layer: sums over its images, which are those of its records.

rows = layers(package, start, results, images)      # dicts of plain numbers, as --json has them
print(table(rows, clock_hz))
"""

from collections import Counter

from hls.cost import Cost
from hls.schedule import MULTIPLICATIONS
from host.layers.labels import labels
from host.layers.walk import Walk

ROWS = 24  # of a table for people, those that take longest


def layers(package, start, results, images):
    """One dict a layer, in the order of the program: what it took in all images together.

    `name`; `part` (network, gate or exit) and `block`; `images` that ran it; `flops`, `cycles` (modelled) and
    `weight_bytes`, sums over the images; `busy`: the share of the products that the array could have made in these
    cycles; `share` of all cycles. UserError where they do not sum up to the records.
    """
    walk, names = Walk(package, start), labels(package)
    rows = {label.row: {"name": label.row[1], "part": label.part, "block": label.block, "images": 0} for label in names}
    sums = {row: Counter(dict.fromkeys(Cost._fields, 0)) for row in rows}
    for index in range(len(results.cycles)):
        steps = walk.steps(results, index, images[index])
        for step in steps:
            sums[names[step.pc].row].update(step.cost._asdict())
        for row in {names[step.pc].row for step in steps}:
            rows[row]["images"] += 1
    total = max(int(results.cycles.sum()), 1)
    return [
        {**rows[row], **sums[row], "busy": busy(sums[row]), "share": sums[row]["cycles"] / total}
        for row in rows
        if rows[row]["images"]
    ]


def busy(cost):
    """Share of the products that the array could have made; `cost`: flops and cycles by name."""
    return cost["flops"] / 2 / (MULTIPLICATIONS * cost["cycles"]) if cost["cycles"] else 0.0


def table(rows, images):
    """The rows as text, means over `images`; of many those that take longest, and the others in one line."""
    longest = sorted(rows, key=lambda row: -row["cycles"])
    shown = [row for row in rows if row in longest[:ROWS]]
    width = max(len(row["name"]) for row in shown)
    head = f"{'layer':<{width}}  {'images':>7}  {'FLOPs':>11}  {'cycles':>10}  {'busy':>5}  {'bytes':>9}  {'share':>6}"
    lines = ["means an image; cycles are modelled", head, *(_line(row, images, width) for row in shown)]
    left = [row for row in rows if row not in shown]
    if left:
        lines.append(_line(_summed(left, f"{len(left)} more, see --json"), images, width))
    return "\n".join([*lines, _line(_summed(rows, "all"), images, width)])


def _summed(rows, name):
    found = {key: sum(row[key] for row in rows) for key in (*Cost._fields, "share")}
    return {"name": name, "images": max(row["images"] for row in rows), **found, "busy": busy(found)}


def _line(row, images, width):
    means = f"{row['flops'] / images:>11,.0f}  {row['cycles'] / images:>10,.0f}"
    bytes_ = f"{row['weight_bytes'] / images:>9,.0f}"
    return f"{row['name']:<{width}}  {row['images']:>7,}  {means}  {row['busy']:>5.0%}  {bytes_}  {row['share']:>6.1%}"
