"""Every format of weights is read to the same numbers; another format is called by its name, and nothing is run."""

import argparse
import gzip
import json
import pickle
import struct
import warnings
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hls.errors import UserError
from training.published.files import SAFETENSORS, read


def tensors():
    generator = torch.Generator().manual_seed(1)
    return {"conv1.weight": torch.randn(4, 3, 3, 3, generator=generator), "linear.bias": torch.arange(5.0)}


def safetensors(weights):
    """The bytes of a safetensors file, written by the format's own description."""
    header: dict = {"__metadata__": {"format": "pt"}}
    data = b""
    words = {dtype: word for word, dtype in SAFETENSORS.items()}
    for name, value in weights.items():
        raw = bytes(value.contiguous().view(torch.uint8).flatten().tolist()) if value.ndim else b""
        header[name] = {
            "dtype": words[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def write_npz(path):
    np.savez(path, **{name: value.numpy() for name, value in tensors().items()})
    path.with_name(path.name + ".npz").rename(path)


WRITERS = {
    "zip": lambda path: torch.save(tensors(), path),
    "before 1.6": lambda path: torch.save(tensors(), path, _use_new_zipfile_serialization=False),
    "safetensors": lambda path: path.write_bytes(safetensors(tensors())),
    "npz": write_npz,
}


@pytest.mark.parametrize("name", WRITERS)
def test_formats_are_told_by_their_contents(name, tmp_path):
    WRITERS[name](tmp_path / "weights.bin")
    found = read(tmp_path / "weights.bin")
    assert found.keys() == tensors().keys()
    for key, value in tensors().items():
        torch.testing.assert_close(torch.as_tensor(found[key]), value, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", SAFETENSORS.values(), ids=SAFETENSORS)
def test_safetensors_of_every_type(dtype, tmp_path):
    value = torch.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype)
    (tmp_path / "w").write_bytes(safetensors({"a.b": value}))
    assert torch.equal(read(tmp_path / "w")["a.b"], value) and read(tmp_path / "w")["a.b"].dtype == dtype


@pytest.mark.parametrize("zipped", [True, False])
def test_plain_objects_beside_the_weights_are_no_trouble(zipped, tmp_path):
    beside = {
        "best": np.float64(91.7), "epoch": np.int64(3), "flag": np.bool_(True), "curve": np.zeros(3, np.float32),
        "args": argparse.Namespace(lr=0.1),
    }  # fmt: skip
    torch.save({"state_dict": tensors(), **beside}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    found = read(tmp_path / "w.pt")
    assert found["best"] == 91.7 and found["args"].lr == 0.1
    assert torch.equal(found["state_dict"]["linear.bias"], tensors()["linear.bias"])


def test_numbers_of_older_numpy_are_read(tmp_path):
    torch.save(
        {"state_dict": tensors(), "best": np.float64(91.7)}, tmp_path / "w", _use_new_zipfile_serialization=False
    )
    content = (tmp_path / "w").read_bytes()
    assert b"numpy._core" in content
    (tmp_path / "w").write_bytes(content.replace(b"numpy._core", b"numpy.core"))
    assert read(tmp_path / "w")["best"] == 91.7


class Surprise:
    """An object that a checkpoint must not bring to life."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "value, name", [(Surprise(), "print"), (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear")]
)
def test_code_is_named_and_not_run(value, name, zipped, tmp_path, capsys):
    torch.save({"state_dict": value}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"holds (\w+\.)*{name}, whose code is not run: save the weights alone"):
        read(tmp_path / "w.pt")
    assert capsys.readouterr().out == ""


def torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def keras(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")


HEALTHY = {  # format → (how a file of it comes to be, what the message calls it)
    "torchscript": (torchscript, "a TorchScript program"),
    "keras": (keras, "a Keras model"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(100), "TensorFlow Lite"),
    "onnx": (b"\x08\x0a\x12\x07pytorch" + bytes(100), "an ONNX model"),
    "npy": (b"\x93NUMPY\x01\0" + bytes(100), "one NumPy array"),
    "pickle": (pickle.dumps({"a": np.zeros(3)}), "a pickle that torch.save did not write"),
    "gzip": (gzip.compress(b"weights"), "a compressed archive: unpack it"),
    "tar": (b"r20.th".ljust(257, b"\0") + b"ustar\x0000" + bytes(300), "a tar archive: unpack it"),
    "web page": (b"<!DOCTYPE html>\n<html>" + b" " * 600, "a web page"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "text": (b"epoch,accuracy\n1,10.0\n", "text"),
    "noise": (bytes(range(128, 256)), "of no format known here"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_files_of_other_formats_are_named(name, tmp_path):
    make, message = HEALTHY[name]
    make(tmp_path / "w.pt") if callable(make) else (tmp_path / "w.pt").write_bytes(make)
    with pytest.raises(UserError, match=message) as raised:
        read(tmp_path / "w.pt")
    assert "\n" not in str(raised.value) and "fetch" not in str(raised.value)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.98])
def test_a_file_that_ends_early_is_to_be_fetched_again(name, share, tmp_path):
    WRITERS[name](tmp_path / "w")
    content = (tmp_path / "w").read_bytes()
    (tmp_path / "w").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match="ends early or is damaged: fetch or write it again") as raised:
        read(tmp_path / "w")
    assert "\n" not in str(raised.value)


@given(st.binary(max_size=400), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", struct.pack("<Q", 20) + b"{"]))
def test_any_bytes_are_one_line(tmp_path_factory, content, head):
    path = tmp_path_factory.mktemp("any") / "w"
    path.write_bytes(head + content)
    with pytest.raises(UserError) as raised:
        read(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "entry, message",
    [
        ({"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}, "a is F8_E4M3, expected F64"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}, "ends early"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}, "cannot be read as safetensors"),
        ({"dtype": "F32"}, "cannot be read as safetensors"),
        ("F32", "cannot be read as safetensors"),
    ],
    ids=str,
)
def test_safetensors_that_contradict_themselves(entry, message, tmp_path):
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "w").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(UserError, match=message):
        read(tmp_path / "w")


def test_folders_missing_files_and_objects_in_arrays(tmp_path):
    with pytest.raises(UserError, match="it is a folder"):
        read(tmp_path)
    with pytest.raises(UserError, match="it is not there"):
        read(tmp_path / "none.pt")
    (tmp_path / "empty.pt").write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        read(tmp_path / "empty.pt")
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="an array of Python objects"):
        read(tmp_path / "o.npz")
