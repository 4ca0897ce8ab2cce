"""The page of the design space: docs/dse.md's blocks and docs/dse.svg, made from the rows of `python -m bench dse`."""

from hls import isa, resources
from host.svg import INK, SOFT, Canvas, Plot, ticks

LARGE = "densenet201"  # the network whose maps do not fit the chip
WIDTH, HEIGHT, BOX = 760, 430, (80, 60, 470, 300)
COLOURS = {False: "#9fb3c8", True: "#c2571a"}  # on the front
LIMIT, SHIPPED = "#b3261e", "#1b7f4d"
SMALL, BIG = 3.5, 7.0  # radius of the fewest and the most block RAMs


def shipped(detail):
    """Is this the engine of hls/isa.toml?"""
    own = {"lanes": isa.OUT_LANES, "packing": 2, "tile_words": isa.TILE_WORDS, "lane_bytes": isa.LANE_BYTES}
    return all(detail[key] == value for key, value in own.items())


def front(points):
    """The points (rate, detail) that no other beats or equals in rate, DSP and block RAM at once."""

    def beats(one, other):
        better = [one[0] >= other[0], *(one[1][key] <= other[1][key] for key in ("dsp", "bram18"))]
        differs = one[0] > other[0] or any(one[1][key] < other[1][key] for key in ("dsp", "bram18"))
        return all(better) and differs

    return [point for point in points if not any(beats(other, point) for other in points)]


def fits(detail):
    """Whether a point stays within the board's limits."""
    return not resources.over(detail, resources.limits())


def points(rows, clock=None):
    """(images/s, detail) of every point in the rows, at the shipped clock or another."""
    found = [(row["value"], row["detail"]) for name, row in sorted(rows.items()) if name.startswith("dse.")]
    clocks = [detail["clock_mhz"] for _, detail in found]
    at = clock or max(clocks, default=0)
    return [point for point in found if point[1]["clock_mhz"] == at]


def _cells(rate, detail):
    large = detail[f"{LARGE}_images_per_s"]
    memory = f"{detail['tile_words'] * 64 // 1024} KB"
    cells = [f"{detail['lanes']} × {detail['packing']}", memory, f"{detail['lane_bytes']:,}"]
    cells += [f"{rate:,.0f}", f"{large:.1f}" if large else "does not fit"]
    return cells + [f"{detail[name]:,}" for name in ("dsp", "bram18", "lut")]


