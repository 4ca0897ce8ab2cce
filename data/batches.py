"""Read the pickled batches of CIFAR-10 and CIFAR-100 without running anything that a pickle asks for.

    rows, labels = read_batch("test_batch", handle)   # (N, 3072) uint8, (N,) uint8

The official batches are pickles of Python 2; other tools rewrite them with newer protocols. A pickle is a small
program, so the few names that batches use are answered by stand-ins that only keep bytes, and no other is answered.
"""

import pickle
import tarfile

import numpy as np

from hls.errors import UserError

PIXELS = 3 * 32 * 32


class BatchError(UserError):
    """A batch that is damaged or holds something else than images and labels; the message is one line."""


class _Dtype:
    """Stands in for numpy.dtype: keeps its name."""

    def __init__(self, name, *_):
        self.name = name.decode("latin1") if isinstance(name, bytes) else name

    def __setstate__(self, state):
        """Byte order and alignment, which bytes do not have."""


class _Array:
    """Stands in for numpy.ndarray: keeps shape, dtype and bytes as they were pickled."""

    shape, dtype, fortran, content = (), None, False, b""

    def __setstate__(self, state):
        """State of numpy's pickles: version, shape, dtype, whether in Fortran order, bytes."""
        _, self.shape, self.dtype, self.fortran, self.content = state

    def decode(self):
        """The uint8 array. Raises ValueError when it is of another type, or its bytes do not fill its shape."""
        if not isinstance(self.dtype, _Dtype) or self.dtype.name != "u1":
            raise ValueError(f"dtype {getattr(self.dtype, 'name', None)}, expected u1")
        values = np.frombuffer(self.content, np.uint8)
        return values.reshape(self.shape, order="F" if self.fortran else "C")


def _reconstruct(*_):
    return _Array()


def _frombuffer(content, dtype, shape, order="C"):
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _encode(text, encoding="latin1"):
    if encoding != "latin1":
        raise ValueError(f"encoding {encoding}, expected latin1")
    return text.encode("latin1")


_STANDINS = {"ndarray": _Array, "dtype": _Dtype, "_reconstruct": _reconstruct, "_frombuffer": _frombuffer}


class _Unpickler(pickle.Unpickler):
    """Reads dicts, lists, bytes, numbers and arrays of bytes; refuses everything else."""

    def find_class(self, module, name):
        """The stand-in for a name of numpy's pickles. Raises BatchError for any other name."""
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if module.split(".")[0] == "numpy" and name in _STANDINS:
            return _STANDINS[name]
        raise BatchError(f"asks for {module}.{name}, expected arrays of bytes only")


def read_batch(name, handle, key=b"labels", classes=10):
    """Rows (N, 3072) uint8 (red, green, blue planes) and labels (N,) uint8, under `key`, of one batch file.

    Raises BatchError when the pickle is damaged, asks for other names, or holds other shapes or values.
    """
    try:
        batch = _Unpickler(handle, encoding="bytes").load()
        batch = {key.encode() if isinstance(key, str) else key: value for key, value in batch.items()}
        rows, labels = _values(batch[b"data"]), _values(batch[key])
    except BatchError as error:
        raise BatchError(f"{name} {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise BatchError(f"{name} is damaged ({type(error).__name__}: {error})") from None
    if rows.ndim != 2 or rows.shape[1] != PIXELS or labels.shape != rows.shape[:1]:
        raise BatchError(f"{name} has images {rows.shape} and labels {labels.shape}, expected (N, {PIXELS}) and (N,)")
    if (
        rows.dtype != np.uint8
        or labels.dtype.kind not in "iu"
        or not len(rows)
        or labels.min() < 0
        or labels.max() >= classes
    ):
        raise BatchError(f"{name} has other values than pixels 0 … 255 and labels 0 … {classes - 1}")
    return rows, labels.astype(np.uint8)


def _values(value):
    return value.decode() if isinstance(value, _Array) else np.asarray(value)


def walk_archive(path, prefix, names):
    """Yield (name, file) for the batches `names` under `prefix` of an archive, in its order, in one pass over it."""
    missing = set(names)
    try:
        with tarfile.open(path, "r|gz") as tar:
            for member in tar:
                name = member.name[len(prefix) :]
                if member.name.startswith(prefix) and name in missing and member.isfile():
                    missing.discard(name)
                    yield name, tar.extractfile(member)
                if not missing:
                    return
    except (tarfile.TarError, EOFError) as error:
        raise BatchError(f"damaged archive ({error})") from None
    raise BatchError(f"lacks {', '.join(sorted(missing))}")
