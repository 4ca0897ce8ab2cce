"""The scripts run in a real tclsh against a recorder of the vendor's commands; what they say is in golden files."""

import json
import shutil

import pytest

pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")

from bitstreams import design
from bitstreams.generate import OUTPUT
from bitstreams.vitis import commands
from bitstreams.vitis.tools import CLASSIC, GENERATIONS, UNIFIED
from hls import isa
from hls.errors import UserError
from tests.bitstreams import dry_run

pytestmark = pytest.mark.skipif(shutil.which("tclsh") is None, reason="needs tclsh: apt-get install tcl")
BOARDS = design.board_names()
AGAIN = "if that is meant: python -m tests.bitstreams.dry_run"
# A contract with several ports of one array and one more array, as engines may have them.
PORTS = {
    **{"program": ["memory", 64], "weights0": ["memory", 64], "weights1": ["memory", 64], "weights2": ["memory", 64]},
    **{"tables": ["memory", 64], "images": ["memory", 64], "maps": ["memory", 64], "results": ["memory", 64]},
    **{"instructions": ["scalar", 32], "budget_flops": ["scalar", 64]},
}
# Keys of v++ --mode hls that a build may use (UG1399, HLS Config File Commands).
KEYS = {
    *("part", "clock", "clock_uncertainty", "flow_target", "syn.top", "syn.file", "syn.cflags", "syn.csimflags"),
    *("tb.file", "tb.cflags", "csim.argv", "csim.clean", "cosim.argv", "cosim.O", "cosim.rtl", "cosim.tool"),
    *("package.output.format", "package.ip.vendor", "package.ip.library", "package.ip.name", "package.ip.version"),
}


def of_board(text, board):
    """The golden text of dry_run.BOARD with the part and the processor's settings of `board` in their place."""
    boards = json.loads(OUTPUT.read_text())
    first, other = boards[dry_run.BOARD], boards[board]
    system = other["processing_system"]
    settings = {"preset": system["preset"]} if "preset" in system else system["properties"]
    lines = [f"  CONFIG.{name} {value}" for name, value in settings.items()]
    text = text.replace(f"What {dry_run.BOARD} ", f"What {board} ").replace(first["part"], other["part"])
    return text.replace(f"  CONFIG.preset {first['processing_system']['preset']}", "\n".join(lines))


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("board", BOARDS)
def test_each_board_says_what_the_golden_file_holds_but_for_its_part_and_its_processor(board, generation):
    file = dry_run.path(generation)
    assert file.exists(), f"no {file.name}: {AGAIN}"
    expected = of_board(file.read_text(encoding="utf-8"), board)
    assert dry_run.golden(board, generation) == expected, f"{file.name} differs for {board}, {AGAIN}"


def test_there_is_a_golden_file_for_each_generation_and_no_other():
    assert {file.name for file in dry_run.GOLDEN.iterdir()} == {f"{generation}.txt" for generation in GENERATIONS}


@pytest.mark.parametrize("ports", [dict(isa.PORTS), PORTS], ids=["contract", "several ports"])
def test_addresses_ports_and_widths_are_those_of_overlay_and_contract(tmp_path, ports):
    plan = json.loads(design.OVERLAY.read_text())
    dry_run.set_ports(tmp_path, "zedboard", ports)
    lines = dry_run.record("implement.tcl", tmp_path)
    joined = {tuple(line.split()[1:]) for line in lines if line.startswith("connect_bd_intf_net")}
    memories = [name for name, (kind, _) in ports.items() if kind == "memory"]
    for name in memories:
        to = plan["memory_ports"][name]
        bus = f"m_axi_{isa.BUSES[name]}"
        (between,) = [target.split("/")[0] for source, target in joined if source == f"{plan['engine']['ip']}/{bus}"]
        assert (f"{between}/M00_AXI", f"{plan['processing_system']['ip']}/{to}") in joined
        space, segment = f"{plan['engine']['ip']}/Data_{bus}", f"{to}/{to.removeprefix('S_AXI_')}_DDR_LOWOCM"
        assert f"assign_bd_address -target_address_space {space} processing_system7_0/{segment} -force" in lines
    assert sum("/m_axi_" in source for source, _ in joined) == len({isa.BUSES[name] for name in memories})
    for key in ("engine", "timer", "interrupt_controller"):
        block = plan[key]
        place = f"-offset {block['base']} -range {block['range']} -target_address_space processing_system7_0/Data"
        assert f"assign_bd_address {place} {block['ip']}/{block['bus']}/Reg -force" in lines
        assert f"create_bd_cell -type ip -vlnv {block['vlnv']} {block['ip']}" in lines
    engine, pin = plan["engine"]["interrupt"].split("/")
    assert f"connect_bd_net {engine}/{pin} {plan['interrupt_controller']['ip']}/intr" in lines
    used = {plan["memory_ports"][name] for name in memories}
    for number in range(4):
        port = f"S_AXI_HP{number}"
        assert (f"  CONFIG.PCW_USE_{port} 1" in lines) == (port in used)
    facts = design.facts("zedboard", ports=ports)["memory_ports"]
    expected = {isa.BUSES[name]: bits for name, (kind, bits) in ports.items() if kind == "memory"}
    assert {name: (port["low"], port["high"]) for name, port in facts.items()} == {
        name: (bits, bits) for name, bits in expected.items()
    }


