"""The engine as a picture: what stands on the chip and what goes between, with the sizes of its contract.

    print(picture())
    text = document()       # docs/figures/engine.svg: the same by itself, in the light mode's colours

Every number in it is one of hls/isa.toml, or follows from some of them.
"""

from html import escape

from hls import isa
from hls.schedule import MULTIPLICATIONS

WIDTH, HEIGHT = 360, 436
HALF, TITLE, LINE = 170, 17, 15.5  # width of a box, heights of its title and of a line
SECOND = WIDTH - HALF
WORD = isa.TILE**2  # bytes
ABOVE, MIDDLE, BELOW = (82, 104), (222, 88), (346, 88)  # y and height of the rows
BOXES = (  # x, y, height, width, class, title, lines
    (0, 0, 46, WIDTH, "outside", "DDR memory", "program · weights · images · records"),
    (0, *ABOVE, HALF, "decides", "Control", "checks each instruction,", "prices it in FLOPs and",
     "cycles, compares with", "the budget: run or stop"),
    (SECOND, *ABOVE, HALF, "works", "Fetch", "reads the weights of", "active channels alone,",
     f"by {isa.WEIGHT_PORTS} ports of {isa.PORT_BYTES} bytes,", "into queues"),
    (0, *MIDDLE, HALF, "decides", "Gates", "small FC or LSTM layers", "skip a block, or leave a",
     "list of active channels"),
    (SECOND, *MIDDLE, HALF, "works", "Array", f"{isa.TILE}×{isa.TILE} pixels × {isa.OUT_LANES} channels",
     f"× {isa.ROW_TAPS} taps of a kernel:", f"{MULTIPLICATIONS} products a cycle"),
    (0, *BELOW, HALF, "decides", "Exits", "one classifier, where", "the image stops; never", "run just in case"),
    (SECOND, *BELOW, HALF, "works", "Tile memory", f"{isa.TILE_WORDS:,} words of {WORD} bytes,",
     f"{isa.TILE_WORDS * WORD // 1024} KB in {WORD} banks:", "all maps of an image"),
)  # fmt: skip
ARROWS = (  # from, to, what goes there, where that is written
    ((85, 46), (85, 82), "instructions", (92, 68, "start")),
    ((275, 46), (275, 82), "bursts", (282, 68, "start")),
    ((85, 222), (85, 186), "skip", (92, 208, "start")),
    ((170, 240), (190, 150), "", (0, 0, "start")),
    ((275, 186), (275, 222), "queues", (282, 208, "start")),
    ((240, 346), (240, 310), "windows", (234, 332, "end")),
    ((310, 310), (310, 346), "outputs", (304, 332, "end")),
    ((190, 280), (170, 280), "", (0, 0, "start")),
    ((190, 390), (170, 390), "", (0, 0, "start")),
)  # fmt: skip
STYLE = (
    "text{font:12.5px system-ui,'DejaVu Sans',sans-serif;fill:#1c2228}.name{font-weight:700;font-size:13.5px}"
    ".soft{fill:#535c66;font-size:11.5px}rect{fill:#fff;stroke:#dcdbd5}.ground{stroke:none}.decides{stroke:#b4541f}"
    ".works{stroke:#245f9e}.outside{stroke:#535c66;stroke-dasharray:4 3}.way{stroke:#535c66;stroke-width:1.3;fill:none}"
    ".tip{fill:#535c66}.end{text-anchor:end}.middle{text-anchor:middle}"
)
TEXT = (
    "Control reads instructions from the DDR, checks and prices each, and compares with the budget. Gates skip a block "
    "or leave a list of active channels. Fetch reads the weights of these alone. The array multiplies windows of the "
    "tile memory and writes the outputs back. An exit's classifier runs where the image stops."
)


def picture():
    """The SVG; its text for those who cannot see it is TEXT."""
    parts = [_box(*box) for box in BOXES] + [_arrow(*arrow) for arrow in ARROWS]
    head = '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    defs = f'{head}<path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>'
    box = f'viewBox="-1 -1 {WIDTH + 2} {HEIGHT}"'
    return f'<svg class="engine" {box} role="img" aria-label="{escape(TEXT)}">{defs}{"".join(parts)}</svg>'


def document():
    """The picture as a file of its own, which no style sheet of a page stands around."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH * 1.5:g}" height="{HEIGHT * 1.5:g}" class="engine"'
    whole = picture().replace('<svg class="engine"', head, 1)
    ground = f'<rect class="ground" x="-1" y="-1" width="{WIDTH + 2}" height="{HEIGHT}"/>'
    return whole.replace("<defs>", f"<style>{STYLE}</style>{ground}<defs>", 1) + "\n"


def _box(x, y, height, width, kind, title, *lines):
    found = [f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>']
    found.append(f'<text class="name" x="{x + 11}" y="{y + 5 + TITLE}">{escape(title)}</text>')
    for number, line in enumerate(lines):
        found.append(f'<text x="{x + 11}" y="{y + 23 + TITLE + LINE * number:g}">{escape(line)}</text>')
    return "".join(found)


def _arrow(start, end, text, place):
    x, y, anchor = place
    line = f'<path class="way" marker-end="url(#tip)" d="M{start[0]} {start[1]}L{end[0]} {end[1]}"/>'
    return line + (f'<text class="{anchor} soft" x="{x}" y="{y}">{escape(text)}</text>' if text else "")
