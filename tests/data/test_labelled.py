"""Which images a package is measured on, and with which labels."""

import numpy as np
import pytest

from bench.standin import tiny
from data import labelled
from data.errors import DataError
from data.labelled import test_images as images_of
from data.own import Images
from data.parts import read_parts
from hls.package import Package
from tests.data.test_own import photos


def package(classes, dataset="mine", **stored):
    """A tiny package for 32 × 32 RGB, of these classes."""
    found = tiny.package(classes=len(classes), dataset=dataset)
    meta = {**found.meta, "classes": list(classes)}
    meta["input"] = {**meta["input"], **({"images": stored} if stored else {})}
    return Package(found.program, found.weights, found.tables, meta)


def refused(expected, *arguments):
    with pytest.raises(DataError, match=expected) as error:
        images_of(*arguments)
    assert "\n" not in str(error.value)


def test_the_test_part_of_what_it_was_trained_on_and_all_of_other_pictures(tmp_path):
    mine = photos(tmp_path / "mine", {"a": 20, "b": 20}, (32, 32, 3))
    parts = read_parts("mine", mine, images=Images((32, 32)))
    trained = package(("a", "b"), **parts.about.stored())
    images, labels, source = images_of(trained, mine)
    assert (images == parts.test[0]).all() and (labels == parts.test[1]).all()
    assert source == f"the test part of {mine}, crop to 32 × 32"
    others = photos(photos(tmp_path / "others", {"b": 4}, (40, 60, 1)), {"a": 3}, (32, 32, 3))
    images, labels, source = images_of(trained, others)
    assert images.shape == (7, 32, 32, 3) and labels.tolist() == [0] * 3 + [1] * 4 and source.startswith("all of")
    photos(mine, {"a": 21}, (32, 32, 3))  # one more: what was trained on cannot be told any more
    images, _, source = images_of(trained, mine)
    assert len(images) == 41 and source == f"all of {mine}, crop to 32 × 32; some may have been seen in training"


def test_labels_go_by_name_or_by_number(tmp_path):
    found = package(("zebra", "cat", "dog"))
    _, labels, _ = images_of(found, photos(tmp_path / "p", {"cat": 2, "zebra": 1}))
    assert labels.tolist() == [1, 1, 0]
    refused("the class 'cow', the package knows zebra, cat, dog", found, photos(tmp_path / "q", {"cow": 1, "cat": 1}))
    pixels = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=pixels, labels=np.array([0, 1, 2, 2]))
    assert images_of(found, tmp_path / "a.npz")[1].tolist() == [0, 1, 2, 2]
    np.savez(tmp_path / "b.npz", images=pixels, labels=np.arange(4))
    refused("labels up to 3, the package 3 classes", found, tmp_path / "b.npz")


def test_an_official_package_runs_on_ones_own_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled, "load", lambda *arguments: arguments)
    found = package(("cat", "dog"), dataset="cifar10")
    assert images_of(found, "archive")[:3] == ("cifar10", "test", "archive")
    pictures = photos(tmp_path / "test", {"cat": 2, "dog": 2}) and tmp_path
    photos(tmp_path / "train", {"cat": 5, "dog": 5})
    images, _, source = images_of(found, pictures)
    assert len(images) == 4 and source.startswith("the test part of")


def test_no_folder_for_pictures_of_ones_own():
    refused("'mine', no official data set .* give --data", package(("a", "b")), None)
