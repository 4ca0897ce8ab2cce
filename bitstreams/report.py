"""Resources, clock and schedule of a board's engine, from whatever has run: modelled, open tools, Vitis HLS, Vivado.

    make synth-report BOARD=zedboard          # build/synth/BOARD-POINT/report.md and report.svg; prints the first
    python -m bitstreams.report zedboard      # of the shipped engine

Figures of different origin stand in columns of their own and are never mixed: what is modelled comes from our own
sources and contract, and no tool has seen it.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from bitstreams import adapters, design, points, sources
from bitstreams.report_picture import draw
from bitstreams.vitis.commands import STAGES
from bitstreams.vitis.synth import BUILD, RESULTS
from hls import isa
from hls.command.arguments import Parser
from hls.command.entry import guarded
from hls.command.outputs import Outputs, made

RTL = BUILD.parent / "rtl" / "result.json"
RESOURCES = ("dsp", "bram18", "lut", "ff")
TITLES = {"dsp": "DSP48E1", "bram18": "BRAM18", "lut": "LUT", "ff": "FF"}
# origin → (heading, what makes it)
ORIGINS = {
    "modelled": (
        "modelled, with what is around the engine",
        "python -m bitstreams.resources, which needs libclang (make test)",
    ),
    "open": ("open tools, estimated: small memories, no loop unrolled", "make rtl"),
    "hls": ("Vitis HLS, estimated", "make synth {asked} STAGE=hls"),
    "placed": ("Vivado, placed", "make synth {asked} STAGE=impl"),
}
NONE = "–"


@dataclass(frozen=True)
class Row:
    """A loop: what the contract says it does, and what HLS reports; None where nothing is known."""

    name: str
    expected: tuple  # (II, depth), modelled
    reported: tuple | None  # (II, depth), of the slowest copy

    @property
    def verdict(self):
        """In words: does the reported II keep to the modelled one?"""
        if self.reported is None:
            return "not reported"
        if self.reported[0] is None:
            return "not pipelined"
        return (
            "as modelled"
            if self.reported[0] <= self.expected[0]
            else f"slower, {self.reported[0]} for {self.expected[0]}"
        )


@dataclass(frozen=True)
class Report:
    """All of one board's engine. used: origin → resource → count; stages: those that have run."""

    board: str
    asked: str  # what `make` takes for it
    title: str
    limits: dict
    used: dict
    clock: str  # what the board's file asks for
    clocks: dict  # origin → (MHz, what is said of it)
    loops: list
    simulated: list
    stages: tuple


def collect(name, folder=BUILD, rtl=RTL, modelled=None):
    """The Report of the board `name`, of stages that ran with the sources as they are now.

    modelled: a function that estimates resource → count; modelled_resources without.
    """
    board = design.read(name)
    point = points.running(name, board)
    kept = _json(Path(folder) / points.place(name, point) / RESULTS)
    stages = kept.get("stages", {}) if kept.get("sources") == sources.digest() else {}
    opened = _json(rtl) if _json(rtl).get("sources") == sources.digest() else {}
    used = {"modelled": (modelled or modelled_resources)()}
    used["open"] = opened.get("used", {})
    used["hls"] = stages.get("hls", {}).get("used", {})
    used["placed"] = _placed(stages.get("impl", {}).get("used", {}))
    return Report(
        board=name,
        asked=points.asked(name, point),
        title=f"{board['title']}{f', point {point.name}' if point else ''}",
        limits={key: board["limits"][key] for key in RESOURCES},
        used={origin: found for origin, found in used.items() if found},
        clock=f"{points.clock_mhz(name, board):g} MHz ({board['clock_kind']})",
        clocks=dict(_clocks(stages)),
        loops=[_row(name, expected, stages.get("hls", {}).get("loops")) for name, expected in modelled_loops().items()],
        simulated=list(_simulated(stages, opened)),
        stages=tuple(stage for stage in STAGES if stage in stages),
    )


def modelled_resources():
    """Resource → count of engine, adapters, interconnect by hls/estimate; {} where what it needs is not installed."""
    try:
        from hls.estimate.resources import estimate
    except ImportError:
        return {}
    return {name: round(amount) for name, amount in adapters.total(estimate().total).items()}


def modelled_loops():
    """Name → (II, depth) of the contract's loops; of one that several instructions run, what the quickest asks for."""
    found = {}
    for loop in isa.LOOPS:
        found.setdefault(str(loop["name"]), []).append((loop["ii"], loop["depth"]))
    return {name: tuple(map(min, zip(*values))) for name, values in found.items()}


def _json(path):
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _placed(used):
    """Vivado counts block RAM in 36 Kb; a half is one of 18 Kb."""
    found = {name: used[name] for name in ("dsp", "lut", "ff") if name in used}
    return found | ({"bram18": round(2 * used["bram36"])} if "bram36" in used else {})


