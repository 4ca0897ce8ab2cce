"""Read CIFAR-10 and Fashion-MNIST from their official files, with numpy alone.

    from data.datasets import load
    images, labels = load("cifar10", "test", folder=None)   # (10000, 32, 32, 3) uint8, (10000,) uint8

`folder` may be the archive, a folder that holds it, or one with its unpacked files; without it the files are
downloaded once into the cache. Archives are checked against their SHA-256, in a stream (a board has 512 MB);
unpacked CIFAR-10 batches, which other tools rewrite in another order, by their shape and balance of classes.
"""

import gzip
import hashlib
import http.client
import os
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.batches import BatchError, read_batch, walk_archive
from hls.command import places
from hls.errors import UserError

SAMPLE = Path(__file__).resolve().parent / "fashion-mnist-sample"
SPLITS = ("train", "test")
BLOCK = 1 << 20  # bytes read at a time


class DataError(UserError):
    """Data that is missing, damaged or of another kind than expected; the message is one line."""


@dataclass(frozen=True)
class Dataset:
    """What a data set is called, where its official files are, and how its images are normalised."""

    name: str
    url: str
    files: tuple[str, ...]  # what the download brings
    classes: tuple[str, ...]
    mean: tuple[float, float, float]  # of the training images, pixels in [0, 1]
    std: tuple[float, float, float]


