"""Recipes for pictures of one's own: they suit the pictures, training follows them, bad input is one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from data.own import Images
from data.parts import read_parts
from hls.errors import UserError
from tests.data.test_own import photos, save
from training import __main__ as command
from training import new, recipe


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No step is measured: each takes a second."""

    def estimate(plan, classes, images):
        plan.network.build(classes, images.channels, images.size)
        return float(sum(phase.steps for phase in plan.phases))

    monkeypatch.setattr(new, "estimate", estimate)


@pytest.fixture
def pictures(tmp_path):
    return photos(tmp_path / "photos", {"cat": 40, "dog": 40}, (16, 16, 3))


def write(pictures, *options):
    """The recipe that is written for a folder; what is printed is the caller's."""
    output = pictures.parent / "mine.toml"
    assert command.main(["new", "--data", str(pictures), "-o", str(output), *map(str, options)]) == 0
    return recipe.read(output)


def test_a_recipe_suits_the_pictures(pictures, capsys):
    found = write(pictures)
    assert (found.name, found.dataset, found.batch) == ("mine", "photos", 32)
    assert found.images == Images((16, 16), "none", 3)
    assert [phase.name for phase in found.phases] == ["backbone", "gates"] and found.phases[0].steps == 80
    told = capsys.readouterr().out
    assert "80 pictures of 2 classes: 56 to train, 12 to validate, 12 to test; 16 × 16 RGB, as they are" in told
    assert "about 2 minutes of training here" in told and "next: python -m training" in told


def test_options(pictures, capsys):
    found = write(pictures, "--depth", 20, "--size", 24, "--fit", "pad", "--channels", 1, "--static", "--epochs", 40)
    assert found.images == Images((24, 24), "pad", 1) and found.network.backbone["depth"] == 20
    assert not found.network.layer_gates and [phase.steps for phase in found.phases] == [40]
    assert "24 × 24 grey, by pad" in capsys.readouterr().out


def test_minutes_are_kept(pictures, capsys):
    assert [phase.steps for phase in write(pictures, "--minutes", 1).phases] == [40, 20]
    assert "about 60 seconds of training here, on " in capsys.readouterr().out


def test_a_promise_in_words(monkeypatch):
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)
    assert new.promised(1) == "about 1 second of training here, on 1 thread"
    monkeypatch.setattr("torch.get_num_threads", lambda: 2)
    assert new.promised(3600) == "about 60 minutes of training here, on 2 threads"


def test_more_pictures_more_steps_fewer_epochs():
    class Given:
        output, depth, epochs = new.Path("mine.toml"), 14, None

    small, large = (new._values(Given, "x", None, count) for count in (500, 50_000))
    assert (small["batch"], large["batch"]) == (32, 128) and large["steps"] == 40 * 390
    assert small["steps"] * 32 / 500 > 1.5 * large["steps"] * 128 / 50_000
    assert new._values(Given, "x", None, 5)["batch"] == 5


def test_names_of_folders(tmp_path):
    names = {"my photos!": "my-photos", "фото": "фото", "cifar10": "own-cifar10", "!": "pictures", "a.b": "a.b"}
    assert {name: new.dataset_name(tmp_path / name) for name in names} == names
    (tmp_path / "digits.npz").write_bytes(b"")
    assert new.dataset_name(tmp_path / "digits.npz") == "digits"


def test_the_estimate_measures_steps(pictures, monkeypatch):
    monkeypatch.undo()
    found = write(pictures, "--depth", 8, "--size", 8, "--epochs", 1)
    seconds = new.estimate(found, 2, found.images)
    assert 0 < seconds < 120
    monkeypatch.setattr(new, "measured", lambda *given, steps: 4.0 * (steps == new.REHEARSED))
    assert new.estimate(found, 2, found.images) == new.OVERHEAD * 4 > 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--size", "7"], "each 8 to 256"),
        (["--depth", "15"], "6n + 2"),
        (["--size", "20", "--fit", "none"], "a picture of 16 × 16, fit none takes 20 × 20: give --fit crop"),
    ],
)
def test_bad_options(pictures, capsys, options, expected):
    code = command.main(["new", "--data", str(pictures), "-o", str(pictures.parent / "bad.toml"), *options])
    error = capsys.readouterr().err
    assert code == 2 and error.count("\n") == 1 and expected in error, error
    assert not (pictures.parent / "bad.toml").exists()


