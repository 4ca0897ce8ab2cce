"""Result records: columns, wide counters, and failures in words."""

from dataclasses import fields, replace

import numpy as np
import pytest

from hls import isa
from hls.pool import MOST
from hls.record import (
    NO_BUDGET,
    SIZES,
    Start,
    agreed,
    check_start,
    decode,
    explain,
    not_run,
    scalars,
    stops,
    top,
    words,
)

START = Start(gates=2, classes=3)


def arguments(start, instructions=1, images=1):
    """The scalar arguments of a start with so much to run."""
    program = np.zeros((instructions, isa.INSTRUCTION_WORDS), np.int32)
    return scalars(start, program, np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros((images, 2, 2, 1), np.uint8))


def record(**fields):
    row = np.zeros(words(2, 3), np.int64)
    for name, value in fields.items():
        row[isa.RECORD.index(name)] = value
    row[isa.RECORD_HEADER :] = (-1, 5, 7, -8, 9, 0)  # whole words of the port
    return row.astype(np.uint32).view(np.int32)


def test_columns():
    rows = np.stack([record(flops_low=0xFFFFFFFE, flops_high=3, cycles_low=5, confidence=32768, entropy=65536, exit=4),
                     not_run(1, START)])  # fmt: skip
    results = decode(rows, START)
    assert results.flops.tolist() == [2**34 - 2, 0] and results.cycles.tolist() == [5, 0]
    assert results.flops.dtype == results.cycles.dtype == np.int64
    assert results.confidence.tolist() == [0.5, 0] and results.entropy.tolist() == [1, 0]
    assert results.trace.tolist() == [[-1, 5], [-1, -1]] and results.logits.tolist() == [[7, -8, 9], [0, 0, 0]]
    assert results.status.tolist() == [0, isa.STATUS_NOT_RUN] and results.image.tolist() == [0, 1]
    assert results.exit.tolist() == [4, -1] and results.label.tolist() == [0, -1] and results.pc.tolist() == [0, -1]


def test_what_was_measured_is_outside_of_what_engines_agree_in():
    one, other = record(stalls=3, array_busy=-1, port_idle=2, stop_pc=-1), record(stop_pc=-1)
    found = decode(one[None], START)
    assert (found.stalls[0], found.array_busy[0], found.port_idle[0], found.stop_pc[0]) == (3, 2**32 - 1, 2, -1)
    assert np.array_equal(agreed([one, other]), [other, other]) and one[isa.RECORD.index("stalls")] == 3
    assert stops([record(stop_pc=7), other]).tolist() == [7, -1] and stops([not_run(0, START)]).tolist() == [-1]


def test_records_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"expected int32 \(images, 30\)"):
        decode(np.zeros((1, 29), np.int32), START)


@pytest.mark.parametrize("status", isa.STATUS.values())
def test_every_status_is_explained(status):
    text = explain(status, 12, 345)
    assert text.startswith("image 345: ") and "\n" not in text
    if status not in (isa.STATUS_OK, isa.STATUS_BAD_START, isa.STATUS_NOT_RUN):
        assert "instruction 12" in text


def test_an_unknown_status_is_explained_too():
    assert "unknown status 99" in explain(99, 0, 0)


@pytest.mark.parametrize(
    "change",
    [
        *({"gates": -1}, {"gates": 257}, {"classes": 0}, {"classes": 1025}, {"budget_flops": -1}, {"rule": 4}),
        *({"budget_cycles": NO_BUDGET + 1}, {"rule": isa.RULE_CLASS, "target_class": 3}),
        *({"map_words": -1}, {"map_words": isa.DDR_ADDRESS}),
        *({"pool": 0}, {"pool": isa.MAX_POOL + 1}, {"floor_flops": -1}, {"pool": 2, "budget_flops": MOST}),
        {"pool": 2, "floor_cycles": 6, "budget_cycles": 5},
    ],
)
def test_bad_starts_are_named(change):
    check_start(arguments(START))
    with pytest.raises(ValueError, match=f"BAD_START: {[*change][-1]}"):
        check_start(arguments(replace(START, **change)))


def test_a_start_needs_images_and_instructions():
    for instructions, images in ((0, 1), (isa.MAX_INSTRUCTIONS + 1, 1), (1, 0)):
        with pytest.raises(ValueError, match="BAD_START"):
            check_start(arguments(START, instructions, images))


def test_scalars_are_those_of_the_contract():
    """What the arrays of a batch tell, and Start; each of them once, and no other."""
    kinds = {name for name, (kind, _) in isa.PORTS.items() if kind == "scalar"}
    assert set(arguments(START)) == kinds and {field.name for field in fields(Start)} | set(SIZES) == kinds
    assert arguments(START, 5, 3)["images_count"] == 3 and arguments(START, 5)["instructions"] == 5


def test_top_classes_are_the_largest_logits_the_first_of_equals():
    assert top(np.array([[3, 9, 9, -5]], np.int32), 3).tolist() == [[1, 2, 0]]