def _clocks(stages):
    if "hls" in stages:
        yield "hls", (1000 / stages["hls"]["estimated_ns"], f"asked for {1000 / stages['hls']['target_ns']:.4g} MHz")
    if "impl" in stages:
        slack = stages["impl"]["slack"]["setup_ns"]
        yield "placed", (stages["impl"]["clock_mhz"], f"met with {slack:g} ns to spare")


def _row(name, expected, reported):
    label = name.split("::")[1]
    # A nest that HLS has flattened has the name of its outer loop before it.
    copies = [item for item in reported or () if item["name"] == label or item["name"].endswith(f"_{label}")]
    if not copies:
        return Row(name, expected, None)
    slowest = max(copies, key=lambda item: (item["ii"] is None, item["ii"] or 0, item["depth"] or 0))
    return Row(name, expected, (slowest["ii"], slowest["depth"]))


def _simulated(stages, rtl):
    """(what, result) of every simulation that has run."""
    if "csim" in stages:
        yield "C simulation (Vitis HLS)", "records are the golden model's"
    if "cosim" in stages:
        found = stages["cosim"]
        cycles = f"{found['cycles']:,} cycles" if found["cycles"] else "cycles not told"
        yield (
            "C/RTL co-simulation (Vitis HLS)",
            f"{found['images']} images, {cycles}; modelled {found['modelled_cycles']:,}",
        )
    if rtl:
        yield (
            f"RTL of open tools ({rtl.get('what', 'engine')})",
            "as the C++" if rtl.get("passed") else "not as the C++",
        )


def markdown(report):
    """The report as Markdown."""
    lines = [f"# {report.title}: what the engine takes, and how fast it runs", ""]
    ran = ", ".join(report.stages) or "none"
    lines += [
        f"Vendor stages that have run on these sources: {ran}. A {NONE} is a figure that nothing has made yet.",
        "",
    ]
    lines += ["## Resources", "", f"| | limit | {' | '.join(heading for heading, _ in ORIGINS.values())} |"]
    lines += ["|---|---|" + "---|" * len(ORIGINS)]
    for name in RESOURCES:
        cells = [_share(report.used.get(origin, {}).get(name), report.limits[name]) for origin in ORIGINS]
        lines.append(f"| {TITLES[name]} | {report.limits[name]:,} | {' | '.join(cells)} |")
    lines += ["", "## Clock", "", f"The board's file asks for {report.clock}; nothing models a clock.", ""]
    timed = [origin for origin in ORIGINS if origin in ("hls", "placed")]
    lines += [f"| {' | '.join(ORIGINS[origin][0] for origin in timed)} |", "|---|---|"]
    cells = [report.clocks.get(origin) for origin in timed]
    lines.append(f"| {' | '.join(f'{cell[0]:.4g} MHz, {cell[1]}' if cell else NONE for cell in cells)} |")
    lines += [
        "",
        "## Schedule",
        "",
        "| loop | II modelled | II reported (Vitis HLS) | depth modelled | depth reported | |",
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in report.loops:
        ii, depth = (NONE if value is None else value for value in row.reported or (None, None))
        lines.append(f"| {row.name} | {row.expected[0]} | {ii} | {row.expected[1]} | {depth} | {row.verdict} |")
    if report.simulated:
        lines += [
            "",
            "## Simulation",
            "",
            "| | |",
            "|---|---|",
            *(f"| {what} | {how} |" for what, how in report.simulated),
        ]
    missing = [
        f"- {heading}: {how.format(asked=report.asked)}"
        for origin, (heading, how) in ORIGINS.items()
        if origin not in report.used
    ]
    if missing:
        lines += ["", "## What makes the figures that are not there", "", *missing]
    return "\n".join(lines) + "\n"


def _share(count, limit):
    return NONE if count is None else f"{count:,} ({100 * count / limit:.0f} %)"


def main(argv=None):
    """Write and print the report; 0, or 2 for a board that there is not."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("board", nargs="?", default="zedboard", help="one of `make boards` (default: %(default)s)")
    parser.add_argument("--build", type=Path, default=BUILD, help="folder that synth built in (default: build/synth)")
    arguments = parser.parse_args(argv)
    return guarded("bitstreams.report", lambda: _report(arguments))


def _report(arguments):
    folder = made(arguments.build / points.place(arguments.board, points.running(arguments.board)), "--build")
    report = collect(arguments.board, arguments.build)
    text = markdown(report)
    try:
        with Outputs({"report": folder / "report.md", "picture": folder / "report.svg"}) as files:
            files.write({"report": text, "picture": draw(report)})
    finally:
        print(text)
    print(f"drawn in {folder / 'report.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
