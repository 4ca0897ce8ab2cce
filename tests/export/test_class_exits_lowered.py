"""Class exits on the engine: the integer model, the golden model and the C++ engine decide alike, bit for bit."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from bitstreams import points, reprice
from export.build import Source, build, for_class
from export.compile.lower import lower
from export.float_network import FloatNetwork
from export.fold import fold
from export.graph import ClassExit
from export.integers.calibrate import calibrate
from export.integers.correct import correct
from export.integers.equalise import equalise, peaks
from export.integers.integer import IntegerNetwork
from export.integers.quantize import quantize
from hls import cosim, golden, isa
from hls.generate import variant
from hls.package import PackageError, encoded, read
from hls.record import agreed, decode
from tests.export.random_networks import MEAN, STD, Case, normalise, random_images, random_model
from training.class_exits.choose import score_of
from training.class_exits.exits import ClassExits

SMALL = (16, 16)
DENSE = {"kind": "densenet", "blocks": [2, 2], "growth": 4}
CASES = {
    "plain": Case(units=(2, 2), size=SMALL),
    "gates and exits": Case(layer="pooled", channel="pooled", exits=(0, 2), units=(2, 2), size=SMALL),
    "dense, radi": Case(backbone=DENSE, exits="radi", size=SMALL),
}
CHOSEN = [("plain", False), *((name, True) for name in CASES)]  # a case, whether previous connections are kept
IMAGES = 16


def reads(model, unit, keep_previous):
    """What an exit behind a unit reads."""
    units = model.backbone.units
    if not keep_previous:
        return [[unit, 0]]
    return [[-1, 0]] + [
        [i, units[i].out_channels - getattr(units[i], "growth", units[i].out_channels)] for i in range(unit + 1)
    ]


def random_items(case, model, x, keep_previous, seed=0):
    """Class 3 has two exits in a row, class 7 one: lines whose scores lie around their thresholds."""
    rng, items = np.random.default_rng(seed), []
    maps = {}

    def watch(out, unit, values):
        maps[unit] = torch.relu(values).mean((2, 3)).double().numpy()

    with torch.no_grad():
        model(x, watch=watch)
    for target, units in ((3, (-1, 1)), (7, (2,))):
        exits = []
        for unit in units:
            read = reads(model, unit, keep_previous)
            columns = np.concatenate([maps[at][:, first:] for at, first in read], 1)
            weight = rng.normal(0, 1, columns.shape[1]) / np.maximum(columns.std(0), 1e-3)
            scores = columns @ weight
            weight *= 2 / scores.std()
            bias = score_of(0.97) - np.quantile(columns @ weight, 0.6)
            exits.append({"unit": unit, "alpha": 0.97, "reads": read, "weight": weight, "bias": bias,
                          "keep_previous": keep_previous})  # fmt: skip
        items.append({"class": target, "name": str(target), "exits": exits})
    return items


class Built:
    """A network with class exits in all its forms."""

    def __init__(self, case, keep_previous):
        self.case, self.model = case, random_model(case)
        self.images = random_images(case, IMAGES)
        self.x = normalise(case, self.images)
        self.items = random_items(case, self.model, self.x, keep_previous)
        placed = ClassExits.of({"class_exits": self.items}, self.model)
        network = fold(self.model, case.channels, case.size, watch=placed.watch)
        network = equalise(network, peaks(network, [self.x]))
        self.network8 = correct(quantize(network, calibrate(network, [self.x]), MEAN, STD), self.images, self.x)
        self.source = Source("toy", "cifar10", MEAN, STD, tuple(map(str, range(10))), {})
        self.package = build(self.network8, self.source, {}, class_exits=placed.told())

    def run(self, name, engine=cosim, **options):
        package = self.package.with_class_exit(name)
        start = package.start(**options)
        return decode(engine.run(package.program, package.weights, package.tables, self.images, start), start)


@pytest.fixture(scope="module", params=CHOSEN, ids=str)
def built(request):
    name, keep_previous = request.param
    return Built(CASES[name], keep_previous)


def test_engine_and_golden_model_agree(built):
    for name in ("3", "7"):
        package = built.package.with_class_exit(name)
        full = package.exits[-1]["flops"]
        for options in ({}, {"budget_flops": int(0.8 * full)}, {"rule": isa.RULE_ENTROPY, "threshold": 100_000}):
            start = package.start(**options)
            arrays = package.program, package.weights, package.tables, built.images, start
            assert np.array_equal(agreed(golden.run(*arrays)), agreed(cosim.run(*arrays)))


def test_who_stops_and_with_what_is_the_integer_model_s(built):
    for target in (3, 7):
        results, network8 = built.run(str(target)), for_class(built.network8, target)
        out = IntegerNetwork(network8)(built.images)
        numbers = [i for i, item in enumerate(built.package.with_class_exit(str(target)).exits) if "class" in item]
        left = np.full(IMAGES, len(built.package.with_class_exit(str(target)).exits) - 1)
        logits = out.logits[-1].numpy().copy()
        for number, node, found in reversed(list(zip(numbers, network8.graph.class_exits, out.class_logits))):
            stops = out.decisions[node].keep[:, 0].numpy()
            left[stops], logits[stops] = number, found.numpy()[stops]
        assert np.array_equal(results.exit, left) and np.array_equal(results.logits, logits)
        stopped = np.isin(results.exit, numbers)
        assert 0 < stopped.sum() < IMAGES, "the test's exits should decide both ways"
        assert (results.label[stopped] == target).all()
        ends = out.trace.numpy()[~stopped]
        assert np.array_equal(results.trace[~stopped], ends)


def test_the_integers_decide_as_the_floats_do(built):
    """Over all exits; the float scores are those of the trained line."""
    floats, integers = (run.decisions for run in (
        FloatNetwork(built.network8.graph)(built.x), IntegerNetwork(built.network8)(built.images)))  # fmt: skip
    exits = [node for node in built.network8.graph.nodes if isinstance(node, ClassExit)]
    assert len(exits) == 3
    same = [float((floats[node].keep == integers[node].keep).float().mean()) for node in exits]
    assert np.mean(same) > 0.9
    item = built.items[1]["exits"][0]
    maps = {}
    with torch.no_grad():
        built.model(
            built.x, watch=lambda out, unit, x: maps.update({unit: torch.relu(x).mean((2, 3)).double().numpy()})
        )
    columns = np.concatenate([maps[at][:, first:] for at, first in item["reads"]], 1)
    node = next(node for node in exits if node.target == 7)
    wanted = columns @ item["weight"] + item["bias"]
    found = floats[node].logits[:, 0].numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-2)
    assert np.array_equal(floats[node].keep[:, 0].numpy(), found >= np.float32(score_of(0.97)))


def test_without_a_class_the_network_is_what_it_was(built):
    """The same program, and the same weights and tables in front of those of the exits."""
    network = fold(built.model, built.case.channels, built.case.size)
    network = equalise(network, peaks(network, [built.x]))
    plain8 = correct(quantize(network, calibrate(network, [built.x]), MEAN, STD), built.images, built.x)
    plain = build(plain8, built.source, {})
    assert np.array_equal(plain.program, built.package.program)
    assert np.array_equal(plain.weights, built.package.weights[: plain.weights.size])
    assert np.array_equal(plain.tables, built.package.tables[: plain.tables.size])
    assert built.package.weights.size < 1.3 * plain.weights.size, "programs share their weights"
    assert (plain.exits, plain.meta["gates"]) == (built.package.exits, built.package.meta["gates"])


def test_hard_budgets_hold(built):
    package = built.package.with_class_exit("3")
    for item in (one for one in package.exits if "class" not in one):
        results = built.run("3", budget_flops=item["flops"], budget_cycles=item["cycles"])
        assert (results.status == isa.STATUS_OK).all()
        assert results.flops.max() <= item["flops"] and results.cycles.max() <= item["cycles"]


def test_a_stop_saves_what_is_behind_it(built):
    results, base = built.run("7"), built.package
    start = base.start()
    whole = decode(cosim.run(base.program, base.weights, base.tables, built.images, start), start)
    stopped = np.isin(results.exit, [i for i, e in enumerate(built.package.with_class_exit("7").exits) if "class" in e])
    assert (results.flops[stopped] <= whole.flops[stopped]).all()
    assert built.model.layer_gates or built.case.backbone or (results.cycles < whole.cycles)[stopped].all()
    assert (results.label[~stopped] == whole.label[~stopped]).all(), "the others are told apart as before"
    extra = results.cycles[~stopped] - whole.cycles[~stopped]
    assert (extra > 0).all() and extra.max() < whole.cycles.min()


def test_a_package_with_class_exits_is_written_and_read(built, tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(encoded(built.package))
    found = read(path)
    assert found.class_exits == ["3", "7"] and np.array_equal(found.variants, built.package.variants)
    alone = found.with_class_exit("7")
    path.write_bytes(encoded(alone))
    assert np.array_equal(read(path).program, alone.program) and read(path).class_exits == []
    missing = replace(found, variants=found.variants[:-1])
    with pytest.raises(PackageError, match="class exits have"):
        encoded(missing)
    items = [{**item} for item in found.meta["class_exits"]]
    items[0]["exits"] = [{**item, "flops": item["flops"] + 1} for item in items[0]["exits"]]
    with pytest.raises(PackageError, match="FLOPs"):
        encoded(replace(found, meta=found.meta | {"class_exits": items}))


def test_meta_prices_stop_and_walk_on(built):
    """The engine's counters are within what meta says is enough for each exit."""
    for name in ("3", "7"):
        package, results = built.package.with_class_exit(name), built.run(name)
        for number, item in enumerate(package.exits):
            taken = results.exit == number
            assert (results.flops[taken] <= item["flops"]).all() and (results.cycles[taken] <= item["cycles"]).all()
        program = lower(for_class(built.network8, int(name))).program
        assert len(program) == len(package.program)


