"""The page of the design space: docs/dse.md's blocks, made from the rows of `python -m bench dse`.

python -m bench.documents     # writes them; bench/sizes/figure.py draws docs/dse.svg
"""

from bench.sizes import chips
from bitstreams import adapters, resources
from hls import isa
from hls.generate.markdown import items, prose

LARGE = "densenet201"  # the network whose maps do not fit the chip
OWN = {**chips.OWN, "packing": 2, "tile_words": isa.TILE_WORDS, "lane_bytes": isa.LANE_BYTES,
       "weight_ports": isa.WEIGHT_PORTS}  # the shipped sizes  # fmt: skip
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
    """(images/s, detail) of every point in the rows, at the fastest clock or another, with what is around the engine.

    Rows of sweeps over other sizes than these are left out.
    """
    found = [(row["value"], row["detail"]) for name, row in sorted(rows.items()) if name.startswith("dse.")]
    found = [(rate, _with_adapters(detail)) for rate, detail in found if set(OWN) <= set(detail)]
    at = clock or max((detail["clock_mhz"] for _, detail in found), default=0)
    return [point for point in found if point[1]["clock_mhz"] == at]


def _with_adapters(detail):
    """The detail of a point with the adapters and the interconnect that the shipped engine has."""
    return detail | adapters.total({name: detail[name] for name in resources.RESOURCES})


def _cells(rate, detail):
    large = detail[f"{LARGE}_images_per_s"]
    memory = f"{detail['tile_words'] * 64 // 1024} KB"
    cells = [f"{detail['lanes']} × {detail['taps']}", f"{detail['packing']}", memory, f"{detail['lane_bytes']:,}"]
    cells += [f"{detail['drain']}", f"{detail['weight_ports']}"]
    cells += [f"{rate:,.0f}", f"{large:.1f}" if large else "–"]
    return cells + [f"{detail[name]:,}" for name in SHOWN]


def front_table(rows):
    """The points of the front, and the shipped one."""
    lines = [
        "| array | DSP× | tiles | lane | drain | ports | images/s | large | DSP | BRAM18 | LUT | |",
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
    return prose(chips.RULE)


def reason_text(rows):
    """Why the shipped point: what each of its sizes gains over the next one, in figures of the rows."""
    at = points(rows)
    own = next((point for point in at if shipped(point[1])), None)
    if own is None:
        return ["No row is of the shipped sizes: run `python -m bench dse`."]
    lines = *_arrays(own, at), *_memories(own, at), *_alone(own, at), _clock(rows), *_limits(own, at)
    return items(lines)


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
                "what their buses take less is not estimated."
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
            f"**The board**: {len(within)} of {len(at)} points are estimated to fit, the shipped one with them. "
            f"Of these {runs}, {len(large) or 'none'} DenseNet-201."
        )
        return
    yield (
        "**The board**: by the estimate the shipped point does not fit: "
        + "; ".join(resources.over(own[1], resources.limits()))
        + " ([resources.md](resources.md)). "
        + (f"{len(within)} of {len(at)} points are estimated to fit.")
    )
