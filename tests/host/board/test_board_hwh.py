"""The .hwh that the board in software has is one that pynq reads, and pynq's classes are called as they are.

    PYNQ_PYTHON=~/pynq/bin/python pytest tests/host/board/test_board_hwh.py

$PYNQ_PYTHON names an interpreter with pynq 3.1.2 or pynqmetadata (`pip install --no-deps pynq==3.1.2`); without it this
one is asked, and what it cannot import is skipped.
"""

import functools
import inspect
import json
import os
import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls import isa
from hls.errors import UserError
from host.board import overlay
from tests.host.standin import files, hwh, software_pynq
from tests.host.standin.machine import Machine

DESIGN = overlay.read()
METADATA = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pynqmetadata.frontends import Metadata
design = Metadata(sys.argv[1])
found = {}
for name, block in design.blocks.items():
    for port in block.ports.values():
        if getattr(port, "registers", None):
            registers = {item.name: item.offset for item in port.registers.values()}
            found[name] = [port.baseaddr, port.range, registers]
processor = design.blocks["processing_system7_0"]
print(json.dumps([found, [processor.find_clock_divisor(0, number) for number in range(2)]]))
"""
PARSER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
from pynqmetadata.frontends import Metadata
design = RuntimeMetadataParser(Metadata(sys.argv[1]))
keys = ("type", "phys_addr", "addr_range", "registers")
print(json.dumps([{name: {key: block.get(key) for key in keys} for name, block in design.ip_dict.items()},
                  design.interrupt_pins, design.clock_dict[0]]))
"""
SIGNATURES = """
import inspect, json, warnings
warnings.simplefilter("ignore")
import pynq
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device, DeviceMeta
from pynq.ps import Clocks
calls = {"allocate": pynq.allocate, "Overlay": pynq.Overlay.__init__, "Overlay.download": pynq.Overlay.download,
         "Overlay.is_loaded": pynq.Overlay.is_loaded, "MMIO": pynq.MMIO.__init__, "MMIO.read": pynq.MMIO.read,
         "Interrupt": pynq.Interrupt.__init__, "Interrupt.wait": pynq.Interrupt.wait,
         "PynqBuffer.flush": PynqBuffer.flush, "PynqBuffer.invalidate": PynqBuffer.invalidate,
         "PynqBuffer.freebuffer": PynqBuffer.freebuffer}
found = {name: list(inspect.signature(call).parameters) for name, call in calls.items()}
found["properties"] = [isinstance(getattr(DeviceMeta, "active_device"), property), hasattr(type(Clocks), "fclk0_mhz")]
print(json.dumps(found))
"""


@functools.cache
def ask(script, *arguments):
    """What `script` prints as JSON where pynq is; skips where it cannot be imported."""
    python = os.environ.get("PYNQ_PYTHON", sys.executable)
    result = subprocess.run([python, "-c", script, *arguments], capture_output=True, text=True, check=False)
    if result.returncode and "ImportError" not in result.stderr and "ModuleNotFoundError" not in result.stderr:
        pytest.fail(result.stderr[-2000:])
    if result.returncode:
        pytest.skip(f"{result.stderr.strip().splitlines()[-1]}: give $PYNQ_PYTHON, see above")
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("hwh") / "ddi.hwh"
    path.write_text(hwh.write(DESIGN), encoding="utf-8")
    return path


def test_the_stand_in_reads_what_it_wrote(path):
    hardware = hwh.parse(path.read_text())
    for block in (DESIGN.engine, DESIGN.timer, DESIGN.interrupt_controller):
        overlay.check_block(block, hardware.ip_dict)
    offsets = overlay.match(hardware.ip_dict[DESIGN.engine.ip]["registers"])
    assert offsets == {name: offset for name, (offset, _) in isa.REGISTERS.items()}
    assert DESIGN.interrupt in hardware.interrupt_pins and hardware.divisors == (7, 1)


def test_pynqmetadata_reads_the_same(path):
    found, divisors = ask(METADATA, str(path))
    hardware = hwh.parse(path.read_text())
    assert divisors == list(hardware.divisors)
    for block in (DESIGN.engine, DESIGN.timer, DESIGN.interrupt_controller):
        registers = {name: item["address_offset"] for name, item in hardware.ip_dict[block.ip]["registers"].items()}
        assert found[block.ip] == [block.base, block.range, registers]


