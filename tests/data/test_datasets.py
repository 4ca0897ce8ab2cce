"""Readers of the official data files, on small synthetic ones: every kind of damage gives one line."""

import gzip
import hashlib
import io
import pickle
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from data import datasets, sets
from data.batches import BatchError, read_batch
from data.datasets import DATASETS, DataError, load, load_sample
from data.make_sample import idx_bytes
from data.make_sample import main as make_sample

IMAGES, LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def cifar_batch(count=20, seed=1):
    """A batch as other tools write it, its classes in balance."""
    rows = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return {b"data": rows, b"labels": [i % 10 for i in range(count)], b"batch_label": b"a test"}


@pytest.fixture
def small(monkeypatch):
    """Splits of 20 test and 100 training images."""
    monkeypatch.setitem(sets.SPLIT_SIZES, ("cifar10", "test"), 20)
    monkeypatch.setitem(sets.SPLIT_SIZES, ("cifar10", "train"), 100)


def write_archive(folder, monkeypatch, batches, inside="cifar-10-batches-py"):
    """An official archive of `batches` (name → bytes) in the folder `inside`, and its digest in the table."""
    archive = folder / f"{inside.removesuffix('-batches-py').removesuffix('-python')}-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in batches.items():
            member = tarfile.TarInfo(f"{inside}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    monkeypatch.setitem(datasets.DIGESTS, archive.name, hashlib.sha256(archive.read_bytes()).hexdigest())
    return archive


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def write_fashion(folder, monkeypatch, images=None, labels=None):
    images = np.arange(7 * 28 * 28, dtype=np.uint8).reshape(7, 28, 28) if images is None else images
    labels = np.arange(7, dtype=np.uint8) if labels is None else labels
    for name, array in ((IMAGES, images), (LABELS, labels)):
        content = idx_bytes(array)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        monkeypatch.setitem(datasets.DIGESTS, name, hashlib.sha256(content).hexdigest())
    return images, labels


# -------------------------------------------------------------------------------------------------------- the sample
def test_sample_is_checked_and_padded():
    images, labels = load_sample()
    assert images.shape == (1000, 32, 32, 3) and images.dtype == np.uint8
    assert labels.shape == (1000,) and set(labels) == set(range(10))
    assert not images[:, :2].any() and not images[:, :, -2:].any()
    assert (images[..., 0] == images[..., 2]).all()


def test_a_changed_sample_is_refused(tmp_path, monkeypatch):
    for path in datasets.SAMPLE.glob("*.gz"):
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[-1] ^= 1
        (tmp_path / path.name).write_bytes(gzip.compress(bytes(content)))
    monkeypatch.setattr(datasets, "SAMPLE", tmp_path)
    with pytest.raises(DataError, match="SHA-256"):
        load_sample()


def test_sample_is_written_alike_twice(tmp_path, monkeypatch, capsys):
    write_fashion(tmp_path, monkeypatch)
    for name in ("one", "two"):
        assert make_sample([str(tmp_path), "--output", str(tmp_path / name)]) == 0
    for name in (IMAGES, LABELS):
        assert (tmp_path / "one" / f"{name}.gz").read_bytes() == (tmp_path / "two" / f"{name}.gz").read_bytes()
    assert IMAGES in capsys.readouterr().out
    assert make_sample([str(tmp_path / "one" / "none")]) == 2
    assert "no folder" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- Fashion-MNIST
@pytest.mark.parametrize("zipped", [True, False])
def test_fashion_mnist(tmp_path, monkeypatch, zipped):
    images, labels = write_fashion(tmp_path, monkeypatch)
    if not zipped:
        for path in list(tmp_path.glob("*.gz")):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    found, found_labels = load("fashion-mnist", "test", tmp_path)
    assert (found[:, 2:-2, 2:-2, 1] == images).all() and (found_labels == labels).all()
    assert load("fashion-mnist", "test", tmp_path / f"{IMAGES}.gz")[0].shape == found.shape if zipped else True


def test_fashion_mnist_of_another_size(tmp_path, monkeypatch):
    write_fashion(tmp_path, monkeypatch, images=np.zeros((7, 32, 32), np.uint8))
    with pytest.raises(DataError, match=r"\[7, 32, 32\], expected \['N', 28, 28\]") as error:
        load("fashion-mnist", "test", tmp_path)
    one_line(error)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        b"\0\0\x08\x03",
        b"\0\0\x08\x03" + b"\xff" * 12,
        b"\0\0\x0d\x01\0\0\0\1\0",
        b"PNG" * 40,
        b"\0\0\x08\xff",
        idx_bytes(np.zeros((2, 28, 28), np.uint8))[:-1],
    ],
)
def test_foreign_idx_files(tmp_path, monkeypatch, content):
    write_fashion(tmp_path, monkeypatch)
    (tmp_path / f"{IMAGES}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match="not an idx file") as error:
        load("fashion-mnist", "test", tmp_path)
    one_line(error)


def test_damaged_and_missing_fashion_mnist(tmp_path, monkeypatch):
    write_fashion(tmp_path, monkeypatch)
    path = tmp_path / f"{IMAGES}.gz"
    good = path.read_bytes()
    other = gzip.compress(idx_bytes(np.zeros((7, 28, 28), np.uint8)))
    for content, expected in (
        (good[:-9], "cannot be read"),
        (good[:40] + b"\0\0\0\0" + good[44:], "cannot be read|not an idx|SHA"),
        (b"no gzip", "cannot be read"),
        (other, "SHA-256"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=expected) as error:
            load("fashion-mnist", "test", tmp_path)
        assert str(path) in one_line(error)
    path.unlink()
    with pytest.raises(DataError, match="--data needs the official") as error:
        load("fashion-mnist", "test", tmp_path)


def test_unequal_counts(tmp_path, monkeypatch):
    write_fashion(tmp_path, monkeypatch, labels=np.zeros(6, np.uint8))
    with pytest.raises(DataError, match="7 images and 6 labels"):
        load("fashion-mnist", "test", tmp_path)


# ---------------------------------------------------------------------------------------------------------- CIFAR-10
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_of_every_protocol(protocol, order):
    batch = cifar_batch()
    batch[b"data"] = np.array(batch[b"data"], order=order)
    rows, labels = read_batch("test_batch", io.BytesIO(pickle.dumps(batch, protocol)))
    assert (rows == batch[b"data"]).all() and (labels == np.arange(20) % 10).all()


def test_unpacked_batches(tmp_path, small):
    for folder in (tmp_path / "cifar-10-batches-py", tmp_path):
        folder.mkdir(exist_ok=True)
        (folder / "test_batch").write_bytes(pickle.dumps(cifar_batch()))
        images, labels = load("cifar10", "test", tmp_path)
        assert images.shape == (20, 32, 32, 3) and images.flags.c_contiguous
        assert (images.transpose(0, 3, 1, 2).reshape(20, -1) == cifar_batch()[b"data"]).all()
        assert labels.dtype == np.uint8


def test_archive_in_any_order(tmp_path, monkeypatch, small):
    batches = {f"data_batch_{i}": pickle.dumps(cifar_batch(seed=i)) for i in (4, 2, 5, 1, 3)}
    archive = write_archive(tmp_path, monkeypatch, {"readme.html": b"hello", **batches})
    for given in (archive, tmp_path, str(tmp_path)):
        images, _ = load("cifar10", "train", given)
        for i in range(5):
            rows = images[20 * i : 20 * i + 20].transpose(0, 3, 1, 2).reshape(20, -1)
            assert (rows == cifar_batch(seed=i + 1)[b"data"]).all()
    with pytest.raises(DataError, match="lacks test_batch"):
        load("cifar10", "test", archive)


def test_a_damaged_archive_is_found_before_it_is_read(tmp_path, monkeypatch, small):
    archive = write_archive(tmp_path, monkeypatch, {"test_batch": pickle.dumps(cifar_batch())})
    archive.write_bytes(archive.read_bytes()[:-5])
    with pytest.raises(DataError, match="SHA-256") as error:
        load("cifar10", "test", tmp_path)
    assert str(archive) in one_line(error)


def test_a_file_that_is_no_archive_but_has_its_digest(tmp_path, monkeypatch, small):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"text")
    monkeypatch.setitem(datasets.DIGESTS, archive.name, hashlib.sha256(b"text").hexdigest())
    with pytest.raises(DataError, match="damaged archive"):
        load("cifar10", "test", tmp_path)


class Evil:
    def __reduce__(self):
        return eval, ("__import__('os').abort()",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({b"data": Evil()}, "asks for builtins.eval"),
        ({b"data": np.zeros((20, 3072), np.float32)}, "dtype f4, expected u1"),
        ({b"data": np.zeros((20, 784), np.uint8)}, r"\(20, 784\)"),
        ({b"data": [1, 2]}, "images"),
        ({b"labels": [0] * 19}, r"labels \(19,\)"),
        ({b"labels": [10] * 20}, "labels 0 … 9"),
        ({b"labels": [-1] * 20}, "labels 0 … 9"),
        ({b"labels": [0.5] * 20}, "labels 0 … 9"),
        ({b"labels": [0] * 20}, "not CIFAR-10"),
        ({b"labels": None}, "labels"),
    ],
)
def test_foreign_batches(tmp_path, small, change, expected):
    (tmp_path / "test_batch").write_bytes(pickle.dumps({**cifar_batch(), **change}))
    with pytest.raises(DataError, match=expected) as error:
        load("cifar10", "test", tmp_path)
    one_line(error)


