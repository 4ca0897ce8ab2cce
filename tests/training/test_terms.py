"""Loss terms by hand, their directions, and what a recipe may not ask for."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from torch.nn import functional

from hls.errors import UserError
from tests.training.toys import gradient
from training import terms
from training.dynamic import LAYER, Decision, Output


def step(logits, labels, flops=(50.0, 100.0), decisions=(), exits=(), progress=1.0):
    flops = torch.tensor(flops, dtype=torch.float64, requires_grad=True)[:, None]
    out = Output(logits=list(logits), flops=flops, decisions=list(decisions), exits=list(exits), ran=[None] * 4)
    return terms.Step(out, torch.tensor(labels), 100.0, progress)


def sure(*classes, confidence=4.0):
    return confidence * functional.one_hot(torch.tensor(classes), 3).float()


def test_classification_by_hand():
    right, wrong = sure(0, 1), sure(1, 2)
    of = {name: math.log(math.exp(4) + 2) - (4 if name == "right" else 0) for name in ("right", "wrong")}
    assert terms.Classification()(step([right], [0, 1])).item() == pytest.approx(of["right"], rel=1e-5)
    both = terms.Classification(exits=0.5)(step([wrong, right], [0, 1]))
    assert both.item() == pytest.approx(of["right"] + 0.5 * of["wrong"], rel=1e-5)


def test_distillation_pulls_exits_to_the_last_output_and_not_the_other_way():
    early, last = torch.zeros(2, 3, requires_grad=True), sure(0, 1).requires_grad_()
    loss = terms.Distillation(temperature=1.0)(step([early, last], [0, 0]))
    target = torch.softmax(last.detach(), 1)
    expected = (target * (target.log() - math.log(1 / 3))).sum(1).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert last.grad is None and torch.allclose(gradient(early), (1 / 3 - target) / 2, atol=1e-6)
    assert terms.Distillation()(step([last], [0, 0])).item() == 0


def test_a_teacher_pulls_every_output_to_its_own():
    early, last, taught = torch.zeros(2, 3, requires_grad=True), sure(0, 1).requires_grad_(), sure(2, 1)
    seen = step([early, last], [0, 0])._replace(taught=taught)
    loss = terms.Teacher(exits=0.5, temperature=1.0)(seen)
    target = torch.softmax(taught, 1)

    def divergence(logits):
        return (target * (target.log() - torch.log_softmax(logits, 1))).sum(1).mean().item()

    assert loss.item() == pytest.approx(divergence(last) + 0.5 * divergence(early), rel=1e-5)
    loss.backward()
    assert torch.allclose(gradient(last), (torch.softmax(last.detach(), 1) - target) / 2, atol=1e-6)
    assert torch.allclose(gradient(early), 0.5 * (1 / 3 - target) / 2, atol=1e-6)
    softer = terms.Teacher(exits=0.0, temperature=2.0)(seen).item()
    soft = torch.softmax(taught / 2, 1)
    expected = 4 * (soft * (soft.log() - torch.log_softmax(last.detach() / 2, 1))).sum(1).mean().item()
    assert softer == pytest.approx(expected, rel=1e-5)


def test_cost_has_its_minimum_at_the_target():
    logits = [sure(0, 1)]
    values = [terms.Cost(target=0.5)(step(logits, [0, 1], (share, share))).item() for share in (30.0, 50.0, 70.0)]
    assert values[1] == 0 and values[0] == values[2] == pytest.approx(0.16)
    above = [terms.Cost(target=0.5, only_above=True)(step(logits, [0, 1], (share, share))) for share in (30.0, 70.0)]
    assert above[0].item() == 0 and above[1].item() == pytest.approx(0.16)


def test_the_costs_target_falls_from_full_cost():
    cost = terms.Cost(target=0.4, start=1.0, ramp=0.5)
    assert [cost.target_at(progress) for progress in (0, 0.25, 0.5, 1)] == pytest.approx([1, 0.7, 0.4, 0.4])


def test_the_papers_rule_is_a_constant_push_by_sign():
    for share, sign in ((90.0, 1), (30.0, -1)):
        given = step([sure(0)], [0], (share,))
        assert terms.SignedCost(target=0.4)(given).item() == pytest.approx(sign * share / 100 * 4)


def gate(logits, mask=LAYER, unit=1):
    logits = torch.tensor(logits).reshape(-1, 1).requires_grad_()
    return Decision(unit, mask, logits, (logits > 0).float(), torch.ones(len(logits), dtype=torch.bool))


def test_need_opens_a_gate_for_the_images_that_are_wrong():
    """Two of four images are open, the wrong two: their logits rise, the others' fall."""
    exit_logits = sure(0, 1, 2, 0)  # of labels 0 0 0 0: images 1 and 2 are wrong
    decision = gate([0.5, -0.5, 0.1, -0.1])
    given = step([exit_logits, sure(0, 0, 0, 0)], [0] * 4, (1.0,) * 4, [decision], [0])
    terms.Need()(given).backward()
    assert (decision.logits.grad[:, 0] < 0).tolist() == [False, True, True, False]


