"""Files of weights, read without running what they hold: torch's, safetensors, NumPy's .npz. Others are named.

    values = read("resnet20.th")        # what was saved: dicts, tensors, numbers

A file of another format is healthy, so that only one which ends early is to be fetched again.
"""

import argparse
import json
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch

from hls.errors import UserError

EXPECTED = "expected a torch file (.pt, .pth, .th), .safetensors or .npz"
SAVE = "save the weights alone: torch.save(model.state_dict(), FILE)"
AGAIN = "it ends early or is damaged: fetch or write it again"
TORCH_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before its 1.6, still in many places
FOREIGN = (  # bytes at the beginning, what has them
    (rb"\x89HDF\r\n", f"an HDF5 file, as Keras writes: {EXPECTED}"),
    (rb"....TFL3", f"a TensorFlow Lite model: {EXPECTED}"),
    (rb"\x93NUMPY", "one NumPy array without a name: save all weights by name with numpy.savez"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf", "a compressed archive: unpack it"),
    (rb".{257}ustar", "a tar archive: unpack it"),
    (rb"version https://git-lfs", "the pointer of a file that Git LFS keeps elsewhere: run git lfs pull"),
    (rb"\s*<(!doctype|html|\?xml)", "a web page: download the file that the page shows"),
    (rb"\x80[\x02-\x05]", f"a pickle that torch.save did not write: {EXPECTED}"),
    (rb"\x08[\x01-\x0f][\x12\x3a]", f"an ONNX model: {EXPECTED}"),
    (rb"[\t\n\r\x20-\x7e]+\Z", f"text: {EXPECTED}"),
)
SAFETENSORS = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
}  # fmt: skip


def read(path):
    """What a file holds: nested dicts of tensors, arrays and plain values. Raises UserError, naming what it is."""
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"no file {path}: it {what}, {EXPECTED}")
    with path.open("rb") as handle:
        head = handle.read(512)
    if not head:
        raise UserError(f"{path} is empty: {AGAIN}")
    if head.startswith(b"PK"):
        return _read_zip(path)
    if head.startswith(TORCH_MAGIC):
        return _read_torch(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 100 << 20:
        return _read_safetensors(path)
    for pattern, what in FOREIGN:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            raise UserError(f"{path} is {what}")
    raise UserError(f"{path} is of no format known here (it begins with {head[:8].hex(' ')}): {EXPECTED}")


def _read_zip(path):
    """torch's files are zips since its 1.6, and so are .npz, TorchScript and Keras files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        raise UserError(f"{path} cannot be read: {AGAIN}") from None
    if any(name.endswith("/constants.pkl") for name in names):
        raise UserError(f"{path} is a TorchScript program: {SAVE}")
    if any(name.endswith("data.pkl") for name in names):
        return _read_torch(path)
    if names and all(name.endswith(".npy") for name in names):
        return _read_npz(path)
    what = "a Keras model" if "model.weights.h5" in names else f"a zip archive of {', '.join(names[:2]) or 'nothing'}"
    raise UserError(f"{path} is {what}: {EXPECTED}")


def _read_torch(path):
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_plain_classes()):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged archive can raise nearly anything
        foreign = re.search(r"GLOBAL ([\w.]+)|[Cc]lass ([\w.]+)", str(error))
        if foreign:
            name = foreign[1] or foreign[2]
            raise UserError(f"{path} holds {name}, whose code is not run: {SAVE}") from None
        raise UserError(f"{path} cannot be read ({type(error).__name__}): {AGAIN}") from None


def _plain_classes():
    """Classes that checkpoints carry beside the weights and that do nothing: NumPy's numbers, lists of options."""
    scalar, array = np.float64(0).__reduce__()[0], np.zeros(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in "?bhilqBHILQefdSU"}
    older = [(scalar, "numpy.core.multiarray.scalar"), (array, "numpy.core.multiarray._reconstruct")]
    return [scalar, array, *older, np.ndarray, np.dtype, argparse.Namespace, *kinds]


def _read_npz(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except ValueError:
        raise UserError(f"{path} has an array of Python objects, which is not read: save arrays of numbers") from None
    except (OSError, EOFError, zipfile.BadZipFile, KeyError):
        raise UserError(f"{path} cannot be read: {AGAIN}") from None


def _read_safetensors(path):
    """huggingface/safetensors, "Format": the header's length, the header in JSON, then the tensors' bytes."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8:start])
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _tensor(name, entry, content[start:]) for name, entry in tensors.items()}
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
        raise UserError(f"{path} cannot be read as safetensors: {AGAIN}") from None


def _tensor(name, entry, data):
    if entry["dtype"] not in SAFETENSORS:
        raise UserError(f"{name} is {entry['dtype']}, expected {', '.join(SAFETENSORS)}")
    begin, end = entry["data_offsets"]
    dtype, part = SAFETENSORS[entry["dtype"]], bytearray(data[begin:end])
    if len(part) != end - begin:
        raise ValueError("the file ends before the tensor does")
    return (torch.frombuffer(part, dtype=dtype) if part else torch.zeros(0, dtype=dtype)).reshape(entry["shape"])
