"""What training and export read: three parts of a data set, and what must be kept of it to read them again.

parts = read_parts("cifar10", folder)                       # the official set, 5,000 images kept for validation
parts = read_parts("photos", folder, images=Images((64, 64)))
parts.about.mean, parts.about.classes, parts.train          # …, (images (N, H, W, C) uint8, labels (N,))
"""

from dataclasses import asdict, dataclass

import numpy as np

from data import own
from data.datasets import load
from data.errors import DataError
from data.sets import DATASETS

VALIDATION_SEED = 2020
SEEN = 1000  # pictures that the statistics of streamed ones are computed from
LEAST_STD = 1 / 255  # of a channel that hardly varies


@dataclass(frozen=True)
class About:
    """Name, classes and statistics of a data set; for one's own images how they are read, and a digest of them."""

    name: str
    classes: tuple
    mean: tuple  # per channel, pixels in [0, 1], of the training part
    std: tuple
    images: own.Images | None = None
    digest: str = ""

    def to_dict(self):
        """Plain values, as they stand in a checkpoint."""
        return {**asdict(self), "images": self.images.to_dict() if self.images else None}

    def stored(self):
        """What a package keeps under input.images; {} of an official data set."""
        return {**self.images.to_dict(), "digest": self.digest} if self.images else {}


@dataclass(frozen=True)
class Parts:
    """Each part is (images (N, H, W, C) uint8, labels (N,)); of pictures to be streamed (items, labels)."""

    about: About
    train: tuple
    validation: tuple
    test: tuple


def read_parts(name, folder, validation=5000, images=None):
    """The Parts of an official data set, or with `images`, an own.Images, of one's own. Raises DataError.

    `validation`: how many training images of an official set are kept apart, the same for every seed of a run.
    """
    if images is None:
        return _official(name, folder, validation)
    if not folder:
        raise DataError(f"{name} is no official data set: give --data the folder with its pictures")
    collection = own.collect(folder)
    parts = own.divide(collection, images)
    if images.stream:
        seen, _ = own.read_items(*_evenly(*parts[0], SEEN), images.rule)
        return Parts(About(name, collection.classes, *statistics(seen), images, collection.digest), *parts)
    train, *others = (own.read_items(*part, images.rule) for part in parts)
    about = About(name, collection.classes, *statistics(train[0]), images, collection.digest)
    return Parts(about, train, *others)


def _evenly(items, labels, count):
    """At most `count` of the items with their labels, evenly from all of them."""
    chosen = np.unique(np.linspace(0, len(labels) - 1, count).astype(int))
    return [items[index] for index in chosen], labels[chosen]


def _official(name, folder, validation):
    images, labels = load(name, "train", folder)
    order = np.random.default_rng(VALIDATION_SEED).permutation(len(images))
    train, kept = ((images[part], labels[part]) for part in (order[validation:], order[:validation]))
    dataset = DATASETS[name]
    mean, std = (dataset.mean, dataset.std) if dataset.mean else statistics(train[0])
    return Parts(About(name, dataset.classes, mean, std), train, kept, load(name, "test", folder))


def images_for(name, folder, size=None, channels=None):
    """The `images` of `read_parts` for a network that was trained elsewhere: None for an official data set.

    `size` (height, width) and `channels` are the network's, where they are known. Raises DataError.
    """
    if name in DATASETS:
        return None
    if not folder:
        raise DataError(f"{name} is no official data set: give --data the folder with its pictures")
    return own.suggest(own.collect(folder), size, channels=channels)


def statistics(images):
    """(mean, std) per channel of (N, H, W, C) uint8 images, pixels in [0, 1], four digits each."""
    counts = [np.bincount(images[..., channel].reshape(-1), minlength=256) for channel in range(images.shape[-1])]
    values, mean, std = np.arange(256) / 255, [], []
    for count in counts:
        mean.append(float((count * values).sum() / count.sum()))
        std.append(max(float(np.sqrt((count * (values - mean[-1]) ** 2).sum() / count.sum())), LEAST_STD))
    return tuple(round(value, 4) for value in mean), tuple(round(value, 4) for value in std)


def check_same(about, kept):
    """DataError unless the data is what a checkpoint was trained on; `kept`: its About as plain values, or None."""
    if kept and kept["digest"] and (about.digest, about.classes) != (kept["digest"], tuple(kept["classes"])):
        raise DataError(
            f"--data is not what the run of {kept['name']!r} was trained on: pictures were added, taken away or "
            "changed; give the folder as it was, or train again"
        )
