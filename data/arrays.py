"""Images in arrays: one .npz, or a folder with images.npy and labels.npy; uint8 and whole numbers, nothing pickled.

    found = read_arrays("digits.npz")     # members images and labels, or x_train, y_train, x_test, y_test …

Names of members: images or x, labels or y, alone or with a part before or behind (train, val, test); `classes` holds
names, one a class. Images are (N, H, W) or (N, H, W, C), labels (N,) or (N, 1). Other members are left alone.

A member is looked at before it is unpacked: what its header claims must be there, and fit in MOST_BYTES.
"""

import hashlib
import math
import zipfile
from pathlib import Path

import numpy as np

from data.errors import DataError
from data.folders import MOST_CLASSES, PARTS, Collection, check_classes

IMAGES, LABELS, CLASSES = ("images", "x", "data"), ("labels", "y", "targets"), "classes"
MOST_BYTES = 2 << 30  # of all arrays together: they lie in memory, where a folder's pictures are read one by one
KINDS = "biufUS"  # of numpy's types: numbers and text, whose size their header tells
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def holds_arrays(path):
    """Whether a path is a .npz, an images.npy, or a folder that holds one."""
    path = Path(path)
    return (path.is_file() and path.suffix in (".npz", ".npy")) or (path / "images.npy").is_file()


def read_arrays(path):
    """The Collection of a .npz, or of a folder of .npy files. Raises DataError."""
    path = Path(path)
    try:
        if path.suffix == ".npz" and path.is_file():
            members = _members(path)
        else:
            folder = path if path.is_dir() else path.parent
            members = _files(folder)
    except DataError:
        raise
    except Exception as error:  # a zip can be wrong in any way
        line = " ".join(str(error).split())[:80]
        raise DataError(f"cannot read {path} ({line}): save it again") from None
    digest = _digest(members)
    parts, classes = {}, members.pop(CLASSES, None)
    for part, (images, labels) in _pairs(members, path).items():
        parts[part] = _checked(images, labels, f"{path} ({part})")
    highest = max(int(labels.max()) for _, labels, _ in parts.values())
    names = tuple(map(str, range(highest + 1))) if classes is None else tuple(map(_text, classes.reshape(-1).tolist()))
    check_classes(names, path)
    if highest >= len(names):
        raise DataError(f"{path} has a label {highest}, expected 0 to {len(names) - 1}: there are {len(names)} classes")
    return Collection(str(path), names, parts, digest, named=classes is not None)


def _members(path):
    """Name → array of the members of a .npz; None for one whose name says nothing."""
    found, left = {}, MOST_BYTES
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name, _, ending = info.filename.rpartition(".")
            found[name] = None
            if ending == "npy" and _is_known(name):
                with archive.open(info) as handle:
                    found[name] = _array(handle, info.file_size, left, f"{path}: {info.filename}")
                left -= found[name].nbytes
    return found


def _files(folder):
    """Name → array of the .npy files in a folder; None for one whose name says nothing."""
    found, left = {}, MOST_BYTES
    for path in sorted(folder.glob("*.npy")):
        found[path.stem] = None
        if _is_known(path.stem):
            with path.open("rb") as handle:
                found[path.stem] = _array(handle, path.stat().st_size, left, path)
            left -= found[path.stem].nbytes
    return found


def _array(handle, size, most, name):
    """The array in an open .npy of `size` bytes, at most `most` of them; DataError before any memory is taken."""
    try:
        shape, fortran, dtype = HEADERS[np.lib.format.read_magic(handle)](handle)
    except Exception as error:  # the header is a Python literal: damage can raise nearly anything
        line = " ".join(str(error).split())[:80]
        raise DataError(f"{name} is no array of numbers ({line}): save it with numpy.save") from None
    if dtype.kind not in KINDS:
        raise DataError(f"{name} is no array of numbers ({dtype}): save it with numpy.save")
    claimed, there = math.prod(shape) * dtype.itemsize, size - handle.tell()
    if claimed > most:
        what = f"{name} unpacks to {claimed:,} bytes, {most:,} are left of {MOST_BYTES:,} for all arrays"
        raise DataError(f"{what}: give fewer or smaller images, or a folder of class folders")
    content = handle.read(claimed) if claimed == there else b""
    if min(shape, default=0) < 0 or len(content) != claimed:
        raise DataError(f"{name} claims {claimed:,} bytes for {shape}, {there:,} are there: save it again")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _text(value):
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _role(name):
    """0 for images, 1 for labels, None for neither, by a member's name."""
    words = set(name.lower().split("_"))
    return next((role for role, known in enumerate((IMAGES, LABELS)) if words & set(known)), None)


def _is_known(name):
    return name == CLASSES or _role(name) is not None


def _digest(members):
    digest = hashlib.sha256()
    for name in sorted(name for name, array in members.items() if array is not None):
        digest.update(name.encode() + np.ascontiguousarray(members[name]).tobytes())
    return digest.hexdigest()


def _pairs(members, path):
    """Part → (images, labels), by the members' names; what has no part is "train"."""
    found = {}
    for name, array in members.items():
        words = name.lower().split("_")
        part = next((PARTS[word] for word in words if word in PARTS), "train")
        if array is not None:
            found.setdefault(part, {})[_role(name)] = array
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
