"""A picture of what ran for each picture: its blocks from left to right, each a column of its channels, as SVG.

svg = draw(engine, names, pixels, found, masks)     # text; an entry a picture, masks of host/front/channels.py
"""

from hls import isa
from host.budgets.budget import show
from host.views.picture import INK, NOT_REACHED, PAPER, RAN, SKIPPED, SOFT, THINNED
from host.views.svg import Canvas

WIDTH, MARGIN, LEFT = 1200, 40, 250
ROW, COLUMN = 150, 110  # heights: of a picture's row, of a block's column
MOST = 40  # pictures that are drawn
SIDE = 96  # of a picture


def draw(engine, names, pixels, found, masks):
    """The SVG document; of more than MOST pictures the first."""
    shown = list(zip(names, pixels, found, masks))[:MOST]
    canvas = Canvas(WIDTH, 120 + ROW * len(shown) + 30)
    canvas.rect(0, 0, WIDTH, canvas.height, PAPER)
    canvas.label(MARGIN, 44, f"{engine.package.name}: what ran for each picture", 22, INK, weight=700)
    canvas.label(MARGIN, 66, "a column is a block, a line in it one of its channels; exits stand after their block", 13)
    _legend(canvas, 92)
    for number, (name, image, one, active) in enumerate(shown):
        _row(canvas, engine, 120 + ROW * number, name, image, one, active)
    return canvas.text()


def _legend(canvas, y):
    x = MARGIN
    for colour, text in (
        (RAN, "channel ran"),
        (THINNED, "channel left out"),
        (SKIPPED, "block skipped"),
        (NOT_REACHED, "not reached"),
    ):
        canvas.rect(x, y - 11, 12, 12, colour, radius=2)
        canvas.label(x + 18, y, text, 12)
        x += 40 + 7 * len(text)


def _row(canvas, engine, y, name, image, one, active):
    canvas.image(MARGIN, y, SIDE, image)
    x = MARGIN + SIDE + 12
    short = name if len(name) <= 22 else f"…{name[-21:]}"
    canvas.label(x, y + 16, short, 12)
    canvas.label(x, y + 38, f"{one.name}", 16, INK, weight=600)
    canvas.label(x, y + 56, f"{one.probability:.1%}", 12, INK)
    canvas.label(x, y + 76, f"{show(one.flops, 'flops')} FLOPs", 12)
    canvas.label(x, y + 94, f"{one.seconds * 1e3:.3g} ms ({one.seconds_kind})", 12)
    gates = engine.package.meta["gates"]
    gated = {gate["block"]: index for index, gate in enumerate(gates) if gate["channels"]}
    stop = engine.package.exits[one.exit]["block"]
    blocks = engine.package.exits[-1]["block"] + 1
    step = (WIDTH - MARGIN - LEFT - MARGIN) / max(blocks, 1)
    for block in range(blocks):
        box = (LEFT + MARGIN + block * step, y, max(step - 3, 1), COLUMN)
        index = gated.get(block)
        if index is None:
            _plain(canvas, box, block, block <= stop)
        else:
            _gated(canvas, box, gates[index], int(one.trace[index]), active[index])
    for item in engine.package.exits:
        taken = item is engine.package.exits[one.exit]
        x = LEFT + MARGIN + (item["block"] + 1) * step - 1.5
        canvas.dot(x, y + COLUMN + 10, 5 if taken else 2.5, INK if taken else SOFT, item["name"])
    canvas.label(LEFT + MARGIN, y + COLUMN + 30, f"left at {one.exit_name}", 12, INK)


def _plain(canvas, box, block, ran):
    """A block without a gate: all of its channels run if it is reached."""
    canvas.rect(*box, RAN if ran else NOT_REACHED, f"block {block}: no gate, {'run' if ran else 'not reached'}")


def _gated(canvas, box, gate, ran, active):
    x, y, width, height = box
    if active is None:
        colour, what = (SKIPPED, "skipped") if ran == isa.TRACE_SKIPPED else (NOT_REACHED, "not reached")
        canvas.rect(x, y, width, height, colour, f"block {gate['block']}: {what}")
        return
    channels = gate["channels"]
    canvas.rect(x, y, width, height, THINNED, f"block {gate['block']}: {len(active)} of {channels} channels")
    for first, last in runs(active.tolist()):
        top, bottom = y + height * first / channels, y + height * last / channels
        canvas.rect(x, top, width, bottom - top, RAN, f"block {gate['block']}: channels {first} to {last - 1}")


def runs(numbers):
    """(first, one past the last) of each row of neighbours in rising `numbers`."""
    found = []
    for number in numbers:
        if found and found[-1][1] == number:
            found[-1][1] = number + 1
        else:
            found.append([number, number + 1])
    return found
