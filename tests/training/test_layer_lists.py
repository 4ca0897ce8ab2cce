"""Units made of lists of layers: what a layer reads where a list does not say, and what they cost."""

import pytest
import torch

from hls.cost import flatten_flops
from training.backbones.layers import Layers, layered
from training.backbones.listing import read
from training.costs import PRICES
from training.costs.counting import Counter

CONV = {"op": "convolution", "channels": 6, "kernel": 3}
LISTED = [
    CONV,  # of the input, 3 channels on 8 × 8
    {"op": "convolution", "channels": 4, "kernel": 1, "stride": 2},
    {"op": "convolution", "channels": 5, "kernel": 3, "stride": 2, "x": 1},
    {"op": "concat", "parts": [3, 2]},
    {"op": "flatten", "side": [4, 4]},
    {"op": "linear", "channels": 7},
]


def test_a_layer_reads_the_one_before_it_or_the_first_of_its_parts():
    assert [layer.x for layer in read(LISTED)] == [0, 1, 1, 3, 4, 5]


def test_costs_are_those_of_what_each_layer_reads():
    layers = Layers(LISTED, 3)
    convolutions = 2 * 64 * 9 * 3 * 6 + 2 * 16 * 1 * 6 * 4 + 2 * 16 * 9 * 6 * 5
    assert layers.cost((8, 8)) == convolutions + 2 * (9 * 16) * 7 + flatten_flops(9, 16)
    fewer = layers.cost((8, 8)) - layers.cost((8, 8), {1: 2})  # of the first layer's channels two are kept
    assert fewer == 2 * 64 * 9 * 3 * 4 + 2 * 16 * 1 * 4 * 4 + 2 * 16 * 9 * 4 * 5
    assert layers(torch.zeros(2, 3, 8, 8)).shape == (2, 7)


def test_what_cannot_be_skipped_says_so():
    head = [{"op": "mean"}, {"op": "linear", "channels": 10}]
    backbone = layered(10, 3, "x", [CONV], [[CONV]], head)
    with pytest.raises(ValueError, match="adds nothing which it is given cannot be skipped"):
        backbone.units[0].skip(torch.zeros(1, 6, 8, 8))


def test_layers_are_lowered_one_by_one_and_cost_what_they_say():
    listed = [
        CONV,
        {"op": "affine", "relu": True},
        {"op": "slice", "before": 1, "channels": 4},
        {"op": "pad", "before": 1, "channels": 8, "stride": 2},
        {"op": "pool", "kernel": 2, "stride": 2},
        {"op": "concat", "parts": [5, 5]},
        {"op": "mean"},
        {"op": "linear", "channels": 7},
    ]
    layers, counter = Layers(listed, 3), Counter()
    assert layers.widths == [3, 6, 6, 4, 8, 8, 16, 16, 7]
    assert layers(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    layers.lower(counter, counter.image(3, (8, 8)))
    kinds = [operation.kind for operation in counter.found]
    assert kinds.count("conv") == kinds.count("fc") == 1 and kinds.count("affine") >= 1 and "pool" in kinds
    assert sum(PRICES["flops"](operation) for operation in counter.found) == layers.cost((8, 8))
