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


def test_a_process_in_the_folder_has_the_other_sizes(tmp_path):
    variant.write(tmp_path, {"TILE_WORDS": isa.TILE_WORDS // 2})
    found = subprocess.run(ASK, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert found[0] != isa.HASH and int(found[1]) == isa.TILE_WORDS // 2
    assert f"kTileWords = {isa.TILE_WORDS // 2};" in (tmp_path / "hls" / "src" / "isa.hpp").read_text()
