"""The command: a package and ONNX from either kind of checkpoint, one line for bad input, nothing half-written."""

import json

import numpy as np
import pytest
import torch

from export import __main__ as command
from export import measure as measuring
from export import onnx_graph, packing
from hls import cosim, isa, package
from tests.export.random_networks import VARIANTS, random_images, random_model, split_of
from tests.training.test_published import backbone_of, weights_of
from training.data import Split
from training.phases import Phase
from training.recipe import Recipe

CASE = VARIANTS["papers"]


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Random images in place of a data set, and integers in place of the engine."""
    splits = [split_of(CASE, random_images(CASE, n, n), n) for n in (40, 30, 2)]
    monkeypatch.setattr(Split, "load", classmethod(lambda cls, *arguments: splits))
    monkeypatch.setattr(measuring, "_has_compiler", lambda: False)


@pytest.fixture
def checkpoint(tmp_path):
    """A model.pt of a random DDI network."""
    recipe = Recipe("tiny", "cifar10", CASE.network, (Phase("joint", 1, 0.1, {"classification": {}}),))
    weights = random_model(CASE).state_dict()
    state = {"recipe": recipe.to_dict(), "pruned": [], "model": weights, "metrics": {"seed": 1}}
    torch.save(state, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def left_behind(folder, *expected):
    """Files in a folder beyond the expected ones."""
    return sorted(path.name for path in folder.iterdir() if path.name not in expected)


def test_checkpoint_to_package_and_onnx(checkpoint, tmp_path, capsys):
    outputs = tmp_path / "p.npz", tmp_path / "m.onnx"
    assert command.main([str(checkpoint), "-o", str(outputs[0]), "--onnx", str(outputs[1]), "--images", "20"]) == 0
    meta = package.read(outputs[0]).meta
    assert (meta["name"], meta["architecture"], meta["dataset"]) == ("tiny", "resnet8-ddi", "cifar10")
    assert meta["training"]["recipe"]["name"] == "tiny" and meta["training"]["metrics"] == {"seed": 1}
    accuracy = meta["accuracy"]
    assert (accuracy["split"], accuracy["images"], accuracy["int8_by"]) == ("validation", 20, "integer model")
    assert len(accuracy["float"]) == len(accuracy["int8"]) == len(meta["exits"]) == 3
    printed = capsys.readouterr().out
    assert all(item["name"] in printed for item in meta["exits"]) and "20 validation images" in printed
    assert left_behind(tmp_path, "model.pt", "p.npz", "m.onnx") == []


def test_two_exports_are_the_same_bytes(checkpoint, tmp_path):
    for name in ("one", "two"):
        files = [str(tmp_path / f"{name}{end}") for end in (".npz", ".onnx")]
        assert command.main([str(checkpoint), "-o", files[0], "--onnx", files[1], "--images", "10"]) == 0
    for end in (".npz", ".onnx"):
        assert (tmp_path / f"one{end}").read_bytes() == (tmp_path / f"two{end}").read_bytes()


@pytest.mark.cosim
def test_engine_and_integers_measure_the_same(checkpoint, tmp_path, monkeypatch):
    figures = []
    for compiled in (False, True):
        monkeypatch.setattr(measuring, "_has_compiler", lambda compiled=compiled: compiled)
        assert command.main([str(checkpoint), "-o", str(tmp_path / "p.npz")]) == 0
        figures.append(package.read(tmp_path / "p.npz").meta["accuracy"])
    assert figures[0]["int8"] == figures[1]["int8"] and figures[1]["int8_by"] == "co-simulation"
    assert len(figures[1]["int8_flops"]) == 3


def test_published_weights_to_package(tmp_path):
    torch.save({"state_dict": weights_of(backbone_of(8))}, tmp_path / "w.th")
    arguments = ["--arch", "resnet8", "--weights", str(tmp_path / "w.th"), "--dataset", "cifar10", "--images", "10"]
    normalisation = ["--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"]
    assert command.main([*arguments, *normalisation, "-o", str(tmp_path / "p.npz")]) == 0
    meta = package.read(tmp_path / "p.npz").meta
    assert (meta["name"], meta["architecture"], meta["gates"]) == ("w-cifar10", "resnet8", [])
    assert meta["input"]["mean"] == [0.485, 0.456, 0.406] and len(meta["exits"]) == 1


def refused(arguments, capsys, message):
    """Assert that the command fails with one line that holds `message`."""
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error, error


def test_bad_input_is_one_line(checkpoint, tmp_path, capsys):
    output = ["-o", str(tmp_path / "p.npz")]
    refused([str(tmp_path / "none.pt"), *output], capsys, "no checkpoint")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    refused([str(tmp_path / "junk.pt"), *output], capsys, "is damaged")
    torch.save(weights_of(backbone_of(8)), tmp_path / "plain.pt")
    refused([str(tmp_path / "plain.pt"), *output], capsys, "give --arch and --weights")
    refused([str(checkpoint), "-o", str(tmp_path / "no" / "p.npz")], capsys, "no folder")
    state = torch.load(checkpoint, weights_only=True)
    state["recipe"]["network"]["backbone"]["units"] = [2, 2, 2]
    torch.save(state, tmp_path / "other.pt")
    refused([str(tmp_path / "other.pt"), *output], capsys, "do not fit their recipe")
    state["recipe"]["colour"] = "blue"
    torch.save(state, tmp_path / "other.pt")
    refused([str(tmp_path / "other.pt"), *output], capsys, "unknown key 'colour'")
    weights = ["--arch", "resnet8", "--dataset", "cifar10", "--weights", str(tmp_path / "plain.pt"), *output]
    refused([*weights, "--std", "0,1,1"], capsys, "above 0")
    refused([*weights, "--mean", "0.5"], capsys, "expected 3 numbers each")
    assert not (tmp_path / "p.npz").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_one_line(value, checkpoint, tmp_path, capsys):
    state = torch.load(checkpoint, weights_only=True)
    state["model"]["backbone.units.0.conv1.weight"][0] = value
    torch.save(state, checkpoint)
    refused([str(checkpoint), "-o", str(tmp_path / "p.npz")], capsys, "not finite")


def test_a_network_that_the_engine_refuses_is_one_line(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(isa, "LANE_BYTES", 64)  # so that a row of weights is too long for a lane
    refused([str(checkpoint), "-o", str(tmp_path / "p.npz"), "--images", "4"], capsys, "(CONV): a count, size")
    assert not (tmp_path / "p.npz").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["x.pt", "--weights", "w.pt"], ["--weights", "w.pt"], ["x.pt", "--images", "few"]], ids=str
)
def test_bad_arguments_are_usage(arguments, tmp_path, capsys):
    with pytest.raises(SystemExit) as raised:
        command.main([*arguments, "-o", str(tmp_path / "p.npz")])
    assert raised.value.code == 2 and "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "where", [(packing, "measure"), (packing, "calibrate"), (package.os, "fsync"), (command.os, "replace")], ids=str
)
def test_an_interrupt_leaves_nothing_half_written(where, checkpoint, tmp_path, monkeypatch, capsys):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    (tmp_path / "p.npz").write_bytes(b"earlier")
    monkeypatch.setattr(*where, interrupt)
    arguments = [str(checkpoint), "-o", str(tmp_path / "p.npz"), "--onnx", str(tmp_path / "m.onnx"), "--images", "4"]
    assert command.main(arguments) == 2
    assert "interrupted" in capsys.readouterr().err
    assert (tmp_path / "p.npz").read_bytes() == b"earlier"
    assert left_behind(tmp_path, "p.npz", "model.pt") == []


def test_an_engine_that_cannot_be_built_is_one_line(checkpoint, tmp_path, monkeypatch, capsys):
    def fail(*arguments):
        raise cosim.CosimError("g++ failed")

    monkeypatch.setattr(measuring, "_has_compiler", lambda: True)
    monkeypatch.setattr(cosim, "run", fail)
    refused([str(checkpoint), "-o", str(tmp_path / "p.npz")], capsys, "g++ failed")


def test_meta_is_plain_json(checkpoint, tmp_path):
    assert command.main([str(checkpoint), "-o", str(tmp_path / "p.npz"), "--images", "4"]) == 0
    meta = package.read(tmp_path / "p.npz").meta
    assert json.loads(json.dumps(meta)) == meta
    assert all(np.isfinite(list(meta["steps"].values()))) and onnx_graph.OPSET == 20
    assert {"image", "logits", "stem.conv", "units.0.conv1"} <= set(meta["steps"])


def test_units_that_were_pruned_stay_away(checkpoint, tmp_path):
    state = torch.load(checkpoint, weights_only=True)
    state["pruned"] = [{"closed": [1], "open": [2], "fixed": []}]
    gone = ("backbone.units.1.conv", "backbone.units.1.bn", "layer_gates.1.", "layer_gates.2.", "channel_gates.1.")
    state["model"] = {name: value for name, value in state["model"].items() if not name.startswith(gone)}
    torch.save(state, checkpoint)
    assert command.main([str(checkpoint), "-o", str(tmp_path / "p.npz"), "--images", "4"]) == 0
    meta = package.read(tmp_path / "p.npz").meta
    assert [gate["block"] for gate in meta["gates"]] == [0, 2] and meta["training"]["pruned"] == state["pruned"]
    assert [item["block"] for item in meta["exits"]] == [0, 1, 2]
