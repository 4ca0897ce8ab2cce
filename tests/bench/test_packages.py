"""A package's FLOPs are counted again by training's units and gates, from nothing but its meta and a trace."""

from dataclasses import replace

import numpy as np
import pytest

from bench.packages import flops_differ
from export.build import Source, build
from hls import golden
from hls.errors import UserError
from hls.record import decode
from tests.export.random_networks import VARIANTS, quantised, random_images, random_model
from training.phases import Phase
from training.recipe import Recipe


def ran(name):
    """A package of one of the variants, and results of the golden model."""
    case, pruned = VARIANTS[name], []
    if case.closed:
        pruned = [{"closed": list(case.closed), "open": [], "fixed": []}]
    recipe = Recipe("tiny", "cifar10", case.network, (Phase("joint", 1, 0.1, {"classification": {}}),))
    training = {"recipe": recipe.to_dict(), "pruned": pruned}
    images, classes = random_images(case, 8, 1), tuple(map(str, range(case.classes)))
    network8 = quantised(case, images, random_model(case))
    package = build(network8, Source("t", "cifar10", case.mean, case.std, classes, training), {})
    start = package.start()
    return package, decode(golden.run(package.program, package.weights, package.tables, images, start), start)


@pytest.mark.parametrize("name", ["papers, projected", "recurrent layers", "pooled", "mixed", "hidden alone", "plain"])
def test_flops_of_a_run_are_the_models(name):
    package, results = ran(name)
    assert flops_differ(package, results) == 0
    assert flops_differ(package, replace(results, flops=results.flops + np.arange(8) % 2)) == 4


def test_two_masks_are_not_in_a_trace():
    with pytest.raises(UserError, match="unit 0 has 2 channel gates"):
        flops_differ(*ran("pruned"))
