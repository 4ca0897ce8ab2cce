"""Pictures as a stream: ImageNet's layout, the same batches wherever they begin and however many share them."""

import shutil

import numpy as np
import pytest
import torch

from data.formats.png import write_png
from data.own import Images
from hls.errors import UserError
from training.data import Split
from training.large import stream

IMAGES = Images((16, 16), stream=True, val_is_test=True, validation=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """train/ and val/ with a folder a class, pictures of many sizes, each class of one brightness."""
    root, rng = tmp_path_factory.mktemp("imagenet"), np.random.default_rng(3)
    for part, count in (("train", 10), ("val", 3)):
        for label, name in enumerate(("n01440764", "n01443537", "n01484850")):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                size = *rng.integers(16, 40, 2), 3
                pixels = (rng.integers(0, 40, size) + 90 * label).astype(np.uint8)
                (root / part / name / f"{number}.png").write_bytes(write_png(pixels))
    return root


@pytest.fixture(scope="module")
def splits(folder):
    return Split.load("imagenet", folder, "cpu", images=IMAGES)


def test_the_folder_s_val_is_the_test_part(splits):
    train, validation, test = splits
    assert [len(split) for split in splits] == [24, 6, 9] and train.size == (16, 16)
    assert {path.parent.parent.name for path in test.images.items} == {"val"}
    assert {path.parent.parent.name for path in [*train.images.items, *validation.images.items]} == {"train"}
    assert not {*train.images.items} & {*validation.images.items}
    kept, *_ = Split.load("imagenet", test.images.items[0].parents[2], "cpu", images=Images((16, 16), test=0.1))
    assert len(kept) == 27  # without val_is_test the test part is drawn from the training part


def test_pictures_are_those_that_are_read_at_once(folder, splits):
    whole = Split.load("imagenet", folder, "cpu", images=Images((16, 16), val_is_test=True, validation=0.2))
    for lazy, read in zip(splits, whole):
        assert torch.equal(lazy.images[:], read.images) and torch.equal(lazy.labels, read.labels)
        assert lazy.images.shape == read.images.shape
    batches = zip(splits[2].plain_batches(4), whole[2].plain_batches(4))
    assert all(a[0].shape == b[0].shape and torch.equal(a[1], b[1]) for a, b in batches)
    assert splits[0].about.mean == whole[0].about.mean  # 24 pictures are all seen


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_is_a_function_of_its_step(splits, workers, monkeypatch):
    monkeypatch.setattr(stream, "readers", lambda world: workers)
    whole = list(splits[0].batches(0, 6, 8, seed=5))
    later = list(splits[0].batches(4, 6, 8, seed=5))
    assert [images.shape for images, _ in whole] == [(8, 3, 16, 16)] * 6
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(whole[4:], later))
    assert sorted(torch.cat([labels for _, labels in whole[:3]]).tolist()) == splits[0].labels.tolist()
    assert not torch.equal(whole[0][0], whole[3][0])


@pytest.mark.parametrize("kind", ["stream", "memory"])
def test_processes_share_what_one_would_see(kind, folder, splits, monkeypatch):
    monkeypatch.setattr(stream, "readers", lambda world: 0)
    images = None if kind == "stream" else Images((16, 16), val_is_test=True, validation=0.2)
    train = splits[0] if images is None else Split.load("imagenet", folder, "cpu", images=images)[0]
    whole = list(train.batches(0, 3, 8, seed=1))
    shares = []
    for rank in range(2):
        train.share = rank, 2
        shares.append(list(train.batches(0, 3, 8, seed=1)))
    train.share = 0, 1
    for step, (pixels, labels) in enumerate(whole):
        for rank in range(2):
            assert torch.equal(shares[rank][step][0], pixels[rank::2])
            assert torch.equal(shares[rank][step][1], labels[rank::2])


def test_a_part_is_within_the_picture_and_of_its_area():
    rng, pixels = np.random.default_rng(0), np.arange(60 * 40, dtype=np.uint16).reshape(60, 40, 1)
    found = [stream.part(pixels, rng) for _ in range(400)]
    areas = np.array([one.shape[0] * one.shape[1] for one in found]) / (60 * 40)
    assert 0.06 < areas.min() < 0.12 and 0.8 < areas.max() <= 1 and 0.4 < areas.mean() < 0.6
    assert max(one.shape[1] / one.shape[0] for one in found) < 1.5 and len({int(one[0, 0, 0]) for one in found}) > 100
    assert stream.part(pixels[:2], rng).shape[0] <= 2


def test_a_damaged_picture_is_named(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "copy")
    train, *_ = Split.load("imagenet", tmp_path / "copy", "cpu", images=IMAGES)
    bad = train.images.items[5]
    bad.write_bytes(bad.read_bytes()[:60])
    for workers in (0, 1):
        monkeypatch.setattr(stream, "readers", lambda world, workers=workers: workers)
        with pytest.raises(UserError, match=f"{bad} ") as error:
            list(train.batches(0, 3, 8, seed=5))
        assert "\n" not in str(error.value)
