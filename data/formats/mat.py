"""Arrays of numbers from MATLAB files of version 5, the format of SVHN, with numpy alone.

    arrays = read_mat(path)      # {"X": (32, 32, 3, N) uint8, "y": (N, 1) uint8}

A file is a header of 128 bytes and elements: a type, a size, and data on a boundary of 8 bytes, which are numbers,
other elements, or those compressed by zlib ("MAT-File Format", MathWorks, chapter 1). Numbers are kept in the smallest
type that holds them, so an array of doubles may lie there as bytes; here it comes as it lies.
"""

import zlib

import numpy as np

from data.errors import DataError

HEADER = 128
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # mxDOUBLE_CLASS … mxUINT64_CLASS
MOST = 1 << 30  # bytes that a variable may unpack to


def read_mat(path):
    """Name → array of the file's numeric variables, little-endian files alone. Raises DataError, OSError."""
    content = path.read_bytes()
    if len(content) < HEADER or content[124:128] != b"\0\1IM":
        raise DataError(f"{path} is not a little-endian MATLAB file of version 5: fetch the official file again")
    try:
        found = [_variable(kind, data) for kind, data in _elements(memoryview(content)[HEADER:])]
    except (ValueError, IndexError, zlib.error, UnicodeDecodeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({type(error).__name__}: {error}): fetch it again") from None
    return dict(item for item in found if item)


def _elements(data):
    """Yield (type, bytes) of the elements in `data`. ValueError where one ends beyond it."""
    at = 0
    while at < len(data):
        first, size = (int(n) for n in np.frombuffer(data[at : at + 8], "<u4"))
        if first >> 16:  # a small element: type and size in two bytes each, up to four bytes of data
            kind, size, start, end = first & 0xFFFF, first >> 16, at + 4, at + 8
        else:
            kind, start = first, at + 8
            end = start + size if kind == COMPRESSED else start + -(-size // 8) * 8
        if start + size > len(data) or start + size > end:
            raise ValueError(f"an element of {size} bytes ends beyond its place")
        yield kind, data[start : start + size]
        at = end


def _variable(kind, data):
    """(name, array) of a matrix element; None for one that holds no numbers."""
    if kind == COMPRESSED:
        unpacker = zlib.decompressobj()
        unpacked = unpacker.decompress(data, MOST)
        if not unpacker.eof:
            raise ValueError(f"a compressed variable is cut short, or over {MOST} bytes")
        (kind, data), *_ = _elements(memoryview(unpacked))
    if kind != MATRIX:
        return None
    (_, flags), (_, sizes), (_, name), *parts = _elements(data)
    if flags[0] not in NUMERIC_CLASSES or not parts:
        return None
    kind, values = parts[0]
    shape = np.frombuffer(sizes, "<i4")
    return bytes(name).decode("ascii"), np.frombuffer(values, f"<{NUMBERS[kind]}").reshape(shape, order="F")
