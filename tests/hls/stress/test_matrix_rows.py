"""FC and LSTM on the chip's three ports: rows of every remainder, results and cycles.

pytest --cosim tests/hls/stress/test_matrix_rows.py
"""

import numpy as np
import pytest

from hls import isa
from hls.program import encode
from hls.record import Start, agreed
from hls.shapes import row_bytes
from hls.stress import trips
from hls.stress.builder import scale_word
from tests.hls.agreement import STALE, assert_same

pytestmark = pytest.mark.cosim
CHIP = ("-DDDI_CHIP=1",)
FEATURES = 80  # numbers that a program starts with, from vector memory's address 0 on
FLAGS = (0, isa.FLAG_RELU, isa.FLAG_RAW, isa.FLAG_RAW | isa.FLAG_RELU)


def features(rng):
    """IMAGE and GLOBAL_POOL: bytes and, by their scale, numbers that saturate 16 bits; tables, weights."""
    code = [
        encode(isa.IMAGE, output=0, channels=FEATURES, height=1, width=1, weights=0),
        encode(isa.GLOBAL_POOL, flags=isa.FLAG_IN_SIGNED, input=0, output=0, channels=FEATURES, height=1, width=1,
               scale=300),
    ]  # fmt: skip
    return code, rng.integers(-128, 128, 256 * FEATURES, dtype=np.int8), np.zeros((0, 2), np.int32)


def add_rows(rng, weights, tables, rows, count):
    """(weights, tables) with a matrix behind them: half of its bytes -128 or 127, and biases that saturate 32 bits."""
    ends = rng.choice([-128, 127], rows * row_bytes(count))
    new = np.where(rng.random(ends.size) < 0.5, ends, rng.integers(-128, 128, ends.size)).astype(np.int8)
    biases = rng.choice([-(2**31), 2**31 - 1, *rng.integers(-(2**24), 2**24, 18)], rows)
    scales = [scale_word(2.0 ** rng.uniform(-16, -9), rng.random() < 0.3) for _ in range(rows)]
    table = np.stack([biases, scales], 1).astype(np.int32)
    return np.concatenate([weights, new]), np.concatenate([tables, table])


def case(rng, code, weights, tables, at, classes):
    code = [*code, encode(isa.EXIT, exit=0, input=at, classes=classes, scale=1)]
    images = rng.integers(0, 256, (1, 1, 1, FEATURES), dtype=np.uint8)
    return np.stack(code), weights, tables.ravel(), images, Start(0, classes)


def row_cycles(rows, count):
    """Three rows at a time, eight bytes of each a cycle, while the three before are finished, a row a cycle."""
    beats = row_bytes(count) // isa.PORT_BYTES
    return -(-rows // isa.WEIGHT_PORTS) * max(beats, isa.WEIGHT_PORTS) + isa.WEIGHT_PORTS


@pytest.mark.parametrize("outputs", range(1, 10))
def test_fully_connected_layers_of_one_to_forty_inputs(outputs):
    """From every bank of vector memory, with every kind of output."""
    rng = np.random.default_rng(outputs)
    (code, weights, tables), at, expected = features(rng), 100, 0
    for inputs in range(1, 41):
        place, table = len(weights), 2 * len(tables)
        weights, tables = add_rows(rng, weights, tables, outputs, inputs)
        code.append(encode(isa.FC, flags=FLAGS[inputs % 4], input=inputs * 5 % 11, output=at, inputs=inputs,
                           outputs=outputs, weights=place, table=table))  # fmt: skip
        at += outputs
        expected += row_cycles(outputs, inputs)
    program = case(rng, code, weights, tables, 100, 40 * outputs)
    (record,) = assert_same(program, f"{outputs} outputs", STALE)
    logits = record[isa.RECORD_HEADER :]
    assert record[0] == isa.STATUS_OK and len(np.unique(logits)) > 10
    assert {-(2**31), 2**31 - 1} & set(logits.tolist()) or outputs < 3, "raw sums saturate"
    records, counts = trips.run(*program, flags=CHIP)
    assert np.array_equal(agreed(records)[0], record) and counts["RunRows::RowCycles"] == expected


@pytest.mark.parametrize("hidden", (1, 2, 3, 5, 7, 8, 10, 31, 32))
def test_lstms_whose_hidden_state_stands_in_any_bank(hidden):
    """The hidden state behind inputs of every remainder; each step takes the state that the last one left."""
    rng = np.random.default_rng(hidden)
    (code, weights, tables), at, expected = features(rng), 100, 0
    for inputs in range(1, 26):
        place, table = len(weights), 2 * len(tables)
        weights, tables = add_rows(rng, weights, tables, 4 * hidden, inputs + hidden)
        tables[table // 2 :, 0] //= 2**4
        code.append(encode(isa.LSTM, input=inputs * 7 % 13, output=at, inputs=inputs, hidden=hidden, weights=place,
                           table=table))  # fmt: skip
        at += hidden
        expected += row_cycles(4 * hidden, inputs + hidden)
    program = case(rng, code, weights, tables, 100, 25 * hidden)
    (record,) = assert_same(program, f"{hidden} hidden", STALE)
    assert record[0] == isa.STATUS_OK and len(np.unique(record[isa.RECORD_HEADER :])) > 10
    records, counts = trips.run(*program, flags=CHIP)
    assert np.array_equal(agreed(records)[0], record) and counts["RunRows::RowCycles"] == expected
    assert counts["RunLstm::LstmUnits"] == 25 * hidden


def test_weights_of_minus_128_are_what_they_are():
    """Where a CONV's count as -127: by hand, with the largest operands there are."""
    rng = np.random.default_rng(0)
    code, weights, _ = features(rng)
    weights[:] = np.tile(np.full(256, -128, np.int8), FEATURES)  # every pixel is -128; · 300 saturates to -2^15
    place, count = len(weights), 9
    weights = np.concatenate([weights, np.full(2 * row_bytes(count), -128, np.int8)])
    tables = np.array([[7, 0], [-7, 16 << 16 | 1]], np.int32)
    code.append(
        encode(isa.FC, flags=isa.FLAG_RAW, input=3, output=100, inputs=count, outputs=2, weights=place, table=0)
    )
    program = case(rng, code, weights, tables, 100, 2)
    (record,) = assert_same(program, "-128", STALE)
    total = 9 * 128 * 2**15
    assert record[isa.RECORD_HEADER :][:2].tolist() == [total + 7, total - 7]


def test_cycles_of_rows_worked_by_hand():
    # one to three rows of a byte: three cycles, one of which multiplies, then three for their finish; four: 2 · 3 + 3
    assert [row_cycles(rows, 1) for rows in (1, 3, 4)] == [6, 6, 9]
    assert [row_cycles(rows, 17) for rows in (1, 4, 9)] == [6, 9, 12]
    assert [row_cycles(rows, 40) for rows in (1, 4, 9)] == [8, 13, 18]