CIFAR10 = Dataset(
    name="cifar10",
    url="https://www.cs.toronto.edu/~kriz/",
    files=("cifar-10-python.tar.gz",),
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
FASHION_MNIST = Dataset(
    name="fashion-mnist",
    url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    files=tuple(f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")),
    classes=("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    mean=(0.2860, 0.2860, 0.2860),
    std=(0.3530, 0.3530, 0.3530),
)
DATASETS = {dataset.name: dataset for dataset in (CIFAR10, FASHION_MNIST)}

# SHA-256. For Fashion-MNIST of the uncompressed contents, so that a repackaged archive is accepted too.
DIGESTS = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}
SAMPLE_DIGESTS = {  # the first 1,000 test images, written by data/make_sample.py
    "t10k-images-idx3-ubyte": "7a6d8e07ea021ec5bc73135ebd0a5770799557ec6f8242d8749c4f32a3cf4643",
    "t10k-labels-idx1-ubyte": "b40abac7ec8228f434940f579deb7cf7b6e3103b5274cb91d1545771f5ef1c8b",
}
SPLIT_SIZES = {
    ("cifar10", "train"): 50000,
    ("cifar10", "test"): 10000,
    ("fashion-mnist", "train"): 60000,
    ("fashion-mnist", "test"): 10000,
}


def load(name, split, folder=None):
    """Images (N, 32, 32, 3) uint8 and labels (N,) uint8 of one split of a data set.

    Raises DataError when `name` or `split` is unknown, or the files are missing, damaged or of another kind.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}: expected one of {', '.join(sorted(DATASETS))}")
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    folder = _folder(DATASETS[name], folder) if folder else download(DATASETS[name], split)
    try:
        return _load_cifar10(folder, split) if name == "cifar10" else _load_fashion_mnist(folder, split, DIGESTS)
    except OSError as error:  # no permission, a folder where a file should be, a disk that fails
        raise DataError(f"cannot read the data in {folder} ({error}): check --data") from None


def load_sample():
    """The 1,000 Fashion-MNIST test images kept in the repository: (1000, 32, 32, 3) uint8 and (1000,) uint8."""
    return _load_fashion_mnist(SAMPLE, "test", SAMPLE_DIGESTS)


def pad_to_32(grey):
    """(N, 28, 28) uint8 grey images as (N, 32, 32, 3) uint8: two black pixels on each side, three equal channels."""
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[..., None], 3, axis=-1)


def _folder(dataset, given):
    """The folder to look in: `given` itself, or the one that holds it where `given` is an official file."""
    given = Path(given)
    expected = ", ".join(dataset.files)
    if given.is_file():
        if given.name in dataset.files:
            return given.parent
        raise DataError(f"{given} is not a file of {dataset.name}: --data needs {expected} or the folder with it")
    if not given.is_dir():
        raise DataError(f"no folder {given}: give --data the folder that holds {expected}")
    return given


# --------------------------------------------------------------------------------------------------------- download
def download(dataset, split=None):
    """Fetch the official files of a split (of all, without one) once; the cache folder that holds them.

    A file is checked before it takes its place, so a broken download is never kept. Raises DataError.
    """
    prefix = {"train": "train", "test": "t10k"}.get(split, "") if dataset is FASHION_MNIST else ""
    try:
        cache = places.cache(dataset.name)
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, UserError) as error:
        raise DataError(
            f"cannot make the cache folder ({error}): put {dataset.files[0]} somewhere, give --data"
        ) from None
    for name in dataset.files:
        if name.startswith(prefix) and not (cache / name).exists():
            _fetch(dataset, name, cache)
    return cache


def _fetch(dataset, name, cache):
    partial = cache / f"{name}.{os.getpid()}.partial"
    try:
        with urllib.request.urlopen(dataset.url + name, timeout=30) as response, partial.open("wb") as out:
            while block := response.read(BLOCK):
                out.write(block)
        if name in DIGESTS:
            _check_digest(name, _file_digest(partial), DIGESTS)
        else:
            _check_digest(name[: -len(".gz")], hashlib.sha256(_unzip(partial)).hexdigest(), DIGESTS)
        partial.replace(cache / name)
    except (OSError, EOFError, zlib.error, http.client.HTTPException, DataError) as error:
        raise DataError(f"cannot download {dataset.url + name} ({error}): put it in a folder, give --data") from None
    finally:
        partial.unlink(missing_ok=True)


def _file_digest(path):
    """SHA-256 of a file, read in blocks (hashlib.file_digest is not in the board's Python 3.10)."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _check_digest(name, found, digests, path=None):
    if found != digests[name]:
        raise DataError(f"{path or name} has SHA-256 {found[:12]}…, expected {digests[name][:12]}…: fetch it again")


# ---------------------------------------------------------------------------------------------------- Fashion-MNIST
def _load_fashion_mnist(folder, split, digests):
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", (28, 28), digests)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", (), digests)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} images and {len(labels)} labels, expected as many: fetch it again")
    return pad_to_32(images), labels


def _unzip(path):
    with gzip.open(path) as handle:
        return handle.read((64 << 20) + 1)  # the largest official file holds 47 MB


def _read_idx(folder, name, shape, digests):
    """One idx file, gzipped or not: big-endian header 0x0000 08 ndim, sizes, then uint8 values; (N, *shape) uint8."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise DataError(f"{folder} has no {name}[.gz]: --data needs the official Fashion-MNIST files")
    try:
        content = _unzip(path) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from None
    ndim = content[3] if len(content) > 4 else 0
    sizes = [int(n) for n in np.frombuffer(content[4 : 4 + 4 * min(ndim, (len(content) - 4) // 4)], ">u4")]
    if (
        content[:3] != b"\0\0\x08"
        or len(sizes) != ndim
        or len(content) != 4 + 4 * ndim + int(np.prod(sizes, dtype=float))
    ):
        raise DataError(f"{path} is not an idx file of bytes of its stated size: fetch it again")
    if tuple(sizes[1:]) != shape:
        raise DataError(f"{path} holds arrays of {sizes}, expected {['N', *shape]}: give the official files")
    _check_digest(name, hashlib.sha256(content).hexdigest(), digests, path)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(sizes)


# ---------------------------------------------------------------------------------------------------------- CIFAR-10
def _load_cifar10(folder, split):
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    count = SPLIT_SIZES["cifar10", split]
    share = count // len(names)
    images, labels = np.empty((count, 32, 32, 3), np.uint8), np.empty(count, np.uint8)
    for name, handle in _open_batches(folder, names):
        try:
            rows, classes = read_batch(name, handle)
        except BatchError as error:
            raise DataError(f"{folder}: {error}: fetch the archive again") from None
        if len(rows) != share:
            raise DataError(f"{folder}: {name} has {len(rows)} images, expected {share}: fetch the archive again")
        part = slice(names.index(name) * share, (names.index(name) + 1) * share)
        images[part] = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels[part] = classes
    per_class = np.bincount(labels, minlength=10)
    if not (per_class == count // 10).all():
        raise DataError(
            f"{folder}: images per class are {per_class.tolist()}, expected {count // 10} each: not CIFAR-10"
        )
    return images, labels


def _open_batches(folder, names):
    """Yield (name, file) for each batch, from unpacked files or from the archive (in the archive's order)."""
    for root in (folder, folder / "cifar-10-batches-py"):
        if (root / names[0]).exists():
            for name in names:
                if not (root / name).exists():
                    raise DataError(f"{root} has no {name}: fetch the archive again")
                with (root / name).open("rb") as handle:
                    yield name, handle
            return
    archive = folder / CIFAR10.files[0]
    if not archive.exists():
        raise DataError(f"{folder} has neither {archive.name} nor cifar-10-batches-py/: --data needs one of them")
    _check_digest(archive.name, _file_digest(archive), DIGESTS, archive)
    try:
        yield from walk_archive(archive, names)
    except BatchError as error:
        raise DataError(f"{archive}: {error}: fetch it again") from None
