"""Dependence pragmas put into a copy of the sources: a true one stays silent, a false one is named.

pytest --cosim tests/hls/bounds/test_claims.py
"""

import shutil

import numpy as np
import pytest

from hls import cosim, isa
from hls.bounds import claims
from hls.program import encode
from hls.record import Start, agreed
from tests.hls.bounds.kernels import needs_clang

pytestmark = [pytest.mark.cosim, needs_clang]

HALF = 16 << 16 | 32768
PIPELINE = "#pragma HLS pipeline II = 1\n"


def case(rows=3):
    """IMAGE, GLOBAL_POOL, two FCs one behind the other, EXIT: 8 features, then `rows`, then `rows` logits."""
    program = np.stack([
        encode(isa.IMAGE, output=0, channels=8, height=8, width=8, weights=0),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=8, height=8, width=8, scale=HALF),
        encode(isa.FC, inputs=8, outputs=rows, input=0, output=64, weights=2048, table=0),
        encode(isa.FC, inputs=rows, outputs=rows, input=64, output=128, weights=2048, table=0),
        encode(isa.EXIT, exit=0, input=128, classes=rows, scale=HALF),
    ])  # fmt: skip
    rng = np.random.default_rng(7)
    weights = rng.integers(-127, 128, 2048 + 16 * rows, dtype=np.int8)
    tables = np.tile(np.array([3, 1 | 1 << 16], np.int32), rows)
    images = rng.integers(0, 256, (1, 8, 8, 8), dtype=np.uint8)
    return program, weights, tables, images, Start(gates=0, classes=rows)


def with_claim(folder, file, loop, variable, words):
    """A copy of the sources with a claim in the loop of that label."""
    copy = folder / "src"
    shutil.copytree(cosim.SOURCES, copy)
    text = (copy / file).read_text()
    at = text.index(PIPELINE, text.index(f"{loop}:\n")) + len(PIPELINE)
    claim = f"    #pragma HLS dependence variable = {variable} {words}\n"
    (copy / file).write_text(text[:at] + claim + text[at:])
    return copy


def test_the_engine_s_own_claims_are_silent():
    """Each process is watched in its own loop, as the chip runs it."""
    assert {(claim.loop, claim.variable) for _, claim in claims.found()} == {
        ("RunRows::RowCycles", "vector"),
        ("RunMaps::MapCycles", "maps"),
        *(("RunMaps::MapCycles", f"memory.lanes.{name}") for name in ("even", "odd", "bias", "scale")),
        ("MoveFromDdr::MoveIn", "map_memory"),
        ("MoveFromTiles::MoveOut", "maps"),
    }
    assert np.array_equal(agreed(claims.run(*case())), cosim.run(*case()))


@pytest.mark.parametrize("file, loop, variable, words, apart", [
    ("chip/rows.hpp", "RowCycles", "place.sum", "inter RAW false", "2 iterations"),
    ("chip/layer.hpp", "MapCycles", "memory.drain.pooled", "inter RAW false", "iterations"),
    ("chip/image.hpp", "ImageBeats", "memory.pixel", "inter WAR false", "iterations"),
    ("chip/layer.hpp", "MapCycles", "memory.drain.word", "intra RAW false", "0 iterations"),
])  # fmt: skip
def test_a_false_claim_is_named(file, loop, variable, words, apart, tmp_path):
    folder = with_claim(tmp_path, file, loop, variable, words)
    with pytest.raises(claims.ClaimError, match=f"{loop}: {variable} is claimed to have no .*{apart} apart"):
        claims.run(*case(), folder=folder)


@pytest.mark.parametrize("distance, breaks", [(2, False), (3, True)])
def test_a_distance_is_the_window(distance, breaks, tmp_path):
    """The three sums are handed over two iterations behind the one that makes them."""
    words = f"type = inter direction = RAW distance = {distance} dependent = true"
    folder = with_claim(tmp_path, "chip/rows.hpp", "RowCycles", "place.sum", words)
    if not breaks:
        assert np.array_equal(agreed(claims.run(*case(), folder=folder)), cosim.run(*case()))
        return
    with pytest.raises(claims.ClaimError, match="2 iterations apart"):
        claims.run(*case(), folder=folder)
