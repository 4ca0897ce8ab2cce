"""Reports in their real form are read; damaged ones, and those of another form, are named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")

from bitstreams import design
from bitstreams.vitis import checks, reports
from hls import isa
from hls.errors import UserError
from host.board import overlay
from tests.bitstreams import samples
from tests.host.standin import hwh


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_what_hls_made(tmp_path):
    loops = (
        ("RunConv_Pipeline_ConvCycles", "ConvCycles", "undef", 1, 33),
        ("RunFc", "FcRows", "<range><min>1</min><max>1365</max></range>", None, None),
        ("RunExit_Pipeline_ExitSums", "ExitSums", "10", 2, 45),
    )
    found = reports.synthesis(
        write(tmp_path, "csynth.xml", samples.csynth(loops=loops, widths={"program": 32, "maps": 64}))
    )
    assert (found.version, found.part, found.top) == ("2022.2", "xc7z020-clg484-1", "ddi_engine")
    assert (found.target_ns, found.estimated_ns) == (7, 6.1)
    assert found.used == {"lut": 61234, "ff": 58211, "dsp": 203, "bram18": 261}
    assert found.widths == {"program": 32, "maps": 64}
    rows = {loop.name: (loop.module, loop.trips, loop.ii, loop.depth) for loop in found.loops}
    assert rows == {
        "Images": ("ddi_engine", (1, 10000), None, None),
        "ConvCycles": ("RunConv_Pipeline_ConvCycles", None, 1, 33),
        "FcRows": ("RunFc", (1, 1365), None, None),
        "ExitSums": ("RunExit_Pipeline_ExitSums", (10, 10), 2, 45),
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("<DSP>203</DSP>", "", "has no AreaEstimates/Resources/DSP"),
        ("<DSP>203</DSP>", "<DSP>many</DSP>", "has no number where one is expected"),
        ("<TopModelName>ddi_engine</TopModelName>", "", "has no UserAssignments/TopModelName"),
        ("6.100", " ", "has no PerformanceEstimates/SummaryOfTimingAnalysis/EstimatedClockPeriod"),
        ("</profile>", "", "is no XML"),
    ],
)
def test_a_damaged_synthesis_report_is_named(tmp_path, old, new, expected):
    text = samples.csynth()
    assert old in text
    with pytest.raises(UserError, match=expected) as error:
        reports.synthesis(write(tmp_path, "csynth.xml", text.replace(old, new)))
    assert "csynth.xml" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(("status", "passed"), [("Pass", True), ("Fail", False), ("NA", False)])
def test_co_simulation(tmp_path, status, passed):
    found = reports.cosimulation(write(tmp_path, "cosim.rpt", samples.cosim(status)))
    assert found == reports.Cosimulation(passed, (41, 136210, 272379))
    assert reports.cosimulation(write(tmp_path, "cosim.rpt", samples.cosim(cycles=("NA",) * 3))).cycles is None


@pytest.mark.parametrize("prohibited", [True, False], ids=["newer", "older"])
@pytest.mark.parametrize("star", ["", "*"])
def test_what_is_placed(tmp_path, prohibited, star):
    found = reports.utilization(
        write(tmp_path, "utilization.rpt", samples.utilization(prohibited=prohibited, star=star))
    )
    assert found == {name: (samples.PLACED[name], samples.AVAILABLE[name]) for name in ("lut", "ff", "bram36", "dsp")}


def test_timing(tmp_path):
    found = reports.timing(write(tmp_path, "timing.rpt", samples.timing(setup=-0.25, failing=12, met=False)))
    assert (found.setup_ns, found.hold_ns, found.pulse_ns, found.failing) == (-0.25, 0.019, 2.25, 12)
    assert (found.clock, found.clock_mhz) == ("clk_fpga_0", 142.857)
    assert reports.timing(write(tmp_path, "timing.rpt", samples.timing(pulse="NA"))).pulse_ns is None


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (reports.timing, samples.timing(setup="NA"), "constrained path"),
        (reports.timing, samples.timing().replace("WNS(ns)", "WNS", 1), "design timing summary"),
        (reports.timing, samples.timing().replace("clk_fpga_0  {", "clk_fpga_0  "), "clock summary"),
        (reports.utilization, samples.utilization().replace("| DSPs ", "| DSPz "), "row DSPs"),
        (reports.utilization, samples.utilization().replace("129.5", "lots ", 1), "number where it says 'lots'"),
        (reports.cosimulation, "no table", "row for Verilog"),
        (reports.registers, "#define OTHER 1", "register"),
    ],
)
def test_another_form_is_named(tmp_path, read, text, expected):
    with pytest.raises(UserError, match=expected):
        read(write(tmp_path, "report", text))
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "nothing")


READERS = [
    (reports.synthesis, samples.csynth()),
    (reports.cosimulation, samples.cosim()),
    (reports.timing, samples.timing()),
    (reports.utilization, samples.utilization()),
    (reports.registers, samples.header()),
]


@given(index=st.integers(0, len(READERS) - 1), cut=st.floats(0, 1), size=st.integers(0, 400))
def test_damage_never_raises_anything_else(tmp_path_factory, index, cut, size):
    read, text = READERS[index]
    at = int(cut * len(text))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_text(text[:at] + text[at + size :], encoding="utf-8")
    try:
        read(path)
    except UserError as error:
        assert str(path) in str(error) and "\n" not in str(error)


def test_the_contracts_registers_are_recognised(tmp_path):
    for keywords in (("program",), (), ("program", "rule", "images")):
        found = reports.registers(write(tmp_path, "x_hw.h", samples.header(keywords=keywords)))
        checks.check_registers(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (samples.header(leave_out=("rule",)), "register rule is missing"),
        (samples.header({**isa.REGISTERS, "rule": (0x1F0, 1)}), "register rule is at 0x1F0 in 1 words"),
        (samples.header({**isa.REGISTERS, "budget_flops": (isa.REGISTERS["budget_flops"][0], 1)}), "in 1 words"),
        (samples.header({**isa.REGISTERS, "gain": (0x1F0, 1)}), "register gain_data that is not in the contract"),
    ],
)
def test_other_registers_are_refused(tmp_path, text, expected):
    with pytest.raises(UserError, match=expected):
        checks.check_registers(reports.registers(write(tmp_path, "x_hw.h", text)))


def test_the_contracts_registers_lie_as_hls_lays_them_out():
    """From 0x10 on, in the order of the arguments: a word for each 32 bits (pointers have 64), and one that is kept."""
    expected, offset = {"return": (0x10, isa.REGISTERS["return"][1])}, 0x10 + 4 * isa.REGISTERS["return"][1] + 4
    for name, (kind, bits) in isa.PORTS.items():
        count = 2 if kind == "memory" else int(bits) // 32
        expected[name] = (offset, count)
        offset += 4 * count + 4
    assert {name: place for name, place in isa.REGISTERS.items() if name in expected} == expected


def test_a_hwh_that_the_host_takes_has_the_addresses_that_are_checked():
    slaves = design.facts("zedboard")["slaves"]
    checks.check_addresses(hwh.write(overlay.read()), slaves)
    with pytest.raises(UserError, match="axi_timer_0 is at nowhere"):
        checks.check_addresses(hwh.write(overlay.read(), leave_out=("axi_timer_0",)), slaves)
    with pytest.raises(UserError, match="ddi_engine_0 is at 0x40000000"):
        checks.check_addresses(hwh.write(overlay.read(), base=0x40000000), slaves)
    with pytest.raises(UserError, match="is no XML"):
        checks.check_addresses("<EDKSYSTEM>", slaves)