# ---------------------------------------------------------------------------------------------------- on another point
@pytest.fixture(scope="module")
def safe(tmp_path_factory):
    """A folder with the hls of the ZedBoard's safe point, in which its engine is compiled once."""
    pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
    folder = tmp_path_factory.mktemp("safe")
    variant.write(folder, points.point("zedboard", "safe").sizes)
    return folder


@pytest.mark.cosim
def test_priced_for_another_point_they_decide_there_as_here(built, safe, tmp_path):
    """The engine's records are the golden model's there, within the prices; but for cycles they are those of here."""
    (tmp_path / "toy.npz").write_bytes(encoded(built.package))
    np.save(tmp_path / "images.npy", built.images)
    files = [points.reprice_into(safe, tmp_path / "toy.npz"), tmp_path / "images.npy", tmp_path / "records.npz"]
    command = [sys.executable, "-m", "tests.export.class_exits_on_a_point", *map(str, files)]
    found = subprocess.run(command, env={**os.environ, **points.environment(safe)}, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-500:]
    with np.load(tmp_path / "records.npz") as records:
        assert sorted(records) == ["3", "3 under a budget", "7", "7 under a budget"]
        for name in ("3", "7"):
            there, here = decode(records[name], built.package.with_class_exit(name).start()), built.run(name)
            for field in ("exit", "label", "flops", "logits", "trace", "weight_bytes"):
                assert np.array_equal(getattr(there, field), getattr(here, field)), field
            assert (there.cycles > here.cycles).all(), "two taps a cycle for three"


