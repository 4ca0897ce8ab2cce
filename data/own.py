"""Images of one's own, made of one size and divided into training, validation and test parts.

    collection = collect("photos")                              # class folders, a .npz, or images.npy and labels.npy
    images = suggest(collection)                                # an Images rule that suits them
    train, validation, test = divide(collection, images)        # each (items, labels)
    pixels = read_items(*train, images.rule)                    # (N, H, W, C) uint8

Parts that the data has are kept; those that it lacks are drawn from its training part, class by class, in an order that
depends on the seed and a picture's name alone: pictures that are added later move few of the others.
"""

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.arrays import holds_arrays, read_arrays
from data.errors import DataError
from data.fit import LEAST, Fit
from data.folders import holds_classes, read_folder
from data.pictures import read_picture, read_size
from hls.command.words import counted

NAMES = ("train", "validation", "test")
SIDE = 64  # what larger pictures become, unless another size is asked for


@dataclass(frozen=True)
class Images:
    """[images] of a recipe, kept in checkpoint and package: the size, how it is reached, and what is kept apart."""

    size: tuple
    fit: str = "crop"
    channels: int = 3
    validation: float = 0.15  # share of the training part, where the data has no part of this name
    test: float = 0.15
    seed: int = 1
    stream: bool = False  # training reads pictures as it needs them: a folder that no memory holds
    val_is_test: bool = False  # a folder's val/ gives the final figure, as ImageNet's; validation is drawn

    def check(self):
        """Raises DataError for values that cannot be followed."""
        _ = self.rule
        if not (0 < self.validation < 0.5 and 0 < self.test < 0.5):
            shares = f"validation {self.validation} and test {self.test}"
            raise DataError(f"[images] keeps {shares} apart, expected shares above 0 and under 0.5")

    @property
    def rule(self):
        """The Fit. DataError for impossible values."""
        return Fit(tuple(self.size), self.channels, self.fit)

    def to_dict(self):
        """Plain values, as they stand in a checkpoint and a package."""
        return {**asdict(self), "size": list(self.size)}


def from_dict(values):
    """Images from plain values. DataError for unknown keys or impossible values."""
    try:
        given: dict[str, Any] = {**values, "size": tuple(values["size"])}
        images = Images(**given)
        images.check()
    except (TypeError, KeyError):
        raise DataError(f"[images] is {values!r}, expected {', '.join(Images.__dataclass_fields__)}") from None
    return images


def is_own(path):
    """Whether a path holds images in one of our own layouts, not an official archive."""
    return bool(path) and (holds_arrays(path) or holds_classes(path))


def collect(path):
    """The Collection at a path. Raises DataError."""
    path = Path(path)
    if not path.exists():
        raise DataError(f"no folder {path}: give --data a folder of class folders, or a .npz with images and labels")
    if path.is_file() and path.suffix not in (".npz", ".npy"):
        raise DataError(f"{path} is no .npz: give --data a folder of class folders, or a .npz with images and labels")
    return read_arrays(path) if holds_arrays(path) else read_folder(path)


def suggest(collection, size=None, how=None, channels=None):
    """Images for a Collection: its own size where all have one that the engine takes, else SIDE; grey where all are."""
    sizes = Counter(size_of(item) for items, _, _ in collection.parts.values() for item in items)
    if not sizes:
        raise DataError(f"{collection.source} holds no pictures: put some into its class folders")
    shapes = {found[:2] for found in sizes}
    same = next(iter(shapes)) if len(shapes) == 1 else None
    if size is None:
        size = same if same and min(same) >= LEAST and max(same) <= SIDE else (min(SIDE, _side(shapes)),) * 2
    grey = all(found[2] == 1 for found in sizes)
    images = Images(tuple(size), how or ("none" if same == tuple(size) else "crop"), channels or (1 if grey else 3))
    images.check()
    if images.fit == "none" and shapes != {images.size}:
        other = next(shape for shape in sorted(shapes) if shape != images.size)
        sizes = " × ".join(map(str, other)), " × ".join(map(str, images.size))
        raise DataError(f"{collection.source} has a picture of {sizes[0]}, fit none takes {sizes[1]}: give --fit crop")
    return images


def _side(shapes):
    """The largest multiple of 8 that no picture must be enlarged for."""
    return max(min(min(shape) for shape in shapes) // 8 * 8, LEAST)


def size_of(item):
    """(height, width, channels) of an item of a Collection."""
    return item.shape if isinstance(item, np.ndarray) else read_size(item)


def divide(collection, images):
    """(items, labels) of the training, validation and test part. DataError where a class has too few pictures."""
    parts = {name: (items, labels) for name, (items, labels, _) in collection.parts.items()}
    if "train" not in parts:
        raise DataError(f"{collection.source} has no training part: put its pictures into train/")
    if images.val_is_test and "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    items, labels, names = collection.parts["train"]
    drawn = {name: getattr(images, name) for name in NAMES[1:] if name not in parts}
    kept = _draw(collection, labels, names, drawn, images.seed)
    for name, chosen in kept.items():
        parts[name] = _chosen(items, chosen), labels[chosen]
    for name in NAMES:
        if not len(parts[name][1]):
            raise DataError(f"{collection.source} has no pictures in its {name} part: put some there")
    return [parts[name] for name in NAMES]


def _draw(collection, labels, names, shares, seed):
    """Part → indices of the training part, in their order: what is drawn for `shares`, and what is left."""
    taken = {name: [] for name in (*shares, "train")}
    for label, title in enumerate(collection.classes):
        members = np.flatnonzero(labels == label)
        if len(members) <= len(shares):
            raise DataError(
                f"{collection.source}: class {title!r} has {counted(len(members), 'picture')}, expected at least "
                f"{len(shares) + 1}, one for each part: add some, or take the class away"
            )
        order = sorted(members, key=lambda index: _rank(seed, names[index]))
        for name, share in shares.items():
            count = min(max(round(share * len(members)), 1), len(order) - 1)
            taken[name] += order[:count]
            order = order[count:]
        taken["train"] += order
    return {name: np.array(sorted(indices), np.int64) for name, indices in taken.items()}


def _rank(seed, name):
    return hashlib.sha256(f"{seed}/{name}".encode(errors="surrogateescape")).digest()  # names may be no UTF-8


def _chosen(items, indices):
    return items[indices] if isinstance(items, np.ndarray) else [items[index] for index in indices]


def read_items(items, labels, rule):
    """(images (N, *rule.size, channels) uint8, labels (N,)); each picture is fitted once. Raises DataError."""
    shape = len(labels), *rule.size, rule.channels
    try:
        images = np.empty(shape, np.uint8)
    except MemoryError:
        sizes = " × ".join(map(str, shape))
        raise DataError(f"{sizes} bytes of pictures do not fit this machine's memory: give a smaller --size") from None
    for index, item in enumerate(items):
        if isinstance(item, np.ndarray):
            images[index] = rule.apply(item, f"image {index}")
        else:
            images[index] = rule.apply(read_picture(item), item)
    return images, np.asarray(labels)