def test_ports_of_one_bus_go_to_one_place_with_one_width():
    places = design.overlay()["memory_ports"]
    assert len(design.memory_ports(PORTS, places)) == len(set(isa.BUSES.values())) < len(places)
    for ports, at in ((PORTS, {**places, "maps": "S_AXI_HP0"}), ({**PORTS, "tables": ["memory", 32]}, places)):
        with pytest.raises(UserError, match="others of its bus side"):
            design.memory_ports(ports, at)


def test_overlay_has_a_place_for_each_memory_port_of_the_contract_and_no_other():
    memories = [name for name, (kind, _) in isa.PORTS.items() if kind == "memory"]
    assert sorted(design.overlay()["memory_ports"]) == sorted(memories)


def test_weights_have_ports_of_the_processor_of_their_own():
    found = design.memory_ports(PORTS, design.overlay()["memory_ports"])
    places = {port.name: port.to for port in found}
    assert [places[f"weights{number}"] for number in range(3)] == [f"S_AXI_HP{number}" for number in range(3)]
    assert {place for name, place in places.items() if not name.startswith("weights")} == {"S_AXI_HP3"}


@pytest.mark.parametrize(
    ("script", "old", "new", "expected"),
    [
        ("implement.tcl", "launch_runs impl_1 -to_step", "launch_runs impl_1 -to_stage", "no argument -to_stage"),
        ("implement.tcl", "write_bitstream", "write_bitstreams", "expected one of opt_design"),
        ("implement.tcl", "-jobs $jobs", "-jobs", "-jobs has no value"),
        ("implement.tcl", "wait_on_runs impl_1", "wait_for_runs impl_1", "no command 'wait_for_runs'"),
        ("implement.tcl", "open_run impl_1", "open_run", "0 words"),
        ("implement.tcl", "-delay_type min_max", "-delay_type both", "expected one of min"),
        ("design.tcl", "/slowest_sync_clk", "/slowest_clk", "has no slowest_clk"),
        ("design.tcl", "join_buses $ps/$master $control/S00_AXI", "", "nothing is joined to .*/M_AXI_GP0"),
        ("design.tcl", "$control/S00_AXI", "$control/S01_AXI", "has no S01_AXI"),
        ("design.tcl", "$block_reset $engine/ap_rst_n", "$block_reset", "nothing is joined to ddi_engine_0/ap_rst_n"),
        ("design.tcl", "join_pins $clock $ps/${to}_ACLK", "", "nothing is joined to processing_system7_0/S_AXI_HP"),
        ("design.tcl", "$interrupt_controller/irq $ps/IRQ_F2P", "$engine/interrupt $ps/IRQ_F2F", "has no IRQ_F2F"),
        ("design.tcl", "join_pins $clock $rst/slowest_sync_clk", "join_pins $clock $rst/slowest_sync_clk "
         "$rst/slowest_sync_clk", "and to processing_system7_0/FCLK_CLK0 before"),
        ("design.tcl", "_DDR_LOWOCM", "_DDR", "has no segment"),
        ("design.tcl", "/Reg] -force", "/Reg] -forced", "no argument -forced"),
        ("design.tcl", "-type ip -vlnv", "-type core -vlnv", "expected one of ip"),
        ("project.tcl", "set_top $top", "set_top", "0 words"),
        ("project.tcl", "-flow_target vivado", "-flow_target ip", "expected one of vivado"),
        ("csim.tcl", "-clean", "-cleanup", "no argument -cleanup"),
        ("hls.tcl", "csynth_design", "csynth", "no command 'csynth'"),
        ("hls.tcl", "-ipname", "-name", "no argument -name"),
        ("cosim.tcl", "-rtl verilog", "-rtl systemc", "expected one of verilog"),
    ],
)  # fmt: skip
def test_the_recorder_finds_a_wrong_call(tmp_path, script, old, new, expected):
    flow = tmp_path / "flow"
    shutil.copytree(commands.FLOW, flow)
    text = (flow / script).read_text()
    assert old in text
    (flow / script).write_text(text.replace(old, new, 1))
    dry_run.set_ports(tmp_path, "zedboard", dict(isa.PORTS))
    start = {"design.tcl": "implement.tcl", "project.tcl": "hls.tcl"}.get(script, script)
    with pytest.raises(dry_run.Refused, match=expected):
        dry_run.record(flow / start, tmp_path)


