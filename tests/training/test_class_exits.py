"""Class exits: the paper's equations by hand, the choice of confidence and place, what a checkpoint then holds."""

import numpy as np
import pytest
import torch

from hls.errors import UserError
from tests.training.toys import noise, stripes
from training.class_exits import branches, choose, command
from training.class_exits.equations import Stage, average, baseline, count, worst
from training.class_exits.exits import ClassExits
from training.class_exits.places import Features, Spot, collect, exit_cost, spots_of
from training.costs import PRICES
from training.costs.counting import Operation
from training.network import Network

FEW = {"places": 3, "in_a_row": 1, "measure": "cycles", "precision": 0.0, "connections": (True, False)}
DENSE = {"kind": "densenet", "blocks": [2, 2], "growth": 4}


def bools(text):
    return np.array([letter == "1" for letter in text])


# Ten images, class 1 is the target: 4 of it. The exit takes three of them and one other.
LABELS = np.array([1, 1, 1, 1, 0, 0, 0, 2, 2, 2])
ANSWERS = np.array([1, 1, 0, 1, 0, 0, 2, 2, 2, 0])
ACCEPTED, ALL = bools("1110000001"), bools("1111111111")


def test_counts_and_equations_4_to_7_by_hand():
    found = count(ACCEPTED, ALL, LABELS, ANSWERS, 1)
    assert (found.true_positives, found.false_positives, found.true_negatives, found.false_negatives) == (3, 1, 5, 1)
    assert (found.rate, found.hits, found.precision) == (1.0, 0.75, 0.75)
    assert found.accuracy_others == 4 / 5, "the wrong one that the exit took is no longer at the end"
    assert found.accuracy_exit == 8 / 10 and found.accuracy_target == 1.0
    assert baseline(LABELS, ANSWERS, 1) == (4 / 6, 3 / 4)


def test_a_second_exit_counts_who_arrives_at_it():
    """Eq. 12: γ_j is of |k| less those that the first one took."""
    first = bools("1000000000")
    found = count(ACCEPTED, ~first, LABELS, ANSWERS, 1)
    assert (found.true_positives, found.gone) == (2, 1)
    assert found.rate == 3 / 3 and found.hits == 2 / 3 and found.accuracy_target == 1.0


def test_times_by_hand():
    """Eqs. 1 to 3, and 8 to 11 with a second exit 30 behind the first."""
    one, other = Stage(20, 3, 0.5), Stage(30, 5, 0.4)
    assert worst(100, [one]) == 103 and average(100, [one]) == 0.5 * 80 + 23
    assert worst(100, [one, other]) == 108
    assert average(100, [one, other]) == pytest.approx(0.5 * (0.6 * 50 + 30 + 5) + 20 + 3)
    assert average(100, []) == 100


def candidate(at, scores, keep_previous=True, until=None, own=5.0):
    befores = {None: own} | dict.fromkeys(range(at), own)
    return choose.Candidate(
        at, keep_previous, np.asarray(scores, float), 10.0 * (at + 1) if until is None else until, befores
    )


def setting(beta=0.0, eta=0.0, precision=0.0):
    return choose.Setting(1, LABELS, ANSWERS, beta, eta, 100.0, precision)


def test_the_lowest_level_that_keeps_accuracy_is_taken():
    """Two images of the class are surer than the one other image: with a bound on precision the level goes above it."""
    sure = [choose.score_of(level) for level in (0.999, 0.99, 0.97, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.975)]
    row = choose.extended(choose.Row(), candidate(0, sure), setting())
    assert row.exits[0][1] == 0.95 and row.exits[0][2].accepted == 4
    row = choose.extended(choose.Row(), candidate(0, sure), setting(precision=1.0))
    assert row.exits[0][1] == 0.976 and row.exits[0][2].accepted == 2
    assert row.arrived.tolist() == [False, False, *[True] * 8]


@pytest.mark.parametrize(("bounds", "taken"), [({"beta": 0.6}, "0000110110"), ({"eta": 0.7}, "0000111111")])
def test_no_exit_where_accuracy_would_be_lost(bounds, taken):
    """The exit takes images of other classes, those that the network had right, or all: refused at all levels."""
    wrong = candidate(0, np.where(bools(taken), 9.0, -9.0))
    assert choose.extended(choose.Row(), wrong, setting(**bounds)) is None
    assert choose.extended(choose.Row(), wrong, setting()) is not None


def test_equal_to_the_level_is_enough_and_less_is_not():
    level = choose.score_of(0.95)
    for score, expected in ((level, 1), (np.nextafter(level, -9), 0)):
        row = choose.extended(choose.Row(), candidate(0, [score, *[-9] * 9]), setting())
        assert (row.exits[0][2].accepted if row else 0) == expected


def test_the_frontier_and_the_best_of_it():
    """Early and dear, late and cheap, and one that both beat."""
    found = [9, 9, 9, -9, *[-9] * 6]
    early, late = candidate(0, found, own=4.0), candidate(3, found, own=2.0)
    beaten = candidate(4, found, own=4.5)
    rows = [choose.extended(choose.Row(), one, setting()) for one in (early, late, beaten)]
    kept = choose.frontier(rows, 100.0)
    assert [row.exits[0][0].at for row in kept] == [0, 3]
    row = choose.choose([late, beaten, early], setting())
    assert row.exits[0][0] is early and row.gain(100) == pytest.approx(100 / (0.25 * 90 + 14))
    assert row.loss(100) == 1.04 and row.worth(100) == row.gain(100) / 1.04


def test_an_exit_that_wins_no_time_is_none():
    assert choose.choose([candidate(0, [9, *[-9] * 9], until=90.0, own=30.0)], setting()) is None


