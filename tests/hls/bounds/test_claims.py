"""Dependence pragmas put into a copy of the sources: a true one stays silent, a false one is named.

pytest --cosim tests/hls/bounds/test_claims.py
"""

import re
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


def with_claims(folder, *claimed):
    """A copy of the sources with claims (file, label of the loop, variable, words)."""
    copy = folder / "src"
    shutil.copytree(cosim.SOURCES, copy)
    for file, loop, variable, words in claimed:
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


FALSE = {  # claim: how far apart the accesses are that break it
    ("chip/rows.hpp", "RowCycles", "place.sum", "inter RAW false"): "2 iterations",
    ("chip/layer.hpp", "MapCycles", "memory.drain.pooled", "inter RAW false"): r"\d+ iterations",
    ("chip/image.hpp", "ImageBeats", "memory.pixel", "inter WAR false"): r"\d+ iterations",
    ("chip/layer.hpp", "MapCycles", "memory.drain.word", "intra RAW false"): "0 iterations",
}


def test_each_false_claim_is_named_and_no_true_one(tmp_path):
    with pytest.raises(claims.ClaimError) as raised:
        claims.run(*case(), folder=with_claims(tmp_path, *FALSE))
    sentences = str(raised.value).split("; ")
    for (_, loop, variable, words), apart in FALSE.items():
        direction = words.split()[1]
        pattern = rf".*::{loop}: {re.escape(variable)} is claimed to have no {direction}, .* {apart} apart"
        assert sum(re.fullmatch(pattern, sentence) is not None for sentence in sentences) == 1, variable
    assert len(sentences) == len(FALSE)


@pytest.mark.parametrize("distance, breaks", [(2, False), (3, True)])
def test_a_distance_is_the_window(distance, breaks, tmp_path):
    """The three sums are handed over two iterations behind the one that makes them."""
    words = f"type = inter direction = RAW distance = {distance} dependent = true"
    folder = with_claims(tmp_path, ("chip/rows.hpp", "RowCycles", "place.sum", words))
    if not breaks:
        assert np.array_equal(agreed(claims.run(*case(), folder=folder)), cosim.run(*case()))
        return
    with pytest.raises(claims.ClaimError, match="2 iterations apart"):
        claims.run(*case(), folder=folder)
