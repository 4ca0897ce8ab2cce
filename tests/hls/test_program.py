"""Encoding, listing and the checks of programs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls import isa
from hls.program import Limits, ProgramError, check, decode, disassemble, encode, row_bytes, validate
from hls.stress.random_programs import random_program

LIMITS = Limits(instructions=20, weight_bytes=4096, table_words=64, image_bytes=75, gates=3, classes=10,
                map_words=100)  # fmt: skip
FAR = isa.DDR_ADDRESS
MOST = isa.LANE_BYTES // 49  # input channels of a 7×7 kernel
INT32 = st.integers(-(2**31), 2**31 - 1)
MAP = {"input": 0, "output": 100, "height": 5, "width": 5}
VALID = {
    isa.END: {},
    isa.IMAGE: {"output": 0, "channels": 3, "height": 5, "width": 5, "weights": 16},
    isa.CONV: {**MAP, "identity": 200, "in_channels": 3, "out_channels": 7, "kernel": 3, "stride": 1, "in_mask": 1,
               "out_mask": 2, "weights": 0, "table": 0, "pool": -1},
    isa.AFFINE: {**MAP, "in_channels": 3, "out_channels": 7, "stride": 2, "channel_offset": 1, "table": 2, "pool": -1,
                 "pool_scale": 0},
    isa.POOL: {**MAP, "channels": 3, "kernel": 3, "stride": 2, "padding": 1, "scale": 0},
    isa.GLOBAL_POOL: {**MAP, "channels": 3, "scale": 0},
    isa.FC: {"input": 0, "output": 16, "inputs": 16, "outputs": 10, "weights": 0, "table": 0},
    isa.LSTM: {"input": 0, "output": 16, "inputs": 16, "hidden": 5, "weights": 0, "table": 0},
    isa.GATE_LAYER: {"input": 4095, "threshold": 0, "target": 9, "gate": 2, "channels": 0},
    isa.GATE_CHANNEL: {"input": 0, "channels": 7, "threshold": 0, "mask": 3, "gate": -1},
    isa.TAP: {"exit": 255, "target": 9, "flops": 0, "cycles": 0, "threshold": -1},
    isa.EXIT: {"exit": 0, "input": 4086, "classes": 10, "scale": 0},
    isa.MOVE: {"input": 6128, "output": FAR + 63, "channels": 3, "words": 5, "input_pitch": 5, "output_pitch": 16,
               "mask": 1},
}  # fmt: skip
FIELD, VECTOR, ADDRESS, OVERLAP, WEIGHTS, TABLE, TARGET = range(isa.STATUS_BAD_FIELD, isa.STATUS_BAD_TARGET + 1)
BROKEN = [
    (isa.IMAGE, {"channels": 2}, FIELD),
    (isa.IMAGE, {"channels": 0}, FIELD),
    (isa.IMAGE, {"output": isa.TILE_WORDS - 2}, ADDRESS),
    (isa.IMAGE, {"output": 1 << 30}, ADDRESS),
    (isa.IMAGE, {"weights": 4}, WEIGHTS),
    (isa.IMAGE, {"weights": 4096 - 752}, WEIGHTS),
    (isa.CONV, {"kernel": 2}, FIELD),
    (isa.CONV, {"kernel": 9}, FIELD),
    (isa.CONV, {"stride": 3}, FIELD),
    (isa.CONV, {"flags": isa.FLAG_RAW}, FIELD),
    (isa.CONV, {"flags": -1}, FIELD),
    (isa.CONV, {"in_mask": 2}, FIELD),
    (isa.CONV, {"out_mask": 4}, FIELD),
    (isa.CONV, {"in_channels": MOST + 1, "kernel": 7, "in_mask": 0}, FIELD),
    (isa.CONV, {"pool": -2}, FIELD),
    (isa.CONV, {"flags": isa.FLAG_HALO_TOP}, FIELD),
    (isa.CONV, {"flags": isa.FLAG_HALO_BOTTOM}, FIELD),
    (isa.CONV, {"flags": isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM, "height": 16}, FIELD),
    (isa.CONV, {"pool": 4090}, VECTOR),
    (isa.CONV, {"pool": 4090, "input": -1}, VECTOR),
    (isa.CONV, {"input": FAR}, ADDRESS),
    (isa.CONV, {"output": FAR, "flags": isa.FLAG_ADD, "identity": FAR}, ADDRESS),
    (isa.CONV, {"height": 257}, FIELD),
    (isa.CONV, {"input": -1}, ADDRESS),
    (isa.CONV, {"output": 6138}, ADDRESS),
    (isa.CONV, {"flags": isa.FLAG_ADD, "identity": 6138}, ADDRESS),
    (isa.CONV, {"output": 2}, OVERLAP),
    (isa.CONV, {"flags": isa.FLAG_ADD, "identity": 101}, OVERLAP),
    (isa.CONV, {"weights": 4096}, WEIGHTS),
    (isa.CONV, {"weights": 4096 - 7 * 48 + 8}, WEIGHTS),
    (isa.CONV, {"table": 50}, TABLE),
    (isa.CONV, {"table": 47}, TABLE),  # inside, but a row is a word of the port: even addresses
    (isa.CONV, {"table": 1}, TABLE),
    (isa.CONV, {"table": -2}, TABLE),
    (isa.AFFINE, {"channel_offset": 2049}, FIELD),
    (isa.AFFINE, {"flags": isa.FLAG_ADD}, FIELD),
    (isa.AFFINE, {"table": 52}, TABLE),
    (isa.AFFINE, {"table": 3}, TABLE),
    (isa.AFFINE, {"pool": -2}, FIELD),
    (isa.AFFINE, {"pool": 4090}, VECTOR),
    (isa.AFFINE, {"pool": 4090, "input": -1}, VECTOR),
    (isa.POOL, {"stride": 0}, FIELD),
    (isa.POOL, {"stride": 3}, FIELD),
    (isa.POOL, {"kernel": 1, "padding": 0}, FIELD),
    (isa.POOL, {"padding": 2}, FIELD),
    (isa.POOL, {"flags": isa.FLAG_AVERAGE}, FIELD),
    (isa.POOL, {"kernel": 7, "padding": 0}, FIELD),
    (isa.POOL, {"kernel": 7, "padding": 3, "stride": 3}, FIELD),
    (isa.POOL, {"kernel": 4, "padding": 0, "stride": 4}, FIELD),
    (isa.POOL, {"height": 20, "padding": 0, "flags": isa.FLAG_HALO_TOP}, FIELD),
    (isa.POOL, {"flags": isa.FLAG_HALO_BOTTOM}, FIELD),
    (isa.POOL, {"input": FAR}, ADDRESS),
    (isa.GLOBAL_POOL, {"flags": isa.FLAG_RELU}, FIELD),
    (isa.GLOBAL_POOL, {"output": 4094}, VECTOR),
    (isa.FC, {"inputs": 0}, FIELD),
    (isa.FC, {"output": 15}, OVERLAP),
    (isa.FC, {"input": -1}, VECTOR),
    (isa.FC, {"table": 46}, TABLE),
    (isa.FC, {"table": 5}, TABLE),
    (isa.LSTM, {"hidden": 33}, FIELD),
    (isa.LSTM, {"output": 4092}, VECTOR),
    (isa.LSTM, {"output": 12}, OVERLAP),
    (isa.LSTM, {"weights": 3624}, WEIGHTS),
    (isa.LSTM, {"table": 26}, TABLE),
    (isa.LSTM, {"table": 7}, TABLE),
    (isa.GATE_LAYER, {"gate": 3}, FIELD),
    (isa.GATE_LAYER, {"gate": -1}, FIELD),
    (isa.GATE_LAYER, {"input": 4096}, VECTOR),
    (isa.GATE_LAYER, {"target": 4}, TARGET),
    (isa.GATE_LAYER, {"target": 20}, TARGET),
    (isa.GATE_CHANNEL, {"mask": 0}, FIELD),
    (isa.GATE_CHANNEL, {"gate": -2}, FIELD),
    (isa.TAP, {"exit": 256}, FIELD),
    (isa.TAP, {"flops": -1}, FIELD),
    (isa.TAP, {"target": 3}, TARGET),
    (isa.EXIT, {"classes": 9}, FIELD),
    (isa.EXIT, {"input": 4087}, VECTOR),
    (isa.MOVE, {"channels": 0}, FIELD),
    (isa.MOVE, {"words": 0}, FIELD),
    (isa.MOVE, {"words": 6145, "input_pitch": 6145, "output_pitch": 6145}, FIELD),
    (isa.MOVE, {"input_pitch": 4}, FIELD),
    (isa.MOVE, {"output_pitch": FAR}, FIELD),
    (isa.MOVE, {"mask": 4}, FIELD),
    (isa.MOVE, {"mask": -1}, FIELD),
    (isa.MOVE, {"mask": 2}, FIELD),
    (isa.MOVE, {"input": 6130}, ADDRESS),
    (isa.MOVE, {"input": -1}, ADDRESS),
    (isa.MOVE, {"output": FAR + 64}, ADDRESS),
    (isa.MOVE, {"output": FAR - 1}, ADDRESS),
    (isa.MOVE, {"output": 6124, "output_pitch": 5}, OVERLAP),
    (isa.MOVE, {"input": FAR + 10, "output": FAR + 20}, OVERLAP),
]
FITS = [
    (isa.CONV, {"in_channels": MOST, "kernel": 7, "in_mask": 0, "output": 600}, 7 * row_bytes(MOST * 49)),
    (isa.CONV, {"flags": isa.FLAG_HALO_TOP, "height": 9}, 4096),
    (isa.CONV, {"flags": isa.FLAG_HALO_BOTTOM, "height": 9}, 4096),
    (isa.CONV, {"weights": 4096 - 7 * 48}, 4096),
    (isa.CONV, {"pool": 4089}, 4096),
    (isa.CONV, {"table": 48}, 4096),
    (isa.AFFINE, {"table": 50, "pool": 4089}, 0),
    (isa.FC, {"table": 44}, 4096),
    (isa.LSTM, {"table": 24}, 4096),
    (isa.POOL, {"kernel": 7, "padding": 3, "stride": 2}, 0),
    (isa.POOL, {"kernel": 1, "padding": 0, "stride": 1}, 0),
    (isa.POOL, {"height": 20, "flags": isa.FLAG_HALO_TOP | isa.FLAG_HALO_BOTTOM}, 0),
    (isa.MOVE, {"input": 0, "output": 15, "output_pitch": 5}, 0),
    (isa.MOVE, {"input": FAR + 63, "output": FAR + 0, "input_pitch": 16, "output_pitch": 16, "words": 5}, 0),
    (isa.MOVE, {"mask": 0}, 0),
]
MASKS = [0, 3, 7, 0]


@pytest.mark.parametrize("opcode", VALID)
def test_valid_instructions_pass(opcode):
    assert validate(encode(opcode, **VALID[opcode]), 4, LIMITS, MASKS) == isa.STATUS_OK


@pytest.mark.parametrize(("opcode", "change", "status"), BROKEN)
def test_broken_instructions_give_their_status(opcode, change, status):
    assert validate(encode(opcode, **{**VALID[opcode], **change}), 4, LIMITS, MASKS) == status


@pytest.mark.parametrize(("opcode", "change", "weight_bytes"), FITS)
def test_the_last_that_fits(opcode, change, weight_bytes):
    limits = replace(LIMITS, weight_bytes=weight_bytes)
    assert validate(encode(opcode, **{**VALID[opcode], **change}), 4, limits, MASKS) == isa.STATUS_OK


def test_the_static_check_leaves_masks_to_the_engine():
    words = encode(isa.CONV, **{**VALID[isa.CONV], "in_mask": 2})
    assert validate(words, 4, LIMITS) == isa.STATUS_OK
    assert validate(words, 4, LIMITS, MASKS) == isa.STATUS_BAD_FIELD


def test_pc_and_opcode_come_first():
    assert validate(encode(isa.END), 20, LIMITS) == isa.STATUS_BAD_TARGET
    assert validate(np.full(16, len(isa.FIELDS), np.int32), 0, LIMITS) == isa.STATUS_BAD_OPCODE
    assert validate(encode(isa.END), 0, LIMITS, in_classifier=True) == isa.STATUS_BAD_OPCODE


@given(st.sampled_from(sorted(isa.FIELDS)), st.lists(INT32, min_size=15, max_size=15), st.booleans())
def test_validate_takes_any_words(opcode, rest, in_classifier):
    status = validate(np.array([opcode, *rest], np.int32), 3, LIMITS, MASKS, in_classifier)
    assert isa.STATUS_OK <= status <= isa.STATUS_BAD_TARGET


@given(st.sampled_from(sorted(isa.FIELDS)), st.data())
def test_decode_undoes_encode(opcode, data):
    fields = {name: data.draw(INT32) for name in isa.FIELDS[opcode]}
    words = encode(opcode, **fields)
    assert words.shape == (isa.INSTRUCTION_WORDS,) and words.dtype == np.int32
    assert decode(words) == {"opcode": opcode, **fields}


def test_encode_wants_every_field_but_flags():
    assert decode(encode(isa.FC, **VALID[isa.FC]))["flags"] == 0
    for fields in ({}, {**VALID[isa.FC], "stride": 1}, {**VALID[isa.FC], "inputs": 2**31}):
        with pytest.raises(ValueError, match="FC"):
            encode(isa.FC, **fields)
    with pytest.raises(ValueError, match="no opcode 13"):
        encode(13)
    with pytest.raises(ValueError, match="not an instruction"):
        decode(np.full(16, 77))


def test_disassembly_has_a_line_an_instruction():
    program = np.stack([encode(opcode, **fields) for opcode, fields in VALID.items()] + [np.full(16, 99, np.int32)])
    lines = disassemble(program).split("\n")
    assert len(lines) == len(program) and "in_channels=3" in lines[2] and lines[-1].startswith("  13 ?")


def limits_of(program, weights, tables, images, start):
    return Limits(len(program), len(weights), len(tables), images[0].size, start.gates, start.classes, start.map_words)


def test_check_passes_whole_programs_and_names_what_is_wrong():
    case = random_program(np.random.default_rng(3))
    program, limits = case[0], limits_of(*case)
    check(program, limits)
    broken = program.copy()
    broken[0, 1 + isa.FIELDS[isa.IMAGE].index("height")] = 0
    with pytest.raises(ProgramError, match=r"instruction 0 \(IMAGE\): a count"):
        check(broken, limits)
    with pytest.raises(ProgramError, match=f"{isa.MAX_INSTRUCTIONS + 1} instructions"):
        check(np.zeros((isa.MAX_INSTRUCTIONS + 1, 16), np.int32), limits)
    with pytest.raises(ProgramError, match="-1 words of map memory"):
        check(program, replace(limits, map_words=-1))


@pytest.mark.parametrize(
    ("inside", "match"), [(opcode, "must not hold") for opcode in (isa.GATE_CHANNEL, isa.END, isa.MOVE)]
)
def test_check_walks_classifiers(inside, match):
    tap = {**VALID[isa.TAP], "target": 2}
    ends = [encode(inside, **VALID[inside]), encode(isa.EXIT, **VALID[isa.EXIT])]
    program = np.stack([encode(isa.TAP, **tap), encode(isa.END), *ends])
    with pytest.raises(ProgramError, match=match):
        check(program, Limits(4, 0, 0, 75, 0, 10, 100))


def test_check_wants_an_end():
    program = np.stack(
        [encode(isa.TAP, **{**VALID[isa.TAP], "target": 1}), encode(isa.GATE_CHANNEL, **VALID[isa.GATE_CHANNEL])]
    )
    with pytest.raises(ProgramError, match=r"instruction 1 .*left without EXIT or END"):
        check(program, Limits(2, 0, 0, 75, 0, 10))
