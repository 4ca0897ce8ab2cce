"""What may be left as it is shares a scale; what may not, does not."""

from itertools import pairwise

import pytest

from export.graph import Convolution, LayerGate, Linear, Lstm, Pad, walk
from export.integers.scales import groups
from tests.export.random_networks import VARIANTS, folded


@pytest.mark.parametrize("name", VARIANTS)
def test_both_sides_and_closed_channels_share_a_scale(name):
    network = folded(VARIANTS[name])
    group = groups(network)
    for node in walk(network.nodes):
        if isinstance(node, LayerGate):
            assert group[node] is group[node.result] is group[node.otherwise]
        if isinstance(node, Convolution) and node.add is not None:
            assert (group[node] is group[node.add]) == (node.add.signed == node.signed)
    assert len({group[node.logits] for node in network.exits}) == 1


def test_a_stage_has_one_scale_and_another_has_its_own():
    network = folded(VARIANTS["papers, deeper"])
    group = groups(network)
    streams = [group[node] for node in network.nodes if isinstance(node, (Pad, LayerGate))]
    assert len(set(streams)) == 3 and all(
        group[node] is not group[node.x] for node in network.nodes if isinstance(node, Pad)
    )
    assert [one is other for one, other in pairwise(streams)].count(False) == 2


def test_steps_of_one_lstm_take_their_inputs_alike():
    network = folded(VARIANTS["papers, deeper"])
    group = groups(network)
    steps = [node for node in network.nodes if isinstance(node, Lstm)]
    assert len(steps) == 6 and len({group[step.x] for step in steps}) == 1
    gates = [node for node in folded(VARIANTS["pooled"]).nodes if isinstance(node, Linear) and node.relu]
    assert len({groups(folded(VARIANTS["pooled"])).get(node, node) for node in gates}) == len(gates)


def test_a_projection_has_a_scale_of_its_own():
    network = folded(VARIANTS["exits alone"])
    group = groups(network)
    projected = [node for node in network.nodes if isinstance(node, Convolution) and node.add and node.add.signed]
    assert len(projected) == 2 and all(group[node] is not group[node.add] for node in projected)
