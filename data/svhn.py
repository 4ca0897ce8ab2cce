"""SVHN's cropped digits from their official .mat files.

images, labels = read_svhn(SVHN, folder, "test")           # (26032, 32, 32, 3) uint8, (26032,) uint8
images, labels = read_svhn(SVHN_EXTRA, folder, "train")    # 604,388 images: the training file, then the extra one
"""

import numpy as np

from data.errors import DataError
from data.files import check_digest, file_digest
from data.formats.mat import read_mat
from data.sets import DIGESTS, SPLIT_SIZES


def read_svhn(dataset, folder, split):
    """Images (N, 32, 32, 3) and labels (N,), uint8; the file's label 10 is the digit 0. Raises DataError."""
    names = [name for name in dataset.files if name.startswith("test") == (split == "test")]
    images, labels = zip(*(_read_file(folder / name) for name in names))
    return (images[0], labels[0]) if len(names) == 1 else (np.concatenate(images), np.concatenate(labels))


def _read_file(path):
    if not path.exists():
        raise DataError(f"{path.parent} has no {path.name}: --data needs the official file of SVHN's cropped digits")
    check_digest(path.name, file_digest(path), DIGESTS, path)
    arrays, count = read_mat(path), SPLIT_SIZES["svhn", path.stem.removesuffix("_32x32")]
    images, labels = (arrays.get(name, np.zeros(0)) for name in "Xy")
    if images.shape != (32, 32, 3, count) or images.dtype != np.uint8 or labels.size != count:
        shapes = f"{images.dtype} {images.shape} and {labels.shape}"
        raise DataError(f"{path} holds X and y of {shapes}, expected uint8 (32, 32, 3, {count}) and ({count}, 1)")
    digits = labels.reshape(-1) % 10
    if not np.isin(labels, np.arange(1, 11)).all():
        raise DataError(f"{path} has labels from {labels.min()} to {labels.max()}, expected 1 to 10: fetch it again")
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits.astype(np.uint8)
