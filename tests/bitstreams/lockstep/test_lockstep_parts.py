"""What the comparison of RTL and C++ stands on: shared layouts, random layers, faults, static timing. No Verilator."""

import re

import numpy as np
import pytest

from bitstreams.lockstep import build, layout
from bitstreams.lockstep.faults import FAULTS
from bitstreams.lockstep.layers import golden, random_layer
from bitstreams.lockstep.mapped import way
from bitstreams.lockstep.timing import Timing
from hls import isa
from hls.errors import UserError


@pytest.fixture(scope="module")
def package():
    return build.sources()["ddi.sv"]


def test_the_package_has_the_contract_s_constants(package):
    values = {name: int(value) for name, value in re.findall(r"localparam int (\w+) = (-?\d+);", package)}
    assert values["kTile"] == isa.TILE and values["kTileWords"] == isa.TILE_WORDS
    assert values["kWriteDelay"] == isa.WRITE_DELAY and values["kWeightPorts"] == isa.WEIGHT_PORTS
    assert values["kSumWidth"] == (isa.LANE_BYTES * 127 * 255).bit_length() + 1


def test_structures_have_each_field_once_and_the_first_lowest(package):
    for kind, table in (("layer", layout.LAYER), ("place", layout.PLACE)):
        (body,) = re.findall(r"typedef struct packed \{([^}]*)\} " + kind + "_t;", package)
        assert re.findall(r"\] (\w+);", body) == list(reversed(table))
    assert layout.header().count("bits.Put(") == len(layout.LAYER) + len(layout.PLACE)


def test_every_fault_stands_once_in_the_rtl_and_is_switched_by_its_number():
    texts = build.sources(FAULTS)
    for number, (name, _, new) in enumerate(FAULTS, 1):
        assert f"(ddi::fault == {number} ? ({new}) : (" in texts[name]
    assert "int fault;" in texts["ddi.sv"] and "$value$plusargs" in texts["maps.sv"]
    assert "fault" not in "".join(build.sources().values())


def test_a_fault_that_is_not_in_the_rtl_is_an_error():
    with pytest.raises(build.LockstepError, match=r"fault 1: 'no such text' stands 0 times in pool.sv, not once"):
        build.sources((("pool.sv", "no such text", ""),))


def test_random_layers_have_everything_and_the_golden_model_takes_them():
    layers = [random_layer(np.random.default_rng([3, seed]), 2000) for seed in range(60)]
    fields = [layer.fields for layer in layers]
    assert {each["kernel"] for each in fields} == {1, 3, 5, 7} and {each["stride"] for each in fields} == {1, 2}
    assert {bool(each["in_mask"]) for each in fields} == {bool(each["out_mask"]) for each in fields} == {False, True}
    for flag in (isa.FLAG_ADD, isa.FLAG_IN_SIGNED, isa.FLAG_RELU, isa.FLAG_HALO_TOP, isa.FLAG_HALO_BOTTOM):
        assert {bool(each["flags"] & flag) for each in fields} == {False, True}
    assert any(each["identity"] == each["output"] and each["flags"] & isa.FLAG_ADD for each in fields)
    changed = [(golden(layer)[0] != layer.maps).any() for layer in layers]
    assert sum(changed) > 40 and all(layer.cycles <= 2000 for layer in layers)


def netlist(**cells):
    """A netlist of yosys: name → (kind, port → net)."""
    made = {name: {"type": kind, "connections": {port: [net] if isinstance(net, int) else net
                                                 for port, net in ports.items()}} for name, (kind, ports) in
            cells.items()}  # fmt: skip
    nets = {bit for cell in made.values() for bits in cell["connections"].values() for bit in bits}
    return {"modules": {"top": {"cells": made, "netnames": {f"n{bit}": {"bits": [bit]} for bit in nets}}}}


def test_a_way_is_the_sum_of_its_cells_and_wires():
    design = netlist(a=("FDRE", {"C": 1, "D": 2, "Q": 3}), b=("LUT2", {"I0": 3, "I1": 4, "O": 5}),
                     c=("FDRE", {"C": 1, "D": 5, "Q": 6}))  # fmt: skip
    timing = Timing.of(design, "top", "-1")
    assert timing.period_ns == pytest.approx(0.303 + (0.45 + 0.127) + 0.45 + 0.109)
    assert [kind for kind, _ in timing.path] == ["FDRE", "LUT2", "FDRE"]
    assert way(timing.path) == "n3, 1 LUT2, into FDRE behind n5"


def test_a_carry_chain_has_no_wires_inside():
    links = [20, 21, 22, 23]
    design = netlist(a=("FDRE", {"C": 1, "D": 2, "Q": 3}), b=("LUT1", {"I0": 3, "O": 5}),
                     c=("CARRY4", {"CI": ["0"], "S": [5, "0", "0", "0"], "DI": ["0"] * 4, "CO": links,
                                   "O": [30, 31, 32, 33]}),
                     d=("CARRY4", {"CI": [23], "S": ["0"] * 4, "DI": ["0"] * 4, "CO": [24, 25, 26, 27],
                                   "O": [40, 41, 42, 43]}),
                     e=("FDRE", {"C": 1, "D": 43, "Q": 6}))  # fmt: skip
    expected = 0.303 + (0.45 + 0.127) + 0.528 + 0.334 + 0.45 + 0.109
    assert Timing.of(design, "top", "-1").period_ns == pytest.approx(expected)


def test_what_a_netlist_may_not_have_is_named():
    with pytest.raises(UserError, match="no delays for a XYZ"):
        Timing.of(netlist(a=("XYZ", {"O": 1})), "top", "-1")
    loop = netlist(a=("LUT1", {"I0": 5, "O": 4}), b=("LUT1", {"I0": 4, "O": 5}),
                   c=("FDRE", {"C": 1, "D": 5, "Q": 6}))  # fmt: skip
    with pytest.raises(UserError, match="a loop without a register"):
        Timing.of(loop, "top", "-1")
    with pytest.raises(UserError, match="no delays for speed grade -9"):
        Timing.of(loop, "top", "-9")


def test_what_stands_still_is_no_way():
    design = netlist(a=("FDRE", {"C": 1, "D": 2, "Q": 3}), b=("LUT2", {"I0": 7, "I1": 8, "O": 5}),
                     c=("LUT2", {"I0": 5, "I1": 3, "O": 6}), d=("FDRE", {"C": 1, "D": 6, "Q": 9}))  # fmt: skip
    ports = {"layer": {"direction": "input", "bits": [7]}, "valid": {"direction": "input", "bits": [8]}}
    design["modules"]["top"]["ports"] = ports
    wires = 2 * (0.45 + 0.127) + 0.45 + 0.109
    assert Timing.of(design, "top", "-1", ("layer",)).period_ns == pytest.approx(wires)
    assert Timing.of(design, "top", "-1", ("layer", "valid")).period_ns == pytest.approx(0.303 + wires - 0.577)