def test_damaged_batches_never_raise_anything_else(tmp_path):
    good = pickle.dumps(cifar_batch(2), 2)
    random = np.random.default_rng(7)
    head = 400  # the opcodes before the pixels
    for _ in range(400):
        content = bytearray(good[: random.integers(1, len(good))] if random.random() < 0.3 else good)
        for at in random.integers(0, min(head, len(content)), 3):
            content[at] = random.integers(256)
        try:
            rows, labels = read_batch("test_batch", io.BytesIO(bytes(content)))
        except BatchError as error:
            assert "\n" not in str(error)
        else:
            assert rows.shape[1] == 3072 and len(rows) == len(labels)


def test_wrong_count_and_missing_batch(tmp_path, small):
    (tmp_path / "test_batch").write_bytes(pickle.dumps(cifar_batch(30)))
    with pytest.raises(DataError, match="30 images, expected 20"):
        load("cifar10", "test", tmp_path)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(cifar_batch()))
    with pytest.raises(DataError, match="no data_batch_2"):
        load("cifar10", "train", tmp_path)


def test_names_and_folders(tmp_path):
    for arguments, expected in (
        (("mnist", "test"), "unknown data set"),
        (("cifar10", "all"), "unknown split"),
        (("cifar10", "test", tmp_path / "none"), "no folder"),
        (("cifar10", "test", tmp_path), "has neither"),
        (("cifar10", "test", __file__), "not a file of cifar10"),
    ):
        with pytest.raises(DataError, match=expected) as error:
            load(*arguments)
        one_line(error)
    (tmp_path / "test_batch").mkdir()
    with pytest.raises(DataError, match="cannot read"):
        load("cifar10", "test", tmp_path)