def test_a_bus_may_be_as_wide_as_its_pragma_lets_hls_make_it(tmp_path):
    dry_run.set_ports(tmp_path, "zedboard", PORTS, widened={"maps": 128})
    assert dry_run.record("implement.tcl", tmp_path, bits="side 128")
    with pytest.raises(dry_run.Refused, match="m_axi_side is 256 bits wide, expected 64 to 128"):
        dry_run.record("implement.tcl", tmp_path, bits="side 256")


def test_a_bus_of_another_width_stops_the_design(tmp_path):
    dry_run.set_ports(tmp_path, "zedboard", PORTS)
    with pytest.raises(dry_run.Refused, match="m_axi_weights1 is 32 bits wide, expected 64 to 64"):
        dry_run.record("implement.tcl", tmp_path, bits="weights1 32")


def test_an_implementation_that_stops_is_an_error(tmp_path):
    dry_run.set_ports(tmp_path, "zedboard", PORTS)
    with pytest.raises(dry_run.Refused, match="implementation stopped: place_design ERROR"):
        dry_run.record("implement.tcl", tmp_path, progress="42%")


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ("em.avnet.com:zed:part0:1.4", "em.avnet.com:zed:part0:1.4"),
        ("em.avnet.com:zed:part0:1.4 digilentinc.com:zedboard:part0:1.0", "digilentinc.com:zedboard:part0:1.0"),
        ("em.avnet.com:zed:part0:1.9 em.avnet.com:zed:part0:1.10", "em.avnet.com:zed:part0:1.10"),
    ],
)
def test_the_boards_own_preset_is_used_where_it_is_installed(tmp_path, installed, chosen):
    dry_run.set_ports(tmp_path, "zedboard", dict(isa.PORTS))
    lines = dry_run.record("implement.tcl", tmp_path, board_parts=installed)
    assert f"set_property board_part {chosen} project" in lines
    assert any("apply_board_preset 1" in line for line in lines)
    assert not any("CONFIG.preset" in line for line in lines)


@pytest.mark.parametrize("board", BOARDS)
def test_without_its_files_a_board_gets_the_preset_of_its_data(tmp_path, board):
    dry_run.set_ports(tmp_path, board, dict(isa.PORTS))
    lines = dry_run.record("implement.tcl", tmp_path)
    system = json.loads(OUTPUT.read_text())[board]["processing_system"]
    wanted = {"preset": system["preset"]} if "preset" in system else system["properties"]
    for name, value in wanted.items():
        assert any(line in (f"  CONFIG.{name} {value}", f"  CONFIG.{name} {{{value}}}") for line in lines), name
    assert any("apply_board_preset 0" in line for line in lines)


@pytest.mark.parametrize("board", BOARDS)
def test_the_configuration_file_has_known_keys_and_the_scripts_facts(tmp_path, board):
    dry_run.prepare(board, UNIFIED, tmp_path)
    lines = (tmp_path / commands.CONFIGURATION).read_text().splitlines()
    pairs = [line.split("=", 1) for line in lines if "=" in line]
    assert {key for key, _ in pairs} == KEYS and len(pairs) == len(KEYS)
    values = dict(pairs)
    assert lines.index(f"part={values['part']}") < lines.index("[hls]")
    dry_run.prepare(board, CLASSIC, tmp_path)
    told = "\n".join(dry_run.record("hls.tcl", tmp_path))
    assert f"set_part {values['part']}\n" in told and f"-period {values['clock'].removesuffix('ns')} " in told
    assert f"set_clock_uncertainty {values['clock_uncertainty']}" in told and f"set_top {values['syn.top']}" in told
    ip = [values[f"package.ip.{key}"] for key in ("vendor", "library", "name", "version")]
    assert "-vendor {} -library {} -ipname {} -version {}".format(*ip) in told


@pytest.mark.parametrize(("asked", "made"), [(143, 1000 / 7), (100, 100), (111, 1000 / 9), (125, 125), (10, 10)])
def test_the_clock_is_one_that_the_processor_can_make(asked, made):
    assert design.logic_clock(asked, 1000) == pytest.approx(made)


@pytest.mark.parametrize("asked", [9, 251, float("nan")])
def test_a_clock_out_of_range_is_refused(asked):
    with pytest.raises(UserError, match="expected 10 to 250"):
        design.facts("zedboard", asked)


def test_a_port_without_a_place_is_named():
    with pytest.raises(UserError, match=r"memory port gain without a place: add it in overlay\.json"):
        design.facts("zedboard", ports={**isa.PORTS, "gain": ["memory", 32]})


@pytest.mark.parametrize("text", ["a[b]", "a$b", 'a"b', "a{b", "a;b"])
def test_text_that_tcl_would_read_is_refused(text):
    with pytest.raises(UserError, match="TCL reads"):
        design.word(text)
