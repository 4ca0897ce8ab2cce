"""Training works: thirty steps on a toy that a line separates cut what they should, whatever part is looked at.

Each of these fails when a loss is negated, labels are shifted against images, a rate or the momentum is gone, or the
largest logit is taken for the smallest.
"""

import json

import pytest
import torch

from tests.training import toys
from training.evaluate import evaluate
from training.loop import Trainer
from training.network import Network
from training.objective import make_optimizer


def run(tmp_path, phases, seed=0, **values):
    parts = [toys.stripes(n, seed=seed + i) for i, n in enumerate((512, 256, 256))]
    trainer = Trainer(toys.plan(phases, **values), parts, tmp_path, "cpu")
    before = evaluate(trainer.model, parts[1])
    assert trainer.run()
    return trainer, before, evaluate(trainer.model, parts[1])


def test_a_few_steps_learn_the_toy(tmp_path):
    trainer, _, after = run(tmp_path, [toys.phase(steps=60, gated=False, train=["backbone", "exits"])])
    assert min(after["accuracy_at"]) > 0.85
    logged = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [record["accuracy"] for record in logged if "accuracy" in record][-1] > 0.85
    figures = evaluate(trainer.model, trainer.validation, gated=False)
    assert figures["accuracy"] > 0.9


def test_the_cost_term_brings_the_cost_to_its_target(tmp_path):
    terms = {"classification": {}, "cost": {"target": 0.6, "ramp": 0.0, "weight": 4.0}}
    _, before, after = run(tmp_path, [toys.phase(steps=60, terms=terms, gate_lr=4.0)])
    assert abs(before["share"] - 0.6) > 0.1
    assert abs(after["share"] - 0.6) < 0.08 and after["accuracy"] > 0.85


def test_the_papers_rule_pushes_down_to_its_target(tmp_path):
    terms = {"classification": {}, "signed_cost": {"target": 0.1, "weight": 1.0}}
    _, before, after = run(tmp_path, [toys.phase(steps=40, terms=terms, gate_lr=4.0)])
    assert after["share"] < before["share"] - 0.1


def test_need_gives_faint_images_more(tmp_path):
    """Gates learn from the exit before them which images are hard; evaluated on images that they never saw."""
    network = {"backbone": {"kind": "resnet", "units": [1, 3]}, "exits": {"after": [0]}}
    network["layer_gates"] = {"kind": "pooled", "base": 1}
    terms = {"classification": {}, "need": {}}
    trainer, _, _ = run(tmp_path, [toys.phase(steps=60, terms=terms)], network=network)
    split, model = trainer.validation, trainer.model.eval()
    with torch.no_grad():
        out = model(split.normalise(split.images))
    contrast = split.images.float().std((1, 2, 3))
    hard = contrast < contrast.median()
    flops = out.flops[:, -1]
    assert flops[hard].mean() > 1.1 * flops[~hard].mean()


def test_distillation_teaches_exits_alone(tmp_path):
    alone = toys.phase(gated=False, terms={"classification": {"exits": 0.0}}, train=["backbone"])
    exits = toys.phase(gated=False, terms={"distillation": {}}, train=["exits"])
    _, before, after = run(tmp_path, [alone, exits])
    assert before["accuracy_at"][0] < 0.8 < after["accuracy_at"][0]


def test_momentum_and_decay_are_what_the_recipe_says():
    plan = toys.plan([toys.phase(bias_lr=4.0, gate_lr=2.0)], momentum=0.8, weight_decay=1e-3)
    model = Network({"kind": "resnet", "units": [1, 2]}, **toys.GATES).build(2)
    optimizer = make_optimizer(model, plan.phases[0], plan)
    assert all(group["momentum"] == 0.8 and group["nesterov"] for group in optimizer.param_groups)
    scales = {(group["weight_decay"], group["scale"]) for group in optimizer.param_groups}
    assert scales == {(1e-3, 1.0), (0.0, 4.0), (0.0, 2.0), (0.0, 8.0)}
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(model.parameters()))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_carries_on(momentum):
    """After a step with a gradient, a step without one moves the weights only by momentum."""
    plan = toys.plan([toys.phase()], momentum=momentum, weight_decay=0.0)
    model = Network({"kind": "resnet", "units": [1, 2]}).build(2)
    optimizer = make_optimizer(model, plan.phases[0], plan)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = model.backbone.head.linear.bias.detach().clone()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(model.backbone.head.linear.bias, before) == (momentum == 0)
