"""Images in arrays: one .npz, or a folder with images.npy and labels.npy; uint8 and whole numbers, nothing pickled.

    found = read_arrays("digits.npz")     # members images and labels, or x_train, y_train, x_test, y_test …

Names of members: images or x, labels or y, alone or with a part before or behind (train, val, test); `classes` holds
names, one a class. Images are (N, H, W) or (N, H, W, C), labels (N,) or (N, 1).
"""

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np

from data.errors import DataError
from data.folders import MOST_CLASSES, PARTS, Collection, check_classes

IMAGES, LABELS = ("images", "x", "data"), ("labels", "y", "targets")
MOST_BYTES = 8 << 30  # of one member, unpacked


def holds_arrays(path):
    """Whether a path is a .npz, an images.npy, or a folder that holds one."""
    path = Path(path)
    return (path.is_file() and path.suffix in (".npz", ".npy")) or (path / "images.npy").is_file()


def read_arrays(path):
    """The Collection of a .npz, or of a folder of .npy files. Raises DataError."""
    path = Path(path)
    try:
        if path.suffix == ".npz" and path.is_file():
            members, digest = _members(path)
        else:
            folder = path if path.is_dir() else path.parent
            members = {file.stem: _array(file.read_bytes(), file) for file in sorted(folder.glob("*.npy"))}
            digest = _digest(members)
    except DataError:
        raise
    except Exception as error:  # a zip can be wrong in any way
        line = " ".join(str(error).split())[:80]
        raise DataError(f"cannot read {path} ({line}): save it again") from None
    parts, classes = {}, members.pop("classes", None)
    for part, (images, labels) in _pairs(members, path).items():
        parts[part] = _checked(images, labels, f"{path} ({part})")
    highest = max(int(labels.max()) for _, labels, _ in parts.values())
    names = tuple(map(str, range(highest + 1))) if classes is None else tuple(map(str, classes.reshape(-1).tolist()))
    check_classes(names, path)
    if highest >= len(names):
        raise DataError(f"{path} has a label {highest}, expected 0 to {len(names) - 1}: there are {len(names)} classes")
    return Collection(str(path), names, parts, digest, named=classes is not None)


def _members(path):
    """Name → array of the members of a .npz, and its digest."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.file_size > MOST_BYTES:
                raise DataError(f"{path}: {info.filename} has {info.file_size} bytes, expected at most {MOST_BYTES}")
        names = [info.filename for info in archive.infolist() if info.filename.endswith(".npy")]
        members = {name[: -len(".npy")]: _array(archive.read(name), f"{path}: {name}") for name in names}
    return members, _digest(members)


def _array(content, name):
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:  # the header is a Python literal: damage can raise nearly anything
        line = " ".join(str(error).split())[:80]
        raise DataError(f"{name} is no array of numbers ({line}): save it with numpy.save") from None


def _digest(members):
    digest = hashlib.sha256()
    for name in sorted(members):
        digest.update(name.encode() + np.ascontiguousarray(members[name]).tobytes())
    return digest.hexdigest()


def _pairs(members, path):
    """Part → (images, labels), by the members' names; what has no part is "train"."""
    found = {}
    for name, array in members.items():
        words = name.lower().split("_")
        part = next((PARTS[word] for word in words if word in PARTS), "train")
        kind = next((role for role, known in enumerate((IMAGES, LABELS)) if set(words) & set(known)), None)
        if kind is not None:
            found.setdefault(part, {})[kind] = array
    whole = {part: (pair[0], pair[1]) for part, pair in found.items() if len(pair) == 2}
    if not whole or len(whole) < len(found):
        there = ", ".join(sorted(members)) or "nothing"
        raise DataError(f"{path} holds {there}, expected images and labels (or x_train and y_train …): name them so")
    return whole


def _checked(images, labels, name):
    """(images (N, H, W, C) uint8, labels (N,), names) of one part."""
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3) or not images.size:
        raise DataError(
            f"{name} has images {images.dtype} {images.shape}, expected uint8 (N, H, W) or (N, H, W, 1 or 3)"
        )
    if labels.dtype.kind not in "iu" or labels.size != len(images) or labels.shape[:1] != images.shape[:1]:
        raise DataError(f"{name} has {len(images)} images and labels {labels.dtype} {labels.shape}, expected as many")
    for label in (labels.min(), labels.max()):  # before any class is named: a label can be 2^64 - 1
        if not 0 <= label < MOST_CLASSES:
            raise DataError(f"{name} has a label {label}, expected 0 to {MOST_CLASSES - 1}: number the classes from 0")
    return images, labels.reshape(-1).astype(np.int64), [str(index) for index in range(len(images))]
