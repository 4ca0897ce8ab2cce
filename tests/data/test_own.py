"""Folders of class folders and arrays: what they hold, how they are divided, and one line for what is wrong."""

import io
import os
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import own
from data.arrays import holds_arrays, read_arrays
from data.errors import DataError
from data.folders import Collection, check_classes, holds_classes, read_folder
from data.formats.png import write_png
from data.own import Images, collect, divide, from_dict, is_own, read_items, suggest
from data.parts import About, check_same, images_for, read_parts, statistics


def save(path, value=0, size=(8, 8, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(write_png(np.full(size, value, np.uint8)))


def photos(folder, counts, size=(8, 8, 3)):
    """{class: pictures} as a folder; a picture's value is its number."""
    for name, count in counts.items():
        for index in range(count):
            save(folder / name / f"{index:03d}.png", index, size)
    return folder


def refused(expected, work, *arguments, **options):
    with pytest.raises(DataError, match=expected) as error:
        work(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


# -------------------------------------------------------------------------------------------------------------- folders
def test_a_folder_of_class_folders(tmp_path):
    found = read_folder(photos(tmp_path, {"dog": 3, "cat": 2}))
    paths, labels, names = found.parts["train"]
    assert found.classes == ("cat", "dog") and labels.tolist() == [0, 0, 1, 1, 1]
    assert [path.name for path in paths] == ["000.png", "001.png", "000.png", "001.png", "002.png"]
    assert names[0] == "cat/000.png" and holds_classes(tmp_path)


def test_parts_that_a_folder_has_are_kept(tmp_path):
    for part in ("Train", "val", "testing"):
        photos(tmp_path / part, {"a": 2, "b": 2})
    found = read_folder(tmp_path)
    assert set(found.parts) == {"train", "validation", "test"} and found.classes == ("a", "b")
    assert [len(labels) for _, labels in divide(found, Images((8, 8)))] == [4, 4, 4]
    assert holds_classes(tmp_path)


def test_a_class_may_be_called_as_a_part_is(tmp_path):
    found = read_folder(photos(tmp_path, {"bus": 2, "test": 3, "train": 4}))
    assert found.classes == ("bus", "test", "train") and set(found.parts) == {"train"}


@pytest.mark.parametrize(
    "names",
    [("train/caf\u00e9", "train/cafe\u0301", "train/b"), ("train/a", "val/a", "valid/a"), ("train/a", "Train/b")],
)
def test_two_folders_for_one_thing_are_not_mixed(tmp_path, names):
    photos(tmp_path, dict.fromkeys(names, 3))
    refused("put them into one folder", read_folder, tmp_path)


def test_what_is_no_picture_is_left_alone(tmp_path):
    photos(tmp_path, {"a": 3, "b": 3})
    for name in ("a/notes.txt", "a/Thumbs.db", "a/.hidden.png", ".git/x.png", "__MACOSX/y.png", "readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "a" / ".cache").mkdir()
    found = read_folder(tmp_path)
    assert found.classes == ("a", "b") and len(found.parts["train"][0]) == 6


def test_folders_that_are_none(tmp_path):
    refused("no folder", collect, tmp_path / "none")
    refused("has 0 classes, expected 2 to 1000", read_folder, tmp_path)
    refused("has 1 class, expected 2", read_folder, photos(tmp_path / "one", {"a": 4}))
    photos(tmp_path / "deep", {"a": 2, "b": 2, "a/more": 1})
    refused("a folder inside of a class", read_folder, tmp_path / "deep")
    photos(tmp_path / "tiff", {"a": 2, "b": 2})
    (tmp_path / "tiff" / "a" / "x.TIFF").write_bytes(b"II*\0")
    refused(r"x.TIFF is of a kind that is not read, expected .png", read_folder, tmp_path / "tiff")
    (tmp_path / "file.txt").write_text("")
    refused("is no .npz", collect, tmp_path / "file.txt")
    photos(tmp_path / "lone", {"a": 1, "b": 9})
    refused("class 'a' has 1 picture, expected at least 3", divide, read_folder(tmp_path / "lone"), Images((8, 8)))
    few = photos(tmp_path / "few", {"a": 2, "b": 9})
    refused(r"class 'a' has 2 pictures, expected at least 3", divide, read_folder(few), Images((8, 8)))
    photos(tmp_path / "half" / "train", {"a": 2, "b": 2})
    for name in "ab":
        (tmp_path / "half" / "test" / name).mkdir(parents=True)
    refused("no pictures in its test part", divide, read_folder(tmp_path / "half"), Images((8, 8)))
    photos(tmp_path / "alone" / "test", {"a": 2, "b": 2})
    refused("no training part", divide, read_folder(tmp_path / "alone"), Images((8, 8)))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Cat", "cat"], "'Cat' and 'cat', which read alike"),
        (["é", "e\u0301"], "read alike"),
        (["straße", "STRASSE"], "read alike"),
        (["a\nb", "c"], "text that can be printed"),
        ([" ", "c"], "text that can be printed"),
        ([str(n) for n in range(1001)], "1,001 classes, expected 2 to 1000"),
    ],
)
def test_class_names_that_nobody_can_tell_apart(names, expected):
    refused(expected, check_classes, names, "photos")


def test_names_in_any_script(tmp_path):
    check_classes([str(n) for n in range(1000)], "photos")
    found = read_folder(photos(tmp_path, {"кошка": 3, "собака": 3, "e\u0301te\u0301": 3}))
    assert set(found.classes) == {"кошка", "собака", "été"} and not found.parts["train"][2][0].startswith("e\u0301")


def test_file_names_that_are_no_text(tmp_path):
    photos(tmp_path, {"a": 3, "b": 3})
    os.link(tmp_path / "a" / "000.png", os.fsencode(tmp_path / "a") + b"/\xff\xfe.png")
    parts = divide(read_folder(tmp_path), Images((8, 8)))
    assert sum(len(labels) for _, labels in parts) == 7
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    refused("text that can be printed", read_folder, tmp_path)


# --------------------------------------------------------------------------------------------------------------- arrays
PIXELS = np.arange(10 * 8 * 8 * 3, dtype=np.uint64).astype(np.uint8).reshape(10, 8, 8, 3)
LABELS = np.arange(10) % 2


@pytest.mark.parametrize(
    ("members", "parts"),
    [
        ({"images": PIXELS, "labels": LABELS}, {"train"}),
        ({"x": PIXELS[..., 0], "y": LABELS[:, None]}, {"train"}),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS, "y_test": LABELS}, {"train", "test"}),
        (
            {f"{part}_{kind}": value for part in ("train", "val", "test") for kind, value in
             (("images", PIXELS), ("labels", LABELS.astype(np.uint8)))},
            {"train", "validation", "test"},
        ),
    ],
)  # fmt: skip
def test_names_of_members(tmp_path, members, parts):
    np.savez(tmp_path / "a.npz", **members)
    found = collect(tmp_path / "a.npz")
    assert set(found.parts) == parts and found.classes == ("0", "1") and not found.named
    images, labels, _ = found.parts["train"]
    assert images.shape == (10, 8, 8, 1 if "x" in members else 3) and labels.tolist() == LABELS.tolist()


