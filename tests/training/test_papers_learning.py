"""Every method of the papers learns: thirty steps on a toy that a line separates cut its loss and its cost.

Where a gate's gradient is gone, a term is negated or a cost is no longer differentiable, one of these fails.
"""

import pytest
import torch

from tests.training import toys
from training import terms
from training.costs import energy as energies
from training.costs import share_of
from training.gates import decide
from training.network import Network

RESNET = {"kind": "resnet", "units": [1, 2]}
DENSE = {"kind": "densenet", "blocks": [2, 2], "growth": 8}
INCEPTION = {"kind": "inception", "blocks": [1, 1, 1], "width": 0.07}
LIGHT = {"kind": "light", "masks": ["new"]}
HARD = {"classification": {}, "resource_cost": {"weight": 1.0}}


def learn(network, steps=30, seed=0, lr=0.1, **asked):
    """The mean loss and share before and after some steps on stripes; `asked`: terms of the loss."""
    torch.manual_seed(seed)
    model, split = Network(**network).build(2, size=(16, 16)), toys.stripes(128, seed=seed)
    made, images, labels = terms.build(asked or HARD), split.normalise(split.images), split.labels.long()
    full = float(model.backbone.cost((16, 16)))
    optimizer = torch.optim.SGD(model.parameters(), lr, 0.9, nesterov=True)

    def look():
        with torch.no_grad():
            step = terms.Step(model(images), labels, full, 1.0)
            return terms.Classification()(step).item(), step

    model.train()
    before = look()
    for number in range(steps):
        chosen = torch.arange(32) + 32 * (number % 4)
        loss, _ = terms.total(made, terms.Step(model(images[chosen]), labels[chosen], full, number / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return before, look(), model


def share(step, measure="flops"):
    return share_of(step, measure).item()


@pytest.mark.parametrize("backbone", [DENSE, DENSE | {"closed": "zeros"}, INCEPTION], ids=lambda b: b["kind"])
def test_a_backbone_learns(backbone):
    before, after, _ = learn({"backbone": backbone}, classification={})
    assert after[0] < 0.5 * before[0]


GATED = {
    "FFGate-I": {"backbone": RESNET, "layer_gates": {"kind": "ffgate1"}},
    "FFGate-II": {"backbone": RESNET, "layer_gates": {"kind": "ffgate2"}},
    "RNN layers": {"backbone": RESNET, "layer_gates": {"kind": "recurrent"}},
    "RNN channels": {"backbone": RESNET, "channel_gates": {"kind": "recurrent"}},
    "G^C": {"backbone": RESNET, "channel_gates": {"kind": "convolution"}},
    "ACS-GN": {"backbone": RESNET, "channel_gates": {"kind": "acs", "masks": ["hidden", "residual"]}},
    "ACS-DG": {"backbone": RESNET, "channel_gates": {"kind": "acs", "groups": "dynamic", "squeeze": True}},
    "static groups": {"backbone": RESNET, "channel_gates": {"kind": "acs", "groups": 4}},
    "dense, JSTSP": {"backbone": DENSE, "layer_gates": {"kind": "recurrent"}, "channel_gates": LIGHT},
    "dense, ICCV": {
        "backbone": DENSE | {"closed": "zeros"},
        "layer_gates": {"kind": "recurrent"},
        "channel_gates": LIGHT,
    },
}


@pytest.mark.parametrize("name", GATED)
def test_a_gate_lets_the_loss_and_the_cost_fall(name):
    before, after, _ = learn(GATED[name])
    assert after[0] < 0.7 * before[0], "loss"
    assert share(after[1]) < share(before[1]) - 0.05, "cost"


def test_groups_are_learnt_where_they_cost():
    """The cost of a gate's own convolutions closes connections: fewer of them after some steps."""
    network = {"backbone": RESNET, "channel_gates": {"kind": "acs", "groups": "dynamic", "bias": 3.0}}
    _, _, model = learn(network, classification={}, resource_cost={"weight": 3.0})
    numbers = torch.cat([module.numbers for module in model.modules() if hasattr(module, "numbers")])
    assert (numbers < 0).any()


@pytest.mark.parametrize("measure", ["flops", "layers", "cycles", "energy"])
def test_a_cost_falls_by_its_own_measure(measure, monkeypatch):
    class Everything(dict):
        def __contains__(self, shape):
            return True

        def __getitem__(self, shape):
            return 100, 100, shape[-1] * shape[-2], 1000

    monkeypatch.setattr(energies, "accesses", Everything)
    network = {"backbone": RESNET, "layer_gates": {"kind": "recurrent"}, "channel_gates": {"kind": "convolution"}}
    before, after, _ = learn(network, classification={}, resource_cost={"weight": 1.0, "measure": measure})
    assert share(after[1], measure) < share(before[1], measure) - 0.05 and after[0] < 0.7 * before[0]


def rates(term, steps=200, lr=0.5):
    """The share that runs, step by step, where a term alone moves the logits of 256 images' one gate."""
    logits = torch.linspace(-1, 3, 256)[:, None].requires_grad_()
    found = []
    for _ in range(steps):
        keep = decide(logits, training=True)
        out = terms.Output(flops=100 * keep.double(), ran=[keep.detach()[:, 0]] * 4)
        (gradient,) = torch.autograd.grad(term(terms.Step(out, torch.zeros(256), 100.0, 1.0)), logits)
        logits = (logits - lr * 256 * gradient).detach().requires_grad_()
        found.append(keep.mean().item())
    return found


@pytest.mark.parametrize("target", [0.3, 0.6])
def test_each_rule_ends_where_its_paper_says(target):
    """From 75 %: α with a sign holds the target, α = 0 at the budget stays where it came under, α > 0 goes on."""
    signed = rates(terms.SignedCost(weight=0.01, target=target))
    budget = rates(terms.BudgetCost(weight=0.01, target=target))
    plain = rates(terms.ResourceCost(weight=0.01))
    assert min(signed[0], budget[0], plain[0]) > target + 0.1
    assert all(abs(share - target) < 0.03 for share in signed[150:]) and len(set(signed[150:])) > 1
    assert target - 0.1 < budget[-1] <= target and len(set(budget[150:])) == 1
    assert plain[-1] < 0.05
    below = rates(terms.SignedCost(weight=0.01, target=0.95)), rates(terms.BudgetCost(weight=0.01, target=0.95))
    assert below[0][-1] > 0.9 and set(below[1]) == {below[1][0]}


def test_a_larger_threshold_keeps_less():
    """Zou et al. 2023, Table 5: the larger α, the fewer FLOPs, with the same weights."""
    kept = []
    for threshold in (0.2, 0.5, 0.6, 0.9):
        network = {"backbone": RESNET, "channel_gates": {"kind": "acs", "threshold": threshold, "bias": 0.5}}
        before, _, _ = learn(network, steps=0)
        kept.append(share(before[1]))
    assert kept == sorted(kept, reverse=True) and kept[0] > kept[-1] + 0.2


def test_the_two_steps_of_acs():
    """Step one, gates and backbone together, ends with nothing skipped; step two, with α, skips (section 4.1.4)."""
    network = {"backbone": RESNET, "channel_gates": {"kind": "acs", "bias": 0.0}}
    first = learn(network, classification={}, opening={"weight": 0.1})
    second = learn(network, classification={}, resource_cost={"weight": 1.0})
    assert share(first[0][1]) < 0.8 and share(first[1][1]) > 0.97 and first[1][0] < 0.7 * first[0][0]
    assert share(second[1][1]) < 0.8


def test_balanced_exits_weigh_alike():
    """w_i = C_o / C_i: each exit adds the value of the last loss; its gradient is scaled by the weight."""
    easy, hard = torch.tensor([[2.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 3.0]], requires_grad=True)
    last = torch.tensor([[1.0, 0.0]], requires_grad=True)
    out = terms.Output(logits=[easy, hard, last])
    loss = terms.build({"balanced_exits": {}})["balanced_exits"](terms.Step(out, torch.tensor([0]), 1.0, 1.0))
    own = torch.nn.functional.cross_entropy(last, torch.tensor([0])).item()
    assert loss.item() == pytest.approx(3 * own)
    loss.backward()
    for logits in (easy, hard):
        alone = logits.detach().clone().requires_grad_()
        value = torch.nn.functional.cross_entropy(alone, torch.tensor([0]))
        value.backward()
        torch.testing.assert_close(toys.gradient(logits), toys.gradient(alone) * own / value.item())


@pytest.mark.parametrize("asked", [{"classification": {}}, {"balanced_exits": {}}], ids=["sum", "balanced"])
def test_exits_learn_by_either_loss(asked):
    before, after, _ = learn({"backbone": RESNET, "exits": {"after": [0, 1]}}, **asked)
    assert after[0] < 0.5 * before[0]
