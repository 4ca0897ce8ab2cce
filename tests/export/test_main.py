"""The command: a package and ONNX from either kind of checkpoint, one line for bad input, nothing half-written."""

import json
import os
from argparse import Namespace

import numpy as np
import pytest
import torch

from data.own import Images
from data.parts import read_parts
from data.sets import CIFAR10
from export import __main__ as command
from export import measure as measuring
from export import onnx_graph, packing
from hls import cosim, isa, package
from hls.errors import UserError
from tests.data.test_own import photos
from tests.export.random_networks import VARIANTS, random_images, random_model, split_of
from tests.training.test_published import backbone_of, weights_of
from training import published
from training.data import Split
from training.phases import Phase
from training.recipe import Recipe

CASE = VARIANTS["papers"]
PHASE = Phase("joint", 1, 0.1, {"classification": {}})
REAL_LOAD = Split.load


@pytest.fixture(autouse=True)
def small_data(monkeypatch):
    """Random images in place of a data set, and integers in place of the engine."""
    splits = [split_of(CASE, random_images(CASE, n, n), n) for n in (40, 30, 12)]
    monkeypatch.setattr(Split, "load", classmethod(lambda cls, *arguments: splits))
    monkeypatch.setattr(measuring, "_has_compiler", lambda: False)


@pytest.fixture
def checkpoint(tmp_path):
    """A model.pt of a random DDI network."""
    recipe = Recipe("tiny", "cifar10", CASE.network, (PHASE,))
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
    assert accuracy["seen"]["images"] == 40 and "in float on 40 images seen in training" in printed
    assert left_behind(tmp_path, "model.pt", "p.npz", "m.onnx") == []


def test_a_checkpoint_is_calibrated_on_many_small_images_or_on_fewer_large_ones(checkpoint, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "thorough", lambda train: seen.append(len(train)) or 7)
    found = command.job_of(Namespace(checkpoint=checkpoint, weights=None, data=None, exits=None, mean=None, std=None))
    assert seen == [40] and found.parts.calibration == 7
    sides = {
        side: Split.from_arrays(np.zeros((1, side, side, 3), np.uint8), [0], (0.5,), (0.5,), 1) for side in (32, 33)
    }
    assert [packing.thorough(sides[side]) for side in (32, 33)] == [2048, 512]


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
    assert (meta["accuracy"]["split"], meta["accuracy"]["images"]) == ("test", 10)
    assert meta["input"]["mean"] == [0.485, 0.456, 0.406] and len(meta["exits"]) == 1


def published_network(folder, monkeypatch, n=20):
    """Arguments that import a network, which is right on 17 of the 20 test images and all training images in float."""
    torch.save(weights_of(backbone_of(8)), folder / "w.th")
    mean, std = CIFAR10.mean, CIFAR10.std
    splits = [Split.from_arrays(random_images(CASE, n, seed), np.zeros(n), mean, std, 10) for seed in (1, 2)]
    backbone = published.load(folder / "w.th", "resnet8", 10)
    for part in splits:
        part.labels = backbone(part.normalise(part.images)).argmax(1)
    splits[1].labels[:3] = (splits[1].labels[:3] + 1) % 10
    monkeypatch.setattr(Split, "load", classmethod(lambda cls, *arguments: [splits[0], splits[0], splits[1]]))
    return ["--arch", "resnet8", "--weights", str(folder / "w.th"), "--dataset", "cifar10", "-o", str(folder / "p.npz")]


@pytest.mark.parametrize("percent", ["85", "85.04", "60"])
def test_an_import_that_has_the_expected_accuracy(percent, tmp_path, monkeypatch, capsys):
    """All test images are measured on where nothing is said."""
    arguments = published_network(tmp_path, monkeypatch)
    monkeypatch.setattr(measuring, "INT8_LOSS", 10)  # two of twenty images
    assert command.main([*arguments, "--expect", percent]) == 0
    assert package.read(tmp_path / "p.npz").meta["accuracy"]["images"] == 20 and capsys.readouterr().err == ""


@pytest.mark.parametrize("percent", ["85.1", "91.7", "100"])
def test_an_import_that_misses_the_expected_accuracy_writes_nothing(percent, tmp_path, monkeypatch, capsys):
    arguments = published_network(tmp_path, monkeypatch)
    (tmp_path / "p.npz").write_bytes(b"earlier")
    refused([*arguments, "--expect", percent], capsys, f"on 20 test images, --expect says {float(percent):g} %")
    assert (tmp_path / "p.npz").read_bytes() == b"earlier" and left_behind(tmp_path, "w.th", "p.npz") == []


