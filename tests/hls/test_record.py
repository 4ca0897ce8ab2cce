"""Result records: columns, wide counters, and failures in words."""

from dataclasses import replace

import numpy as np
import pytest

from hls import isa
from hls.record import NO_BUDGET, Start, check_start, decode, explain, not_run, top, words

START = Start(gates=2, classes=3)


def record(**fields):
    row = np.zeros(words(2, 3), np.int64)
    for name, value in fields.items():
        row[isa.RECORD.index(name)] = value
    row[16:] = (-1, 5, 7, -8, 9)
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


def test_records_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"expected int32 \(images, 21\)"):
        decode(np.zeros((1, 20), np.int32), START)


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
    ],
)
def test_bad_starts_are_named(change):
    check_start(START, 1, 1)
    with pytest.raises(ValueError, match=f"BAD_START: {[*change][-1]}"):
        check_start(replace(START, **change), 1, 1)


def test_a_start_needs_images_and_instructions():
    for counts in ((0, 1), (isa.MAX_INSTRUCTIONS + 1, 1), (1, 0)):
        with pytest.raises(ValueError, match="BAD_START"):
            check_start(START, *counts)


def test_top_classes_are_the_largest_logits_the_first_of_equals():
    assert top(np.array([[3, 9, 9, -5]], np.int32), 3).tolist() == [[1, 2, 0]]
