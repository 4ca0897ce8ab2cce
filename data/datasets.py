"""Read CIFAR-10, CIFAR-100, SVHN and Fashion-MNIST from their official files, with numpy alone.

    from data.datasets import load
    images, labels = load("cifar10", "test", folder=None)   # (10000, 32, 32, 3) uint8, (10000,) uint8

`folder` may be the archive, a folder that holds it, or one with its unpacked files; without it the files are
downloaded once into the cache (data/files.py). Images of one's own are read by data/own.py.
"""

from pathlib import Path

import numpy as np

from data.cifar import LAYOUTS, read_cifar
from data.errors import DataError
from data.files import download
from data.formats.idx import read_idx
from data.sets import DATASETS, DIGESTS, FASHION_MNIST, SAMPLE, SAMPLE_DIGESTS, SPLITS
from data.svhn import read_svhn


def load(name, split, folder=None):
    """Images (N, 32, 32, 3) uint8 and labels (N,) uint8 of one split of a data set.

    Raises DataError when `name` or `split` is unknown, or the files are missing, damaged or of another kind.
    """
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}: expected one of {', '.join(sorted(DATASETS))}")
    if split not in SPLITS:
        raise DataError(f"unknown split {split!r}: expected one of {', '.join(SPLITS)}")
    dataset = DATASETS[name]
    folder = _folder(dataset, folder) if folder else download(dataset, split)
    try:
        if name in LAYOUTS:
            return read_cifar(dataset, folder, split)
        if name == FASHION_MNIST.name:
            return _load_fashion_mnist(folder, split, DIGESTS)
        return read_svhn(dataset, folder, split)
    except OSError as error:  # no permission, a folder where a file should be, a disk that fails
        raise DataError(f"cannot read the data in {folder} ({error}): check --data") from None


def official(path):
    """The name of the official data set whose files are at a path, by the files' names alone; None for another."""
    path = Path(path)
    for name, dataset in DATASETS.items():
        files = [path] if path.name in dataset.files else _test_files(dataset, path)
        if any(file.is_file() for file in files):
            return name
    return None


def _test_files(dataset, folder):
    """Files of the test part, in each of the ways in which an official set lies in a folder."""
    if dataset.name in LAYOUTS:
        layout, batch = LAYOUTS[dataset.name], LAYOUTS[dataset.name].batches["test"][0]
        return folder / dataset.files[0], folder / layout.folder / batch, folder / batch
    return [folder / file.removesuffix(ending) for file in dataset.files for ending in ("", ".gz")]


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


def _load_fashion_mnist(folder, split, digests):
    prefix = "train" if split == "train" else "t10k"
    images = read_idx(folder, f"{prefix}-images-idx3-ubyte", (28, 28), digests)
    labels = read_idx(folder, f"{prefix}-labels-idx1-ubyte", (), digests)
    if len(images) != len(labels):
        raise DataError(f"{folder} has {len(images)} images and {len(labels)} labels, expected as many: fetch it again")
    return pad_to_32(images), labels