def test_a_folder_of_arrays_and_names(tmp_path):
    for name, array in {"images": PIXELS, "labels": LABELS, "classes": np.array(["cat", "dog"])}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for path in (tmp_path, tmp_path / "images.npy"):
        found = collect(path)
        assert found.classes == ("cat", "dog") and found.named and holds_arrays(path)
    assert read_arrays(tmp_path).digest == found.digest


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"images": PIXELS}, "holds images, expected images and labels"),
        ({"pictures": PIXELS, "labels": LABELS}, "holds labels, pictures, expected images and labels"),
        ({"pictures": PIXELS, "classes": np.array(["a", "b"])}, "expected images and labels"),
        ({"images": PIXELS.astype(np.float32), "labels": LABELS}, "images float32"),
        ({"images": PIXELS[0], "labels": LABELS}, r"labels int64 \(10,\)|images uint8 \(8, 8, 3, 1\)"),
        ({"images": PIXELS, "labels": LABELS[:9]}, "10 images and labels"),
        ({"images": PIXELS, "labels": LABELS / 2}, "labels float64"),
        ({"images": PIXELS, "labels": LABELS - 1}, "a label -1"),
        ({"images": PIXELS, "labels": LABELS * 0}, "1 class, expected 2"),
        ({"images": PIXELS, "labels": LABELS + 1000}, "a label 1000, expected 0 to 999"),
        ({"images": PIXELS, "labels": LABELS * 10**12}, "a label 1000000000000, expected 0 to 999"),
        ({"images": PIXELS, "labels": LABELS.astype(np.uint64) * np.uint64(2**64 - 1)}, "a label 18446744073709551615"),
        ({"images": PIXELS[:1], "labels": np.int64(0)}, r"1 images and labels int64 \(\)"),
        ({"images": PIXELS[:, :0], "labels": LABELS}, "has images"),
        ({"images": PIXELS, "labels": LABELS * 5, "classes": np.array(["a", "b"])}, "a label 5, expected 0 to 1"),
        ({"images": np.zeros((0, 8, 8, 3), np.uint8), "labels": LABELS[:0]}, "has images"),
        ({"images": np.array([{}], object), "labels": LABELS}, "no array of numbers"),
    ],
)
def test_arrays_that_are_none(tmp_path, members, expected):
    np.savez(tmp_path / "a.npz", **members)
    refused(expected, collect, tmp_path / "a.npz")


