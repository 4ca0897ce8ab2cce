"""Depths of the contract that the sources can be held to.

pytest tests/hls/bounds/test_depths.py
"""

import pytest

pytest.importorskip("clang", reason="the sources are read with libclang")

from hls import isa
from hls.bounds.operators import division_cycles
from hls.lint import cpp

DEPTHS = {loop["name"]: loop["depth"] for loop in isa.LOOPS}
BITS = {"uint64_t": 64, "uint32_t": 32}


def test_an_exit_s_depth_holds_its_divisions():
    """They share one divider, which is not inlined: one waits for the other."""
    unit = cpp.parse(cpp.SOURCES / "engine.cpp", cpp.SYNTHESIS)
    calls = [
        cursor
        for cursor, around in cpp.walk(unit)
        if cursor.kind.name == "CALL_EXPR"
        and cursor.spelling == "Divide"
        and any(each.spelling == "RunExit" for each in around)
    ]
    bits = {BITS[next(call.referenced.get_arguments()).type.spelling] for call in calls}
    assert (len(calls), bits) == (3, {64})
    assert DEPTHS["RunExit::ExitSums"] >= len(calls) * division_cycles(64)
