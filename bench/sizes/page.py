"""The page of the design space: docs/dse.md's blocks and docs/dse.svg, made from the rows of `python -m bench dse`."""

from bench.sizes import chips
from hls import isa, resources
from host.views.svg import INK, SOFT, Canvas, Plot, ticks

LARGE = "densenet201"  # the network whose maps do not fit the chip
OWN = {**chips.OWN, "packing": 2, "tile_words": isa.TILE_WORDS, "lane_bytes": isa.LANE_BYTES,
       "weight_ports": isa.WEIGHT_PORTS}  # the shipped sizes  # fmt: skip
WIDTH, HEIGHT, BOX = 760, 430, (80, 60, 470, 300)
COLOURS = {False: "#9fb3c8", True: "#c2571a"}  # on the front
LIMIT, SHIPPED = "#b3261e", "#1b7f4d"
SMALL, BIG = 3.5, 7.0  # radius of the fewest and the most block RAMs
SHOWN = {"dsp": "DSP", "bram18": "BRAM18", "lut": "LUT"}


def shipped(detail):
    """Is this the engine of hls/isa.toml?"""
    return all(detail[key] == value for key, value in OWN.items())


def front(points):
    """The points (rate, detail) that no other beats in one measure and equals in the others."""

    def measures(point):
        """What is better the more of it there is: both networks' rates, room for a layer's weights; less taken."""
        rate, detail = point
        return rate, detail[f"{LARGE}_images_per_s"], detail["lane_bytes"], -detail["dsp"], -detail["bram18"]

    def beats(one, other):
        pairs = list(zip(measures(one), measures(other)))
        return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

    return [point for point in points if not any(beats(other, point) for other in points)]


def fits(detail):
    """Whether a point stays within the board's limits."""
    return not resources.over(detail, resources.limits())


def points(rows, clock=None):
    """(images/s, detail) of every point in the rows, at the fastest clock or another.

    Rows of sweeps over other sizes than these are left out.
    """
    found = [(row["value"], row["detail"]) for name, row in sorted(rows.items()) if name.startswith("dse.")]
    found = [point for point in found if set(OWN) <= set(point[1])]
    at = clock or max((detail["clock_mhz"] for _, detail in found), default=0)
    return [point for point in found if point[1]["clock_mhz"] == at]


def _cells(rate, detail):
    large = detail[f"{LARGE}_images_per_s"]
    memory = f"{detail['tile_words'] * 64 // 1024} KB"
    cells = [f"{detail['lanes']} × {detail['taps']}", f"{detail['packing']}", memory, f"{detail['lane_bytes']:,}"]
    cells += [f"{detail['drain']}", f"{detail['weight_ports']}"]
    cells += [f"{rate:,.0f}", f"{large:.1f}" if large else "does not fit"]
    return cells + [f"{detail[name]:,}" for name in SHOWN]