# --------------------------------------------------------------------------------------------------------- download
@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder that stands for the web, and an empty cache."""
    web = tmp_path / "web"
    web.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in DATASETS:
        there = replace(DATASETS[name], url=f"{web.as_uri()}/")
        monkeypatch.setitem(DATASETS, name, there)
    return web


def test_download_once_and_only_what_the_split_needs(served, tmp_path, monkeypatch):
    _, labels = write_fashion(served, monkeypatch)
    assert (load("fashion-mnist", "test")[1] == labels).all()
    for path in served.iterdir():
        path.unlink()
    assert (load("fashion-mnist", "test")[1] == labels).all()
    assert sorted(p.name for p in (tmp_path / "cache/ddi-fpga/fashion-mnist").iterdir()) == [
        f"{IMAGES}.gz",
        f"{LABELS}.gz",
    ]


def test_a_broken_download_is_not_kept(served, tmp_path, monkeypatch, small):
    archive = write_archive(served, monkeypatch, {"test_batch": pickle.dumps(cifar_batch())})
    good = archive.read_bytes()
    for content in (good[:-1], None):
        archive.unlink() if content is None else archive.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot download .*--data") as error:
            load("cifar10", "test")
        one_line(error)
        assert not list((tmp_path / "cache/ddi-fpga/cifar10").iterdir())
    archive.write_bytes(good)
    assert len(load("cifar10", "test")[0]) == 20


def test_no_place_for_the_cache(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot make the cache folder"):
        load("cifar10", "test")


@pytest.mark.parametrize(
    "names, expected",
    [
        (["cifar-10-python.tar.gz"], "cifar10"),
        (["cifar-100-python/test"], "cifar100"),
        (["test_batch"], "cifar10"),
        (["test_32x32.mat"], "svhn"),
        (["t10k-images-idx3-ubyte"], "fashion-mnist"),
        (["train-labels-idx1-ubyte.gz"], "fashion-mnist"),
        (["test/cat/1.png", "train/cat/2.png"], None),  # parts of class folders, not batches of CIFAR-100
        ([], None),
    ],
)
def test_an_official_set_is_known_by_its_names_alone(tmp_path, names, expected):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert datasets.official(tmp_path) == expected
    if names and expected and "/" not in names[0] and names[0] in DATASETS[expected].files:
        assert datasets.official(tmp_path / names[0]) == expected
