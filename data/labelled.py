"""Images with labels to measure a package on: the official test set, or one's own pictures.

    images, labels, source = test_images(package, folder)

Of the pictures that a package was trained on only its test part is taken; of others all, or their test part where they
have one. A folder that has changed since the training counts as others, and the source says what that may mean.
"""

import numpy as np

from data import own
from data.datasets import DATASETS, DataError, load
from data.fit import rule_of


def test_images(package, folder):
    """(images (N, H, W, C) uint8, labels (N,), where they come from). Raises DataError.

    `package`: an hls.package.Package. `folder`: of its official set, or of pictures; None for a download.
    """
    dataset, stored = package.dataset, package.own_images
    if dataset in DATASETS and not own.is_own(folder):
        return *load(dataset, "test", folder), f"the test set of {dataset}"
    if not folder:
        known = ", ".join(sorted(DATASETS))
        raise DataError(
            f"the package is for {dataset!r}, no official data set ({known}): give --data its folder or .npz"
        )
    collection = own.collect(folder)
    labels_of = _labels(collection, package.class_names)
    parts = {name: (items, labels) for name, (items, labels, _) in collection.parts.items()}
    if stored.get("digest") == collection.digest:
        kept = own.from_dict({name: value for name, value in stored.items() if name != "digest"})
        (items, labels), what = own.divide(collection, kept)[2], "the test part of"
    elif "test" in parts:
        (items, labels), what = parts["test"], "the test part of"
    else:
        items = [item for items, _ in parts.values() for item in items]
        labels, what = np.concatenate([labels for _, labels in parts.values()]), "all of"
    if not len(labels):
        raise DataError(f"{folder} holds no pictures to measure on: put some into its class folders")
    rule = rule_of(package)
    images, labels = own.read_items(items, labels_of[labels], rule)
    known = what == "all of" and stored.get("digest")  # the folder may be the same with a picture more
    seen = "; some may have been seen in training" if known else ""
    how = "" if rule.how == "none" else f", {rule.how} to {rule.size[0]} × {rule.size[1]}"
    return images, labels, f"{what} {collection.source}{how}{seen}"


def _labels(collection, classes):
    """The package's label of each class of a Collection; by name, or by number where it has no names."""
    if not collection.named:
        if len(collection.classes) > len(classes):
            found = f"labels up to {len(collection.classes) - 1}, the package {len(classes)} classes"
            raise DataError(f"{collection.source} has {found}: give another --package")
        return np.arange(len(collection.classes))
    unknown = [name for name in collection.classes if name not in classes]
    if unknown:
        known = ", ".join(classes[:10]) + (", …" if len(classes) > 10 else "")
        raise DataError(
            f"{collection.source} has the class {unknown[0]!r}, the package knows {known}: rename the folder"
        )
    return np.array([classes.index(name) for name in collection.classes])
