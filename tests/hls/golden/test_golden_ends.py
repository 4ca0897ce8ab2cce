"""Where an image ends, by hand on a package of ten instructions: a budget that is short by one, a stop by lost time."""

from dataclasses import replace

import numpy as np
import pytest

from bench.standin import tiny
from hls import golden, isa
from hls.cost import classifier_cost
from hls.record import Start, decode, stops

PACKAGE = tiny.package()
START = Start(gates=1, classes=10)
IMAGES = np.random.default_rng(4).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
ONE = 1 << 16  # entropy 1, probability 1
HEAD = 7  # pc of the main classifier's FC, which no gate skips; the TAP is at 2


def run(start, images=IMAGES, **options):
    return golden.run(PACKAGE.program, PACKAGE.weights, PACKAGE.tables, images, start, **options)


KEPT = classifier_cost(PACKAGE.program, 10)  # of the tap, kept for until the end


@pytest.mark.parametrize("unit", ["flops", "cycles"])
def test_a_budget_that_is_short_by_one_ends_at_the_tap(unit):
    """What was spent, the next instruction, and the classifier that is kept: all three count."""
    whole = decode(run(START), START)
    assert (whole.reason == isa.REASON_END).all() and (whole.exit == 1).all()
    for image, spent in zip(IMAGES[:, None], getattr(whole, unit).tolist()):
        exact, short = (replace(START, **{f"budget_{unit}": spent + getattr(KEPT, unit) - less}) for less in (0, 1))
        assert decode(run(exact, image), exact).exit == [1]
        found = decode(run(short, image), short)
        assert found.exit == [0] and found.reason == [isa.REASON_BUDGET] and found.status == [isa.STATUS_OK]
        assert getattr(found, unit) <= getattr(short, f"budget_{unit}")


def test_lost_time_stops_an_image_where_it_is_said():
    records = run(START, stops=[-1, HEAD, 1])
    found = decode(records, START)
    assert found.reason.tolist()[:2] == [isa.REASON_END, isa.REASON_TIME] and found.exit.tolist()[:2] == [1, 0]
    assert found.status.tolist() == [isa.STATUS_OK, isa.STATUS_OK, isa.STATUS_BUDGET_TOO_SMALL]
    assert stops(records).tolist()[:2] == [-1, HEAD]


@pytest.mark.parametrize("rule", [isa.RULE_ENTROPY, isa.RULE_CONFIDENCE, isa.RULE_CLASS])
def test_a_rule_at_its_threshold_and_one_beside_it(rule):
    """Less entropy than the threshold stops an image at the tap; so does a confidence that is no less than it."""
    own_start = replace(START, rule=rule, threshold=2**31 - 1 if rule == isa.RULE_ENTROPY else 0)
    early = decode(run(own_start), own_start)
    assert (early.exit == 0).all()
    found = early.entropy if rule == isa.RULE_ENTROPY else early.confidence  # the likeliest class's own probability
    for image, label, value in zip(IMAGES[:, None], early.label.tolist(), found.tolist()):
        stopped = []
        for threshold in range(round(value * ONE) - 1, round(value * ONE) + 2):
            start = replace(START, rule=rule, target_class=label, threshold=threshold)
            stopped.append(decode(run(start, image), start).exit.tolist() == [0])
        assert stopped == ([False, False, True] if rule == isa.RULE_ENTROPY else [True, True, False])