def front_table(rows):
    """The points of the front, and the shipped one."""
    lines = [
        "| channels × taps | products a DSP | tile memory | bytes a lane | drain | weight ports | images/s "
        "| DenseNet-201, images/s | DSP48E1 | BRAM18 | LUT | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    all_points = points(rows)
    best = front(all_points)
    chosen = [point for point in all_points if point in best or shipped(point[1])]
    for rate, detail in sorted(chosen, key=lambda point: -point[0]):
        marks = ["shipped"] * shipped(detail) + ["off the front"] * ((rate, detail) not in best)
        marks += ["scaled"] * detail["scaled"] + ["over the board"] * (not fits(detail))
        lines.append(f"| {' | '.join(_cells(rate, detail))} | {', '.join(marks)} |")
    return lines


def rule_text(rows):
    """How the resources of each point are estimated; the same for any rows."""
    return [chips.RULE]


def reason_text(rows):
    """Why the shipped point: what each of its sizes gains over the next one, in figures of the rows."""
    at = points(rows)
    own = next((point for point in at if shipped(point[1])), None)
    if own is None:
        return ["No row is of the shipped sizes: run `python -m bench dse`."]
    lines = *_arrays(own, at), *_memories(own, at), *_alone(own, at), _clock(rows), *_limits(own, at)
    return [f"- {line}" for line in lines]


def _like(own, at, *names):
    """Points that differ from the shipped one in the named sizes only."""
    return [point for point in at if all(point[1][key] == own[1][key] for key in set(OWN) - set(names))]


def _takes(own, detail, *names):
    """What a point takes of the chip more or less than the shipped one, and where that is too much."""
    changes = ", ".join(f"{detail[name] - own[1][name]:+,} {SHOWN[name]}" for name in names)
    excess = [SHOWN[name] for name in SHOWN if detail[name] > resources.limits()[name]]
    return changes + (f": over the board in {' and '.join(excess)}" if excess else "")


def _large(own, detail):
    """The large network's images/s as a share of the shipped engine's; 0 where it does not fit."""
    name = f"{LARGE}_images_per_s"
    return detail[name] / own[1][name] if own[1][name] else 0.0


def _arrays(own, at):
    """The other arrays, each with as many products a DSP as it can have."""
    for rate, detail in sorted(_like(own, at, "lanes", "taps", "packing"), key=lambda point: point[0]):
        if detail["packing"] == (2 if detail["lanes"] % 2 == 0 else 1) and not shipped(detail):
            lanes, taps = detail["lanes"], detail["taps"]
            yield (
                f"**{lanes} channel{'s' * (lanes > 1)} × {taps} tap{'s' * (taps > 1)}** "
                f"({chips.products(detail)} products a cycle) run at {rate / own[0]:.2f} of the shipped engine's "
                f"images/s, DenseNet-201 at {_large(own, detail):.2f}, and take {_takes(own, detail, *SHOWN)}."
            )
    for rate, detail in _like(own, at, "packing"):
        if detail["packing"] == 1:
            yield (
                f"**One product a DSP** runs at {rate / own[0]:.2f} of the images/s "
                f"and takes {_takes(own, detail, 'dsp')}."
            )


def _memories(own, at):
    for rate, detail in _like(own, at, "tile_words"):
        if detail["tile_words"] < own[1]["tile_words"]:
            text = f"at {_large(own, detail):.2f} of the images/s" if _large(own, detail) else "not at all"
            yield (
                f"**{detail['tile_words'] * 64 // 1024} KB of tile memory** take "
                f"{_takes(own, detail, 'bram18')}; the package runs "
                f"{f'at {rate / own[0]:.2f} of the images/s' if rate else 'not at all'}, DenseNet-201 {text}."
            )
    for rate, detail in _like(own, at, "lane_bytes"):
        if detail["lane_bytes"] < own[1]["lane_bytes"]:
            text = f"at {rate / own[0]:.2f} of the images/s" if rate else "not at all"
            yield (
                f"**{detail['lane_bytes']:,} bytes a lane** take {_takes(own, detail, 'bram18')}; "
                f"the package runs {text}. A 3×3 kernel could have {detail['lane_bytes'] // 9} input channels, "
                f"not {own[1]['lane_bytes'] // 9}."
            )


def _alone(own, at):
    """Drain and ports of the weights."""
    for rate, detail in _like(own, at, "drain"):
        if not shipped(detail):
            yield (
                f"**{detail['drain']} pixels requantised a cycle** run at {rate / own[0]:.2f} of the images/s "
                f"and take {_takes(own, detail, 'dsp', 'lut')}."
            )
    for rate, detail in _like(own, at, "weight_ports"):
        if not shipped(detail):
            count = detail["weight_ports"]
            yield (
                f"**{count} port{'s' * (count > 1)} for the weights** run{'s' * (count == 1)} at "
                f"{rate / own[0]:.2f} of the images/s, DenseNet-201 at {_large(own, detail):.2f}; "
                "what the buses take is not estimated."
            )


def _clock(rows):
    clocks = {row["detail"]["clock_mhz"] for name, row in rows.items() if name.startswith("dse.")}
    found = [(clock, rate) for clock in sorted(clocks) for rate, detail in points(rows, clock) if shipped(detail)]
    shown = ", ".join(f"{clock} MHz {rate:,.0f}" for clock, rate in found)
    return f"**The clock** changes images/s alone ({shown}); it is a target, for no timing report exists."


def _limits(own, at):
    within = [point for point in at if fits(point[1])]
    if fits(own[1]):
        faster = [point for point in within if point[0] > own[0]]
        large = [point for point in within if point[1][f"{LARGE}_images_per_s"] > own[1][f"{LARGE}_images_per_s"]]
        runs = f"{len(faster) or 'none'} run{'s' * (len(faster) < 2)} the package faster"
        yield (
            f"**The board**: {len(within)} of {len(at)} points fit, the shipped one with them. Of these {runs}, "
            f"{len(large) or 'none'} DenseNet-201."
        )
        return
    yield (
        "**The board**: by the estimate the shipped point does not fit: "
        + "; ".join(resources.over(own[1], resources.limits()))
        + " ([resources.md](resources.md)). "
        + (f"{len(within)} of {len(at)} points fit.")
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