def npy(shape, kind="|u1", content=b""):
    """A file of .npy that claims a shape."""
    header = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("claimed", "expected"),
    [
        (
            npy((100, 100, 100, 3), content=bytes(3_000_000)),
            "images.npy unpacks to 3,000,000 bytes, 1,000,000 are left",
        ),
        (npy((2**40, 64, 64, 3)), "images.npy unpacks to 13,510,798,882,111,488 bytes, 1,000,000 are left"),
        (npy((4, 8, 8, 3), content=bytes(767)), r"claims 768 bytes for \(4, 8, 8, 3\), 767 are there"),
        (npy((4, 8, 8, 3), content=bytes(769)), "claims 768 bytes .* 769 are there"),
        (npy((-4, -192), content=bytes(768)), "claims 768 bytes"),
        (npy((4, 8, 8, 3), "|O", bytes(768)), r"no array of numbers \(object\)"),
        (npy((4, 0, 8, 3), "|V0"), "no array of numbers"),
    ],
)
def test_what_an_array_claims_is_checked_before_it_is_unpacked(tmp_path, monkeypatch, claimed, expected):
    monkeypatch.setattr("data.arrays.MOST_BYTES", 1_000_000)
    unpacked, read = [], zipfile.ZipExtFile.read
    monkeypatch.setattr(zipfile.ZipExtFile, "read", lambda file, n=-1: [unpacked.append(n), read(file, n)][1])
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", claimed)
        archive.writestr("labels.npy", npy((4,), content=bytes((0, 1, 0, 1))))
    refused(expected, collect, tmp_path / "a.npz")
    assert all(0 <= n <= 1000 for n in unpacked)  # of a bomb its header alone
    (tmp_path / "images.npy").write_bytes(claimed)
    refused(expected, collect, tmp_path)


def test_arrays_together_are_bounded_and_others_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("data.arrays.MOST_BYTES", 2 * PIXELS.nbytes)
    np.savez_compressed(tmp_path / "a.npz", x_train=PIXELS, y_train=LABELS, x_test=PIXELS, y_test=LABELS)
    refused("x_test.npy unpacks to 1,920 bytes, 1,840 are left of 3,840", collect, tmp_path / "a.npz")
    np.savez_compressed(tmp_path / "b.npz", images=PIXELS, labels=LABELS, embeddings=np.zeros(9 * PIXELS.size))
    assert len(collect(tmp_path / "b.npz").parts["train"][1]) == 10
    names = np.array(["caf\u00e9".encode(), b"tea"])
    np.savez(tmp_path / "c.npz", images=PIXELS, labels=LABELS, classes=names)
    assert collect(tmp_path / "c.npz").classes == ("caf\u00e9", "tea")


