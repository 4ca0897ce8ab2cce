"""Read CIFAR-10 and Fashion-MNIST from their official archives, with numpy alone.

    from data.datasets import load
    images, labels = load("cifar10", "test", folder=None)   # (10000, 32, 32, 3) uint8, (10000,) uint8

`folder` may hold the archive or its unpacked files; without it the archive is downloaded once into the cache.
Archives are checked against their SHA-256; unpacked CIFAR-10 batches, which other tools rewrite, by their contents.
"""

import gzip
import hashlib
import os
import pickle
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SAMPLE = Path(__file__).resolve().parent / "fashion-mnist-sample"
SPLITS = ("train", "test")


class DataError(Exception):
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
    mean=(0.2860,) * 3,
    std=(0.3530,) * 3,
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
SPLIT_SIZES = {("cifar10", "train"): 50000, ("cifar10", "test"): 10000}


def load(name, split, folder=None):
    """Images (N, 32, 32, 3) uint8 and labels (N,) uint8 of one split of a data set.

    Raises DataError when `name` or `split` is unknown, or the files are missing, damaged or of another kind.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}: expected one of {', '.join(sorted(DATASETS))}")
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    folder = Path(folder) if folder else download(DATASETS[name])
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: give --data the folder that holds {', '.join(DATASETS[name].files)}")
    return _load_cifar10(folder, split) if name == "cifar10" else _load_fashion_mnist(folder, split)


def load_sample():
    """The 1,000 Fashion-MNIST test images kept in the repository: (1000, 32, 32, 3) uint8 and (1000,) uint8."""
    return _load_fashion_mnist(SAMPLE, "test", check=False)


def pad_to_32(grey):
    """(N, 28, 28) uint8 grey images as (N, 32, 32, 3) uint8: two black pixels on each side, three equal channels."""
    padded = np.pad(grey, ((0, 0), (2, 2), (2, 2)))
    return np.repeat(padded[..., None], 3, axis=-1)


def download(dataset):
    """Fetch a data set's official files once; the cache folder that holds them. Raises DataError when it can't."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ddi-fpga" / dataset.name
    cache.mkdir(parents=True, exist_ok=True)
    for name in dataset.files:
        if (cache / name).exists():
            continue
        partial = cache / (name + ".partial")
        try:
            with urllib.request.urlopen(dataset.url + name, timeout=30) as response, partial.open("wb") as out:
                while block := response.read(1 << 20):
                    out.write(block)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise DataError(
                f"cannot download {dataset.url + name} ({error}): put {name} in a folder and give it with --data"
            ) from None
        partial.replace(cache / name)
    return cache


def _check_digest(name, content):
    found = hashlib.sha256(content).hexdigest()
    if found != DIGESTS[name]:
        raise DataError(f"{name} has SHA-256 {found[:12]}…, expected {DIGESTS[name][:12]}…: fetch it again")


# ---------------------------------------------------------------------------------------------------- Fashion-MNIST
def _load_fashion_mnist(folder, split, check=True):
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx(folder, f"{prefix}-images-idx3-ubyte", check)
    labels = _read_idx(folder, f"{prefix}-labels-idx1-ubyte", check)
    if images.shape[1:] != (28, 28) or len(images) != len(labels):
        raise DataError(f"{folder}: images {images.shape} with {len(labels)} labels, expected (N, 28, 28) with N")
    return pad_to_32(images), labels


def _read_idx(folder, name, check):
    """One idx file, gzipped or not: big-endian header 0x0000 08 ndim, sizes, then uint8 values."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise DataError(f"{folder} has no {name}[.gz]: --data needs the four official Fashion-MNIST files")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from None
    if check:
        _check_digest(name, content)
    ndim = content[3] if len(content) > 4 else 0
    sizes = np.frombuffer(content, ">u4", count=ndim, offset=4) if len(content) >= 4 + 4 * ndim else []
    if content[:3] != b"\0\0\x08" or len(content) != 4 + 4 * ndim + int(np.prod(sizes, dtype=np.int64)):
        raise DataError(f"{path} is not an idx file of bytes of its stated size: fetch it again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape([int(n) for n in sizes])


# ---------------------------------------------------------------------------------------------------------- CIFAR-10
class _ArrayUnpickler(pickle.Unpickler):
    """Reads what CIFAR-10's batches hold (dicts, bytes, lists, numpy arrays) and refuses everything else."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}

    def find_class(self, module, name):
        """Resolve an allowed global. Raises DataError for any other one."""
        reconstruct = name in ("_reconstruct", "_frombuffer") and module.startswith(("numpy.core.", "numpy._core."))
        if (module, name) not in self.ALLOWED and not reconstruct:
            raise DataError(f"a CIFAR-10 batch asks for {module}.{name}, expected numpy arrays only: fetch it again")
        return super().find_class(module, name)


def _load_cifar10(folder, split):
    names = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    batches = [_read_batch(name, handle) for name, handle in _open_batches(folder, names)]
    images = np.concatenate([rows for rows, _ in batches]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = np.concatenate([labels for _, labels in batches])
    if len(images) != SPLIT_SIZES["cifar10", split]:
        raise DataError(f"{folder}: {len(images)} images, expected {SPLIT_SIZES['cifar10', split]}: fetch it again")
    return np.ascontiguousarray(images), labels


def _open_batches(folder, names):
    """Yield (name, file) for each batch, from unpacked files or from the archive."""
    for root in (folder, folder / "cifar-10-batches-py"):
        if (root / names[0]).exists():
            for name in names:
                if not (root / name).exists():
                    raise DataError(f"{root} has no {name}: fetch the archive again")
                with (root / name).open("rb") as handle:
                    yield name, handle
            return
    archive = folder / "cifar-10-python.tar.gz"
    if not archive.exists():
        raise DataError(f"{folder} has neither {archive.name} nor cifar-10-batches-py/: --data needs one of them")
    _check_digest(archive.name, archive.read_bytes())
    with tarfile.open(archive) as tar:
        for name in names:
            yield name, tar.extractfile(f"cifar-10-batches-py/{name}")


def _read_batch(name, handle):
    try:
        batch = _ArrayUnpickler(handle, encoding="bytes").load()
        rows = np.asarray(batch[b"data"], np.uint8)
        labels = np.asarray(batch[b"labels"], np.uint8)
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise DataError(f"{name} is damaged ({type(error).__name__}: {error}): fetch the archive again") from None
    if rows.ndim != 2 or rows.shape[1] != 3072 or len(rows) != len(labels) or (len(labels) and labels.max() > 9):
        raise DataError(f"{name} has images {rows.shape} and {len(labels)} labels, expected (N, 3072) and N in 0..9")
    return rows, labels
