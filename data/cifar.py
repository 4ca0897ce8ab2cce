"""CIFAR-10 and CIFAR-100 from their official archives, or from unpacked batches.

    images, labels = read_cifar(CIFAR100, folder, "test")     # (10000, 32, 32, 3) uint8, (10000,) uint8

Unpacked batches, which other tools rewrite in another order, are checked by their shape and balance of classes.
"""

from dataclasses import dataclass, replace

import numpy as np

from data.batches import BatchError, read_batch, walk_archive
from data.errors import DataError
from data.files import check_digest, file_digest
from data.sets import CIFAR10, CIFAR100, CIFAR100_SUPERCLASSES, DIGESTS, SPLIT_SIZES


@dataclass(frozen=True)
class Layout:
    """How an archive is laid out: the folder in it, the batches of each split, the key of the labels."""

    folder: str
    batches: dict
    labels: bytes


LAYOUTS = {
    CIFAR10.name: Layout(
        "cifar-10-batches-py",
        {"train": tuple(f"data_batch_{i}" for i in range(1, 6)), "test": ("test_batch",)},
        b"labels",
    ),
    CIFAR100.name: Layout("cifar-100-python", {"train": ("train",), "test": ("test",)}, b"fine_labels"),
}
LAYOUTS[CIFAR100_SUPERCLASSES.name] = replace(LAYOUTS[CIFAR100.name], labels=b"coarse_labels")


def read_cifar(dataset, folder, split):
    """Images (N, 32, 32, 3) and labels (N,), uint8, of one split. Raises DataError."""
    layout, classes = LAYOUTS[dataset.name], len(dataset.classes)
    count = SPLIT_SIZES[dataset.name.removesuffix("-superclasses"), split]
    names = layout.batches[split]
    share = count // len(names)
    images, labels = np.empty((count, 32, 32, 3), np.uint8), np.empty(count, np.uint8)
    for name, handle in _open_batches(dataset, layout, folder, names):
        try:
            rows, found = read_batch(name, handle, layout.labels, classes)
        except BatchError as error:
            raise DataError(f"{folder}: {error}: fetch the archive again") from None
        if len(rows) != share:
            raise DataError(f"{folder}: {name} has {len(rows)} images, expected {share}: fetch the archive again")
        part = slice(names.index(name) * share, (names.index(name) + 1) * share)
        images[part] = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels[part] = found
    per_class = np.bincount(labels, minlength=classes)
    if not (per_class == count // classes).all():
        raise DataError(
            f"{folder}: images per class are {_short(per_class)}, expected {count // classes} each: "
            f"not {dataset.name.upper().replace('CIFAR', 'CIFAR-')}"
        )
    return images, labels


def _short(counts):
    """Counts for a message."""
    shown = ", ".join(map(str, counts[:10]))
    return f"[{shown}{', …' if len(counts) > 10 else ''}]"


def _open_batches(dataset, layout, folder, names):
    """Yield (name, file) for each batch, from unpacked files or from the archive (in the archive's order)."""
    for root in (folder, folder / layout.folder):
        if (root / names[0]).exists():
            for name in names:
                if not (root / name).exists():
                    raise DataError(f"{root} has no {name}: fetch the archive again")
                with (root / name).open("rb") as handle:
                    yield name, handle
            return
    archive = folder / dataset.files[0]
    if not archive.exists():
        raise DataError(f"{folder} has neither {archive.name} nor {layout.folder}/: --data needs one of them")
    check_digest(archive.name, file_digest(archive), DIGESTS, archive)
    try:
        yield from walk_archive(archive, f"{layout.folder}/", names)
    except BatchError as error:
        raise DataError(f"{archive}: {error}: fetch it again") from None
