"""The picture of a synthesis report: bars of resources against the chip's limits, and each loop's II.

Path("report.svg").write_text(draw(report))       # report: bitstreams.report.Report
"""

from host.views.svg import GRID, INK, PAPER, SOFT, Canvas

WIDTH, MARGIN, LEFT = 860, 28, 130
BAR, GAP = 14, 6
TEXT = 100  # a count and its share are about so wide
COLOURS = {"modelled": "#b8c0cc", "open": "#e0a030", "hls": "#6a9fd8", "placed": "#1f5fa8"}
NAMES = {"modelled": "modelled", "open": "open tools", "hls": "Vitis HLS", "placed": "Vivado"}
TITLES = {"dsp": "DSP48E1", "bram18": "BRAM18", "lut": "LUT", "ff": "FF"}
GOOD, BAD = "#2f8f5b", "#c0392b"


def draw(report):
    """The SVG document of a Report."""
    bars = len(report.limits) * (len(COLOURS) * (BAR + 2) + GAP + 10)
    canvas = Canvas(WIDTH, 166 + bars + 18 * max(1, len(report.loops)))
    canvas.rect(0, 0, canvas.width, canvas.height, PAPER)
    canvas.label(MARGIN, 36, f"{report.title}: resources and schedule", 18, INK, weight=600)
    ran = ", ".join(report.stages) or "none"
    canvas.label(MARGIN, 56, f"Vendor stages that have run: {ran}. Grey is modelled: no tool has made it.", 12)
    _legend(canvas, 78)
    bottom = _resources(canvas, report, 116)
    _loops(canvas, report, bottom + 26)
    return canvas.text()


def _legend(canvas, y):
    x = MARGIN
    for origin, colour in COLOURS.items():
        canvas.rect(x, y - 9, 12, 12, colour)
        canvas.label(x + 18, y + 1, NAMES[origin], 12)
        x += 120


def _resources(canvas, report, y):
    """Bars as shares of the limit, cut at twice the limit; where they end."""
    scale = (WIDTH - LEFT - 190) / 2  # pixels for one limit
    top = y
    for name, limit in report.limits.items():
        canvas.label(LEFT - 12, y + 12, TITLES[name], 12, INK, anchor="end", weight=600)
        canvas.label(LEFT - 12, y + 28, f"of {limit:,}", 11, anchor="end")
        for origin in COLOURS:
            count = report.used.get(origin, {}).get(name)
            if count is None:
                canvas.label(LEFT + 4, y + 11, f"{NAMES[origin]}: not run", 10.5)
            else:
                share = count / limit
                canvas.rect(LEFT, y, min(share, 2) * scale, BAR, COLOURS[origin], f"{NAMES[origin]}: {count:,}")
                text = f"{count:,} ({100 * share:.0f} %)" + (" …" if share > 2 else "")
                ends = LEFT + min(share, 2) * scale
                behind = LEFT + scale if LEFT + scale - TEXT < ends <= LEFT + scale else ends  # of the limit's line
                canvas.label(behind + 6, y + 11, text, 11, BAD if share > 1 else SOFT)
            y += BAR + 2
        y += GAP + 10
    canvas.line(LEFT + scale, top - 4, LEFT + scale, y - 12, INK, 1.2, "4 3")
    canvas.label(LEFT + scale, top - 8, "the chip", 10.5, INK, anchor="middle")
    return y


def _loops(canvas, report, y):
    canvas.label(MARGIN, y, "Loops: initiation interval", 13, INK, weight=600)
    places = (MARGIN, 420, 540, 660)
    for x, text in zip(places, ("", "modelled", "reported", "")):
        canvas.label(x, y, text, 11)
    for row in report.loops:
        y += 18
        canvas.line(MARGIN, y - 13, WIDTH - MARGIN, y - 13, GRID)
        reported = "–" if row.reported is None or row.reported[0] is None else str(row.reported[0])
        colour = {"as modelled": GOOD, "not reported": SOFT}.get(row.verdict, BAD)
        for x, text, fill in zip(
            places, (row.name, str(row.expected[0]), reported, row.verdict), (INK, SOFT, INK, colour)
        ):
            canvas.label(x, y, text, 12, fill)
