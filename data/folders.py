"""A folder of class folders: which pictures it holds, and their classes; nothing is unpacked yet.

    found = read_folder("photos")      # photos/cat/*.jpg, photos/dog/*.png …, or photos/train/cat/…, photos/test/cat/…

Class folders are the classes, in the order of their names. Where the folder is divided already (train, validation or
val, test), its parts are kept. Files that are no pictures are left alone; pictures of a kind that is not read are not.
"""

import hashlib
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.errors import DataError
from data.pictures import ENDINGS, OTHERS
from hls.command.words import counted

PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation"}
PARTS |= {"validation": "validation", "test": "test", "testing": "test"}
LEAST_CLASSES, MOST_CLASSES = 2, 1000


@dataclass(frozen=True)
class Collection:
    """Images with labels, not yet of one size. `parts`: train, validation, test → (items, labels (N,), names).

    An item is a path, or pixels (H, W, C) uint8; names tell items apart and stay the same when others are added.
    """

    source: str  # for messages
    classes: tuple[str, ...]
    parts: dict[str, tuple[Any, np.ndarray, list]]
    digest: str  # SHA-256 of what is in it
    named: bool = True  # whether the classes have names of their own


def read_folder(folder):
    """The Collection of a folder. Raises DataError for one without classes, or with what cannot be told apart."""
    folder = Path(folder)
    try:
        divided = _parts(folder)
        roots = divided if "train" in divided or "test" in divided else {"train": folder}
        for root in roots.values():
            _check_apart(_folders(root), _name)
        names = sorted({_name(path) for root in roots.values() for path in _folders(root)})
        check_classes(names, folder)
        parts = {part: _pictures(root, names) for part, root in roots.items()}
        digest = hashlib.sha256()
        for part in sorted(parts):
            for path, name in zip(parts[part][0], parts[part][2]):
                digest.update(f"{part}/{name} {path.stat().st_size}\n".encode(errors="surrogateescape"))
    except OSError as error:
        raise DataError(f"cannot read {folder} ({error}): check --data") from None
    return Collection(str(folder), tuple(names), parts, digest.hexdigest())


def holds_classes(folder):
    """Whether a path is a folder in whose class folders, or theirs of a part, there are pictures."""
    folder = Path(folder)
    if not folder.is_dir():
        return False
    inside = _folders(folder)
    inside += [path for part in inside if part.name.lower() in PARTS for path in _folders(part)]
    return any(map(_holds_pictures, inside))


def check_classes(names, source, least=LEAST_CLASSES):
    """DataError unless there are `least` to 1,000 class names that anybody can tell apart."""
    if not least <= len(names) <= MOST_CLASSES:
        layout = "a folder for each class, with its pictures in it"
        found = counted(len(names), "class", "classes")
        raise DataError(f"{source} has {found}, expected {least} to {MOST_CLASSES}: make {layout}")
    seen = {}
    for name in names:
        key = unicodedata.normalize("NFKC", name).casefold().strip()
        if not key or not name.isprintable():
            raise DataError(f"{source} has the class name {name!r}, expected text that can be printed: rename it")
        if key in seen:
            raise DataError(
                f"{source} has the classes {seen[key]!r} and {name!r}, which read alike: rename one of them"
            )
        seen[key] = name


def _parts(folder):
    """Part → its folder, where there is one. A folder of pictures is a class, though it is called train."""
    found = [path for path in _folders(folder) if path.name.lower() in PARTS and not _holds_pictures(path)]
    _check_apart(found, lambda path: PARTS[path.name.lower()])
    return {PARTS[path.name.lower()]: path for path in found}


def _check_apart(folders, key):
    """DataError where two folders are the same by `key`: one of them would be lost in the other."""
    seen = {}
    for path in folders:
        if key(path) in seen:
            raise DataError(f"{seen[key(path)]} and {path} are both {key(path)!r}: put them into one folder")
        seen[key(path)] = path


def _holds_pictures(folder):
    return any(map(_is_picture, folder.iterdir()))


def _folders(folder):
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__")))


def _name(path):
    """A class's name; systems write accents in one letter or in two."""
    return unicodedata.normalize("NFC", path.name)


def _is_picture(path):
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _pictures(root, classes):
    """(paths, labels, names) of the pictures in the class folders of a root."""
    paths, labels, names = [], [], []
    for folder in _folders(root):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and not path.name.startswith((".", "__")):
                raise DataError(f"{path} is a folder inside of a class, expected pictures: put them into {folder}")
            if path.suffix.lower() in OTHERS and not path.name.startswith("."):
                raise DataError(f"{path} is of a kind that is not read, expected {', '.join(ENDINGS)}: save it as one")
            if _is_picture(path):
                paths.append(path)
                labels.append(classes.index(_name(folder)))
                names.append(f"{_name(folder)}/{unicodedata.normalize('NFC', path.name)}")
    return paths, np.array(labels, np.int64), names
