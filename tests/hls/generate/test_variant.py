"""The engine with other sizes: what changes in its contract, and that a process sees it."""

import subprocess
import sys
import tomllib

import pytest

from hls import isa
from hls.generate import variant
from hls.generate.sources import SOURCE

CONTRACT = tomllib.loads(SOURCE.read_text())
ASK = [sys.executable, "-c", "from hls import isa; print(isa.HASH, isa.TILE_WORDS)"]


def test_the_contract_changes_in_what_is_asked_for_only():
    found = variant.changed(CONTRACT, {"OUT_LANES": 4})
    assert found["sizes"] == CONTRACT["sizes"] | {"OUT_LANES": 4}
    assert {key: found[key] for key in found if key != "sizes"} == {k: v for k, v in CONTRACT.items() if k != "sizes"}
    assert variant.changed(CONTRACT, {}) == CONTRACT
    with pytest.raises(ValueError, match="no size LANES in hls"):
        variant.changed(CONTRACT, {"LANES": 4})


def test_another_latency_of_the_ddr_is_in_every_loop_that_waits_for_it():
    """No loop that reads a port of the DDR as it starts is missing, and none that reads no port is in."""
    found = variant.changed(CONTRACT, {"DDR_LATENCY": variant.DDR_LATENCY + 16})
    assert found["timing"] == CONTRACT["timing"] | {"FETCH_FAR": isa.FETCH_FAR + 16}
    pairs = list(zip(CONTRACT["loop"], found["loop"], strict=True))
    waiting = {loop["name"] for loop in CONTRACT["loop"] if "the DDR's latency" in loop["doc"]}
    for loop, other in pairs:
        assert other == {**loop, "depth": loop["depth"] + 16 * (loop["name"] in waiting)}
    assert waiting == {loop["name"] for loop, other in pairs if loop != other} and len(waiting) == 5
    assert min(loop["depth"] for loop in CONTRACT["loop"] if loop["name"] in waiting) > variant.DDR_LATENCY
    assert isa.FETCH_FAR == variant.DDR_LATENCY + isa.FETCH
    assert variant.changed(CONTRACT, {"DDR_LATENCY": variant.DDR_LATENCY}) == CONTRACT


def test_a_process_in_the_folder_has_the_other_sizes(tmp_path):
    variant.write(tmp_path, {"TILE_WORDS": isa.TILE_WORDS // 2})
    found = subprocess.run(ASK, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert found[0] != isa.HASH and int(found[1]) == isa.TILE_WORDS // 2
    assert f"kTileWords = {isa.TILE_WORDS // 2};" in (tmp_path / "hls" / "src" / "isa.hpp").read_text()
