"""A package's FLOPs are counted again by training's units and gates, from nothing but its meta and a trace."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import packages
from bench.packages import add_budget, add_float, add_whole, engine, flops_differ
from bench.rows import Rows
from export.build import Source, build
from hls import golden
from hls.errors import UserError
from hls.record import NO_BUDGET, decode
from tests.export.random_networks import VARIANTS, quantised, random_images, random_model
from training.checkpoint import write_atomically
from training.data import Split
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


def test_rows_of_a_budget_say_what_its_images_did():
    package, results = ran("mixed")
    results = replace(results, exit=np.array([0, 0, 0] + [len(package.exits) - 1] * 5), flops=np.arange(8) + 10)
    rows, names = Rows("packages", "c"), [item["name"] for item in package.exits]
    labels = results.label.copy()
    labels[:2] += 1
    add_whole(rows, "p", "abc", package)
    add_budget(rows, "p", "abc", 12_340_000, package, results, labels)
    add_budget(rows, "p", "abc", None, package, results, labels)
    found = {row["name"]: row for row in rows.rows}
    value = {name: row["value"] for name, row in found.items()}
    assert value["p.accuracy@12.3M"] == 0.75 and value["p.budget@12.3M"] == 12_340_000 and "p.budget@none" not in value
    assert value["p.flops@12.3M"] == 13.5 and value["p.flops_max@12.3M"] == 17 and value["p.exits@12.3M"] == 2
    assert found["p.exits@none"]["detail"] == {
        name: {0: 3, len(names) - 1: 5}.get(i, 0) for i, name in enumerate(names)
    }
    assert value["p.cycles@none"] == results.cycles.mean() and value["p.channels@none"] == results.channels_run.mean()
    assert found["p.energy@none"]["kind"] == "modelled" and 0 < value["p.energy@none"] < 1
    assert "not calibrated" in found["p.energy@none"]["note"]
    assert value["p.full_flops"] == package.exits[-1]["flops"] and value["p.full_cycles"] == package.exits[-1]["cycles"]
    gates = [gate["channels"] for gate in package.meta["gates"]]
    assert value["p.gated_channels"] == sum(gates) and 0 < value["p.gated_blocks"] <= len(gates)


@pytest.mark.parametrize("wrong", [0, 3])
def test_float_is_measured_by_todays_sources(wrong, tmp_path, monkeypatch):
    """Labels are the float network's answers but for the first: whatever a checkpoint's own metrics say of it."""
    monkeypatch.setattr(packages, "PACKAGES", tmp_path)
    case, (package, _) = VARIANTS["pooled"], ran("pooled")
    model, images = random_model(case).eval(), random_images(case, 8, 1)
    state = {key: package.meta["training"][key] for key in ("recipe", "pruned")}
    write_atomically(state | {"model": model.state_dict(), "metrics": {"test": {"accuracy": 0.5}}}, made(tmp_path))
    split = Split.from_arrays(images, np.zeros(8), case.mean, case.std, case.classes)
    with torch.no_grad():
        labels = model(split.normalise(split.images)).logits[-1].argmax(1).numpy()
    labels[:wrong] = (labels[:wrong] + 1) % case.classes
    rows = Rows("packages", "c")
    add_float(rows, "p", "abc", package, images, labels, 1)
    value = {row["name"]: row["value"] for row in rows.rows}
    assert value["p.float_accuracy"] == 1 - wrong / 8
    ended = engine(package, images, NO_BUDGET, 1).label
    assert value["p.int8_minus_float"] == pytest.approx(100 * ((ended == labels).mean() - (1 - wrong / 8)))


def made(folder):
    """Where a checkpoint of package p is kept."""
    (folder / "checkpoints").mkdir()
    return folder / "checkpoints" / "p.pt"