@pytest.mark.parametrize(
    "accuracy, percent, kept",
    [
        ((0.917, 0.914), 91.7, True),
        ((0.9166, 0.9137), 91.7, True),
        ((0.9164, 0.9164), 91.7, False),
        ((0.93, 0.9136), 91.7, True),
        ((0.93, 0.9133), 91.7, False),
        ((0.1, 0.917), 91.7, False),
        ((0.9173, 0.9176), 92, False),
    ],
)
def test_expected_accuracy_is_met_by_float_and_almost_by_int8(accuracy, percent, kept):
    figures = {"float": [0.0, accuracy[0]], "int8": [0.0, accuracy[1]], "images": 10_000, "split": "test"}
    if kept:
        measuring.check_expected(figures, percent)
        return
    with pytest.raises(UserError, match="10,000 test images, --expect says"):
        measuring.check_expected(figures, percent)


def test_statistics_in_0_to_255_are_warned_of_with_what_they_should_be(tmp_path, monkeypatch, capsys):
    arguments = published_network(tmp_path, monkeypatch)
    scaled = [",".join(str(255 * value) for value in values) for values in (CIFAR10.mean, CIFAR10.std)]
    assert command.main([*arguments, "--mean", scaled[0], "--std", scaled[1]]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("warning: ") and "out of range for pixels in [0, 1]" in lines[0]
    assert all("--mean 0.4914,0.4822,0.4465 --std 0.247,0.2435,0.2616" in line for line in lines[:2])
    assert "100.0% with" in lines[1]


def test_test_images_of_another_kind_are_warned_of():
    figures = {"float": [0.3], "split": "test", "seen": {"float": [0.99], "images": 512}}
    (text,) = measuring.surprises(figures)
    assert "30.0% of the test images are right in float, far fewer than the 99.0% of images seen in training" in text
    assert measuring.surprises(figures | {"float": [0.85]}) == []


def refused(arguments, capsys, message):
    """Assert that the command fails with one line that holds `message`."""
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and message in error, error


def test_bad_input_is_one_line(checkpoint, tmp_path, capsys):
    output = ["-o", str(tmp_path / "p.npz")]
    refused([str(tmp_path / "none.pt"), *output], capsys, "no checkpoint")
    (tmp_path / "junk.pt").write_bytes(b"junk")
    refused([str(tmp_path / "junk.pt"), *output], capsys, "is text: expected a torch file")
    torch.save(weights_of(backbone_of(8)), tmp_path / "plain.pt")
    refused([str(tmp_path / "plain.pt"), *output], capsys, "give --arch and --weights")
    refused([str(checkpoint), "-o", str(tmp_path / "no" / "p.npz")], capsys, "there is no folder")
    state = torch.load(checkpoint, weights_only=True)
    state["recipe"]["network"]["backbone"]["units"] = [2, 2, 2]
    torch.save(state, tmp_path / "other.pt")
    refused([str(tmp_path / "other.pt"), *output], capsys, "do not fit their recipe")
    state["recipe"]["colour"] = "blue"
    torch.save(state, tmp_path / "other.pt")
    refused([str(tmp_path / "other.pt"), *output], capsys, "unknown key 'colour'")
    weights = ["--arch", "resnet8", "--dataset", "cifar10", "--weights", str(tmp_path / "plain.pt"), *output]
    refused([str(checkpoint), "-o", str(checkpoint)], capsys, "would be written over")
    refused([str(checkpoint), *output, "--images", "31"], capsys, "--images 31 is more than the 30 images there are")
    refused([str(checkpoint), *output, "--calibration", "41"], capsys, "--calibration 41 is more than the 40 images")
    refused([*weights, *output, "--onnx", output[1]], capsys, "--onnx")
    data = tmp_path / "photos.npz"
    data.write_bytes(b"pictures")
    for given in (str(data), f"cifar10={data}"):
        refused([str(checkpoint), "--data", given, "-o", str(data)], capsys, "would be written over")
    assert data.read_bytes() == b"pictures"
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
    ("arguments", "expected"),
    [
        ([], "give either a CHECKPOINT, or"),
        (["x.pt", "--weights", "w.pt"], "give either a CHECKPOINT, or"),
        (["--weights", "w.pt"], "--weights needs --arch and --dataset"),
        (["x.pt", "--images", "few"], "'few': expected a whole number, 1 or more"),
        (["x.pt", "--images", "-5"], "'-5': expected a whole number, 1 or more"),
        (["x.pt", "--calibration", "0"], "'0': expected a whole number, 1 or more"),
        (["x.pt", "--calibration", "-5"], "'-5': expected a whole number, 1 or more"),
        (["x.pt", "--threads", "-1"], "'-1': expected a whole number from 1 to 1024"),
        (["x.pt", "--mean", "0,0,0"], "--mean changes nothing of x.pt, which says it itself: leave it away"),
        (["x.pt", "--dataset", "cifar10"], "--dataset changes nothing of x.pt"),
        (["x.onnx", "--arch", "resnet20"], "--arch changes nothing of x.onnx"),
        (["x.onnx", "--shortcut", "pad"], "--shortcut changes nothing of x.onnx"),
        (["x.pt", "--mean", "0.5"], "'0.5': expected 3 numbers apart by commas"),
        (["x.pt", "--mean", "0.5,b,0.5"], "'b': expected a number from"),
        (["x.pt", "--std", "0,1,1"], "'0': expected a number above 0"),
        (["x.pt", "--expect", "0.917"], "'0.917': expected a number from 1 to 100"),
        (["x.pt", "--expect", "917"], "'917': expected a number from 1 to 100"),
    ],
)
def test_bad_arguments_are_one_sentence(arguments, expected, tmp_path, capsys):
    with pytest.raises(SystemExit) as raised:
        command.main([*arguments, "-o", str(tmp_path / "p.npz")])
    err = capsys.readouterr().err
    assert raised.value.code == 2 and expected in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "where", [(packing, "measure"), (packing, "calibrate"), (os, "fsync"), (os, "replace")], ids=str
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


