"""What must hold after each stage, or the build fails: registers, widths, limits of the chip, slack.

Each function gives (facts for results.json, remarks for people) and raises UserError with one line.
"""

import zipfile
from pathlib import Path
from xml.etree import ElementTree

from bitstreams.vitis import reports
from hls import isa
from hls.errors import UserError

# What HLS calls the registers that every engine has: in its header for drivers, and in the .hwh.
HEADER_NAMES = {"control": "ap_ctrl", "interrupt_global": "gie", "interrupt_enable": "ier", "interrupt_status": "isr"}
HEADER_NAMES |= {"return": "ap_return"}
HARD = ("dsp", "bram18")  # what HLS counts is what is placed; of LUT and FF it only has an idea


def csim(folder, top):
    """C simulation: the test bench says PASS in its log."""
    path = Path(folder) / "csim" / "report" / f"{top}_csim.log"  # as in commands.reports
    text = reports._text(path)
    if "PASS" not in text.split():
        said = [line for line in text.splitlines() if "expected" in line]
        raise UserError(f"C simulation failed: {said[0].strip() if said else f'no PASS in {path}'}")
    return {"passed": True}, []


def synthesis(folder, facts, limits):
    """HLS: part, registers, widths and hard resources; what it estimates is told, not judged."""
    found = reports.synthesis(Path(folder) / "syn" / "report" / "csynth.xml")
    part = found.part.replace("-", "")
    if part != facts["part"].replace("-", "") or found.top != facts["top"]:
        raise UserError(f"csynth.xml is of {found.top} for {part}, expected {facts['top']} for {facts['part']}")
    headers = sorted((Path(folder) / "impl" / "ip").rglob("x*_hw.h"))
    if not headers:
        raise UserError(f"{folder}/impl/ip has no driver header x…_hw.h: the IP was not packed, see hls.log")
    check_registers(reports.registers(headers[0]))
    check_widths(found.widths, facts["memory_ports"])
    for name in HARD:
        if found.used[name] > limits[name]:
            raise UserError(
                f"{found.used[name]} {name.upper()}, the chip has {limits[name]}: make hls/isa.toml's sizes smaller"
            )
    remarks = [
        f"HLS estimates {found.used[name]:,} {name.upper()} of {limits[name]:,}: placement decides"
        for name in ("lut", "ff")
        if found.used[name] > limits[name]
    ]
    if found.estimated_ns > found.target_ns:
        remarks.append(f"HLS estimates {found.estimated_ns:g} ns, the clock's period is {found.target_ns:g} ns")
    loops = [{"module": loop.module, "name": loop.name, "trips": loop.trips, "ii": loop.ii, "depth": loop.depth}
             for loop in found.loops]  # fmt: skip
    clock = {"version": found.version, "target_ns": found.target_ns, "estimated_ns": found.estimated_ns}
    return {**clock, "used": found.used, "loops": loops}, remarks


def check_registers(found):
    """UserError unless `found`, name → (offset, words), are the contract's registers."""
    left = dict(found)
    for name, (offset, count) in isa.REGISTERS.items():
        names = [HEADER_NAMES[name]] if name in HEADER_NAMES else [f"{name}_data", f"{name}_r_data"]
        there = next((left.pop(item) for item in names if item in left), None)
        if there != (offset, count):
            text = "missing" if there is None else f"at 0x{there[0]:02X} in {there[1]} words"
            raise UserError(f"register {name} is {text} in the IP, the contract has 0x{offset:02X} in {count}")
    extra = sorted(name for name in left if not name.endswith("_ctrl"))
    if extra:
        raise UserError(
            f"the IP has a register {extra[0]} that is not in the contract: change hls/isa.toml with the source"
        )


def check_widths(found, ports):
    """UserError unless each memory port's bus is as wide as design.memory_ports allows."""
    for name, port in ports.items():
        bits = found.get(name)
        if bits is None or not port["low"] <= bits <= port["high"]:
            text = "not there" if bits is None else f"{bits} bits wide"
            raise UserError(f"{port['bus']} is {text} in the IP, expected {port['low']} to {port['high']} bits")


def cosimulation(folder, top, images, modelled):
    """C/RTL co-simulation: it passed; cycles of the batch beside the modelled ones."""
    found = reports.cosimulation(Path(folder) / "sim" / "report" / f"{top}_cosim.rpt")
    if not found.passed:
        raise UserError("C/RTL co-simulation failed: the RTL's records are not the golden model's, see cosim.log")
    cycles = None if found.cycles is None else found.cycles[2]
    return {"passed": True, "images": images, "cycles": cycles, "modelled_cycles": modelled}, []


def implementation(folder, facts, limits):
    """Placed and routed: no negative slack, no limit passed."""
    timing = reports.timing(Path(folder) / "timing_summary.rpt")
    slack = {"setup_ns": timing.setup_ns, "hold_ns": timing.hold_ns, "pulse_ns": timing.pulse_ns}
    for name, value in slack.items():
        if value is not None and value < 0:
            ask = f"give CLOCK_MHZ below {timing.clock_mhz:g}" if name == "setup_ns" else "see timing_summary.rpt"
            raise UserError(f"slack ({name.removesuffix('_ns')}) is {value:g} ns at {timing.clock_mhz:g} MHz: {ask}")
    if timing.failing:
        raise UserError(f"{timing.failing} endpoints fail their timing: see timing_summary.rpt")
    if abs(timing.clock_mhz - float(facts["clock_mhz"])) > 0.01 * timing.clock_mhz:
        raise UserError(
            f"the logic was timed at {timing.clock_mhz:g} MHz, asked for were {facts['clock_mhz']}: see design.py"
        )
    used = reports.utilization(Path(folder) / "utilization.rpt")
    for name, (count, available) in used.items():
        if count > min(available, limits[name]):
            raise UserError(
                f"{count} {name.upper()} placed, the board's file has {limits[name]}: make the engine smaller"
            )
    return {"clock_mhz": timing.clock_mhz, "slack": slack, "used": {name: pair[0] for name, pair in used.items()}}, []


def platform(path, facts):
    """(.bit bytes, .hwh text) out of Vivado's .xsa, the addresses of the .hwh checked. UserError."""
    try:
        with zipfile.ZipFile(path) as archive:
            bits = [name for name in archive.namelist() if name.endswith(".bit")]
            hwh = f"{facts['design']}.hwh"
            if len(bits) != 1 or hwh not in archive.namelist():
                raise UserError(f"{path} holds {len(bits)} bitstreams, expected one beside {hwh}: see vivado.log")
            bit, text = archive.read(bits[0]), archive.read(hwh).decode()
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be used ({error}): see vivado.log") from None
    check_addresses(text, facts["slaves"])
    return bit, text


def check_addresses(text, slaves):
    """UserError unless a .hwh has every block of `slaves` at its base and range."""
    try:
        ranges = list(ElementTree.fromstring(text).iter("MEMRANGE"))
    except ElementTree.ParseError as error:
        raise UserError(f"the .hwh is no XML ({error}): see vivado.log") from None
    found = {item.get("INSTANCE"): (item.get("BASEVALUE"), item.get("HIGHVALUE")) for item in ranges}
    for name, slave in slaves.items():
        base, size = int(slave["base"], 16), int(slave["range"], 16)
        there = tuple(int(value or "-1", 16) for value in found.get(name, ("-1", "-1")))
        if there != (base, base + size - 1):
            shown = " to ".join(f"0x{value:X}" for value in there) if name in found else "nowhere"
            raise UserError(f"{name} is at {shown} in the .hwh, overlay.json has 0x{base:X} to 0x{base + size - 1:X}")