def repriced(package):
    """A package, priced again by this engine."""
    with tempfile.TemporaryFile() as file:
        reprice.save_parts(file, package)
        file.seek(0)
        with np.load(file) as parts:
            told = json.loads(parts["told"].tobytes().decode())
            return reprice.repriced(*(parts[name] for name in reprice.ARRAYS), told["starts"], told["meta"])


def test_priced_again_for_the_same_engine_they_are_the_same(built):
    found = repriced(built.package)
    assert np.array_equal(found.variants, built.package.variants) and found.meta == built.package.meta
    wrong = json.loads(json.dumps(built.package.meta))
    for item in wrong["class_exits"]:
        item["exits"] = [one | {"cycles": 1} for one in item["exits"]]
    assert repriced(replace(built.package, meta=wrong)).meta == built.package.meta, "prices are made anew"


def test_one_that_an_engine_does_not_hold_is_left_out_alone(built, capsys):
    variants = built.package.variants.copy()
    first = built.package.meta["class_exits"][0]["count"]
    at = int(np.flatnonzero(variants[:first, 0] == isa.FC)[0])
    variants[at, 1 + isa.FIELDS[isa.FC].index("weights")] = built.package.weights.size
    found = repriced(replace(built.package, variants=variants))
    assert found.class_exits == ["7"] and np.array_equal(found.variants, variants[first:])
    assert read_back(found).with_class_exit("7").exits == built.package.with_class_exit("7").exits
    said = capsys.readouterr().err
    assert "toy has no class exit 3 on this engine: " in said and said.count("\n") == 1


def read_back(package):
    """The package by way of its file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(encoded(package))
        file.flush()
        return read(file.name)