def front_table(rows):
    """The points of the front, and the shipped one."""
    lines = [
        "| lanes × products a DSP | tile memory | bytes a lane | images/s | DenseNet-201, images/s "
        "| DSP48E1 | BRAM18 | LUT | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    all_points = points(rows)
    best = front(all_points)
    chosen = [point for point in all_points if point in best or shipped(point[1])]
    for rate, detail in sorted(chosen, key=lambda point: -point[0]):
        marks = ["shipped"] * shipped(detail) + ["off the front"] * ((rate, detail) not in best)
        marks += ["over the board"] * (not fits(detail))
        lines.append(f"| {' | '.join(_cells(rate, detail))} | {', '.join(marks)} |")
    return lines


def reason_text(rows):
    """Why the shipped point: what each of its sizes gains over the next one, in figures of the rows."""
    at = points(rows)
    own = next((point for point in at if shipped(point[1])), None)
    if own is None:
        return ["No row is of the shipped sizes: run `python -m bench dse`."]
    return [f"- {line}" for line in (*_lanes(own, at), *_memories(own, at), _clock(own, rows), *_limits(own, at))]


def _like(own, at, *names):
    """Points that differ from the shipped one in the named sizes only."""
    keys = {"lanes", "packing", "tile_words", "lane_bytes"} - set(names)
    return [point for point in at if all(point[1][key] == own[1][key] for key in keys)]


def _lanes(own, at):
    for rate, detail in _like(own, at, "lanes"):
        if detail["lanes"] != own[1]["lanes"]:
            yield (
                f"**{detail['lanes']} lanes** run at {rate / own[0]:.2f} of the shipped engine's images/s "
                f"and take {detail['dsp'] - own[1]['dsp']:+,} DSP, {detail['lut'] - own[1]['lut']:+,} LUT."
            )
    for rate, detail in _like(own, at, "packing"):
        if detail["packing"] == 1:
            yield (
                f"**One product a DSP** runs at {rate / own[0]:.2f} of the images/s "
                f"and takes {detail['dsp'] - own[1]['dsp']:+,} DSP."
            )


def _memories(own, at):
    for rate, detail in _like(own, at, "tile_words"):
        if detail["tile_words"] < own[1]["tile_words"]:
            large = detail[f"{LARGE}_images_per_s"]
            ratio = large / own[1][f"{LARGE}_images_per_s"] if own[1][f"{LARGE}_images_per_s"] else 0
            text = f"at {ratio:.2f} of the images/s" if large else "not at all"
            yield (
                f"**{detail['tile_words'] * 64 // 1024} KB of tile memory** take "
                f"{detail['bram18'] - own[1]['bram18']:+,} BRAM18; the package runs "
                f"{f'at {rate / own[0]:.2f} of the images/s' if rate else 'not at all'}, DenseNet-201 {text}."
            )
    for rate, detail in _like(own, at, "lane_bytes"):
        if detail["lane_bytes"] < own[1]["lane_bytes"]:
            text = f"at {rate / own[0]:.2f} of the images/s" if rate else "not at all"
            yield (
                f"**{detail['lane_bytes']:,} bytes a lane** take {detail['bram18'] - own[1]['bram18']:+,} BRAM18; "
                f"the package runs {text}. A 3×3 kernel could have {detail['lane_bytes'] // 9} input channels, "
                f"not {own[1]['lane_bytes'] // 9}."
            )


def _clock(own, rows):
    clocks = sorted({row["detail"]["clock_mhz"] for name, row in rows.items() if name.startswith("dse.")})
    rates = [next(rate for rate, detail in points(rows, clock) if shipped(detail)) for clock in clocks]
    shown = ", ".join(f"{clock} MHz {rate:,.0f}" for clock, rate in zip(clocks, rates))
    return f"**The clock** changes images/s alone ({shown}); it is a target, for no timing report exists."


def _limits(own, at):
    if fits(own[1]):
        fastest = max((point for point in at if fits(point[1])), key=lambda point: point[0])
        lead = "no point within the board's limits is faster" if fastest[0] <= own[0] else "a point that fits is faster"
        yield f"**The board**: the shipped point fits, and {lead}."
        return
    yield (
        "**The board**: by the estimate the shipped point does not fit: "
        + "; ".join(resources.over(own[1], resources.limits()))
        + " ([resources.md](resources.md)). "
        + (f"{sum(fits(detail) for _, detail in at)} of {len(at)} points fit.")
    )


def figure(rows):
    """docs/dse.svg: images/s against DSP, block RAM as the size of a dot."""
    at, canvas = points(rows), Canvas(WIDTH, HEIGHT)
    if not at:
        canvas.label(24, 32, "No rows: run python -m bench dse")
        return canvas.text()
    best, limit = front(at), resources.limits()
    most = max(max(detail["dsp"] for _, detail in at), limit["dsp"])
    blocks = [detail["bram18"] for _, detail in at]
    canvas.rect(0, 0, WIDTH, HEIGHT, "#ffffff")
    canvas.label(24, 32, "Sizes of the engine: images a second against DSP", 16, INK, weight=600)
    x_range, y_range = (0, most * 1.05), (0, max(rate for rate, _ in at) * 1.08)
    plot = Plot(canvas, BOX, x_range, y_range)
    plot.y_axis(ticks(y_range[1]), "{:,.0f}".format, "images/s, package at its own decisions")
    plot.x_axis(ticks(x_range[1]), "{:,.0f}".format, "DSP48E1 (estimated from the sources)")
    canvas.line(plot.x(limit["dsp"]), plot.top, plot.x(limit["dsp"]), plot.bottom, LIMIT, 1.5, "4 3")
    canvas.label(plot.x(limit["dsp"]) + 5, plot.top + 12, f"the board's {limit['dsp']}", 11, LIMIT)
    for point in sorted(at, key=lambda point: point in best):
        _draw_point(plot, point, point in best, blocks)
    _legend(canvas, blocks)
    return canvas.text()


def _radius(block, blocks):
    spread = max(blocks) - min(blocks) or 1
    return SMALL + (BIG - SMALL) * (block - min(blocks)) / spread


def _draw_point(plot, point, on_front, blocks):
    rate, detail = point
    fill = SHIPPED if shipped(detail) else COLOURS[on_front]
    title = ", ".join(f"{name} {value}" for name, value in detail.items())
    radius = _radius(detail["bram18"], blocks)
    plot.canvas.dot(plot.x(detail["dsp"]), plot.y(rate), radius, fill, f"{rate:,.0f} images/s: {title}")
    if shipped(detail):
        plot.canvas.label(plot.x(detail["dsp"]), plot.y(rate) - 12, "shipped", 12, SHIPPED, "middle", 600)


def _legend(canvas, blocks):
    x, y = 580, 90
    for colour, text in ((SHIPPED, "shipped"), (COLOURS[True], "on the front"), (COLOURS[False], "beaten")):
        canvas.dot(x, y - 4, 5, colour)
        canvas.label(x + 12, y, text, 12)
        y += 22
    for block in (min(blocks), max(blocks)):
        canvas.dot(x, y - 4, _radius(block, blocks), SOFT)
        canvas.label(x + 12, y, f"{block} BRAM18", 12)
        y += 22