def test_damaged_archives_never_raise_anything_else(tmp_path):
    content = io.BytesIO()
    np.savez(content, images=PIXELS, labels=LABELS)
    good, random, path = content.getvalue(), np.random.default_rng(3), tmp_path / "a.npz"
    for _ in range(150):
        damaged = bytearray(good[: random.integers(1, len(good))] if random.random() < 0.3 else good)
        for at in random.integers(0, len(damaged), 3):
            damaged[at] = random.integers(256)
        path.write_bytes(bytes(damaged))
        try:
            collect(path)
        except DataError as error:
            assert "\n" not in str(error)
    path.write_bytes(b"no zip")
    refused("cannot read", collect, path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY")
    refused("no array of numbers", collect, path)


# ------------------------------------------------------------------------------------------------------------- division
@given(st.integers(3, 40), st.integers(3, 40), st.integers(1, 9))
def test_division_is_whole_and_by_class(first, second, seed):
    labels = np.repeat([0, 1], [first, second])
    items, names = [Path(str(n)) for n in range(len(labels))], [f"{n}" for n in range(len(labels))]
    parts = divide(Collection("x", ("a", "b"), {"train": (items, labels, names)}, ""), Images((8, 8), seed=seed))
    assert sorted(str(item) for part, _ in parts for item in part) == sorted(map(str, items))
    for label, count in ((0, first), (1, second)):
        for (_, found), share in zip(parts[1:], (0.15, 0.15)):
            assert (found == label).sum() == max(round(share * count), 1)
    for part, found in parts:
        assert [labels[int(str(item))] for item in part] == found.tolist()


def test_pictures_that_are_added_move_few_of_the_others(tmp_path):
    before = divide(read_folder(photos(tmp_path, {"a": 40, "b": 40})), Images((8, 8)))
    after = divide(read_folder(photos(tmp_path, {"a": 44, "b": 40})), Images((8, 8)))
    stayed = [set(old[0]) & set(new[0]) for old, new in zip(before, after)]
    assert sum(map(len, stayed)) >= 76
    other = divide(read_folder(tmp_path), Images((8, 8), seed=2))
    assert set(other[2][0]) != set(after[2][0])


def test_suggestions(tmp_path):
    found = suggest(read_folder(photos(tmp_path / "same", {"a": 3, "b": 3}, (20, 30, 1))))
    assert (found.size, found.fit, found.channels) == ((20, 30), "none", 1)
    mixed = read_folder(photos(photos(tmp_path / "mixed", {"a": 3}, (90, 50, 3)), {"b": 3}, (70, 70, 1)))
    found = suggest(mixed)
    assert (found.size, found.fit, found.channels) == ((48, 48), "crop", 3)
    assert suggest(mixed, (32, 32), "pad", 1) == Images((32, 32), "pad", 1)
    large = read_folder(photos(tmp_path / "large", {"a": 3, "b": 3}, (200, 300, 3)))
    assert suggest(large).size == (64, 64)
    refused("each 8 to 256", suggest, large, (4, 4))
    for name in "ab":
        (tmp_path / "empty" / name).mkdir(parents=True)
    refused("holds no pictures", suggest, read_folder(tmp_path / "empty"))


def test_mixed_sizes_without_a_rule_are_told(tmp_path):
    photos(tmp_path, {"a": 4, "b": 4})
    save(tmp_path / "a" / "009.png", 1, (9, 8, 3))
    items, labels, _ = read_folder(tmp_path).parts["train"]
    told = refused("another rule", read_items, items, labels, Images((8, 8), "none").rule)
    assert "009.png is 9 × 8, expected 8 × 8" in told and "python -m training new" in told  # no other command has --fit


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "expected size, fit"),
        ({"size": 8}, "expected size, fit"),
        ({"size": [8, 8], "colour": 1}, "expected size, fit"),
        ({"size": [8, 8], "validation": 0.0}, "shares above 0"),
        ({"size": [8, 8], "test": "all"}, "expected size, fit"),
        ({"size": [8, 8], "fit": "zoom"}, "expected one of crop"),
    ],
)
def test_rules_that_cannot_be_followed(values, expected):
    refused(expected, from_dict, values)


# ---------------------------------------------------------------------------------------------------------------- parts
def test_parts_of_a_folder(tmp_path):
    photos(tmp_path, {"a": 20, "b": 20})
    parts = read_parts("mine", tmp_path, images=Images((8, 8)))
    counts = [Counter(labels.tolist()) for _, labels in (parts.train, parts.validation, parts.test)]
    assert counts == [{0: 14, 1: 14}, {0: 3, 1: 3}, {0: 3, 1: 3}]
    values = parts.train[0][:, 0, 0, 0] / 255
    assert parts.about.mean == (round(values.mean(), 4),) * 3 and parts.about.std == (round(values.std(), 4),) * 3
    assert parts.about.stored() == {**parts.about.images.to_dict(), "digest": parts.about.digest}
    kept = parts.about.to_dict()
    assert from_dict(kept["images"]) == parts.about.images
    check_same(parts.about, kept)
    check_same(parts.about, None)
    save(tmp_path / "a" / "new.png")
    refused("pictures were added", check_same, read_parts("mine", tmp_path, images=Images((8, 8))).about, kept)
    refused("give --data the folder", read_parts, "mine", None, images=Images((8, 8)))
    refused("give --data the folder", images_for, "mine", None)
    assert images_for("mine", tmp_path, (16, 16), 1) == Images((16, 16), "crop", 1) and images_for("svhn", None) is None
    assert About("x", (), (), ()).stored() == {}


def test_a_channel_that_never_varies_has_a_spread():
    assert statistics(np.full((2, 3, 3, 1), 51, np.uint8)) == ((0.2,), (round(1 / 255, 4),))


def test_which_folders_are_ones_own(tmp_path):
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"")
    assert not is_own(tmp_path) and not is_own(None) and not is_own(tmp_path / "none")
    assert is_own(photos(tmp_path, {"a": 1})) and own.NAMES == ("train", "validation", "test")