def test_pynqs_own_parser_gives_the_dictionaries_that_the_driver_reads(path):
    ip_dict, pins, clock = ask(PARSER, str(path))
    hardware = hwh.parse(path.read_text())
    for block in (DESIGN.engine, DESIGN.timer):
        overlay.check_block(block, ip_dict)
    assert ip_dict[DESIGN.engine.ip]["registers"] == hardware.ip_dict[DESIGN.engine.ip]["registers"]
    assert overlay.match(ip_dict[DESIGN.engine.ip]["registers"])
    assert pins[DESIGN.interrupt]["controller"] == DESIGN.interrupt_controller.ip
    assert (clock["divisor0"], clock["divisor1"]) == hardware.divisors


def test_the_stand_ins_calls_are_pynqs():
    pynq = software_pynq.module(Machine(golden_model=True))
    found = ask(SIGNATURES)
    calls = {
        "allocate": pynq.allocate,
        "Overlay": pynq.Overlay.__init__,
        "Overlay.download": pynq.Overlay.download,
        "Overlay.is_loaded": pynq.Overlay.is_loaded,
        "MMIO": pynq.MMIO.__init__,
        "MMIO.read": pynq.MMIO.read,
        "Interrupt": pynq.Interrupt.__init__,
        "Interrupt.wait": pynq.Interrupt.wait,
        "PynqBuffer.flush": software_pynq.PynqBuffer.flush,
        "PynqBuffer.invalidate": software_pynq.PynqBuffer.invalidate,
        "PynqBuffer.freebuffer": software_pynq.PynqBuffer.freebuffer,
    }
    assert {name: list(inspect.signature(call).parameters) for name, call in calls.items()} | {
        "properties": [True, True]
    } == found


def test_the_bit_has_a_header_that_pynq_would_take():
    assert files.check_bit(files.bit()) == "7z020clg484"
    for data in (files.bit()[:-1], files.bit() + b"\0"):
        with pytest.raises(RuntimeError, match="Invalid length"):
            files.check_bit(data)


# ------------------------------------------------------------------------------------------------------------ registers
REGISTERS = hwh.parse(hwh.write(DESIGN)).ip_dict[DESIGN.engine.ip]["registers"]


@pytest.mark.parametrize("name", sorted(REGISTERS))
def test_every_register_that_is_missing_or_elsewhere_is_named(name):
    with pytest.raises(UserError, match="has no register"):
        overlay.match(hwh.without(REGISTERS, name))
    moved = {**REGISTERS, name: {**REGISTERS[name], "address_offset": REGISTERS[name]["address_offset"] ^ 0x100}}
    with pytest.raises(UserError, match=r"the contract has 0x"):
        overlay.match(moved)


def test_names_with_and_without_the_tools_ending_are_taken():
    plain = {name.replace("program_r", "program"): item for name, item in REGISTERS.items()}
    assert overlay.match(plain) == overlay.match(REGISTERS)
    assert "program_r_1" in REGISTERS and "program_1" in plain
    whole = hwh.without(hwh.without(REGISTERS, "ap_return_1"), "ap_return_2")
    whole["ap_return"] = {**REGISTERS["ap_return_1"], "size": 64}
    assert overlay.match(whole) == overlay.match(REGISTERS)


@given(st.data())
def test_a_damaged_hwh_never_ends_in_anything_but_one_line(data):
    """Bytes dropped or changed: it is read, or it is refused as pynq's own readers refuse it."""
    text = hwh.write(DESIGN)
    at = data.draw(st.integers(0, len(text) - 1))
    end = at + data.draw(st.integers(1, 200))
    damaged = (
        text[:at] + data.draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=3)) + text[end:]
    )
    try:
        hardware = hwh.parse(damaged)
    except (ElementTree.ParseError, KeyError, ValueError):
        return
    try:
        overlay.check_block(DESIGN.engine, hardware.ip_dict)
        overlay.match(hardware.ip_dict[DESIGN.engine.ip]["registers"])
    except UserError as error:
        assert "\n" not in str(error)
