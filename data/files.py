"""Official files: their digests, and fetching them once into the cache.

    folder = download(DATASETS["svhn"], "test")     # the cache folder that holds what the split needs

Archives are checked against their SHA-256, in a stream (a board has 512 MB).
"""

import gzip
import hashlib
import os
import zlib

from data.errors import DataError
from data.sets import DIGESTS
from hls.command import places
from hls.errors import UserError

BLOCK = 1 << 20  # bytes read at a time


def download(dataset, split=None):
    """Fetch the official files of a split (of all, without one) once; the cache folder that holds them.

    A file is checked before it takes its place, so a broken download is never kept. Raises DataError.
    """
    try:
        cache = places.cache(dataset.name)
        cache.mkdir(parents=True, exist_ok=True)
    except (OSError, UserError) as error:
        raise DataError(
            f"cannot make the cache folder ({error}): put {dataset.files[0]} somewhere, give --data"
        ) from None
    for name in dataset.files:
        if _needed(name, split) and not (cache / name).exists():
            _fetch(dataset, name, cache)
    return cache


def _needed(name, split):
    """Whether a split needs the file: CIFAR's archives have both; others are of the training part or the test's."""
    if split is None or name.startswith("cifar"):
        return True
    return name.startswith(("test", "t10k")) == (split == "test")


def _fetch(dataset, name, cache):
    import http.client  # with urllib a third of the host's time to start, for what most runs never need
    import urllib.request

    partial = cache / f"{name}.{os.getpid()}.partial"
    try:
        with urllib.request.urlopen(dataset.url + name, timeout=30) as response, partial.open("wb") as out:
            while block := response.read(BLOCK):
                out.write(block)
        if name in DIGESTS:
            check_digest(name, file_digest(partial), DIGESTS)
        else:
            check_digest(name[: -len(".gz")], hashlib.sha256(unzip(partial)).hexdigest(), DIGESTS)
        partial.replace(cache / name)
    except (OSError, EOFError, zlib.error, http.client.HTTPException, DataError) as error:
        raise DataError(f"cannot download {dataset.url + name} ({error}): put it in a folder, give --data") from None
    finally:
        partial.unlink(missing_ok=True)


def unzip(path):
    """What a gzipped file holds; of one that is too large, a little more than the largest official file."""
    with gzip.open(path) as handle:
        return handle.read((64 << 20) + 1)  # the largest official file holds 47 MB


def file_digest(path):
    """SHA-256 of a file, read in blocks (hashlib.file_digest is not in the board's Python 3.10)."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def check_digest(name, found, digests, path=None):
    """DataError where a file's digest is not the one in the table."""
    if found != digests[name]:
        raise DataError(f"{path or name} has SHA-256 {found[:12]}…, expected {digests[name][:12]}…: fetch it again")