@settings(max_examples=30, deadline=None)
@drawn(st.floats(-2, 2), st.integers(0, 100))
def test_need_moves_no_rate(shift, seed):
    """What it gives to the wrong images it takes from the others, so that no gate closes or opens by it alone."""
    rng = np.random.default_rng(seed)
    decision = gate((shift + rng.normal(size=512)).tolist())
    exit_logits = torch.from_numpy(rng.normal(size=(512, 10)))
    terms.Need()(step([exit_logits, exit_logits], [0] * 512, (1.0,) * 512, [decision], [0])).backward()
    assert abs(decision.logits.grad.sum().item()) < 2.0 / 512


def test_need_asks_the_exit_before_the_unit():
    early, late = sure(0, 1), sure(1, 0)  # of labels 0 0: each is wrong on the other image
    before, after = gate([1.0, -1.0], unit=2), gate([1.0, -1.0], unit=5)
    given = step([early, late, sure(0, 0)], [0, 0], (1.0, 1.0), [before, after], [1, 4])
    terms.Need()(given).backward()
    assert (before.logits.grad[:, 0] < 0).tolist() == [False, True]
    assert (after.logits.grad[:, 0] < 0).tolist() == [True, False]


def test_opening_stops_at_the_margin():
    decision = gate([3.0, -1.0])
    loss = terms.Opening(margin=1.0)(step([sure(0, 0)], [0, 0], decisions=[decision]))
    assert loss.item() == 1.0
    loss.backward()
    assert decision.logits.grad[:, 0].tolist() == [0.0, -0.5]


def test_shaping_pulls_a_gate_from_either_end_and_fades():
    for logit, sign in ((5.0, 1), (-5.0, -1)):
        decision = gate([logit, logit])
        given = step([sure(0, 0)], [0, 0], decisions=[decision], progress=0.0)
        terms.Shaping()(given).backward()
        assert (decision.logits.grad.sign() == sign).all()
    late = step([sure(0, 0)], [0, 0], decisions=[gate([5.0, 5.0])], progress=0.6)
    assert terms.Shaping(until=0.5)(late).item() == 0


def test_total_adds_by_weight():
    made = terms.build({"classification": {"weight": 2.0}, "cost": {"weight": 3.0, "target": 0.5}})
    loss, values = terms.total(made, step([sure(0, 1)], [0, 1]))
    assert loss.item() == pytest.approx(2 * values["classification"].item() + 3 * values["cost"].item())


def test_unknown_terms_and_options_are_named():
    with pytest.raises(terms.TermError, match="unknown term 'luck'"):
        terms.build({"luck": {}})
    with pytest.raises(terms.TermError, match="unknown option 'speed' of the term cost"):
        terms.build({"cost": {"speed": 1}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"need": 3}, "terms.need = 3: expected its options"),
        ({"cost": {"target": "half"}}, "target = 'half' in the term cost: expected float"),
        ({"cost": {"target": 0}}, "target = 0.0 in the term cost: expected a number, above 0, at most 1"),
        ({"cost": {"target": -0.7}}, "target = -0.7 in the term cost"),
        ({"cost": {"start": 50}}, "start = 50.0 in the term cost"),
        ({"signed_cost": {"target": 1.5}}, "target = 1.5 in the term signed_cost"),
        ({"budget_cost": {"target": float("nan")}}, "target = nan in the term budget_cost"),
        ({"need": {"weight": float("inf")}}, "weight = inf in the term need: expected a number, 0 or more"),
        ({"classification": {"smoothing": 3}}, "smoothing = 3.0 in the term classification"),
        ({"classification": {"exits": -1}}, "exits = -1.0 in the term classification"),
        ({"distillation": {"temperature": 0}}, "temperature = 0.0 in the term distillation"),
        ({"shaping": {"until": 0.0}}, "until = 0.0 in the term shaping"),
        ({"shaping": {"layers": "no"}}, "layers = 'no' in the term shaping: expected bool"),
    ],
)
def test_options_that_no_term_can_follow_are_named(options, message):
    with pytest.raises(UserError, match=message):
        terms.build(options)


def test_integers_and_the_ends_of_ranges_are_fine():
    assert terms.build({"cost": {"target": 1, "ramp": 0}})["cost"].target == 1.0