def test_a_second_exit_joins_where_it_pays():
    first, second = [9, 9, *[-9] * 8], [9, 9, 9, -9, *[-9] * 6]
    row = choose.choose([candidate(0, first, own=1.0), candidate(1, second, own=1.0)], setting(), most=2)
    assert [one.at for one, _, _ in row.exits] == [0, 1] and [stage.rate for stage in row.stages] == [0.5, 0.5]
    single = choose.choose([candidate(0, first, own=1.0), candidate(1, second, own=1.0)], setting())
    assert len(single.exits) == 1 and row.worth(100) > single.worth(100)
    dear = choose.choose([candidate(0, first, own=1.0), candidate(1, second, own=90.0)], setting(), most=2)
    assert len(dear.exits) == 1


def test_exits_of_another_connection_do_not_follow():
    assert not choose.fits_behind(candidate(1, LABELS, False), candidate(0, LABELS))
    assert choose.fits_behind(candidate(1, LABELS), candidate(0, LABELS))


def test_branches_learn_what_a_line_can():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 20, (2000, 6)).astype(np.float32)
    labels = np.where(x[:, 0] > 3, 2, 0)
    weight, bias = branches.learn(x[:1500], labels[:1500], x[1500:], labels[1500:], [0, 2])
    scores = x[1500:] @ weight.T + bias
    right = (scores > 0) == (labels[1500:, None] == [0, 2])
    assert (right.mean(0) > 0.95).all()
    for target, column in zip((0, 2), scores.T):
        member = labels[1500:] == target
        assert column[member].mean() > 1.5 and column[~member].mean() < -1.5, "a score is high for its class"


@pytest.mark.parametrize("backbone", [{"kind": "resnet", "depth": 8}, DENSE])
def test_spots_read_new_channels_and_know_what_the_network_costs(backbone):
    torch.manual_seed(0)
    model, split = Network(backbone).build(10).eval(), noise(8, size=32)
    spots = spots_of(model, 20, (32, 32))
    assert [spot.unit for spot in spots] == list(range(-1, len(model.backbone.units) - 1))
    found = collect(model, split, spots)
    assert [mean.shape for mean in found.means] == [(8, spot.channels) for spot in spots]
    assert found.columns(2, False).shape == (8, spots[2].channels)
    assert found.columns(2, True).shape == (8, sum(spot.new for spot in spots[:3]))
    assert found.whole["flops"] == model.backbone.cost((32, 32))
    few = collect(model, split, spots, priced=False, limit=5)
    assert len(few.labels) == len(few.means[0]) == 5 and np.array_equal(few.means[1], found.means[1][:5])
    assert (np.diff(found.until["cycles"]) > 0).all() and found.until["cycles"][-1] < found.whole["cycles"]
    sooner = exit_cost(found, 2, True, "cycles")
    assert exit_cost(found, 2, True, "cycles", pooled=(0, 1)) < sooner
    assert exit_cost(found, 2, False, "flops") == 2 * spots[2].channels
    assert [spot.signed for spot in found.spots] == [backbone is DENSE] * len(spots)


def test_a_map_with_negative_values_takes_a_relu_first():
    spots = [Spot(-1, 4, 4, (8, 8), signed) for signed in (False, True)]
    found = Features(spots, [], np.zeros(0), np.zeros(0), {}, {})
    costs = [exit_cost(found, at, False, "cycles") for at in (0, 1)]
    assert costs[1] - costs[0] == PRICES["cycles"](Operation("affine", 4, 4, (8, 8))) > 0


def test_twenty_places_of_a_deep_network():
    spots = spots_of(Network({"kind": "resnet", "depth": 110}).build(10), 20, (32, 32))
    assert len(spots) == 20 and spots[0].unit == -1 and spots[-1].unit == 52
    steps = np.diff([spot.unit for spot in spots])
    assert steps.min() >= 2 and steps.max() <= 3


@pytest.fixture(scope="module")
def toy():
    """A network that has learnt nothing, whose maps tell the stripes apart all the same, and its exits."""
    torch.manual_seed(0)
    model = Network({"kind": "resnet", "depth": 20}).build(2, 3, (16, 16)).eval()
    splits = [stripes(200, seed=seed) for seed in range(3)]
    return model, splits, command.find(model, splits, [0, 1], FEW)


def test_a_class_gets_an_exit_and_the_network_stays(toy):
    model, splits, found = toy
    before = {name: value.clone() for name, value in model.state_dict().items()}
    again = command.find(model, splits, [0, 1], FEW)
    assert again == found and found, "the same seed, the same exits"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for item in found.values():
        figures = item["validation"]
        assert figures["gain"] > 1 < figures["loss"] and figures["accuracy_target"] >= figures["eta"]
        assert figures["accuracy_others"] >= figures["beta"] and min(figures["accuracy_exit"]) >= figures["eta"]
        assert 0.95 <= item["exits"][0]["alpha"] < 1


def test_exits_of_a_checkpoint_must_fit(toy):
    model, _, found = toy
    items = list(found.values())
    assert ClassExits.of({"class_exits": items}, model).told().keys() == found.keys()
    assert ClassExits.of({}, model).told() == {}
    exit_ = items[0]["exits"][0]
    for bad in ({"weight": exit_["weight"][1:]}, {"alpha": 1.5}, {"reads": [[99, 0]]}):
        with pytest.raises(UserError, match="do not fit its network"):
            ClassExits.of({"class_exits": [items[0] | {"exits": [exit_ | bad]}]}, model)


def test_classes_by_name():
    assert command.targets_of(["all"], ("a", "b")) == [0, 1]
    assert command.targets_of(["b", "a", "b"], ("a", "b")) == [0, 1]
    with pytest.raises(UserError, match="--class cow is no class of the data: expected all, or one of a, b"):
        command.targets_of(["cow"], ("a", "b"))
