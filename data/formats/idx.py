"""The idx files of MNIST and Fashion-MNIST: big-endian header 0x0000 08 ndim, sizes, then bytes.

images = read_idx(folder, "t10k-images-idx3-ubyte", (28, 28), digests)     # (N, 28, 28) uint8
"""

import hashlib
import zlib

import numpy as np

from data.errors import DataError
from data.files import check_digest, unzip


def read_idx(folder, name, shape, digests):
    """One idx file, gzipped or not: (N, *shape) uint8. Raises DataError, also when its digest is another."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise DataError(f"{folder} has no {name}[.gz]: --data needs the official Fashion-MNIST files")
    try:
        content = unzip(path) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): fetch it again") from None
    ndim = content[3] if len(content) > 4 else 0
    sizes = [int(n) for n in np.frombuffer(content[4 : 4 + 4 * min(ndim, (len(content) - 4) // 4)], ">u4")]
    if (
        content[:3] != b"\0\0\x08"
        or len(sizes) != ndim
        or len(content) != 4 + 4 * ndim + int(np.prod(sizes, dtype=float))
    ):
        raise DataError(f"{path} is not an idx file of bytes of its stated size: fetch it again")
    if tuple(sizes[1:]) != shape:
        raise DataError(f"{path} holds arrays of {sizes}, expected {['N', *shape]}: give the official files")
    check_digest(name, hashlib.sha256(content).hexdigest(), digests, path)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(sizes)
