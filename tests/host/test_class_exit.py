"""`host/run.py --class-exit NAME`: who stops, what is reported, and what is refused."""

import json
import os
import subprocess
import sys

import pytest
import torch

from bitstreams import points
from data.datasets import load_sample
from data.sets import FASHION_MNIST
from export.build import Source
from export.fold import fold
from export.packing import Parts, pack
from hls.generate import variant
from hls.package import write
from host import Engine
from host.run import main
from training.class_exits import command
from training.class_exits.exits import ClassExits
from training.data import Split
from training.network import Network

OPTIONS = {"places": 4, "in_a_row": 1, "measure": "cycles", "precision": 0.0, "connections": (True,)}
TROUSER = FASHION_MNIST.classes.index("trouser")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A network that has learnt nothing, with exits for trousers, which random maps tell from the rest."""
    torch.manual_seed(0)
    images, labels = load_sample()
    statistics = FASHION_MNIST.mean, FASHION_MNIST.std
    train, held, test = (
        Split.from_arrays(images[part], labels[part], *statistics, 10)
        for part in (slice(0, 700), slice(700, 850), slice(850, 1000))
    )
    model = Network({"kind": "resnet", "depth": 14}, exits={"after": [3]}).build(10, 3, (32, 32)).eval()
    found = command.find(model, (train, held, test), [TROUSER], OPTIONS)
    assert found, "an easy class has an exit"
    placed = ClassExits.of({"class_exits": list(found.values())}, model)
    network = fold(model, 3, (32, 32), watch=placed.watch)
    source = Source("toy", "fashion-mnist", *statistics, FASHION_MNIST.classes, {})
    path = tmp_path_factory.mktemp("class-exits") / "toy.npz"
    made = pack(network, source, Parts(train, held, "validation", 100, 100), placed.told())
    write(path, made)
    assert made.meta["class_exits"][0]["chosen"]["validation"]["gain"] > 1
    return path


def run(package, tmp_path, *options):
    assert main(["--package", str(package), "--images", "300", "--json", str(tmp_path / "r.json"), *options]) == 0
    return json.loads((tmp_path / "r.json").read_text())


def test_a_class_stops_early_and_the_others_go_on(package, tmp_path, capsys):
    found, whole = run(package, tmp_path, "--class-exit", "trouser"), None
    assert "class exit" in capsys.readouterr().out
    whole = run(package, tmp_path)
    told = found["class_exit"]
    assert told["class"] == "trouser" and told["stopped_share"] > 0.1 and told["precision"] > 0.5
    assert told["cycles"]["class"] < told["cycles"]["others"] and told["flops"]["class"] < told["flops"]["others"]
    assert whole["class_exit"] is None and found["accuracy"] > whole["accuracy"]
    taken = {name: item["images"] for name, item in found["exits"].items()}
    assert sum(count for name, count in taken.items() if name.startswith("class exit")) == told["stopped"]
    assert found["layers_run"] == whole["layers_run"] == {"mean": 0.0, "min": 0, "max": 0, "total": 0}
    assert found["gates"] == whole["gates"] == []


def test_a_budget_is_kept_besides(package, tmp_path):
    least = run(package, tmp_path)["exits"]["exit 0, after block 3"]
    assert least["images"] == 0
    budget = Engine(package, class_exit="trouser").smallest_budget()
    found = run(package, tmp_path, "--class-exit", "trouser", "--budget", budget)
    assert found["flops"]["max"] <= found["budget"]["flops"] and found["class_exit"]["stopped"] > 0
    assert found["reasons"]["BUDGET"] + found["class_exit"]["stopped"] == 300


def test_layers_of_images_that_stopped_add_up(package, tmp_path):
    found = run(package, tmp_path, "--class-exit", "trouser", "--layers")
    assert sum(row["cycles"] for row in found["layers"]) == pytest.approx(300 * found["cycles"]["mean"])


def test_on_another_point_the_same_images_stop(package, tmp_path):
    """Priced for the ZedBoard's safe point, at its clock; all but the cycles is as here."""
    pytest.importorskip("tomllib", reason="boards' files are read with Python 3.11 or newer")
    variant.write(tmp_path, points.point("zedboard", "safe").sizes)
    priced = points.reprice_into(tmp_path, package)
    options = ["--images", "100", "--class-exit", "trouser", "--backend", "golden", "--json"]
    command = [sys.executable, "-m", "host.run", "--package", priced, *options, "-"]
    ran = subprocess.run(command, env={**os.environ, **points.environment(tmp_path)}, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    there, here = json.loads(ran.stdout), run(package, tmp_path, *options, str(tmp_path / "r.json"))
    assert there["class_exit"]["stopped"] > 0 and there["time_ms"]["clock_mhz"] == 100
    for name in ("exits", "flops", "accuracy"):
        assert there[name] == here[name]
    assert there["cycles"]["mean"] > here["cycles"]["mean"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--class-exit", "cow"], "no class exit cow: expected one of trouser; python -m training class-exits"),
        (
            ["--package", "cifar10", "--class-exit", "dog"],
            "no class exit dog: it has none; python -m training class-ex",
        ),
        (["--class-exit", "trouser", "--average-budget", "20M"], "--class-exit changes what --average-budget's"),
        (["--class-exit", "trouser", "--budget", "1k"], "the smallest that works"),
    ],
)
def test_refusals_are_one_line(package, capsys, options, message):
    given = [] if "--package" in options else ["--package", str(package)]
    assert main([*given, *options]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_from_python(package):
    with Engine(package, class_exit="trouser") as engine:
        images = load_sample()[0][:40]
        found = engine.predict(images)
        stopped = [one for one in found if one.exit_name.startswith("class exit")]
        assert stopped and all(one.name == "trouser" and one.probability > 0.5 for one in stopped)
        assert all(one.blocks_run == 0 for one in found)