# ------------------------------------------------------------------------------------------------ pictures of one's own
def own_checkpoint(folder, monkeypatch):
    """(folder of pictures, model.pt of a random network for them); the data is really read."""
    monkeypatch.setattr(Split, "load", REAL_LOAD)
    pictures = photos(folder / "photos", {f"class {number}": 8 for number in range(CASE.classes)}, (32, 32, 3))
    recipe = Recipe("mine", "photos", CASE.network, (PHASE,), images=Images((32, 32), "none"))
    about = read_parts("photos", pictures, images=recipe.images).about
    state = {"recipe": recipe.to_dict(), "pruned": [], "model": random_model(CASE).state_dict(), "metrics": {}}
    torch.save({**state, "data": about.to_dict()}, folder / "model.pt")
    return pictures, about


def test_a_package_keeps_how_its_own_pictures_are_read(tmp_path, monkeypatch, capsys):
    pictures, about = own_checkpoint(tmp_path, monkeypatch)
    arguments = [str(tmp_path / "model.pt"), "-o", str(tmp_path / "p.npz")]
    assert command.main([*arguments, "--data", f"photos={pictures}"]) == 0
    meta = package.read(tmp_path / "p.npz").meta
    assert (meta["name"], meta["dataset"], meta["classes"]) == ("mine", "photos", list(about.classes))
    assert meta["input"]["images"] == about.stored() and meta["input"]["mean"] == list(about.mean)
    assert meta["accuracy"]["images"] == CASE.classes  # one of each class to validate on
    refused(arguments, capsys, "give --data the folder with its pictures")
    refused([*arguments, "--data", f"others={pictures}"], capsys, "SET=DIR with SET one of photos")
    next(pictures.rglob("*.png")).unlink()
    refused([*arguments, "--data", str(pictures)], capsys, "is not what the run of 'photos' was trained on")


def test_published_weights_for_pictures_of_ones_own(tmp_path, monkeypatch, capsys):
    pictures, _ = own_checkpoint(tmp_path, monkeypatch)
    torch.save(weights_of(backbone_of(8)), tmp_path / "w.th")
    arguments = [
        "--arch",
        "resnet8",
        "--weights",
        str(tmp_path / "w.th"),
        "--dataset",
        "mine",
        "-o",
        str(tmp_path / "p.npz"),
    ]
    assert command.main([*arguments, "--data", str(pictures)]) == 0
    assert "few for images that a network has learnt" in capsys.readouterr().err  # its weights are random
    assert package.read(tmp_path / "p.npz").meta["input"]["images"]["fit"] == "none"
    refused(arguments, capsys, "mine is no official data set: give --data the folder")
