"""Read the reports of Vitis HLS and Vivado: what was synthesised, simulated, placed, and how fast it may run.

    synthesis("csynth.xml")      # Synthesis: clock, resources, a Loop for each pipelined loop
    cosimulation("…_cosim.rpt")  # Cosimulation: passed, cycles
    utilization("utilization.rpt"), timing("timing_summary.rpt")
    registers("xddi_engine_hw.h") # offsets of the engine's registers

A report of another form raises UserError with the file and what was not found in it.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from hls.errors import UserError

RESOURCES = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram18": "BRAM_18K"}  # ours → csynth.xml's
# ours → a row of Vivado's tables; a star stands behind a name that has a footnote
SITES = {"lut": "Slice LUTs", "ff": "Slice Registers", "bram36": "Block RAM Tile", "dsp": "DSPs"}


@dataclass(frozen=True)
class Loop:
    """A loop as HLS scheduled it; `ii` and `depth` are None where it is not pipelined, `trips` where nobody knows."""

    module: str
    name: str
    trips: tuple | None  # (least, most)
    ii: int | None
    depth: int | None


@dataclass(frozen=True)
class Synthesis:
    """csynth.xml: estimates of HLS, before placement."""

    version: str
    part: str
    top: str
    target_ns: float
    estimated_ns: float
    used: dict  # resource → count
    loops: tuple  # of Loop
    widths: dict  # memory port → bits of its bus


@dataclass(frozen=True)
class Cosimulation:
    """The report of C/RTL co-simulation: cycles of one call of the top function."""

    passed: bool
    cycles: tuple | None  # (least, mean, most)


@dataclass(frozen=True)
class Timing:
    """Vivado's timing summary: slack in ns, negative where a constraint is not met, None where there is no path."""

    setup_ns: float
    hold_ns: float
    pulse_ns: float | None
    failing: int  # endpoints
    clock: str
    clock_mhz: float


def _text(path):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): run the stage that writes it") from None


def _wrong(path, what):
    return UserError(f"{path} has no {what}: not the report that is known, run its stage again with a known version")


def synthesis(path):
    """Synthesis from the top's csynth.xml, the loops of every module with it. UserError."""
    try:
        root = ElementTree.fromstring(_text(path))
    except ElementTree.ParseError as error:
        raise UserError(f"{path} is no XML ({error}): run the stage hls again") from None

    def value(place):
        found = root.findtext(place)
        if found is None or not found.strip():
            raise _wrong(path, place)
        return found.strip()

    try:
        return Synthesis(
            version=value("ReportVersion/Version"),
            part=value("UserAssignments/Part"),
            top=value("UserAssignments/TopModelName"),
            target_ns=float(value("UserAssignments/TargetClockPeriod")),
            estimated_ns=float(value("PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod")),
            used={ours: int(value(f"AreaEstimates/Resources/{theirs}")) for ours, theirs in RESOURCES.items()},
            loops=tuple(_loops(root)),
            widths=_widths(root),
        )
    except ValueError as error:
        raise _wrong(path, f"number where one is expected ({error})") from None


def _loops(root):
    """Loops of the top and of every module, nested ones too; a loop that is told twice is given once."""
    places = [(root.findtext("UserAssignments/TopModelName") or "", root.find("PerformanceEstimates"))]
    places += [(item.findtext("Name") or "", item.find("PerformanceEstimates")) for item in root.iter("Module")]
    seen = set()
    for module, estimates in places:
        summary = None if estimates is None else estimates.find("SummaryOfLoopLatency")
        for element in () if summary is None else summary.iter():
            if element.find("TripCount") is None and element.find("PipelineDepth") is None:
                continue
            name = (element.findtext("Name") or element.tag).strip()
            if (module, name) not in seen:
                seen.add((module, name))
                yield Loop(
                    module, name, _trips(element), _count(element, "PipelineII"), _count(element, "PipelineDepth")
                )


def _count(element, name):
    text = (element.findtext(name) or "").strip()
    return int(text) if text.isdigit() else None


def _trips(element):
    """(least, most) of a TripCount: one number, a <range>, "1 ~ 512"; None for one that is not known."""
    place = element.find("TripCount")
    numbers = re.findall(r"\d+", "" if place is None else " ".join(place.itertext()))
    return (int(numbers[0]), int(numbers[-1])) if numbers else None


def _widths(root):
    """Memory port → bits of its AXI bus, from the RTL ports m_axi_NAME_WDATA."""
    found = {}
    for port in root.iter("RtlPorts"):
        match = re.fullmatch(r"m_axi_(\w+)_WDATA", (port.findtext("name") or port.findtext("Name") or "").strip())
        if match:
            found[match[1]] = int(port.findtext("Bits") or 0)
    return found


def cosimulation(path):
    """Cosimulation from the table of the report, its row for Verilog. UserError."""
    for line in _text(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 5 and cells[0] == "Verilog":
            numbers = tuple(int(cell) for cell in cells[2:5] if cell.isdigit())
            return Cosimulation(cells[1].lower() == "pass", numbers if len(numbers) == 3 else None)
    raise _wrong(path, "row for Verilog")


def utilization(path):
    """Resource → (used, available) after placement, BRAM in 36 Kb blocks, halves counted. UserError."""
    rows, header = {}, None
    for line in _text(path).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == "Site Type":
            header = cells
        elif header and len(cells) == len(header):
            rows.setdefault(cells[0].rstrip("*"), dict(zip(header, cells)))
    found = {}
    for ours, theirs in SITES.items():
        if theirs not in rows:
            raise _wrong(path, f"row {theirs}")
        found[ours] = tuple(_number(path, rows[theirs].get(column, "")) for column in ("Used", "Available"))
    return found


def _number(path, text):
    try:
        number = float(text)
    except ValueError:
        raise _wrong(path, f"number where it says {text!r}") from None
    return int(number) if number == int(number) else number


def timing(path):
    """Timing from the design's summary and its first clock. UserError."""
    text = _text(path)
    summary = _row_below(text, "WNS(ns)")
    clock = re.search(r"^(\S+)\s+\{[\d. ]+\}\s+([\d.]+)\s+([\d.]+)\s*$", text, re.MULTILINE)
    if summary is None or len(summary) != 12:
        raise _wrong(path, "design timing summary")
    if clock is None:
        raise _wrong(path, "clock summary")
    if "NA" in (summary[0], summary[4]):
        raise _wrong(path, "constrained path: nothing was timed")
    return Timing(
        setup_ns=float(summary[0]),
        hold_ns=float(summary[4]),
        pulse_ns=None if summary[8] == "NA" else float(summary[8]),
        failing=sum(int(summary[place]) for place in (2, 6, 10) if summary[place] != "NA"),
        clock=clock[1],
        clock_mhz=float(clock[3]),
    )


def _row_below(text, head):
    """Cells of the first row below the heading that starts with `head` and its line of dashes."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.split()[:1] == [head] and index + 2 < len(lines):
            return lines[index + 2].split()
    return None


def registers(path):
    """Name → (offset, words) of the engine's registers, from the header that HLS writes for drivers. UserError."""
    text = _text(path)
    found = re.findall(r"^#define X\w+?_CONTROL_ADDR_(\w+)\s+(0x[0-9a-fA-F]+)", text, re.MULTILINE)
    if not found:
        raise _wrong(path, "register")
    bits = dict(re.findall(r"^#define X\w+?_CONTROL_BITS_(\w+)\s+(\d+)", text, re.MULTILINE))
    return {name.lower(): (int(offset, 16), -(-int(bits.get(name, 32)) // 32)) for name, offset in found}