@pytest.mark.parametrize(
    ("option", "text", "expected"),
    [
        ("--minutes", "0", "'0': expected a number above 0"),
        ("--epochs", "0", "'0': expected a whole number, 1 or more"),
        ("--depth", "6", "'6': expected a whole number from 8"),
        ("--channels", "2", "invalid choice: 2"),
    ],
)
def test_numbers_have_ranges(pictures, capsys, option, text, expected):
    with pytest.raises(SystemExit) as raised:
        command.main(["new", "--data", str(pictures), "-o", str(pictures.parent / "bad.toml"), option, text])
    error = capsys.readouterr().err
    assert raised.value.code == 2 and error.count("\n") == 1 and expected in error, error


def test_bad_folders_and_files(pictures, tmp_path, capsys):
    (tmp_path / "there.toml").write_text("mine")
    for data, output, expected in (
        (pictures, "there.toml", "is there already"),
        (pictures, "mine.txt", "expected a file .toml"),
        (pictures, "none/mine.toml", "there is no folder"),
        (tmp_path / "none", "a.toml", "no folder"),
        (f"cifar10={pictures}", "a.toml", "is an official data set"),
        (photos(tmp_path / "one", {"a": 9}), "a.toml", "has 1 class, expected 2"),
        (photos(tmp_path / "few", {"a": 9, "b": 1}), "a.toml", "class 'b' has 1 picture, expected"),
    ):
        assert command.main(["new", "--data", str(data), "-o", str(tmp_path / output)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("training new: ") and error.count("\n") == 1 and expected in error, error
    assert (tmp_path / "there.toml").read_text() == "mine"


# ------------------------------------------------------------------------------------------------------ what follows it
def test_training_follows_it_and_keeps_what_it_read(pictures, tmp_path, capsys):
    """Folder → recipe → checkpoint; the folder must then stay as it is."""
    write(pictures, "--depth", 8, "--size", 8, "--fit", "crop", "--epochs", 1)
    path, out = tmp_path / "mine.toml", tmp_path / "run"
    path.write_text(path.read_text().replace("steps = 20", "steps = 2"))
    arguments = [str(path), "--out", str(out), "--device", "cpu"]
    assert command.main([*arguments, "--data", str(pictures)]) == 0
    state = torch.load(out / "model.pt", weights_only=True)
    assert state["data"]["classes"] == ("cat", "dog") and len(state["data"]["digest"]) == 64
    assert state["data"]["mean"] == state["data"]["mean"][:1] * 3 and 0 < state["data"]["std"][0] < 0.1
    assert state["recipe"]["images"]["size"] == [8, 8] and json.loads((out / "metrics.json").read_text())
    capsys.readouterr()
    save(pictures / "cat" / "more.png", size=(16, 16, 3))
    assert command.main([*arguments, "--data", f"photos={pictures}", "--resume"]) == 2
    assert "is not what the run of 'photos' was trained on" in capsys.readouterr().err
    assert command.main([*arguments, "--data", f"other={pictures}", "--resume"]) == 2
    assert "SET=DIR with SET one of photos" in capsys.readouterr().err


def test_recipes_with_images(tmp_path):
    plain = {"name": "x", "network": {"backbone": {"kind": "resnet", "depth": 8}}}
    plain["phases"] = [{"name": "a", "steps": 1, "lr": 0.1, "terms": {"classification": {}}}]
    own = {**plain, "dataset": "mine", "images": {"size": [8, 8]}}
    found = recipe.from_dict(own)
    assert found.images == Images((8, 8)) and recipe.from_dict(found.to_dict()) == found
    for change, expected in (
        ({"images": None}, "or \\[images\\] for pictures of one's own"),
        ({"dataset": "cifar10"}, "is read as it is"),
        ({"images": {"size": [8, 8], "colour": 1}}, "unknown key 'colour' in \\[images\\]"),
        ({"images": {"size": [8, 8], "test": 0.7}}, "shares above 0"),
        ({"images": {"size": 8}}, "expected tuple"),
    ):
        with pytest.raises(UserError, match=expected):
            recipe.from_dict({**own, **change})
    assert np.isclose(found.images.validation, 0.15)


def test_the_example_is_whole():
    """Ten pictures of ours, and a recipe that training can follow on them."""
    folder = Path(__file__).resolve().parents[2] / "examples" / "own-images"
    plan = recipe.read(folder / "mine.toml")
    parts = read_parts(plan.dataset, folder / "shapes", images=plan.images)
    counts = [len(labels) for _, labels in (parts.train, parts.validation, parts.test)]
    assert counts == [4, 3, 3] and parts.about.classes == ("cross", "disc", "ring") and plan.batch <= counts[0]
    assert plan.network.build(3, 3, plan.images.size).exits
